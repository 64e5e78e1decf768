"""A memory file of an earlier version opens, and everything in it is found."""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from contract import ANN, BOB, EMBEDDER, NOON, adding, nearest, told, turn, worded
from memkit_sqlite import schema
from memkit_sqlite.sqlite import SQLiteStore
from memkit_sqlite.turns import from_turn
from sqlite_utils import Database
from thinkers import Reader

import memkit
from evals.systems.memkit import by_hand
from memkit import protocols
from memkit.background.maintenance import Settings
from memkit.background.reflection import PostThinking
from memkit.memory import Memory
from memkit.protocols import Relation, ThoughtPair, WriteBatch
from memkit.records import Scope, Turn, day
from memkit.retrieval import recall

SAID = [
    turn("1", "I like tea"),
    turn("2", "我住在东京", session_id="s"),
    turn("3", "hidden 猫"),
    turn("4", "an old hat " * 40),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file with the first schema, filled as the first version filled it."""
    path = tmp_path / "ann.db"
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA foreign_keys = ON")
    schema.migrations().apply(Database(raw), stop_before="0002_tokens_pairs")
    raw.execute("PRAGMA journal_mode = WAL")
    fingerprint = EMBEDDER.fingerprint
    raw.execute(
        "INSERT INTO embedders (model, revision, dimension, current) VALUES (?, ?, ?, 1)",
        (fingerprint.model, fingerprint.revision, fingerprint.dimension),
    )
    for user in ("ann", "bob"):
        raw.execute("INSERT INTO users (user_id, layout, turns) VALUES (?, random(), 4)", (user,))
        for n, one in enumerate(SAID, start=1):
            insert(raw, user, n, one)
    raw.execute("UPDATE chunks SET hidden = 1 WHERE id = '3/0'")
    raw.close()
    return path


def insert(raw: sqlite3.Connection, user: str, n: int, one: Turn) -> None:
    seq = raw.execute(
        "INSERT INTO turns (user_id, id, position, session_id, agent_id, role, name, text,"
        " said_at, said_us, stored_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        from_turn(user, n, one)[:11],  # what the first schema has
    ).lastrowid
    chunk = raw.execute(
        'INSERT INTO chunks (user_id, id, turn_seq, start, "end", text, said, scope)'
        " VALUES (?,?,?,?,?,?,?,?)",
        (user, f"{one.id}/0", seq, 0, len(one.text), one.text, day(NOON), f"u{user}"),
    ).lastrowid  # fmt: skip
    vector = EMBEDDER.embed([one.text]).tobytes()
    raw.execute("INSERT INTO vectors VALUES (?, 1, ?)", (chunk, vector))


def test_a_file_of_the_first_schema_is_searched_like_a_new_one(old: Path) -> None:
    store = SQLiteStore(str(old), EMBEDDER.fingerprint)

    assert store.check() == []
    assert told(store) == [["I like tea", "an old hat " * 40], ["我住在东京"]]
    assert (
        worded(store, "东京")
        == worded(store, "京")
        == nearest(store, "我住在东京", k=1)
        == ["我住在东京"]
    )
    assert (worded(store, "tea"), worded(store, "猫")) == (["I like tea"], [])
    assert len(worded(store, "May")) == len(worded(store, "2024", BOB)) == 3
    with store.snapshot(ANN) as snapshot:
        assert snapshot.timeline.tokens.tolist() == [2, 110, 3]
    store.close()


def test_what_an_upgraded_file_holds_can_be_shown_forgotten_and_added_to(old: Path) -> None:
    store = SQLiteStore(str(old), EMBEDDER.fingerprint)
    store.write(ANN, WriteBatch(show=["3/0"], forget=["2"]))
    store.write(ANN, adding(turn("5", "东京 again")))

    assert (worded(store, "猫"), worded(store, "东京")) == (["hidden 猫"], ["东京 again"])
    assert worded(store, "东京", Scope(user_id="bob", session_id="s")) == ["我住在东京"]
    assert store.check() == []
    store.close()


def test_turns_of_a_file_from_before_thoughts_wait_and_are_thought_about(old: Path) -> None:
    raw = sqlite3.connect(old, isolation_level=None)
    schema.migrations().apply(Database(raw), stop_before="0003_thoughts")
    assert "thinking" not in Database(raw).table_names()
    raw.close()

    store = SQLiteStore(str(old), EMBEDDER.fingerprint)
    assert [queued.turn.id for queued in store.next_batch(ANN, 9)] == ["1"]
    assert store.stats()["waiting_turns"] == 8
    memory = Memory(store, EMBEDDER, thinker=Reader(), settings=Settings(background=False))
    memory.think(user_id="ann")

    assert [thought.text for thought in memory.thoughts(user_id="ann")] == [
        "I like tea", "我住在东京", "hidden 猫",
    ]  # fmt: skip
    assert store.stats()["waiting_turns"] == 4
    assert memory.recall("tea", user_id="ann", kind="thought")[0].text == "I like tea"
    assert memory.doctor() == []
    memory.close()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "day", None)
    with pytest.raises(TypeError):
        SQLiteStore(str(old), EMBEDDER.fingerprint)
    raw = sqlite3.connect(old)
    assert "tokens" not in {row[1] for row in raw.execute("PRAGMA table_info(chunks)")}
    raw.close()

    monkeypatch.undo()
    store = SQLiteStore(str(old), EMBEDDER.fingerprint)
    assert (store.check(), worded(store, "东京")) == ([], ["我住在东京"])
    store.close()


# ---- 0.4.0

DATA = Path(__file__).parent / "data"
EXPECTED: dict[str, Any] = json.loads((DATA / "memory_0_4_0.json").read_text(encoding="utf-8"))


@pytest.fixture
def memory_of_0_4_0(tmp_path: Path, minilm: Any) -> Iterator[Memory]:
    """A copy of a file that 0.4.0 wrote with its default embedder."""
    path = tmp_path / "ines.db"
    shutil.copy(DATA / "memory_0_4_0.sqlite", path)
    with memkit.open(str(path), embedder=minilm, settings=Settings(background=False)) as memory:
        yield memory


def test_a_file_whose_old_full_text_cannot_be_read_opens_and_is_searched(
    tmp_path: Path, minilm: Any
) -> None:
    path = tmp_path / "ines.db"
    shutil.copy(DATA / "memory_0_4_0.sqlite", path)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        # FTS5's record of its segments, cut off
        raw.execute("UPDATE searchable_fts_data SET block = x'00000001ffffff' WHERE id = 10")
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.DatabaseError):
        raw.execute("SELECT * FROM searchable_fts")

    with memkit.open(str(path), embedder=minilm, settings=Settings(background=False)) as memory:
        assert memory.doctor() == []
        hit = memory.recall("Nadia in Cardiff", user_id="ines", k=1)[0]
        assert "Cardiff" in hit.text
        assert hit.explain["lexical"] > 0


def test_a_file_of_0_4_0_has_the_same_thoughts_summary_and_turns(memory_of_0_4_0: Memory) -> None:
    memory = memory_of_0_4_0
    thoughts = [
        [thought.text, list(thought.turn_ids)] for thought in memory.thoughts(user_id="ines")
    ]
    summary = memory.summary(user_id="ines")

    assert thoughts == EXPECTED["thoughts"]
    assert summary is not None
    assert summary.text == EXPECTED["summary"]
    assert [turn.text for turn in memory.turns(user_id="otto")] == EXPECTED["otto"]
    assert memory.doctor() == []


@pytest.mark.slow
def test_a_file_of_0_4_0_gives_the_same_hits_with_the_weights_of_0_4_0(
    memory_of_0_4_0: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "bundled_ranker", by_hand)
    texts = {turn.id: turn.text for turn in memory_of_0_4_0.turns(user_id="ines")}
    for question, expected in EXPECTED["hits"].items():
        hits = memory_of_0_4_0.recall(question, user_id="ines", k=5)
        # by text: of equal ones the newest comes first since 0.7.0
        assert [hit.text for hit in hits] == [texts[turn_id] for turn_id, _ in expected], question


@pytest.mark.slow
def test_a_file_of_0_4_0_gives_the_same_best_hit(memory_of_0_4_0: Memory) -> None:
    texts = {turn.id: turn.text for turn in memory_of_0_4_0.turns(user_id="ines")}
    for question, expected in EXPECTED["hits"].items():
        if "bicycle" in question:
            continue  # its answer was forgotten
        best = memory_of_0_4_0.recall(question, user_id="ines", k=1)[0]
        assert best.text == texts[expected[0][0]], question


def test_a_file_of_0_4_0_is_written_to_like_a_new_one(memory_of_0_4_0: Memory) -> None:
    memory = memory_of_0_4_0
    before = len(memory.thoughts(user_id="ines"))
    memory.forget(user_id="ines", turn_ids=["t2"])  # Nadia lives in Bristol, until she moves

    assert len(memory.thoughts(user_id="ines")) == before - 1
    assert memory.doctor() == []


def test_the_thoughts_of_a_slot_keep_their_history(memory_of_0_4_0: Memory) -> None:
    memory = memory_of_0_4_0
    by_text = {thought.text: thought for thought in memory.thoughts(user_id="ines")}
    now = by_text["Ines moved to Sheffield last Friday (2026-05-08)."]
    leeds, sheffield = memory.history(now.id, user_id="ines")

    assert (leeds.text, leeds.closed_by, leeds.kind) == ("Ines lives in Leeds.", now.id, "fact")
    assert leeds.closed_at == sheffield.said_at
    then = memory.thoughts(user_id="ines", as_of=leeds.said_at)
    assert "Ines lives in Leeds." in [thought.text for thought in then]
    memory.forget(user_id="ines", turn_ids=["t8"])  # Ines moved to Sheffield
    assert "Ines lives in Leeds." in [t.text for t in memory.thoughts(user_id="ines")]


def test_a_thought_of_0_4_0_is_closed_and_merged_like_a_new_one(
    memory_of_0_4_0: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = memory_of_0_4_0
    allergy = next(t for t in memory.thoughts(user_id="ines") if "walnuts" in t.text)
    work = next(t for t in memory.thoughts(user_id="ines") if "teacher" in t.text)

    class Closes(Reader):
        def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
            return [
                "closes" if pair.older.id == work.id and "works" in pair.newer.text else "keeps"
                for pair in pairs
            ]

    new = PostThinking(
        store=memory.store, embedder=memory.embedder, thinker=Closes(), clock=memory.clock,
        seconds=60,
    )  # fmt: skip
    monkeypatch.setattr(memory._maintenance, "_reflection", new)
    memory.think(user_id="ines")
    said = ("Ines is allergic to walnuts.", "Ines works as a baker now.")
    memory.remember([Turn(text=text, name="Ines") for text in said], user_id="ines")
    memory.think(user_id="ines")

    thoughts = {thought.id: thought for thought in memory.thoughts(user_id="ines")}
    assert thoughts[allergy.id].support == allergy.support + 1
    assert work.id not in thoughts
    assert memory.history(work.id, user_id="ines")[-1].text == said[1]
    assert memory.doctor() == []


def test_of_0_4_0s_conflicts_those_of_an_assistants_later_words_are_dropped(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ines.db"
    shutil.copy(DATA / "memory_0_4_0.sqlite", path)
    raw = sqlite3.connect(path)
    raw.execute("UPDATE thoughts SET role = 'assistant' WHERE text LIKE '%teacher%'")
    for older, newer in (("walnuts", "teacher"), ("walnuts", "sencha"), ("teacher", "sencha")):
        raw.execute(
            "INSERT INTO conflicts SELECT o.seq, n.seq FROM thoughts o, thoughts n"
            " WHERE o.text LIKE ? AND n.text LIKE ?", (f"%{older}%", f"%{newer}%"),
        )  # fmt: skip
    raw.commit()
    raw.close()

    store = SQLiteStore(str(path), None)
    pairs = [(old.text, new.text) for old, new in store.conflicts(Scope(user_id="ines"))]
    tea = "Ines's favourite tea is sencha."
    assert sorted(pairs) == [
        ("Ines is allergic to walnuts.", tea), ("Ines works as a teacher now.", tea),
    ]  # fmt: skip
    store.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Changes", "WriteBatch"), ("Thinking", "ReflectionResult"), ("Waiting", "QueuedTurn"),
        ("Recalled", "RecalledThought"), ("Reading", "Snapshot"), ("Match", "RetrievedChunk"),
    ],
)  # fmt: skip
def test_the_interfaces_can_be_imported_by_their_names_in_0_4_0(old: str, new: str) -> None:
    assert getattr(protocols, old) is getattr(protocols, new)
