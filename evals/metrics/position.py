"""How a score moves with the position of the evidence, the length of the history, and noise.

Sources are in catalogue.toml.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import log2

import numpy as np

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # fixed and published: curves in other bins do not compare
BINS = tuple(pairwise(EDGES))


def bin_of(x: float) -> int:
    """Return the number of the bin that holds x, from 0.

    Raises:
        ValueError: x is outside all bins.
    """
    if not EDGES[0] <= x <= EDGES[-1]:
        raise ValueError(f"{x} is outside the bins from {EDGES[0]} to {EDGES[-1]}")
    return min(bisect_right(EDGES, x), len(BINS)) - 1


def curve(points: Iterable[tuple[float, float]]) -> list[float | None]:
    """Return the mean score of every bin of (position, score); None for an empty bin.

    A position is 0 for the first turn and 1 for the last.
    """
    scores: list[list[float]] = [[] for _ in BINS]
    for x, score in points:
        scores[bin_of(x)].append(score)
    return [sum(ys) / len(ys) if ys else None for ys in scores]


def mid_drop(means: Sequence[float | None]) -> float | None:
    """Return (first + last) / 2 − the lowest mean between them, of a position curve.

    Positive: evidence in the middle is used less (Liu et al., TACL 2024). The minimum of noisy bins
    is biased upwards, so compare drops only at equal n. None if an end, or everything between the
    ends, has no score.
    """
    first, *between, last = means
    middle = [mean for mean in between if mean is not None]
    if first is None or last is None or not middle:
        return None
    return (first + last) / 2 - min(middle)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the change of y per unit of x, by least squares; None without two different x.

    scipy's linregress also computes a p-value, which thousands of resamples would pay for.
    """
    if len(set(xs)) < 2:
        return None
    x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    centred = x - x.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred))


def log_slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the change of y each time x, which counts from 1, doubles, by least squares."""
    return slope([log2(x) for x in xs], ys)
