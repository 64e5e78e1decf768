"""Encryption at rest: no word and no vector is in the files, and all else works as without."""

import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, run  # noqa: F401 - a fixture
from memkit_sqlite import postings
from memkit_sqlite.cipher import parse_image
from on_disk import memory as open_file

import memkit
from memkit.errors import InvalidInput, MemkitError, WrongKey
from memkit.govern.keys import KeyStore
from memkit.memory import Memory
from memkit.records import Scope
from memkit.testing import NOON, ClauseThinker, HashEmbedder
from memkit.thoughts.lsh import minhash_bands

pytest.importorskip("cryptography")

KEY = bytes(range(32))
TURNS = [
    {"role": "user", "content": "I live in a houseboat on the Brantasgracht.",
     "name": "Annelies V.", "id": "a1", "session_id": "s1",
     "metadata": {"topic": "mooring permits"}},
    {"role": "assistant", "content": "Does the houseboat have central heating?", "id": "a2",
     "session_id": "s1"},
    {"role": "user", "content": "My sister Wilhelmina repairs accordions.", "name": "Annelies V.",
     "id": "a3", "session_id": "s2"},
]  # fmt: skip
WORDS = ("houseboat", "Brantasgracht", "Wilhelmina", "accordions", "Annelies", "mooring permits",
         "central heating")  # fmt: skip


def opened(path: Path, **options: Any) -> Memory:
    options.setdefault("key", KEY)
    return open_file(path, clock=lambda: NOON, thinker=ClauseThinker(), **options)


def fill(memory: Memory) -> None:
    memory.remember(TURNS, user_id="ann")
    memory.remember("Bob keeps bees in Leeuwarden.", user_id="bob")
    memory.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with opened(tmp_path / "ann.db") as memory:
        fill(memory)
    return tmp_path / "ann.db"


def content(folder: Path) -> bytes:
    files = (file for file in folder.rglob("*") if file.is_file())
    return b"".join(file.read_bytes() for file in files).lower()


# ---- what is in the files


