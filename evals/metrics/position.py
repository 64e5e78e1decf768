"""How a score moves with the position of the evidence, the length of the history, and noise."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, log2

import numpy as np

from memkit.errors import InvalidInput

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # fixed and published: curves in other bins do not compare
BINS = tuple(pairwise(EDGES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The scores with x in [low, high); the last bin includes its high end."""

    low: float
    high: float
    mean: float | None  # None: the bin is empty
    n: int


def bin_of(x: float, edges: Sequence[float] = EDGES) -> int:
    """Return the number of the bin that holds x, from 0.

    Raises:
        InvalidInput: x is outside all bins.
    """
    if not edges[0] <= x <= edges[-1]:
        raise InvalidInput(f"{x} is outside the bins from {edges[0]} to {edges[-1]}")
    return min(bisect_right(edges, x), len(edges) - 1) - 1


def curve(points: Iterable[tuple[float, float]], edges: Sequence[float] = EDGES) -> list[Bin]:
    """Return the mean score of every bin, with the empty bins.

    Args:
        points: (x, score); x is the position of the evidence, 0 first … 1 last, or another axis.
        edges: ascending, one more than there are bins.

    Source: position curve in fixed bins, Zhang et al. 2025 (arXiv 2509.18868), section 4.3.
    """
    scores: list[list[float]] = [[] for _ in edges[1:]]
    for x, score in points:
        scores[bin_of(x, edges)].append(score)
    return [
        Bin(low=low, high=high, mean=sum(ys) / len(ys) if ys else None, n=len(ys))
        for (low, high), ys in zip(pairwise(edges), scores, strict=True)
    ]


def mid_drop(bins: Sequence[Bin]) -> float | None:
    """Return (first + last) / 2 − the lowest mean between them, of a position curve.

    Positive: evidence in the middle is used less (Liu et al., TACL 2024). The survey names the drop
    without a formula (Zhang et al. 2025, section 4.3); this one is ours. The minimum of noisy bins
    is biased upwards, so compare drops only at equal n.

    Returns:
        None if an end, or everything between the ends, has no score.
    """
    middle = [part.mean for part in bins[1:-1] if part.mean is not None]
    if not middle or bins[0].mean is None or bins[-1].mean is None:
        return None
    return (bins[0].mean + bins[-1].mean) / 2 - min(middle)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the change of y per unit of x, by least squares; None without two different x.

    Source: Slope@T = dAcc/dT, Zhang et al. 2025, table 4.7. scipy's linregress gives the same value
    and also a p-value, which thousands of bootstrap resamples would pay for.
    """
    if len(set(xs)) < 2:
        return None
    x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    centred = x - x.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred))


def log_slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the change of y each time x doubles, by least squares over log2 x.

    Raises:
        InvalidInput: an x is not positive.
    """
    if any(x <= 0 for x in xs):
        raise InvalidInput(f"{min(xs)} has no logarithm; count lengths and distances from 1")
    return slope([log2(x) for x in xs], ys)


def noise_degradation(clean: float, noisy: float) -> float | None:
    """Return 1 − noisy / clean, the share of a score that noise costs; None if clean is 0.

    Lower is better. Source: Zhang et al. 2025, section 4.3, where it is called robustness.
    """
    return 1 - noisy / clean if clean else None


def ln_accuracy(accuracy: float, length: float) -> float:
    """Return accuracy / ln(length), for a length in tokens.

    Source: LN-Acc, Zhang et al. 2025, section 4.3, which does not name the base of the logarithm.

    Raises:
        InvalidInput: the length is not above 1.
    """
    if length <= 1:
        raise InvalidInput(f"length {length} has no positive logarithm; give tokens, above 1")
    return accuracy / log(length)
