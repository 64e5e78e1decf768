"""A snapshot shows one state of a scope until its block ends."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from contract import ANN, BOB, EMBEDDER, adding, nearest, told, turn, users, worded
from memkit_sqlite import faiss_index as vectors_module
from memkit_sqlite.sqlite import SQLiteStore

from memkit.errors import StoreClosed, StoreError
from memkit.protocols import Backend, Snapshot, WriteBatch
from memkit.records import Scope

# ---- one state, for the block


def test_a_snapshot_does_not_see_later_writes(stores: list[SQLiteStore]) -> None:
    mine, other = stores
    user = Scope(user_id=next(users))
    mine.write(user, adding(turn("1", "tea")))

    with mine.snapshot(user) as snapshot:
        other.write(user, adding(turn("2", "tea too")))
        other.write(user, WriteBatch(hide=["1/0"]))
        assert len(snapshot.timeline) == len(snapshot.postings("tea")) == 1
        places, _ = snapshot.nearest(EMBEDDER.embed(["tea"])[0], 9)
        assert [match.turn.text for match in snapshot.chunks(places)] == ["tea"]
    assert told(mine, user) == [["tea too"]]


USES = {
    "timeline": lambda snapshot: snapshot.timeline,
    "nearest": lambda snapshot: snapshot.nearest(EMBEDDER.embed(["tea"])[0], 1),
    "postings": lambda snapshot: snapshot.postings("tea"),
    "vectors": lambda snapshot: snapshot.vectors(np.array([0])),
    "chunks": lambda snapshot: snapshot.chunks(np.array([0])),
}


@pytest.mark.parametrize("use", USES)
def test_a_snapshot_ends_with_its_block(store: Backend, use: str) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    with store.snapshot(ANN) as snapshot:
        USES[use](snapshot)

    with pytest.raises(StoreClosed, match="inside the block"):
        USES[use](snapshot)


def test_an_error_inside_a_snapshot_leaves_the_store_usable(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    with pytest.raises(KeyError), store.snapshot(ANN) as snapshot:
        raise KeyError(len(snapshot.timeline))

    assert store.write(ANN, adding(turn("2", "milk"))) == 2
    assert nearest(store, "tea")[0] == "tea"


def test_nothing_can_be_written_inside_a_snapshot(store: Backend) -> None:
    with store.snapshot(ANN), pytest.raises(StoreError):
        store.write(ANN, adding(turn("1", "tea")))

    assert told(store) == []


def test_snapshots_may_be_nested(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.write(BOB, adding(turn("1", "milk")))

    with store.snapshot(ANN) as outer:
        assert told(store, BOB) == [["milk"]]
        assert nearest(store, "milk", BOB) == ["milk"]
        assert [match.turn.text for match in outer.chunks(outer.postings("tea"))] == ["tea"]
        assert outer.nearest(EMBEDDER.embed(["tea"])[0], 9)[0].tolist() == [0]


def test_the_vector_index_is_loaded_only_when_it_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint)
    store.write(ANN, adding(turn("1", "tea")))
    monkeypatch.setattr(vectors_module.VectorIndex, "add", None)

    assert (told(store), worded(store, "tea")) == ([["tea"]], ["tea"])
    with pytest.raises(TypeError):
        nearest(store, "tea")
    monkeypatch.undo()
    assert nearest(store, "tea") == ["tea"]
    store.close()


def test_threads_open_snapshots_one_after_the_other(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(9))))
    store.write(BOB, adding(*(turn(str(n), f"milk {n}") for n in range(9))))
    inside, requested = Event(), Event()

    def first() -> list[str]:
        with store.snapshot(ANN) as snapshot:
            inside.set()
            requested.wait(timeout=5)
            return texts_of(snapshot)

    def second() -> list[str]:
        inside.wait(timeout=5)
        requested.set()
        with store.snapshot(BOB) as snapshot:
            return texts_of(snapshot)

    with ThreadPoolExecutor(2) as pool:
        mine, theirs = pool.submit(first), pool.submit(second)
        assert mine.result() == [f"tea {n}" for n in range(9)]
        assert theirs.result() == [f"milk {n}" for n in range(9)]


def texts_of(snapshot: Snapshot) -> list[str]:
    return [match.turn.text for match in snapshot.chunks(np.arange(len(snapshot.timeline)))]
