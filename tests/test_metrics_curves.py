"""Recognition, position curves, slopes and half-lives: by hand and beside scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from evals.metrics import episodic, position, recognition
from memkit.errors import InvalidInput

# ---- recognition and recall


def test_recognition_is_the_share_of_foils_that_lose_and_a_tie_is_half() -> None:
    assert recognition.recognised(1.0, [2.0, 0.5, 1.0, 3.0]) == (1 + 0 + 0.5 + 1) / 4


def test_a_cue_is_the_first_half_of_the_words() -> None:
    assert recognition.half_cue("One two,  three four five") == ("One two,", "three four five")
    assert recognition.half_cue("我住在东京") == ("我住", "在东京")
    with pytest.raises(InvalidInput, match="halves"):
        recognition.half_cue(" one ")


def test_recall_scores_the_completion_alone_and_no_more_words_than_there_were() -> None:
    assert recognition.recalled("three four five", "three four five, and so on for ever") == 1
    assert recognition.recalled("three four five", "three nil five") == pytest.approx(2 / 3)
    assert recognition.recalled("three four five", "") == 0
    assert recognition.recalled("three four five", "and then three four five") < 1


def test_exposure_is_in_bits() -> None:
    assert recognition.exposure(1, 1024) == 10
    assert recognition.exposure(1024, 1024) == 0


# ---- position


def test_bins_are_five_fixed_fifths() -> None:
    assert position.BINS == ((0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1))
    assert [position.bin_of(x) for x in (0, 0.199, 0.2, 0.5, 0.8, 1)] == [0, 0, 1, 2, 4, 4]
    for outside in (-0.01, 1.01, math.nan):
        with pytest.raises(ValueError, match="outside"):
            position.bin_of(outside)


def test_a_curve_has_empty_bins_too() -> None:
    assert position.curve([(0, 1), (0.1, 0), (1, 1)]) == [0.5, None, None, None, 1]


def test_mid_drop_is_the_ends_minus_the_lowest_between() -> None:
    points = [(0.1, 1.0), (0.3, 0.5), (0.5, 0.2), (0.7, 0.6), (0.9, 0.8)]

    assert position.mid_drop(position.curve(points)) == pytest.approx(0.9 - 0.2)
    assert position.mid_drop(position.curve(points[1:])) is None
    assert position.mid_drop(position.curve([points[0], points[-1]])) is None


@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1)), min_size=3, max_size=20).filter(
        lambda points: len({x for x, _ in points}) > 1
    )
)
def test_slopes_are_scipys(points: list[tuple[int, float]]) -> None:
    xs, ys = [x for x, _ in points], [y for _, y in points]

    assert position.slope(xs, ys) == pytest.approx(linregress(xs, ys).slope, abs=1e-9)
    assert position.log_slope(xs, ys) == pytest.approx(linregress(np.log2(xs), ys).slope, abs=1e-9)


def test_a_slope_needs_two_places() -> None:
    assert position.log_slope([10, 20, 40], [0.9, 0.8, 0.7]) == pytest.approx(-0.1)
    assert position.slope([3, 3], [0, 1]) is position.slope([], []) is None


# ---- half-life


@pytest.mark.parametrize("half", [2.0, 40.0, 300.0])
def test_the_half_life_of_an_exponential_is_its_own(half: float) -> None:
    xs = [0, 10, 20, 50, 100, 200]

    assert episodic.half_life(xs, [0.9 * 0.5 ** (x / half) for x in xs]) == pytest.approx(
        half, rel=1e-3
    )


def test_zeros_count_in_a_half_life() -> None:
    xs = [1, 2, 3, 4]

    assert episodic.half_life(xs, [1, 1, 0, 0]) < episodic.half_life(xs, [1, 1, 0.5, 0.5])  # type: ignore[operator]


def test_what_does_not_fall_has_no_half_life() -> None:
    assert episodic.half_life([1, 2, 3], [0.5, 0.5, 0.5]) is None
    assert episodic.half_life([1, 2, 3], [0.1, 0.5, 0.9]) is None
    assert episodic.half_life([1, 2, 3, 4, 5], [1, 0, 0, 0, 1.2]) is None
    assert episodic.half_life([1, 2], [1, 0]) is None
    assert episodic.half_life([0, 1, 2], [1, 1 - 1e-6, 1 - 2e-6]) is None