def test_no_word_and_no_vector_is_in_the_files_open_or_closed(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db") as memory:
        fill(memory)
        memory.recall("Where do I live?", user_id="ann")
        (thought, *_) = memory.thoughts(user_id="ann")
        memory.correct(thought.id, "I live in a lighthouse near Kampen.", user_id="ann")
        memory.flush()
        open_content = content(tmp_path)
        vectors = memory.embedder.embed([turn.text for turn in memory.turns(user_id="ann")])
    for data in (open_content, content(tmp_path)):
        assert [word for word in (*WORDS, "lighthouse") if word.lower().encode() in data] == []
        assert not any(vector.tobytes()[:64].lower() in data for vector in vectors)


# columns without words or vectors: keys, roles, times, flags, digests, and keyed hashes of terms
IN_CLEAR = {
    "users": {"user_id"}, "embedders": {"model", "revision"}, "meta": {"key", "value"},
    "turns": {"user_id", "id", "session_id", "agent_id", "role", "said_at", "stored_at", "flags",
              "origin"},
    "wordings": {"user_id", "stored_at"},
    "chunks": {"user_id", "id", "terms"}, "summaries": {"user_id", "id", "created_at"},
    "summary_sources": {"source_id"}, "thinking": {"user_id"}, "hashes": {"user_id"},
    "thoughts": {"user_id", "id", "role", "said_at", "repeated_at", "valid_from", "valid_to",
                 "closed_at", "closed_by", "recorded_at", "retracted_at", "kind"},
    "thought_bands": {"user_id"}, "purges": {"index_name"},
    "ledger": {"at", "kind", "user", "source", "counts", "items", "hash"},
    "undo": {"user_id", "item"}, "sqlite_sequence": {"name"},
    "_sqlite_migrations": {"migration_set", "name", "applied_at"},
}  # fmt: skip


def columns_of_image(image: str | None, item: str) -> dict[str, Any]:
    """Return the columns of what a row was that may have words; sealed texts as bytes."""
    columns = parse_image(image or "null")
    table = {"thought": "thoughts", "summary": "summaries"}.get(item, "undo")
    if not isinstance(columns, dict):
        return {}  # numbers, as of the other items
    return {name: value for name, value in columns.items() if name not in IN_CLEAR[table]}


def readable_columns(path: Path) -> set[str]:
    """Return the columns with a readable value that are not in the table above."""
    readable = set()
    with closing(sqlite3.connect(path)) as db:
        sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (table,) in db.execute(sql).fetchall():
            cursor = db.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor:
                cells = dict(zip(names, row, strict=True))
                if table == "undo":
                    cells |= columns_of_image(cells.pop("image"), cells["item"])
                for name, value in cells.items():
                    is_sealed = isinstance(value, bytes) and value.startswith(b"\xffmk1")
                    if isinstance(value, (str, bytes)) and not is_sealed:
                        readable.add((table, name))
    return {f"{table}.{name}" for table, name in readable if name not in IN_CLEAR.get(table, ())}


def test_every_other_column_is_encrypted(path: Path) -> None:
    assert readable_columns(path) == set()  # write a new column with `seal(user_id, ?)`


def test_hashes_of_words_are_keyed_with_the_users_key(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        terms = {term for (term,) in db.execute("SELECT term FROM postings")}
        bands = {band for (band,) in db.execute("SELECT band FROM thought_bands")}
        (store_id,) = db.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()
        guesses = postings.TermKeys(store_id.encode(), "ann").keys("houseboat", "1 May 2024")
    assert len(terms) > 10
    assert not terms & set(guesses)
    assert bands
    assert not bands & set(minhash_bands("I live in a houseboat on the Brantasgracht."))


def test_the_same_words_are_in_the_files_of_a_memory_without_a_key(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db", key=None) as memory:  # or the test above would show nothing
        fill(memory)
    data = content(tmp_path)
    assert [word for word in WORDS if word.lower().encode() not in data] == []


def test_a_failure_that_quotes_a_turn_is_encrypted(tmp_path: Path) -> None:
    class Quoting:
        count = len

        def think(self, turns: Any, before: Any = ()) -> list[Any]:  # noqa: ARG002
            raise ValueError(turns[0].text)

        def summarise(self, previous: str, new: Any, *, max_tokens: int) -> str:  # noqa: ARG002
            raise ValueError(new[0])

    failing = Quoting()
    with open_file(tmp_path / "ann.db", key=KEY, thinker=failing, summariser=failing) as memory:
        memory.remember(TURNS, user_id="ann")
        for _ in range(5):
            with pytest.raises(ValueError, match="houseboat"):
                memory.think(user_id="ann")
        quoting = [fault for fault in memory.doctor() if "houseboat" in fault]
        assert {fault.partition(" ")[0] for fault in quoting} == {"turn", "Compact"}
    assert b"houseboat" not in content(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_keys_are_their_owners_alone(path: Path) -> None:
    folder = Path(f"{path}.keys")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (folder, *folder.iterdir())}
    assert len(modes) == 4  # the folder, the master's check, two users
    assert [name for name, mode in modes.items() if mode & 0o077] == []


# ---- as without a key


def observe(memory: Memory) -> Iterator[object]:
    for user in ("ann", "bob"):
        yield [(hit.text, hit.relevance, hit.name) for hit in memory.recall("home", user_id=user)]
        yield memory.recall("sister", user_id=user, session_id="s2")
        yield [(turn.text, turn.name, turn.metadata) for turn in memory.turns(user_id=user)]
        yield sorted(thought.text for thought in memory.thoughts(user_id=user))
        summary = memory.summary(user_id=user)
        yield summary and summary.text
    yield memory.users()
    yield memory.doctor()


def test_an_encrypted_memory_answers_as_one_that_is_not(path: Path, tmp_path: Path) -> None:
    with opened(path) as encrypted, opened(tmp_path / "plain.db", key=None) as plain:
        fill(plain)
        assert list(observe(encrypted)) == list(observe(plain))


def test_a_corrected_thought_has_its_history_after_reopening(path: Path) -> None:
    with opened(path) as memory:
        (thought,) = [item for item in memory.thoughts(user_id="ann") if "live" in item.text]
        memory.correct(thought.id, "I live in a lighthouse.", user_id="ann")
    with opened(path) as memory:
        texts = [item.text for item in memory.history(thought.id, user_id="ann")]
        assert texts == [thought.text, "I live in a lighthouse."]


def test_the_same_turn_again_is_no_new_turn(path: Path) -> None:
    with opened(path) as memory:
        memory.remember(TURNS, user_id="ann")
        assert memory.stats(user_id="ann")["turns"] == 3


def test_moving_to_another_embedder_keeps_all_encrypted(path: Path) -> None:
    other = HashEmbedder(32, name="other")
    assert memkit.reembed(path, other, key=KEY) == 4
    with memkit.open(path, embedder=other, key=KEY) as memory:
        assert memory.doctor() == []
        assert "houseboat" in memory.recall("houseboat", user_id="ann")[0].text
    assert readable_columns(path) == set()


# ---- keys


def test_a_passphrase_opens_what_it_encrypted(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path / "ann.db", key="correct horse battery") as memory:
            memory.remember(TURNS[0], user_id="ann")
            assert memory.recall("houseboat", user_id="ann")


def test_without_the_key_or_with_another_one_nothing_opens(path: Path) -> None:
    with pytest.raises(WrongKey, match="is encrypted"):
        opened(path, key=None)
    for wrong in (bytes(32), "correct horse"):
        with pytest.raises(WrongKey, match="not the key"):
            opened(path, key=wrong)


def test_a_memory_with_turns_in_clear_does_not_take_a_key(tmp_path: Path) -> None:
    with opened(tmp_path / "plain.db", key=None) as memory:
        fill(memory)
    with pytest.raises(InvalidInput, match="memkit export"):
        opened(tmp_path / "plain.db")
    assert not Path(f"{tmp_path}/plain.db.keys").exists()


@pytest.mark.parametrize("key", [b"short", "", 7])
def test_what_is_no_key_is_an_error_that_says_what_is(tmp_path: Path, key: Any) -> None:
    with pytest.raises(InvalidInput, match="32 random bytes"):
        opened(tmp_path / "ann.db", key=key)


def test_a_memory_in_ram_takes_no_key() -> None:
    with pytest.raises(InvalidInput, match="in RAM"):
        memkit.open(":memory:", embedder=HashEmbedder(), key=KEY)


def test_a_backup_has_no_keys_and_opens_with_those_of_its_original(path: Path) -> None:
    copy = path.parent / "copy.db"
    with opened(path) as memory:
        memory.backup(copy)
    with pytest.raises(WrongKey, match="there are no keys"):
        opened(copy)
    with opened(copy, key=KeyStore(f"{path}.keys", KEY)) as memory:
        assert memory.recall("houseboat", user_id="ann")


def write_some(path: Path, name: str) -> None:
    with opened(path) as memory:
        for n in range(5):
            memory.remember(f"{name} says {n}", user_id="new")


def test_processes_that_write_for_a_new_user_at_once_share_one_key(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_some, args=(path, name)) for name in ("x", "y")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with opened(path) as memory:
        assert len(list(memory.turns(user_id="new"))) == 10


# ---- destroying a key is a forget


def test_forgetting_a_user_destroys_the_key_and_every_copy_becomes_unreadable(path: Path) -> None:
    copy, keys = path.parent / "copy.db", KeyStore(f"{path}.keys", KEY)
    key_file = keys.folder / f"{keys.key_id('ann').hex()}.key"
    with opened(path) as memory:
        memory.backup(copy)
        memory.forget(user_id="ann", turn_ids=["a1"])
        assert key_file.exists()
        memory.forget(user_id="ann", everything=True)
        assert not key_file.exists()
        assert memory.recall("bees", user_id="bob")
        assert "destroy key" in {event.kind for event in memory.store.events()}
    with opened(copy, key=KeyStore(f"{path}.keys", KEY)) as restored:
        assert restored.recall("bees", user_id="bob")
        for read in (lambda: list(restored.turns(user_id="ann")),
                     lambda: restored.recall("houseboat", user_id="ann"),
                     lambda: restored.thoughts(user_id="ann"),
                     lambda: restored.summary(user_id="ann")):  # fmt: skip
            with pytest.raises(WrongKey, match="destroyed"):
                read()


def test_a_user_who_comes_back_has_a_new_key(path: Path) -> None:
    with opened(path) as memory, opened(path) as other:
        other.remember("I own a boat.", user_id="ann")  # has the old key
        memory.forget(user_id="ann", everything=True)
        other.remember("I own a bike.", user_id="ann")
    with opened(path) as memory:
        assert [turn.text for turn in memory.turns(user_id="ann")] == ["I own a bike."]


def test_a_dry_run_destroys_nothing(path: Path) -> None:
    with opened(path) as memory:
        memory.forget(user_id="ann", everything=True, dry_run=True)
        assert len(list(memory.turns(user_id="ann"))) == 3


def test_a_key_that_a_kill_has_left_goes_with_the_next_forget(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    keys = KeyStore(f"{path}.keys", KEY)
    with opened(path) as memory:
        monkeypatch.setattr(KeyStore, "destroy", killed)
        with pytest.raises(KeyboardInterrupt):
            memory.forget(user_id="ann", everything=True)
        monkeypatch.undo()
        memory.forget(user_id="ann", everything=True)
    assert not (keys.folder / f"{keys.key_id('ann').hex()}.key").exists()


def test_the_receipt_of_an_encrypted_memory_finds_nothing_left(path: Path) -> None:
    with opened(path) as memory:
        receipt = memory.forget(user_id="ann", turn_ids=["a1"])
        assert (receipt.purged, receipt.residue, receipt.recalled) == (True, 0, 0)
        assert memory.store.generation(Scope(user_id="ann"))


# ---- the command line


def test_the_command_line_takes_the_key_from_a_file(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "key.txt").write_text("correct horse battery\n")
    monkeypatch.setenv("MEMKIT_KEY_FILE", "key.txt")
    run("add", "I live in a houseboat.", "--user", "ann")
    assert "houseboat" in run("recall", "home", "--user", "ann").out
    assert "houseboat" in run("export", "--user", "ann").out
    assert b"houseboat" not in (tmp_path / "memkit.db").read_bytes()
    monkeypatch.delenv("MEMKIT_KEY_FILE")
    failed = run("recall", "home", "--user", "ann")
    assert failed.code == 2
    assert "MEMKIT_KEY_FILE" in failed.err
    assert issubclass(WrongKey, MemkitError)
