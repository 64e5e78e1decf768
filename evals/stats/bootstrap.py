"""Intervals and paired differences by the bootstrap, for questions that come in conversations.

Questions about one conversation share its turns, so they are not independent: the interval to
believe draws whole conversations (clusters). It needs many of them, and LoCoMo's report split has
seven; so there is a second one that keeps the conversations and draws questions inside each
(strata). That one says nothing of other conversations, and is printed under its own name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.bench.measure import Interval

RESAMPLES = 5000
_SLOW = 500  # resamples of a statistic that is no mean
RANGE = (2.5, 97.5)  # percentiles

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]  # question numbers, some of them repeated
Labels = Sequence[str] | NDArray[np.str_]  # per question: its conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A paired difference, and how often resampling puts it on the other side of zero."""

    interval: Interval
    p: float | None  # two-sided; None where there is no interval


def weights(clusters: Labels, seed: int, *, within: bool = False) -> Floats | None:
    """Return how often each resample takes each question, shape (resamples, questions).

    Args:
        clusters: the conversation of each question.
        seed: of what is drawn.
        within: draw questions inside every conversation, instead of conversations.

    Returns:
        None if there is nothing to draw: fewer than two clusters, or none of two questions.
    """
    names, place = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(place, minlength=len(names))
    rng = np.random.default_rng(seed)
    if not within:
        return None if len(names) < 2 else _draw(rng, len(names))[:, place]
    if not len(sizes) or sizes.max() < 2:
        return None
    taken = np.empty((RESAMPLES, len(place)))
    for n, size in enumerate(sizes):
        taken[:, place == n] = _draw(rng, int(size))
    return taken


def _draw(rng: np.random.Generator, n: int) -> Floats:
    """Return how often each of n things is among n drawn with replacement, per resample."""
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)


def means(values: Floats, drawn: Floats | None) -> list[Interval]:
    """Return each column's mean with its 95 % percentile interval.

    Args:
        values: shape (questions, columns); NaN where a question is not scored.
        drawn: what `weights` returned for these questions; None: no interval.

    Returns:
        One interval per column; its n is how many questions were scored, and none of them is an
        error: there is no mean of nothing.
    """
    scored = ~np.isnan(values)
    if not scored.any(axis=0).all():
        raise ValueError("a column without values: a mean of nothing is not a figure")
    n = scored.sum(axis=0)
    found = np.where(scored, values, 0).sum(axis=0) / n
    if drawn is None:
        return [Interval(value=float(v), n=int(m)) for v, m in zip(found, n, strict=True)]
    low, high = np.nanpercentile(_resampled(values, drawn), RANGE, axis=0)
    return [
        Interval(value=float(v), low=float(lo), high=float(hi), n=int(m))
        for v, lo, hi, m in zip(found, low, high, n, strict=True)
    ]


def _resampled(values: Floats, drawn: Floats) -> Floats:
    """Return the means of every resample, shape (resamples, columns); NaN if it took nothing."""
    scored = ~np.isnan(values)
    taken = drawn @ scored.astype(np.float64)
    sums = drawn @ np.where(scored, values, 0.0)
    return np.divide(sums, taken, out=np.full_like(sums, np.nan), where=taken > 0)


def paired(ours: Floats, theirs: Floats, drawn: Floats | None) -> Difference:
    """Return the mean of ours − theirs over the same questions, shape (questions,) each.

    The p-value is twice the smaller share of resamples at or beyond zero, one added to both sides
    of the fraction: the level at which the percentile interval stops holding zero.
    Source: Efron and Tibshirani 1993, chapters 13 and 15; Davison and Hinkley 1997, 4.2.
    """
    column = (ours - theirs)[:, None]
    (interval,) = means(column, drawn)
    if drawn is None:
        return Difference(interval=interval, p=None)
    differences = _resampled(column, drawn)[:, 0]
    differences = differences[~np.isnan(differences)]
    sides = [(differences <= 0).sum(), (differences >= 0).sum()]
    p = 2 * (int(min(sides)) + 1) / (len(differences) + 1)
    return Difference(interval=interval, p=min(p, 1.0))


def bootstrap(
    statistic: Callable[[Rows], float | None],
    clusters: Labels,
    seed: int,
    *,
    absent: float | None = None,
) -> Interval | None:
    """Return any statistic of questions with a 95 % interval by conversation.

    Args:
        statistic: given question numbers, some of them repeated; None where it has no value.
        clusters: the conversation of each question.
        seed: of what is drawn.
        absent: what a resample without a value counts as, such as infinity; None: left out.
    """
    value = statistic(np.arange(len(clusters)))
    if value is None:
        return None
    found = [statistic(rows) for rows in resamples(clusters, seed)]
    known = [absent if one is None else one for one in found]
    kept = [one for one in known if one is not None]
    if not kept:
        return Interval(value=value, n=len(clusters))
    # nothing lies halfway to infinity
    low, high = np.percentile(kept, RANGE, method="linear" if absent is None else "nearest")
    return Interval(value=value, low=float(low), high=float(high), n=len(clusters))


def resamples(clusters: Labels, seed: int) -> Iterator[Rows]:
    """Yield the question numbers of each resample of conversations; none of a single one."""
    names, place = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        return
    members = [np.flatnonzero(place == n) for n in range(len(names))]
    rng = np.random.default_rng(seed)
    for _ in range(_SLOW):
        yield np.concatenate([members[n] for n in rng.integers(0, len(names), len(names))])
