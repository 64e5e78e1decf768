"""What stands around a chunk: near in tokens, of the same session, and nothing else."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from timelines import TIMELINES, integers, share, timeline

from memkit.protocols import Integers, Timeline
from memkit.retrieval import windows
from memkit.retrieval.windows import CHUNK, HALF_LIFE, Floats, Windows

PLACED = TIMELINES.flatmap(lambda line: st.tuples(st.just(line), some_places(len(line))))


def some_places(n: int) -> st.SearchStrategy[Integers]:
    """Ascending places of a timeline of n chunks, each once; none, some or all."""
    places = st.lists(st.integers(0, n - 1), unique=True).map(sorted) if n else st.just([])
    return places.map(integers)


def some_values(n: int) -> Floats:
    return np.random.default_rng(n).normal(size=n)


# ---- the same as plain loops


@given(PLACED)
def test_spread_is_what_a_plain_loop_finds(placed: tuple[Timeline, Integers]) -> None:
    line, places = placed
    expected = [sum(share(line, here, there) for there in places) for here in range(len(line))]
    assert Windows(line).counts(places) == pytest.approx(expected, abs=1e-12)


@given(PLACED)
@example((timeline([1] * 9), integers([0, 8])))
def test_means_are_what_a_plain_loop_finds_within_the_places(
    placed: tuple[Timeline, Integers],
) -> None:
    line, places = placed
    values = some_values(len(places))
    shares = [[share(line, here, there) for there in places] for here in places]
    expected = [np.dot(one, values) / sum(one) for one in shares]
    assert Windows(line).means(places, values) == pytest.approx(expected)


# ---- what a window is


def test_a_neighbour_counts_half_after_a_half_life() -> None:
    apart = int(HALF_LIFE)  # from the middle of the first to the middle of the last
    line = timeline([1, apart - 1, 1])
    assert Windows(line).counts(integers([0]))[2] == 0.5


def test_a_short_turn_is_read_with_its_neighbour_and_a_long_one_for_itself() -> None:
    assert Windows(timeline([5, 5])).counts(integers([0]))[1] > 0.5
    assert Windows(timeline([5, 400])).counts(integers([0]))[1] == 0


@given(TIMELINES, st.data())
def test_no_window_reaches_into_another_session(line: Timeline, data: st.DataObject) -> None:
    session = data.draw(st.sampled_from(sorted(set(line.sessions.tolist())) or [0]))
    inside = np.flatnonzero(line.sessions == session)
    made = Windows(line)
    assert set(np.flatnonzero(made.counts(inside))) == set(inside)
    assert set(made.expand(inside)) == set(inside)


@pytest.mark.parametrize(("pause", "reaches"), [(1, True), (12, True), (13, False), (900, False)])
def test_no_window_reaches_across_a_long_pause(pause: int, reaches: bool) -> None:
    line = timeline([5, 5], hours=[0, pause])
    assert (Windows(line).counts(integers([0]))[1] > 0) == reaches
    assert (len(set(Windows(line).chunks(np.arange(2)).tolist())) == 1) == reaches


def test_sessions_stay_apart_however_many_and_long_they_are() -> None:
    line = timeline([10**7] * 3 + [1] * 20_000, [0] * 3 + list(range(1, 20_001)))
    made = Windows(line)
    every = np.arange(len(line))
    assert (made.counts(every) == 1).all()
    assert len(set(made.chunks(every).tolist())) == len(line)


def test_what_lies_further_than_a_window_reaches_counts_nothing() -> None:
    n = 2 * windows._REACH + 3
    found = Windows(timeline([1] * n)).counts(integers([windows._REACH + 1]))
    assert found[0] == found[-1] == 0
    assert (found[1:-1] > 0).all()


@given(PLACED)
def test_a_mean_lies_between_the_least_and_the_greatest(
    placed: tuple[Timeline, Integers],
) -> None:
    line, places = placed
    values = some_values(len(places))
    found = Windows(line).means(places, values)
    assert (found >= values.min(initial=9) - 1e-12).all()
    assert (found <= values.max(initial=-9) + 1e-12).all()


def test_a_mean_takes_no_more_of_a_neighbour_than_of_the_place_itself() -> None:
    near, far = Windows(timeline([5, 5, 60])).means(np.arange(3), np.array([0.0, 1.0, 0.0]))[::2]
    assert 0.5 > near > far > 0


# ---- lengths


@given(TIMELINES)
def test_a_window_is_at_least_as_long_as_its_own_chunk(line: Timeline) -> None:
    lengths = Windows(line).lengths()
    assert lengths.shape == (len(line),)
    assert (lengths >= line.tokens).all()
    assert (lengths > 0).all()


def test_short_chunks_have_windows_of_one_length_and_a_long_one_its_own() -> None:
    assert Windows(timeline([1, 20, 400])).lengths().tolist() == [60, 60, 400]


# ---- around


@given(PLACED)
@example((timeline([1] * 16), integers([0])))
def test_around_are_all_chunks_that_the_places_windows_reach_and_nothing_else(
    placed: tuple[Timeline, Integers],
) -> None:
    line, places = placed
    made = Windows(line)
    found = made.expand(places)
    every = np.arange(len(line))
    seen = {n for n in every for place in places if share(line, place, n)}
    chunks = made.chunks(np.array(sorted(seen), dtype=np.int64))
    assert found.tolist() == every[np.isin(made.chunks(every), chunks)].tolist()


@given(TIMELINES)
def test_a_chunk_is_one_stretch_of_one_session(line: Timeline) -> None:
    chunks = Windows(line).chunks(np.arange(len(line)))
    assert (np.diff(chunks) >= 0).all()
    for chunk in set(chunks.tolist()):
        assert len(set(line.sessions[chunks == chunk].tolist())) == 1
        assert line.tokens[chunks == chunk][1:-1].sum() < CHUNK


# ---- none and one


@pytest.mark.parametrize("n", [0, 1])
def test_a_timeline_of_none_or_one_is_no_special_case(n: int) -> None:
    made = Windows(timeline([7] * n))
    places = np.arange(n)
    assert made.counts(places).tolist() == [1.0] * n
    assert made.lengths().shape == (n,)
    assert made.means(places, some_values(n)).tolist() == some_values(n).tolist()
    assert made.expand(places).tolist() == [0] * n


def test_no_places_have_no_windows() -> None:
    made, none = Windows(timeline([7] * 3)), integers([])
    assert made.counts(none).tolist() == [0, 0, 0]
    assert made.expand(none).shape == made.chunks(none).shape == (0,)
    assert made.means(none, some_values(0)).shape == (0,)
