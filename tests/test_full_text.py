"""Words of deleted turns leave the full-text index, however often and whatever happens."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from contract import ANN, EMBEDDER, adding, turn, worded
from memkit_sqlite import deletion
from memkit_sqlite.sqlite import SQLiteStore
from on_disk import memory

from memkit.errors import StoreLocked
from memkit.protocols import Backend, WriteBatch
from memkit.records import Scope

COMMON = [f"word{n}" for n in range(40)]


@contextmanager
def opened(path: Path | str, busy_s: float = 30) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(str(path), EMBEDDER.fingerprint, busy_s=busy_s)) as store:
        yield store


def content(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())


def plant(store: Backend, rng: random.Random) -> dict[str, str]:
    """Write turns in batches of several sizes; return the word of its own that each one has."""
    secrets = {str(n): f"secret{rng.getrandbits(64):016x}" for n in range(60)}
    texts = {
        id: " ".join([*rng.choices(COMMON, k=rng.choice([2, 30, 200])), secret])
        for id, secret in secrets.items()
    }
    while texts:
        batch = [turn(id, texts.pop(id)) for id in list(texts)[: rng.choice([1, 7])]]
        store.write(ANN, adding(*batch))
    return secrets


@pytest.mark.parametrize("seed", range(4))
def test_any_deletion_leaves_no_word_in_the_files_and_a_sound_index(
    tmp_path: Path, seed: int
) -> None:
    rng, path = random.Random(seed), tmp_path / "ann.db"
    with memory(path) as opened_memory:
        store = opened_memory.store
        secrets = plant(store, rng)
        store.write(ANN, WriteBatch(hide=["3/0", "4/0"]))
        while secrets:
            gone = rng.sample(sorted(secrets), min(len(secrets), rng.choice([1, 9])))
            assert opened_memory.forget(user_id="ann", turn_ids=gone).purged
            forgotten = [secrets.pop(id)[-12:].encode() for id in gone]
            files = content(path)
            assert [word for word in forgotten if word in files] == []
            assert store.check() == []
            shown = set(secrets) - {"3", "4"}
            assert all(len(worded(store, secrets[id])) == 1 for id in shown)


def test_the_transaction_that_forgets_does_as_much_when_others_have_said_a_lot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = []
    with opened(":memory:") as store:
        raw = store._connection._raw
        monkeypatch.setattr(
            deletion, "rebuild_full_text", lambda _: changes.append(raw.total_changes)
        )
        for n in (1, 40):
            for user in range(n):
                texts = [" ".join([f"t{n}x{user}x{k}", *COMMON]) for k in range(50)]
                many = [turn(f"{n}/{k}", text) for k, text in enumerate(texts)]
                store.write(Scope(user_id=f"user{n}/{user}"), adding(*many))
            store.write(ANN, adding(turn(f"secret{n}", "the xylophone")))
            before = raw.total_changes
            store.write(ANN, WriteBatch(forget=[f"secret{n}"]))
            changes[-1] -= before
    assert changes[1] <= changes[0]


@pytest.mark.slow
def test_the_index_is_sound_after_a_thousand_deletions() -> None:
    with opened(":memory:") as store:
        plant(store, random.Random(0))
        for n in range(1050):
            store.write(ANN, adding(turn(f"x{n}", f"xylophone {n}")))
            store.write(ANN, WriteBatch(forget=[f"x{n}"]))
        assert store.check() == []
        assert worded(store, "xylophone") == []


def test_words_that_a_lock_keeps_in_full_text_are_reported_and_go_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, word = tmp_path / "ann.db", b"zanzibarxylophone"
    with opened(path, busy_s=0.05) as store:
        store.write(ANN, adding(turn("1", "tea"), turn("2", f"the {word.decode()}")))

        def fail(_: sqlite3.Connection) -> None:
            raise StoreLocked("locked by another process")

        monkeypatch.setattr(deletion, "rebuild_full_text", fail)
        assert len(store.forget(ANN, ["2"]).turns) == 1
        assert not store.purge()
        assert word in content(path)
        monkeypatch.undo()
        store.write(ANN, adding(turn("3", "milk")))  # any later write tries again
        assert word not in content(path)


KILLED_BEFORE_THE_INDEX_IS_REBUILT = """
import os, sys
from memkit_sqlite import deletion
from memkit.testing import open_memory
deletion.rebuild_full_text = lambda db: os._exit(9)
open_memory(sys.argv[1]).forget(user_id="ann", turn_ids=["x"])
"""


def test_what_a_kill_left_in_full_text_goes_at_the_next_opening(tmp_path: Path) -> None:
    path, word = tmp_path / "ann.db", b"zanzibarxylophone"
    with opened(path) as store:
        plant(store, random.Random(0))
        store.write(ANN, adding(turn("x", f"the {word.decode()}")))
    command = [sys.executable, "-c", KILLED_BEFORE_THE_INDEX_IS_REBUILT, str(path)]
    assert subprocess.run(command, check=False).returncode == 9
    assert word in content(path)

    with opened(path) as store:
        assert word not in content(path)
        assert store.check() == []
