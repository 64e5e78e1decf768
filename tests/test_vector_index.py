"""The vector index: right answers whatever its size, and a file that can be trusted or is not."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from memkit_sqlite import faiss_index as module
from memkit_sqlite.faiss_index import DamagedIndex, State, VectorIndex
from numpy.typing import NDArray

from memkit.protocols import Vectors

D = 32
STATE = State(store_id="s", embedder="e", user_id="ann", layout=1, newest=0)
KINDS = pytest.mark.parametrize("n", [100, 1000], ids=["flat", "ivf"])


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLAT_UP_TO", 500)


def rows(n: int, seed: int = 0) -> Vectors:
    """Unit vectors round a few dozen centres, as real embeddings lie."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, D))
    points = centres[rng.integers(40, size=n)] + 0.5 * rng.standard_normal((n, D))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), dtype=np.float32)


def ids(n: int, first: int = 1) -> NDArray[np.int64]:
    return np.arange(first, first + n, dtype=np.int64)


def filled(n: int) -> VectorIndex:
    index = VectorIndex(D, STATE)
    index.add(ids(n), rows(n))
    return index


def best(index: VectorIndex, vector: Vectors, k: int, allowed: object = None) -> list[int]:
    chosen = None if allowed is None else np.array(allowed, dtype=np.int64)
    return [row for row, _ in index.search(vector, k, chosen)]


def test_it_is_exact_up_to_its_limit_and_inverted_lists_beyond() -> None:
    index = filled(500)
    assert index.kind == "flat"

    index.add(ids(1, 501), rows(1))
    assert (index.kind, len(index)) == ("ivf", 501)


@KINDS
def test_every_row_is_its_own_nearest(n: int) -> None:
    index = filled(n)

    assert all(best(index, vector, 1) == [row] for row, vector in enumerate(rows(n), start=1))


@KINDS
def test_scores_are_cosines_best_first(n: int) -> None:
    found = filled(n).search(rows(n)[7], 10)

    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all(
        score == pytest.approx(rows(n)[row - 1] @ rows(n)[7], abs=1e-5) for row, score in found
    )


@KINDS
def test_only_allowed_rows_are_found_and_all_of_them(n: int) -> None:
    index, vector = filled(n), rows(n)[0]
    allowed = [3, 50, 97, 9999]

    assert set(best(index, vector, 10, allowed)) == {3, 50, 97}
    assert best(index, vector, 10, []) == []


@KINDS
def test_ids_and_vectors_are_those_added_less_those_removed(n: int) -> None:
    index = filled(n)
    index.remove(np.array([1, 40, 99, 9999], dtype=np.int64))
    index.add(ids(5, 5000), rows(5, seed=1))

    left = [*sorted({*range(1, n + 1)} - {1, 40, 99}), *range(5000, 5005)]
    order = np.argsort(index.ids())
    assert index.ids()[order].tolist() == left
    there = np.concatenate([np.delete(rows(n), [0, 39, 98], axis=0), rows(5, seed=1)])
    assert np.array_equal(index.vectors()[order], there)


@KINDS
def test_removed_rows_are_not_found_and_can_come_back(n: int) -> None:
    index, vector = filled(n), rows(n)[41]
    index.remove(np.array([42], dtype=np.int64))
    assert 42 not in best(index, vector, n)

    index.add(np.array([42], dtype=np.int64), vector.reshape(1, -1))
    assert best(index, vector, 1) == [42]


@KINDS
def test_everything_can_be_removed(n: int) -> None:
    index = filled(n)
    index.remove(ids(n))

    assert (len(index), len(index.ids()), index.search(rows(1)[0], 3)) == (0, 0, [])


def test_nothing_added_is_nothing_found() -> None:
    index = VectorIndex(D, STATE)
    index.add(ids(0), np.empty((0, D), dtype=np.float32))

    assert index.search(rows(1)[0], 5) == []
    assert index.unsaved == 0


def test_k_may_be_more_than_there_is() -> None:
    assert len(filled(3).search(rows(1)[0], 100)) == 3


def test_inverted_lists_find_nine_in_ten_of_the_true_neighbours() -> None:
    data, index = rows(4000), filled(4000)
    questions = rows(100, seed=7)
    questions = np.asarray(0.3 * questions + 0.7 * data[:100], dtype=np.float32)
    exact = np.argsort(-(questions @ data.T), axis=1)[:, :10] + 1

    shares = [
        len(set(best(index, question, 10)) & set(true)) / 10
        for question, true in zip(questions, exact.tolist(), strict=True)
    ]
    assert index.kind == "ivf"
    assert np.mean(shares) >= 0.9


def test_it_is_trained_anew_when_it_has_grown_fourfold() -> None:
    index = filled(501)
    lists = index._index.nlist
    index.add(ids(1000, 502), rows(1000, seed=1))
    assert index._index.nlist == lists

    index.add(ids(600, 1502), rows(600, seed=2))
    assert index._index.nlist > 1.8 * lists
    assert sorted(index.ids()) == list(range(1, 2102))
    assert best(index, rows(600, seed=2)[5], 1) == [1507]


# ---- its file


@KINDS
def test_a_saved_index_is_loaded_as_it_was(n: int, tmp_path: Path) -> None:
    index, path = filled(n), tmp_path / "folder" / "ann.faiss"
    index.state, index.checksum = replace(STATE, newest=n), 77
    index.save(path)

    loaded = VectorIndex.load(path)
    assert (loaded.state, loaded.kind, loaded.checksum) == (index.state, index.kind, 77)
    assert (loaded.unsaved, index.unsaved, len(loaded)) == (0, 0, n)
    assert loaded.search(rows(n)[3], 9) == index.search(rows(n)[3], 9)


@KINDS
def test_a_loaded_index_can_grow_and_shrink(n: int, tmp_path: Path) -> None:
    filled(n).save(tmp_path / "ann.faiss")
    loaded = VectorIndex.load(tmp_path / "ann.faiss")
    loaded.add(ids(600, n + 1), rows(600, seed=3))
    loaded.remove(ids(10))

    assert sorted(loaded.ids()) == list(range(11, n + 601))
    assert loaded.kind == "ivf"


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ann.faiss"
    filled(50).save(path)
    whole = path.read_bytes()

    for length in (0, 1, 14, 15, 22, 23, 60, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedIndex):
            VectorIndex.load(path)


def test_a_file_with_any_byte_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ann.faiss"
    filled(50).save(path)
    whole = path.read_bytes()

    for place in [*range(0, 300, 7), len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedIndex):
            VectorIndex.load(path)


@pytest.mark.parametrize("content", [b"garbage" * 100, b"\0" * 4096, b"memkit-index-1\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ann.faiss"
    path.write_bytes(content)

    with pytest.raises(DamagedIndex):
        VectorIndex.load(path)


def test_a_save_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, path = filled(50), tmp_path / "ann.faiss"
    index.save(path)
    index.add(ids(1, 99), rows(1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        index.save(path)
    assert (list(tmp_path.iterdir()), index.unsaved) == ([path], 1)
    assert len(VectorIndex.load(path)) == 50


def save_often(path: Path, n: int) -> None:
    index = filled(n)
    for _ in range(20):
        index.save(path)
        assert len(VectorIndex.load(path)) in (60, 90)


@pytest.mark.slow
def test_processes_that_save_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "ann.faiss"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for saved in [pool.submit(save_often, path, n) for n in (60, 90)]:
            saved.result()

    assert list(tmp_path.iterdir()) == [path]
    assert len(VectorIndex.load(path)) in (60, 90)
