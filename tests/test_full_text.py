"""Rows that are cut out of the full-text index leave nothing in it, and the rest as it was."""

import random
import sqlite3

import pytest
from contract import ANN, EMBEDDER, adding, turn, worded
from memkit_sqlite.sqlite import SQLiteStore

from memkit.protocols import WriteBatch
from memkit.records import Scope

COMMON = [f"word{n}" for n in range(40)]


def raw(store: SQLiteStore) -> sqlite3.Connection:
    return store._connection._raw


def blocks(store: SQLiteStore) -> dict[int, bytes]:
    return dict(raw(store).execute("SELECT id, block FROM searchable_fts_data").fetchall())


def everything_indexed(store: SQLiteStore) -> bytes:
    terms = raw(store).execute("SELECT term FROM searchable_fts_idx").fetchall()
    return b" ".join([*blocks(store).values(), *(row[0] for row in terms)])


def check(store: SQLiteStore) -> None:
    """Compare the index with the rows; raises if they differ."""
    raw(store).execute(
        "INSERT INTO searchable_fts (searchable_fts, rank) VALUES ('integrity-check', 1)"
    )


@pytest.mark.parametrize("page_size", [64, 4050])  # in bytes; words span many small pages
@pytest.mark.parametrize("seed", range(4))
def test_any_deletion_leaves_no_word_and_a_sound_index(page_size: int, seed: int) -> None:
    rng = random.Random(seed)
    store = SQLiteStore(":memory:", EMBEDDER.fingerprint)
    raw(store).execute(
        "INSERT INTO searchable_fts (searchable_fts, rank) VALUES ('pgsz', ?)", (page_size,)
    )
    secrets = {str(n): f"secret{rng.getrandbits(40):012x}" for n in range(60)}
    texts = {
        id: " ".join([*rng.choices(COMMON, k=rng.choice([2, 30, 200])), secret])
        for id, secret in secrets.items()
    }
    while texts:
        batch = [turn(id, texts.pop(id)) for id in list(texts)[: rng.choice([1, 7])]]
        store.write(ANN, adding(*batch))
        if rng.random() < 0.3:  # segments in every state of a merge
            raw(store).execute(
                "INSERT INTO searchable_fts (searchable_fts, rank) VALUES ('merge', 2)"
            )
    store.write(ANN, WriteBatch(hide=["3/0", "4/0"]))

    while secrets:
        gone = rng.sample(sorted(secrets), min(len(secrets), rng.choice([1, 9])))
        store.write(ANN, WriteBatch(forget=gone))
        check(store)
        indexed = everything_indexed(store)
        assert not any(secrets.pop(id)[6:].encode() in indexed for id in gone)
        left = set(secrets) - {"3", "4"}
        assert all(len(worded(store, secrets[id])) == 1 for id in left)
    store.close()


def test_forgetting_one_turn_rewrites_no_more_of_the_index_when_others_have_said_a_lot() -> None:
    store = SQLiteStore(":memory:", EMBEDDER.fingerprint)
    rewritten = []
    for n in (1, 40):
        for user in range(n):
            texts = [" ".join([f"t{n}x{user}x{k}", *COMMON]) for k in range(50)]
            many = [turn(f"{n}/{k}", text) for k, text in enumerate(texts)]
            store.write(Scope(user_id=f"user{n}/{user}"), adding(*many))
        store.write(ANN, adding(turn(f"secret{n}", "the xylophone")))
        before = blocks(store)
        store.write(ANN, WriteBatch(forget=[f"secret{n}"]))
        rewritten.append(len(before.items() ^ blocks(store).items()))
    assert rewritten[1] <= rewritten[0]
    store.close()
