"""Words of deleted turns leave the full-text index, however often and whatever happens."""

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from contract import ANN, EMBEDDER, adding, turn, worded
from memkit_sqlite.sqlite import SQLiteStore
from on_disk import memory

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


def test_forgetting_does_as_much_when_others_have_said_a_lot() -> None:
    changes = []
    with opened(":memory:") as store:
        raw = store._connection._raw
        for n in (1, 40):
            for user in range(n):
                texts = [" ".join([f"t{n}x{user}x{k}", *COMMON]) for k in range(50)]
                many = [turn(f"{n}/{k}", text) for k, text in enumerate(texts)]
                store.write(Scope(user_id=f"user{n}/{user}"), adding(*many))
            store.write(ANN, adding(turn(f"secret{n}", "the xylophone")))
            before = raw.total_changes
            store.write(ANN, WriteBatch(forget=[f"secret{n}"]))
            changes.append(raw.total_changes - before)
    assert changes[1] == changes[0]


def test_the_index_of_a_file_has_no_words(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path) as store:
        store.write(ANN, adding(turn("1", "the zanzibar xylophone")))
        assert worded(store, "xylophones") == ["the zanzibar xylophone"]
        dump = "".join(line for line in store._connection._raw.iterdump() if '"postings"' in line)
    assert dump
    assert "xyloph" not in dump


@pytest.mark.parametrize(
    ("together", "apart"),
    [("wine-red", "red wine"), ("ruby_red", "red ruby"), ("東京都", "京都東京")],
)
def test_the_parts_of_a_word_have_to_follow_each_other(together: str, apart: str) -> None:
    with opened(":memory:") as store:
        store.write(ANN, adding(turn("1", together), turn("2", apart)))
        assert worded(store, together) == [together]
