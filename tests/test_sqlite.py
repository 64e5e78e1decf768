"""What the SQLite store alone promises: what check() finds, what forgetting leaves, speed."""

import sqlite3
from pathlib import Path

import pytest
from contract import reflection, thought
from memkit_sqlite import cache as index_module
from memkit_sqlite.sqlite import SQLiteStore
from test_stores import ANN, EMBEDDER, adding, nearest, summary, turn

from memkit.errors import NotAMemory
from memkit.protocols import Window, WriteBatch
from memkit.records import Scope
from memkit.testing import open_memory
from memkit.thoughts.lsh import minhash_bands

FAULTS = {
    "DELETE FROM chunks": "1 turns without a chunk",
    "UPDATE chunks SET turn_seq = 99": "points to a deleted row of turns",
    "DELETE FROM vectors": "without a vector of the current embedder",
    "UPDATE chunks SET user_id = 'bob'": "chunks of another user than their turn",
    "UPDATE users SET user_id = 'bob'": "turns of an unknown user",
    "UPDATE chunks SET terms = zeroblob(16)": "full text disagrees",
    "DELETE FROM postings": "full text disagrees",
    "UPDATE vectors SET vector = zeroblob(256)": "vector index of 'ann': 1 rows differ",
    "INSERT INTO summary_sources VALUES (1, 9, 'gone')": "summaries with deleted sources",
}


@pytest.mark.parametrize("damage", FAULTS)
def test_check_names_what_is_wrong(tmp_path: Path, damage: str) -> None:
    with_tea = SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint)
    with_tea.write(ANN, adding(turn("1", "tea")))
    with_tea.write(ANN, WriteBatch(summaries=[summary(1, ["1"])]))
    nearest(with_tea, "tea")
    raw = sqlite3.connect(tmp_path / "ann.db", isolation_level=None)
    raw.execute(damage)
    raw.close()

    assert FAULTS[damage] in "; ".join(with_tea.check())
    with_tea.close()


def test_check_names_a_damaged_file(tmp_path: Path) -> None:
    file = tmp_path / "ann.db"
    store = SQLiteStore(str(file), EMBEDDER.fingerprint)
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(300))))
    store.close()
    data = bytearray(file.read_bytes())
    for page in range(len(data) // 2 // 4096, len(data) // 4096):
        data[page * 4096 : page * 4096 + 2048] = b"\xff" * 2048
    file.write_bytes(data)

    store = SQLiteStore(str(file), EMBEDDER.fingerprint)
    assert "damaged" in store.check()[0]
    with pytest.raises(NotAMemory, match="damaged"):
        [list(store.turns(ANN, Window(ids=[str(n)]))) for n in range(300)]
    store.close()


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "still open"])
def test_forgotten_words_and_vectors_are_in_no_file_any_more(tmp_path: Path, closed: bool) -> None:
    store = SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint)
    secret = turn("1", "xylophonq zzyzxville", name="qwertzuiop")
    store.write(ANN, adding(*(turn(f"t{n}", f"tea {n}") for n in range(50))))
    store.write(ANN, adding(secret, summaries=[summary(51, ["t1"])]))
    nearest(store, "tea")
    vector = EMBEDDER.embed([secret.text]).tobytes()
    assert vector in everything_in(tmp_path)

    store.write(ANN, WriteBatch(forget=["1"]))
    if closed:
        nearest(store, "tea")
        store.close()
    left = everything_in(tmp_path)
    for trace in (b"xylophonq", b"zzyzxvil", b"qwertzuiop", vector):
        assert trace not in left
    store.close()


