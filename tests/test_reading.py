"""One reading: one state of a scope, for as long as its block."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from contract import ANN, BOB, EMBEDDER, adding, near, told, turn, users, worded

from memkit.errors import StoreClosed, StoreError
from memkit.protocols import Backend, Changes, Reading
from memkit.records import Scope
from stores import vectors as vectors_module
from stores.sqlite import SQLiteStore

# ---- one state, for the block


def test_a_reading_does_not_see_what_is_written_meanwhile(stores: list[SQLiteStore]) -> None:
    mine, other = stores
    user = Scope(user_id=next(users))
    mine.write(user, adding(turn("1", "tea")))

    with mine.reading(user) as reading:
        other.write(user, adding(turn("2", "tea too")))
        other.write(user, Changes(hide=["1/0"]))
        assert len(reading.timeline) == len(reading.having("tea")) == 1
        places, _ = reading.near(EMBEDDER.embed(["tea"])[0], 9)
        assert [match.turn.text for match in reading.matches(places)] == ["tea"]
    assert told(mine, user) == [["tea too"]]


USES = {
    "timeline": lambda reading: reading.timeline,
    "near": lambda reading: reading.near(EMBEDDER.embed(["tea"])[0], 1),
    "having": lambda reading: reading.having("tea"),
    "vectors": lambda reading: reading.vectors(np.array([0])),
    "matches": lambda reading: reading.matches(np.array([0])),
}


@pytest.mark.parametrize("use", USES)
def test_a_reading_ends_with_its_block(store: Backend, use: str) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    with store.reading(ANN) as reading:
        USES[use](reading)

    with pytest.raises(StoreClosed, match="inside the block"):
        USES[use](reading)


def test_a_reading_that_fails_leaves_the_store_usable(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    with pytest.raises(KeyError), store.reading(ANN) as reading:
        raise KeyError(len(reading.timeline))

    assert store.write(ANN, adding(turn("2", "milk"))) == 2
    assert near(store, "tea")[0] == "tea"


def test_nothing_can_be_written_inside_the_block(store: Backend) -> None:
    with store.reading(ANN), pytest.raises(StoreError):
        store.write(ANN, adding(turn("1", "tea")))

    assert told(store) == []


def test_readings_may_be_nested(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.write(BOB, adding(turn("1", "milk")))

    with store.reading(ANN) as outer:
        assert told(store, BOB) == [["milk"]]
        assert near(store, "milk", BOB) == ["milk"]
        assert [match.turn.text for match in outer.matches(outer.having("tea"))] == ["tea"]
        assert outer.near(EMBEDDER.embed(["tea"])[0], 9)[0].tolist() == [0]


def test_the_vector_index_stays_closed_until_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(str(tmp_path / "ann.db"), EMBEDDER.fingerprint)
    store.write(ANN, adding(turn("1", "tea")))
    monkeypatch.setattr(vectors_module.VectorIndex, "add", None)

    assert (told(store), worded(store, "tea")) == ([["tea"]], ["tea"])
    with pytest.raises(TypeError):
        near(store, "tea")
    monkeypatch.undo()
    assert near(store, "tea") == ["tea"]
    store.close()


def test_threads_read_one_after_the_other_each_its_own(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(9))))
    store.write(BOB, adding(*(turn(str(n), f"milk {n}") for n in range(9))))
    inside, asked = Event(), Event()

    def first() -> list[str]:
        with store.reading(ANN) as reading:
            inside.set()
            asked.wait(timeout=5)
            return texts_of(reading)

    def second() -> list[str]:
        inside.wait(timeout=5)
        asked.set()
        with store.reading(BOB) as reading:
            return texts_of(reading)

    with ThreadPoolExecutor(2) as pool:
        mine, theirs = pool.submit(first), pool.submit(second)
        assert mine.result() == [f"tea {n}" for n in range(9)]
        assert theirs.result() == [f"milk {n}" for n in range(9)]


def texts_of(reading: Reading) -> list[str]:
    return [match.turn.text for match in reading.matches(np.arange(len(reading.timeline)))]
