"""Shares and their differences, with 95 % intervals by the bootstrap over groups of questions."""

from collections.abc import Sequence

import numpy as np

from evals.bench.measure import Interval
from evals.bench.result import Cell
from evals.stats import bootstrap as statistics

Values = Sequence[float | bool]


def share(values: Values, groups: Sequence[str], seed: int) -> Interval | None:
    """Return the mean of values with its interval, whole groups being drawn; None of no values."""
    if not len(values):
        return None
    column = np.array(values, dtype=np.float64)[:, None]
    (found,) = statistics.means(column, statistics.weights(groups, seed))
    return found


def difference(ours: Values, theirs: Values, groups: Sequence[str], seed: int) -> Interval | None:
    """Return the mean of ours − theirs over the same questions; None of no questions."""
    pairs = np.array(ours, dtype=np.float64) - np.array(theirs, dtype=np.float64)
    return share(pairs.tolist(), groups, seed)


def cells(of: Interval | None, *, signed: bool = False) -> list[Cell]:
    """Return a figure as two cells of a table: its value, and its interval.

    >>> cells(Interval(value=0.5, low=0.25, high=0.75, n=4))
    ['0.500', '0.250–0.750']
    >>> cells(Interval(value=-0.1, low=-0.2, high=0.0, n=4), signed=True)
    ['-0.100', '-0.200 to +0.000']
    """
    if of is None:
        return [None, None]
    mark, between = ("+", " to ") if signed else ("", "–")
    if of.low is None or of.high is None:
        return [f"{of.value:{mark}.3f}", None]
    return [f"{of.value:{mark}.3f}", f"{of.low:{mark}.3f}{between}{of.high:{mark}.3f}"]
