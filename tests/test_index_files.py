"""The vector index on disk is a cache: absent, stale, damaged or foreign, the rows decide."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from memkit_sqlite import cache as index_module
from memkit_sqlite.faiss_index import VectorIndex
from memkit_sqlite.sqlite import SQLiteStore
from on_disk import memory, remembered

from memkit.memory import Memory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ann.db"


@pytest.fixture
def indexed(path: Path) -> Path:
    """A memory with an index file, closed."""
    with memory(path) as opened:
        opened.remember([f"tea number{n}" for n in range(30)], user_id="ann")
        opened.recall("tea", user_id="ann")
    (file,) = Path(f"{path}.index").iterdir()
    return file


def cache_of(opened: Memory) -> index_module.IndexCache:
    store = opened.store
    assert isinstance(store, SQLiteStore)
    return store._cache


def answers(opened: Memory) -> list[list[tuple[str, float]]]:
    questions = [f"number{n}" for n in range(0, 30, 5)]
    found = [opened.recall(question, user_id="ann", k=5) for question in questions]
    return [[(hit.text, round(hit.relevance, 5)) for hit in hits] for hits in found]


def test_a_fresh_index_file_is_loaded_and_nothing_is_added(
    path: Path, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = indexed.read_bytes()
    added: list[int] = []
    add = VectorIndex.add

    def counting(self: VectorIndex, ids: object, vectors: object) -> None:
        added.append(len(ids))  # type: ignore[arg-type]
        add(self, ids, vectors)  # type: ignore[arg-type]

    monkeypatch.setattr(VectorIndex, "add", counting)
    with memory(path) as opened:
        assert opened.recall("number7", user_id="ann")[0].text == "tea number7"
        assert (added, cache_of(opened).rebuilt) == ([], 0)
    assert indexed.read_bytes() == before

    with memory(path) as opened:
        opened.remember("coffee", user_id="ann")
        assert opened.recall("coffee", user_id="ann")[0].text == "coffee"
        assert (added, cache_of(opened).rebuilt) == ([1], 0)


BAD_INDEX: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda whole: whole[: len(whole) // 2],
    "garbage": lambda whole: random.Random(1).randbytes(len(whole)),
    "empty": lambda _: b"",
    "one bit changed": lambda whole: whole[:-50] + bytes([whole[-50] ^ 4]) + whole[-49:],
}


@pytest.mark.parametrize("kind", BAD_INDEX)
def test_a_bad_index_file_is_made_anew_from_the_rows(path: Path, indexed: Path, kind: str) -> None:
    with memory(path) as opened:
        right = answers(opened)
    indexed.write_bytes(BAD_INDEX[kind](indexed.read_bytes()))

    with memory(path) as opened:
        assert answers(opened) == right
        assert (cache_of(opened).rebuilt, opened.doctor()) == (1, [])
    with memory(path) as opened:
        assert answers(opened) == right
        assert cache_of(opened).rebuilt == 0


def test_a_lost_index_folder_costs_nothing_but_time(path: Path, indexed: Path) -> None:
    with memory(path) as opened:
        right = answers(opened)
    shutil.rmtree(indexed.parent)

    with memory(path) as opened:
        assert answers(opened) == right
    assert indexed.exists()


def test_the_index_file_of_another_store_is_not_believed(path: Path, indexed: Path) -> None:
    other = path.with_name("other.db")
    with memory(other) as opened:
        opened.remember([f"milk number{n}" for n in range(30)], user_id="ann")
    shutil.copytree(indexed.parent, f"{other}.index")

    with memory(other) as opened:
        assert opened.recall("number7", user_id="ann")[0].text == "milk number7"
        assert (cache_of(opened).rebuilt, opened.doctor()) == (1, [])


CHANGES: dict[str, Callable[[Memory], object]] = {
    "remember": lambda opened: opened.remember("coffee number7", user_id="ann"),
    "forget one": lambda opened: opened.forget(
        user_id="ann", turn_ids=[next(opened.turns(user_id="ann")).id or ""]
    ),
    "forget all": lambda opened: opened.forget(user_id="ann", everything=True),
    "forget all and start again": lambda opened: (
        opened.forget(user_id="ann", everything=True),
        opened.remember([f"coffee number{n}" for n in range(30)], user_id="ann"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("stale", [True, False], ids=["an old file", "its own file"])
def test_a_stale_index_file_catches_up(path: Path, indexed: Path, change: str, stale: bool) -> None:
    old = indexed.read_bytes()
    with memory(path) as opened:
        CHANGES[change](opened)
    if stale:
        indexed.write_bytes(old)

    with memory(path) as opened:
        answers(opened)
        assert opened.doctor() == []
        there = sorted(turn.text for turn in opened.turns(user_id="ann"))
        found = opened.recall("tea coffee number7", user_id="ann", k=100)
        assert sorted(hit.text for hit in found) == there


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize("extra", [0, 1, 5])
def test_a_restored_copy_does_not_believe_the_index_of_what_came_after_it(
    path: Path, extra: int
) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    with memory(path) as opened:
        opened.remember([f"lost{n} one" for n in range(3)], user_id="ann")
        opened.recall("lost", user_id="ann")
    shutil.copy(path.with_name("copy.db"), path)  # the index file stays

    with memory(path) as opened:
        opened.remember([f"new{n} two" for n in range(2 + extra)], user_id="ann")
        opened.recall("new1 two", user_id="ann")
        assert opened.doctor() == []


def test_the_index_follows_what_another_open_memory_writes_hides_and_forgets(path: Path) -> None:
    with memory(path) as mine, memory(path) as theirs:
        theirs.remember([f"tea number{n}" for n in range(20)], user_id="ann")
        assert len(mine.recall("tea", user_id="ann", k=50)) == 20

        ids = [turn.id or "" for turn in theirs.turns(user_id="ann")]
        theirs.forget(user_id="ann", turn_ids=ids[5:10])
        theirs.remember("tea more", user_id="ann")
        assert len(mine.recall("tea", user_id="ann", k=50)) == 16
        assert (mine.doctor(), theirs.doctor()) == ([], [])


def test_the_index_follows_a_user_who_was_forgotten_elsewhere_and_started_again(path: Path) -> None:
    with memory(path) as mine, memory(path) as theirs:
        theirs.remember([f"tea number{n}" for n in range(9)], user_id="ann")
        assert len(mine.recall("tea", user_id="ann")) == 9

        theirs.forget(user_id="ann", everything=True)
        theirs.remember([f"jazz number{n}" for n in range(9)], user_id="ann")
        assert len(mine.recall("number", user_id="ann", k=9)) == 9
        assert mine.doctor() == []


def test_what_another_writes_in_the_middle_of_a_search_is_taken_in_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = index_module.VectorRows.state
    with memory(path) as mine, memory(path) as theirs:
        theirs.remember("tea one", user_id="ann")

        def then_write(rows: index_module.VectorRows, store_id: str) -> object:
            seen = state(rows, store_id)
            monkeypatch.undo()
            theirs.remember("tea two", user_id="ann")
            return seen

        monkeypatch.setattr(index_module.VectorRows, "state", then_write)
        mine.recall("tea", user_id="ann")
        assert len(mine.recall("tea", user_id="ann")) == 2
        assert mine.doctor() == []


def test_an_index_that_cannot_be_saved_disturbs_nothing(path: Path) -> None:
    Path(f"{path}.index").write_text("a file where the folder should be")

    with memory(path) as opened:
        opened.remember("tea", user_id="ann")
        assert opened.recall("tea", user_id="ann")[0].text == "tea"
    assert len(remembered(path)) == 1


class Stop(Exception):
    pass


def test_an_index_interrupted_while_it_catches_up_is_whole_the_next_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_PAGE", 4)
    with memory(path) as opened:
        opened.remember([f"tea number{n}" for n in range(6)], user_id="ann")
        opened.recall("tea", user_id="ann")
        opened.remember([f"milk number{n}" for n in range(10)], user_id="ann")
        with monkeypatch.context() as patch:
            patch.setattr(VectorIndex, "add", _add_then_stop(VectorIndex.add))
            with pytest.raises(Stop):
                opened.recall("milk", user_id="ann")

        assert len(opened.recall("tea milk", user_id="ann", k=50)) == 16
        assert opened.doctor() == []


def _add_then_stop(add: Callable[..., None]) -> Callable[..., None]:
    def adding(*arguments: object) -> None:
        add(*arguments)
        raise Stop  # the vectors are in, what the index knows of itself is not up to date

    return adding


def test_index_files_that_a_killed_process_left_are_deleted_at_the_next_opening(path: Path) -> None:
    with memory(path) as opened:
        ids = opened.remember(["tea", "milk"], user_id="ann")
        opened.recall("tea", user_id="ann")
    folder = path.with_name(f"{path.name}.index")
    (file,) = folder.iterdir()
    saved = file.read_bytes()
    opened = memory(path)
    opened.forget(user_id="ann", turn_ids=ids[:1])
    file.write_bytes(saved)  # by a process that was killed before it looked again
    file.with_suffix(".1.tmp").write_bytes(saved)

    with memory(path):
        assert list(folder.iterdir()) == []
    opened.close()