@pytest.mark.slow
def test_a_file_stays_whole_after_a_thousand_deletions(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with open_memory(str(path)) as memory:
        texts = [f"secret{n} and tea with {n * 7919 % 1000} other words" for n in range(1100)]
        ids = memory.remember(texts, user_id="ann")
        for turn_id in ids[:1050]:
            memory.forget(user_id="ann", turn_ids=[turn_id])
    with open_memory(str(path)) as memory:
        assert memory.doctor() == []
        (hit, *_) = memory.recall("secret1075", user_id="ann")
        assert hit.text == texts[1075]
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"secret1075" in content
    assert not any(f"secret{n} ".encode() in content for n in range(1050))


def test_forgetting_everything_deletes_the_index_file(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint)
    store.write(ANN, adding(turn("1", "tea")))
    nearest(store, "tea")
    store.close()
    folder = tmp_path / "ann.db.index"
    assert len(list(folder.iterdir())) == 1

    store = SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint)
    store.write(ANN, WriteBatch(forget=["1"]))
    assert list(folder.iterdir()) == []
    assert nearest(store, "tea") == []
    store.close()
    assert list(folder.iterdir()) == []


def test_a_process_that_closes_late_does_not_save_what_another_forgot(tmp_path: Path) -> None:
    late, other = (SQLiteStore(str(tmp_path / "a.db"), EMBEDDER.fingerprint) for _ in "12")
    late.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    nearest(late, "tea")
    other.write(ANN, WriteBatch(forget=["1"]))

    late.close()
    other.close()
    assert EMBEDDER.embed(["tea"]).tobytes() not in everything_in(tmp_path)


def test_indexes_used_longest_ago_leave_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_MOST_BYTES", 10 * (4 * 64 + 8 + 12 * 8))
    store = SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint)
    users = [Scope(user_id=f"user{n}") for n in range(9)]
    for user in users:
        store.write(user, adding(*(turn(str(n), f"tea {user.user_id}") for n in range(4))))
        assert len(nearest(store, "tea", user)) == 4

    assert list(store._cache._users) == ["user7", "user8"]
    assert [nearest(store, "tea", user)[0] for user in users] == [f"tea {u.user_id}" for u in users]
    store.close()


PLANS = {
    "SELECT max(seq) FROM chunks WHERE user_id = 'a' AND hidden = 0": "chunks_visible",
    "SELECT 1 FROM turns WHERE user_id = 'a' AND (said_us, position) > (1, 2)"
    " ORDER BY said_us, position LIMIT 5": "turns_in_time",
    "SELECT 1 FROM turns WHERE user_id = 'a' AND session_id = 's' AND (said_us, position) > (1, 2)"
    " ORDER BY said_us, position LIMIT 5": "turns_in_session",
    "SELECT 1 FROM summaries WHERE user_id = 'a' AND level = 1 AND through < 9"
    " ORDER BY through DESC LIMIT 1": "summaries_newest",
}


@pytest.mark.parametrize("sql", PLANS)
def test_hot_questions_are_answered_by_an_index_alone(tmp_path: Path, sql: str) -> None:
    SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint).close()
    raw = sqlite3.connect(tmp_path / "ann.db")

    plan = " ".join(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}"))
    assert PLANS[sql] in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
    raw.close()


@pytest.mark.parametrize("stored", ["legacy 8x4 seed 1 words 1", None])
def test_bands_of_another_scheme_are_computed_again(tmp_path: Path, stored: str | None) -> None:
    path = tmp_path / "ann.db"
    store = SQLiteStore(str(path), EMBEDDER.fingerprint)
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk"), turn("3", "oats")))
    store.write(ANN, reflection(["1", "2"], thought("a", "tea", "1"), thought("b", "milk", "2")))
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("UPDATE thought_bands SET band = band + 1")
    raw.execute("DELETE FROM meta WHERE key = 'minhash_scheme'")
    if stored is not None:
        raw.execute("INSERT INTO meta VALUES ('minhash_scheme', ?)", (stored,))
    store.write(ANN, reflection(["3"], thought("c", "oats", "3")))
    store.close()

    rows = raw.execute("SELECT text, band FROM thought_bands JOIN thoughts ON seq = thought_seq")
    expected = {(text, band) for text in ("tea", "milk", "oats") for band in minhash_bands(text)}
    assert set(rows.fetchall()) == expected
    raw.close()
