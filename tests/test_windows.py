"""The window of a chunk: chunks of the same session that are near in tokens, and no others."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from timelines import TIMELINES, integers, share, timeline

from memkit.protocols import Integers, Timeline
from memkit.retrieval import windows
from memkit.retrieval.windows import CHUNK, HALF_LIFE, Floats, Windows

CASES = TIMELINES.flatmap(lambda line: st.tuples(st.just(line), some_rows(len(line))))


def some_rows(n: int) -> st.SearchStrategy[Integers]:
    """Draw ascending distinct rows of a timeline of n chunks: none, some or all of them."""
    rows = st.lists(st.integers(0, n - 1), unique=True).map(sorted) if n else st.just([])
    return rows.map(integers)


def some_values(n: int) -> Floats:
    return np.random.default_rng(n).normal(size=n)


def counts(kernel: Windows, rows: Integers, n: int) -> Floats:
    """Return how many of `rows` are in each of n windows, counted by their weight."""
    neighbours, weights = kernel.neighbours(rows)
    return np.bincount(neighbours.ravel(), weights.ravel(), n)


# ---- equal to plain loops


@given(CASES)
def test_counts_equal_those_of_a_plain_loop(case: tuple[Timeline, Integers]) -> None:
    line, rows = case
    expected = [sum(share(line, here, there) for there in rows) for here in range(len(line))]
    assert counts(Windows(line), rows, len(line)) == pytest.approx(expected, abs=1e-12)


@given(CASES)
@example((timeline([1] * 9), integers([0, 8])))
def test_means_equal_those_of_a_plain_loop_over_the_rows(
    case: tuple[Timeline, Integers],
) -> None:
    line, rows = case
    values = some_values(len(rows))
    shares = [[share(line, here, there) for there in rows] for here in rows]
    expected = [np.dot(weights, values) / sum(weights) for weights in shares]
    assert Windows(line).means(rows, values) == pytest.approx(expected)


# ---- reach and weights


def test_a_neighbour_counts_half_after_a_half_life() -> None:
    apart = int(HALF_LIFE)  # from the middle of the first to the middle of the last
    line = timeline([1, apart - 1, 1])
    assert counts(Windows(line), integers([0]), 3)[2] == 0.5


def test_a_short_turn_is_read_with_its_neighbour_and_a_long_one_for_itself() -> None:
    assert counts(Windows(timeline([5, 5])), integers([0]), 2)[1] > 0.5
    assert counts(Windows(timeline([5, 400])), integers([0]), 2)[1] == 0


@given(TIMELINES, st.data())
def test_no_window_reaches_into_another_session(line: Timeline, data: st.DataObject) -> None:
    session = data.draw(st.sampled_from(sorted(set(line.sessions.tolist())) or [0]))
    inside = np.flatnonzero(line.sessions == session)
    kernel = Windows(line)
    assert set(np.flatnonzero(counts(kernel, inside, len(line)))) == set(inside)
    assert set(kernel.expand(inside)) == set(inside)


@pytest.mark.parametrize(("pause", "reaches"), [(1, True), (12, True), (13, False), (900, False)])
def test_no_window_reaches_across_a_long_pause(pause: int, reaches: bool) -> None:
    line = timeline([5, 5], hours=[0, pause])
    assert (counts(Windows(line), integers([0]), 2)[1] > 0) == reaches
    assert (len(set(Windows(line).chunks(np.arange(2)).tolist())) == 1) == reaches


def test_sessions_stay_apart_however_many_and_long_they_are() -> None:
    line = timeline([10**7] * 3 + [1] * 20_000, [0] * 3 + list(range(1, 20_001)))
    kernel = Windows(line)
    all_rows = np.arange(len(line))
    assert (counts(kernel, all_rows, len(line)) == 1).all()
    assert len(set(kernel.chunks(all_rows).tolist())) == len(line)


def test_chunks_out_of_reach_count_nothing() -> None:
    n = 2 * windows._REACH + 3
    scores = counts(Windows(timeline([1] * n)), integers([windows._REACH + 1]), n)
    assert scores[0] == scores[-1] == 0
    assert (scores[1:-1] > 0).all()


@given(CASES)
def test_a_mean_lies_between_the_least_and_the_greatest(
    case: tuple[Timeline, Integers],
) -> None:
    line, rows = case
    values = some_values(len(rows))
    scores = Windows(line).means(rows, values)
    assert (scores >= values.min(initial=9) - 1e-12).all()
    assert (scores <= values.max(initial=-9) + 1e-12).all()


def test_a_mean_weighs_a_neighbour_less_than_the_row_itself() -> None:
    near, far = Windows(timeline([5, 5, 60])).means(np.arange(3), np.array([0.0, 1.0, 0.0]))[::2]
    assert 0.5 > near > far > 0


# ---- lengths


@given(TIMELINES)
def test_a_window_is_at_least_as_long_as_its_own_chunk(line: Timeline) -> None:
    lengths = Windows(line).lengths
    assert lengths.shape == (len(line),)
    assert (lengths >= line.tokens).all()
    assert (lengths > 0).all()


def test_short_chunks_have_windows_of_one_length_and_a_long_one_its_own() -> None:
    assert Windows(timeline([1, 20, 400])).lengths.tolist() == [60, 60, 400]


# ---- expand


@given(CASES)
@example((timeline([1] * 16), integers([0])))
def test_expand_returns_all_attention_chunks_that_the_windows_reach_and_no_others(
    case: tuple[Timeline, Integers],
) -> None:
    line, rows = case
    kernel = Windows(line)
    scores = kernel.expand(rows)
    all_rows = np.arange(len(line))
    in_reach = {n for n in all_rows for row in rows if share(line, row, n)}
    chunks = kernel.chunks(np.array(sorted(in_reach), dtype=np.int64))
    assert scores.tolist() == all_rows[np.isin(kernel.chunks(all_rows), chunks)].tolist()


@given(TIMELINES)
def test_a_chunk_is_one_stretch_of_one_session(line: Timeline) -> None:
    chunks = Windows(line).chunks(np.arange(len(line)))
    assert (np.diff(chunks) >= 0).all()
    for chunk in set(chunks.tolist()):
        assert len(set(line.sessions[chunks == chunk].tolist())) == 1
        assert line.tokens[chunks == chunk][1:-1].sum() < CHUNK


# ---- edge cases


@pytest.mark.parametrize("n", [0, 1])
def test_a_timeline_of_none_or_one_is_no_special_case(n: int) -> None:
    kernel = Windows(timeline([7] * n))
    rows = np.arange(n)
    assert counts(kernel, rows, n).tolist() == [1.0] * n
    assert kernel.lengths.shape == (n,)
    assert kernel.means(rows, some_values(n)).tolist() == some_values(n).tolist()
    assert kernel.expand(rows).tolist() == [0] * n


def test_no_rows_have_no_windows() -> None:
    kernel, no_rows = Windows(timeline([7] * 3)), integers([])
    assert counts(kernel, no_rows, 3).tolist() == [0, 0, 0]
    assert kernel.expand(no_rows).shape == kernel.chunks(no_rows).shape == (0,)
    assert kernel.means(no_rows, some_values(0)).shape == (0,)
