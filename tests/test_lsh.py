"""What hashing promises: the formula of the paper, equal groups from equal seeds, few misses."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import locomo_file, longmemeval_file, remembered
from typer.testing import CliRunner

from evals.__main__ import app
from evals.bench import hash as bench
from memkit.protocols import Vectors
from memkit.thoughts.lsh import PROBES, TABLES, Groups, Hash, argmax_hash, nearest, sized_for

D = 32


def unit(n: int, d: int = D, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def hash_of(d: int = D, *, seed: int = 0, tables: int = 4, probes: int = 2) -> Hash:
    centre = np.zeros(d, dtype=np.float32)
    return Hash(
        seed=seed, dimension=d, groups=16, tables=tables, probes=probes, centre=centre
    )  # fmt: skip


def filled(hash: Hash, vectors: Vectors) -> Groups:
    groups = Groups(tables=hash.tables, groups=hash.groups)
    groups.add(np.arange(len(vectors)), hash.groups_of(vectors))
    return groups


seeds = st.integers(0, 2**32 - 1)
evens = st.integers(1, 20).map(lambda half: 2 * half)


# ---- the formula


@pytest.mark.parametrize(
    ("vector", "group"),
    [
        ([1, 0], 5),  # 1 2 -3, turned -1 -2 3
        ([-1, 0], 2),  # -1 -2 3, turned 1 2 -3
        ([0, 1], 0),  # 5 0 1, turned -5 0 -1
        ([0, -1], 3),  # -5 0 -1, turned 5 0 1
        ([0, 0], 0),  # all equal: the first
        ([300, 0], 5),  # as for [1, 0]: length does not count
    ],
)
def test_the_group_is_the_largest_of_the_products_and_their_negatives(
    vector: list[float], group: int
) -> None:
    projection = np.array([[1, 2, -3], [5, 0, 1]], dtype=np.float32)

    assert argmax_hash(np.array([vector], dtype=np.float32), projection).tolist() == [group]


@given(seed=seeds, b=evens, n=st.integers(0, 9))
def test_every_vector_gets_one_group_in_range(seed: int, b: int, n: int) -> None:
    hash = Hash.literal(seed=seed, dimension=D, groups=b)

    found = hash.groups_of(unit(n, seed=seed))

    assert found.shape == (n, 1)
    assert ((found >= 0) & (found < b)).all()


@given(seed=seeds, b=evens)
def test_one_table_one_probe_and_no_centre_is_the_formula(seed: int, b: int) -> None:
    projection = np.random.default_rng((seed, 0)).standard_normal((D, b // 2), dtype=np.float32)
    vectors = unit(20, seed=seed)

    hash = Hash.literal(seed=seed, dimension=D, groups=b)

    expected = argmax_hash(vectors, projection)
    assert np.array_equal(hash.groups_of(vectors)[:, 0], expected)
    assert [int(hash.probes_of(one)[0, 0]) for one in vectors] == expected.tolist()


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        (8, (0.38, 0.44, 0.53, 0.65)),
        (16, (0.29, 0.36, 0.46, 0.60)),
        (32, (0.23, 0.30, 0.39, 0.55)),
        (64, (0.19, 0.25, 0.35, 0.51)),
    ],
)
def test_near_vectors_share_a_group_as_often_as_reckoned(
    b: int, expected: tuple[float, ...]
) -> None:
    n, d = 300, 384
    one, other = unit(n, d, seed=1), unit(n, d, seed=2)
    other -= (one * other).sum(axis=1, keepdims=True) * one
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    hash = Hash(
        seed=3, dimension=d, groups=b, tables=40, probes=1, centre=np.zeros(d, dtype=np.float32)
    )

    found = []
    for cosine in (0.6, 0.7, 0.8, 0.9):
        near = cosine * one + np.sqrt(1 - cosine**2) * other
        found.append((hash.groups_of(one) == hash.groups_of(near)).mean())

    assert found == pytest.approx(expected, abs=0.02)


# ---- what is kept


def test_groups_follow_from_the_seed_and_differ_between_seeds_and_tables() -> None:
    vectors = unit(200)

    once, again, other = (hash_of(seed=s).groups_of(vectors) for s in (1, 1, 2))

    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert not np.array_equal(once[:, 0], once[:, 1])


def test_stored_groups_are_still_those_of_an_earlier_version() -> None:
    vectors = np.eye(4, dtype=np.float32)[:3]

    assert hash_of(4, seed=7).groups_of(vectors).tolist() == [
        [11, 10, 5, 1],
        [3, 12, 6, 12],
        [9, 5, 3, 0],
    ]


def test_vectors_are_hashed_the_same_alone_and_among_many() -> None:
    vectors, hash = unit(5000), hash_of()  # more than are hashed at once

    whole = hash.groups_of(vectors)

    assert np.array_equal(whole[4090:4100], hash.groups_of(vectors[4090:4100]))


def test_what_all_vectors_share_is_taken_off() -> None:
    vectors = unit(300)
    hash = Hash.fitted(vectors + 5, seed=0)

    groups = hash.groups_of(vectors + 5)

    assert np.allclose(hash.centre, 5, atol=10 / 300)
    assert len(np.unique(groups[:, 0])) > hash.groups / 2


@pytest.mark.parametrize("n", [1, 2, 30, 3000])
def test_a_vector_cannot_be_computed_from_the_centre_and_all_the_others(n: int) -> None:
    vectors = unit(n, 384)

    computed = n * Hash.fitted(vectors, seed=0).centre - vectors[1:].sum(axis=0)

    assert abs(computed @ vectors[0]) <= 0.3 * np.linalg.norm(computed)


def test_an_empty_store_has_a_hash_of_the_default_size() -> None:
    hash = Hash.fitted(np.empty((0, D), dtype=np.float32), seed=0)

    assert (hash.tables, hash.probes, hash.groups) == (TABLES, PROBES, 16)
    assert not hash.centre.any()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"groups": 7}, "even"),
        ({"groups": 0}, "at least 2"),
    ],
)
def test_a_hash_that_cannot_be_is_refused(wrong: dict[str, object], told: str) -> None:
    given: dict[str, object] = {
        "seed": 0, "dimension": D, "groups": 16, "tables": 2, "probes": 1, "centre": np.zeros(D),
    }  # fmt: skip

    with pytest.raises(ValueError, match=told):
        Hash(**(given | wrong))  # type: ignore[arg-type]


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        hash_of().groups_of(unit(2, 3))
    with pytest.raises(ValueError, match="shapes"):
        hash_of().probes_of(unit(2, 3)[0])


def test_groups_double_when_thoughts_are_four_times_as_many() -> None:
    sizes = [sized_for(n) for n in range(200_000)]

    steps = [(n, b) for n, (a, b) in enumerate(pairwise(sizes), 1) if a != b]

    assert [b for _, b in steps] == [32, 64, 128, 256, 512, 1024, 2048][: len(steps)]
    ratios = np.array([n for n, _ in steps[1:]]) / np.array([n for n, _ in steps[:-1]])
    assert ratios == pytest.approx(4, abs=0.15)
    assert [sizes[n] for n in (0, 1_000, 10_000, 100_000)] == [16, 128, 512, 1024]


# ---- where to look


@given(seed=seeds, probes=st.integers(1, 16))
def test_probes_are_the_best_groups_in_order_each_once(seed: int, probes: int) -> None:
    hash, vector = hash_of(seed=seed, probes=probes), unit(1, seed=seed)[0]

    found = hash.probes_of(vector)

    for table, groups in enumerate(found):
        projection = np.random.default_rng((seed, table)).standard_normal((D, 8), dtype=np.float32)
        products = vector @ projection
        both = np.concatenate([products, -products])
        assert both[groups] == pytest.approx(np.sort(both)[::-1][:probes], abs=1e-5)
        assert len(set(groups.tolist())) == probes


@given(seed=seeds, n=st.integers(1, 40))
def test_a_vector_is_among_its_own_candidates(seed: int, n: int) -> None:
    vectors, hash = unit(n, seed=seed), hash_of(seed=seed)
    groups = filled(hash, vectors)

    assert all(row in groups.candidates(hash.probes_of(vectors[row])) for row in range(n))


def test_a_vector_without_direction_is_found_again() -> None:
    vectors = np.concatenate([unit(9), np.zeros((1, D), dtype=np.float32)])
    hash = Hash.literal(seed=0, dimension=D, groups=16)

    assert 9 in filled(hash, vectors).candidates(hash.probes_of(vectors[9]))


@given(data=st.data(), sizes=st.lists(st.integers(0, 700), min_size=1, max_size=6))
def test_adding_bit_by_bit_is_adding_at_once(data: st.DataObject, sizes: list[int]) -> None:
    rng = np.random.default_rng(data.draw(seeds))
    rows, placed = (
        rng.permutation(2 * sum(sizes))[: sum(sizes)],
        rng.integers(0, 8, (sum(sizes), 3)),
    )
    probes = rng.integers(0, 8, (3, 2))
    at_once, bit_by_bit = Groups(tables=3, groups=8), Groups(tables=3, groups=8)
    at_once.add(rows, placed)
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        bit_by_bit.add(rows[end - size : end], placed[end - size : end])
        if data.draw(st.booleans()):
            bit_by_bit.candidates(probes)

    inside = (placed[:, :, None] == probes).any(axis=(1, 2))
    assert bit_by_bit.candidates(probes).tolist() == sorted(rows[inside].tolist())
    assert at_once.candidates(probes).tolist() == sorted(rows[inside].tolist())


def test_few_rows_are_left_to_be_looked_through_one_by_one() -> None:
    groups, rng = Groups(tables=3, groups=8), np.random.default_rng(0)
    for n in range(0, 6000, 3):
        groups.add(np.arange(n, n + 3), rng.integers(0, 8, (3, 3)))
    groups.candidates(np.array([[0], [1], [2]]))

    assert len(groups._rows) - groups._sorted <= 6000 / 16


def test_nothing_is_found_in_empty_groups() -> None:
    groups = Groups(tables=2, groups=4)
    nowhere = np.array([[0], [1]])

    assert groups.candidates(nowhere).tolist() == []

    groups.add(np.array([5]), np.array([[1, 0]]))  # in the groups asked for, of other tables
    assert groups.candidates(nowhere).tolist() == []


def test_a_row_put_in_twice_is_found_once() -> None:
    groups = Groups(tables=1, groups=2)
    for _ in range(2):
        groups.add(np.array([3]), np.array([[1]]))

    assert groups.candidates(np.array([[1]])).tolist() == [3]


def test_what_was_added_stays_when_the_arrays_change() -> None:
    groups, rows, placed = Groups(tables=1, groups=2), np.array([3]), np.array([[1]])
    groups.add(rows, placed)

    rows[:], placed[:] = 0, 0

    assert groups.candidates(np.array([[1]])).tolist() == [3]


# ---- the search


@given(seed=seeds, k=st.integers(0, 40), n=st.integers(0, 600))
def test_the_nearest_are_those_of_sorting_all(seed: int, k: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (700, 3)).astype(np.float32)  # exact, with many equal cosines
    rows = np.sort(rng.permutation(700)[:n])

    found, cosines = nearest(vectors[0], vectors, rows, k)

    exact = vectors[rows] @ vectors[0]
    order = np.lexsort((rows, -exact))[:k]
    assert found.tolist() == rows[order].tolist()
    assert cosines.tolist() == exact[order].tolist()


def test_rows_beyond_the_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="rows 1 to 9 of 4 vectors"):
        nearest(unit(1)[0], unit(4), np.array([1, 9]), 2)


@pytest.mark.parametrize(("n", "most"), [(1_000, 0.6), (10_000, 0.25)])
def test_nearly_all_nearest_are_found_in_a_share_that_falls(n: int, most: float) -> None:
    drawn = bench.topical_vectors(n + 40, seed=5)
    stored, asked = drawn[40:], drawn[:40]
    hash = Hash.fitted(stored, seed=5)
    groups = filled(hash, stored)

    truth = [bench.exhaustive(stored)(query) for query in asked]

    assert bench.recall(bench.hash_search(hash, groups, stored), asked, truth).mean() >= 0.95
    assert bench.scanned_shares(hash, groups, asked, n).mean() <= most


# ---- the benchmark


def run_bench(folder: Path, *arguments: str) -> dict[str, Any]:
    written = folder / "result.json"
    done = CliRunner().invoke(app, ["bench", "hash", "--quick", "--json", str(written), *arguments])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(written.read_text())["results"]
    return dict(found)


def test_every_search_stands_beside_the_exhaustive_one(tmp_path: Path) -> None:
    found = run_bench(tmp_path, "--sizes", "60,120")

    (table,) = found["tables"]
    rows = {(row[0], row[1]): row for row in table["rows"]}
    assert {size for size, _ in rows} == {60, 120}
    assert len(rows) == 2 * 3
    assert rows[120, bench.EXHAUSTIVE][2] == "1.000"
    assert rows[120, bench.LITERAL][4] < rows[120, bench.OURS][4] < 1
    assert rows[120, bench.LITERAL][2] < rows[120, bench.OURS][2]


def test_with_data_searches_are_told_and_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    locomo_file(folder, "conv-26", "conv-98")
    longmemeval_file(folder, *(remembered(f"q{n}") for n in range(4)))

    found = run_bench(tmp_path, "--sizes", "20", "--data", str(folder))

    (searches,) = found["tables"]
    assert all(len(row) == len(searches["columns"]) for row in searches["rows"])
    assert "made-up.json and made-up.jsonl" in found["settings"]["vectors"]
    assert "Biscuit" not in json.dumps(found)


def test_a_store_is_filled_up_with_what_lies_between_neighbours() -> None:
    real = bench.topical_vectors(200, seed=1)

    made = bench.mix_neighbours(real, 300, seed=1)

    assert np.array_equal(made[:200], real)
    assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=1e-5)
    assert ((made[200:] @ real.T).max(axis=1) > 0.7).all()
    assert np.array_equal(bench.mix_neighbours(real, 100, seed=1), real[:100])
