"""Bootstrap intervals and paired differences of questions that are grouped in conversations.

Questions about one conversation share its turns, so they are not independent: the interval to
believe resamples whole conversations (clusters). It needs many of them, and LoCoMo's report split
has seven, so there is a second interval that keeps the conversations and resamples questions inside
each (strata). It says nothing about other conversations, and is printed under its own name.

scipy.stats.bootstrap resamples observations and not clusters with their members, and one statistic
at a time; here one matrix of resample weights serves all columns of all systems.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from evals.stats.interval import Interval

RESAMPLES = 5000
SLOW_RESAMPLES = 500  # of a statistic that is no mean, which is slow
RANGE = (2.5, 97.5)  # percentiles

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]  # question numbers, some of them repeated
Labels = Sequence[str] | NDArray[np.str_]  # the conversation of each question


def weights(clusters: Labels, seed: int, *, within: bool = False) -> Floats | None:
    """Return how often each resample takes each question, shape (resamples, questions).

    Whole conversations (clusters) are resampled, or with `within` the questions inside each. None
    if there is nothing to resample: fewer than two clusters, or none of two questions.
    """
    names, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(cluster, minlength=len(names))
    rng = np.random.default_rng(seed)
    if not within:
        return None if len(names) < 2 else _multiplicities(rng, len(names))[:, cluster]
    if not len(sizes) or sizes.max() < 2:
        return None
    counts = np.empty((RESAMPLES, len(cluster)))
    for n, size in enumerate(sizes):
        counts[:, cluster == n] = _multiplicities(rng, int(size))
    return counts


def _multiplicities(rng: np.random.Generator, n: int) -> Floats:
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)


def means(values: Floats, resampled: Floats | None) -> list[Interval]:
    """Return the mean of each column with its 95 % percentile interval.

    Args:
        values: shape (questions, columns); NaN where a question has no score, which n leaves out.
        resampled: the `weights` of these questions; None: no interval.

    Raises:
        ValueError: a column has no values.
    """
    scored = ~np.isnan(values)
    if not scored.any(axis=0).all():
        raise ValueError("a column without values: a mean of nothing is not a figure")
    counts = scored.sum(axis=0)
    averages = np.where(scored, values, 0).sum(axis=0) / counts
    if resampled is None:
        return [Interval(value=float(v), n=int(n)) for v, n in zip(averages, counts, strict=True)]
    taken = resampled @ scored.astype(np.float64)
    sums = resampled @ np.where(scored, values, 0.0)
    # NaN where a resample took nothing
    results = np.divide(sums, taken, out=np.full_like(sums, np.nan), where=taken > 0)
    low, high = np.nanpercentile(results, RANGE, axis=0)
    return [
        Interval(value=float(v), low=float(lo), high=float(hi), n=int(n))
        for v, lo, hi, n in zip(averages, low, high, counts, strict=True)
    ]


def share(values: Sequence[float | bool], groups: Sequence[str], seed: int) -> Interval | None:
    """Return the mean of values with its interval by group; None of no values."""
    if not len(values):
        return None
    column = np.array(values, dtype=np.float64)[:, None]
    (interval,) = means(column, weights(groups, seed))
    return interval


def bootstrap(
    statistic: Callable[[Rows], float | None],
    clusters: Labels,
    seed: int,
    *,
    absent: float | None = None,
) -> Interval | None:
    """Return any statistic of questions with a 95 % interval by conversation.

    Args:
        statistic: of question numbers, some of them repeated; None where it has no value.
        clusters: the conversation of each question.
        seed: of the resampling.
        absent: the value of a resample without one, such as infinity; None leaves it out.
    """
    value = statistic(np.arange(len(clusters)))
    if value is None:
        return None
    results = [statistic(rows) for rows in resamples(clusters, seed)]
    filled = [absent if result is None else result for result in results]
    values = [result for result in filled if result is not None]
    if not values:
        return Interval(value=value, n=len(clusters))
    # "nearest" does not interpolate: nothing lies halfway to infinity
    low, high = np.percentile(values, RANGE, method="linear" if absent is None else "nearest")
    return Interval(value=value, low=float(low), high=float(high), n=len(clusters))


def resamples(clusters: Labels, seed: int) -> Iterator[Rows]:
    """Yield the question numbers of each resample of conversations; none of a single one."""
    names, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        return
    members = [np.flatnonzero(cluster == n) for n in range(len(names))]
    rng = np.random.default_rng(seed)
    for _ in range(SLOW_RESAMPLES):
        yield np.concatenate([members[n] for n in rng.integers(0, len(names), len(names))])


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
