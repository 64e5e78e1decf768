"""Shares and their differences with 95 % intervals, whole groups of questions being resampled."""

from collections.abc import Sequence

import numpy as np

from evals.stats import bootstrap as statistics
from evals.stats.interval import Interval

Values = Sequence[float | bool]


def share(values: Values, groups: Sequence[str], seed: int) -> Interval | None:
    """Return the mean of values with its interval; None of no values."""
    if not len(values):
        return None
    column = np.array(values, dtype=np.float64)[:, None]
    (interval,) = statistics.means(column, statistics.weights(groups, seed))
    return interval


def difference(ours: Values, theirs: Values, groups: Sequence[str], seed: int) -> Interval | None:
    """Return the mean of ours − theirs over the same questions; None of no questions."""
    differences = np.array(ours, dtype=np.float64) - np.array(theirs, dtype=np.float64)
    return share(differences.tolist(), groups, seed)


def cells(interval: Interval | None, *, signed: bool = False) -> list[str | None]:
    """Return a figure as two cells of a table: its value, and its interval.

    >>> cells(Interval(value=0.5, low=0.25, high=0.75, n=4))
    ['0.500', '0.250–0.750']
    >>> cells(Interval(value=-0.1, low=-0.2, high=0.0, n=4), signed=True)
    ['-0.100', '-0.200 to +0.000']
    """
    if interval is None:
        return [None, None]
    mark, between = ("+", " to ") if signed else ("", "–")
    value = f"{interval.value:{mark}.3f}"
    if interval.low is None or interval.high is None:
        return [value, None]
    return [value, f"{interval.low:{mark}.3f}{between}{interval.high:{mark}.3f}"]
