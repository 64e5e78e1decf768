"""Which differences are more than chance: paired tests whose unit is the conversation.

Questions about one conversation share its turns, so a test that shuffles questions finds far too
much. Intervals draw whole conversations; p-values flip the sign of whole conversations.
Source: Zhang et al. 2025, 4.1.5 (paired tests, Holm, effect sizes, the session as the unit).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evals.card.records import Compared, Record, Regime
from evals.stats.bootstrap import Floats, Labels, weights
from memkit.errors import InvalidInput

RESAMPLES = 9999
_BATCH = 1000  # of them at a time, for the sake of memory
_RANGE = (2.5, 97.5)
# Romano et al. 2006, for Cliff's delta
_SIZES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (np.inf, "large"))

Key = tuple[str, str, int]  # conversation, question, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A paired difference, ours − theirs, and what may be said of it.

    With fewer than two conversations there is neither an interval nor a p-value.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None  # two-sided
    delta: float  # Cliff's, paired
    d: float | None  # Cohen's, paired; None: the differences do not vary
    n: int  # questions
    clusters: int  # conversations


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The scores of two sides on the questions that both have one for."""

    ours: Floats
    theirs: Floats
    clusters: Labels
    alone: int  # questions that only one side has a score for


def compare(ours: Floats, theirs: Floats, clusters: Labels, seed: int) -> Comparison:
    """Compare two systems' scores on the same questions.

    The interval is the percentile bootstrap of `evals.stats.bootstrap`, and the p-value that
    of a permutation test, exact where the conversations are few: with k of them it cannot be
    below 2 / 2^k.

    Args:
        ours: shape (questions,).
        theirs: shape (questions,), in the same order.
        clusters: the conversation of each question.
        seed: of what is drawn.

    Raises:
        InvalidInput: the three differ in length, or are empty.

    Source: Efron and Tibshirani 1993, chapters 13 and 15; cluster bootstrap: Davison and Hinkley
    1997, 3.8.
    """
    if not len(ours) == len(theirs) == len(clusters) or not len(ours):
        got = f"{len(ours)}, {len(theirs)} and {len(clusters)}"
        raise InvalidInput(f"pairs need as many scores as conversations' names, got {got}")
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    names, place = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(place, weights=differences).astype(np.float64)
    sizes = np.bincount(place).astype(np.float64)
    low, high = _interval(sums, sizes, names, seed)
    return Comparison(
        difference=float(differences.mean()),
        low=low,
        high=high,
        p=_permuted(sums, seed),
        delta=cliffs_delta(differences),
        d=cohens_d(differences),
        n=len(differences),
        clusters=len(names),
    )


def _interval(
    sums: Floats, sizes: Floats, names: NDArray[np.str_], seed: int
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the mean over questions, drawing conversations.

    One row per conversation gives what one per question would, in a fraction of the time.
    """
    drawn = weights(names, seed)
    if drawn is None:
        return None, None
    low, high = np.percentile((drawn @ sums) / (drawn @ sizes), _RANGE)
    return float(low), float(high)


def _permuted(sums: Floats, seed: int) -> float | None:
    """Return the two-sided p-value of flipping whole conversations' signs."""
    from scipy.stats import permutation_test

    if len(sums) < 2:
        return None
    if not sums.any():
        return 1.0  # as the test would say, only at once
    test = permutation_test(
        (sums, np.zeros_like(sums)),  # to exchange a sum with 0 is to flip its sign
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def cliffs_delta(differences: Floats) -> float:
    """Return the share of pairs that we win less the share that we lose, from −1 to 1.

    Source: Cliff 1993, the within-pair delta: it compares each score with its own partner.
    """
    return float(np.sign(differences).mean())


def cohens_d(differences: Floats) -> float | None:
    """Return mean / standard deviation of the differences (d_z); None if they do not vary.

    Source: Cohen 1988, 2.3.5.
    """
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(differences.mean() / differences.std(ddof=1))


def magnitude(delta: float) -> str:
    """Return the name of an effect's size by Cliff's delta, as Romano et al. 2006 cut it.

    >>> magnitude(-0.2)
    'small'
    """
    return next(name for bound, name in _SIZES if abs(delta) < bound)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for being one family; None stays None and counts for nothing.

    Source: Holm 1979.
    """
    from statsmodels.stats.multitest import multipletests

    known = [p for p in ps if p is not None]
    corrected = iter(multipletests(known, method="holm")[1] if known else ())
    return [None if p is None else float(next(corrected)) for p in ps]


def pair(ours: Iterable[Record], theirs: Iterable[Record], metric: str) -> Pairs:
    """Pair the scores of two sides on one data set; probes are no questions of their own.

    Args:
        ours: records of one system in one regime.
        theirs: those of another, or of another card.
        metric: a key of `Record.scores`.
    """
    ours = list(ours)
    unit = {one.haystack: one.task for one in ours}
    mine, other = _scores(ours, metric), _scores(theirs, metric)
    both = sorted(mine.keys() & other.keys())
    return Pairs(
        ours=np.array([mine[key] for key in both], dtype=np.float64),
        theirs=np.array([other[key] for key in both], dtype=np.float64),
        clusters=[unit[conversation] for conversation, _, _ in both],
        alone=len(mine.keys() ^ other.keys()),
    )


def _scores(records: Iterable[Record], metric: str) -> dict[Key, float]:
    return {
        (one.haystack, one.question, one.step): one.scores[metric]
        for one in records
        if metric in one.scores and not one.probe
    }


def sides(records: Iterable[Record]) -> dict[tuple[str, Regime], dict[str, list[Record]]]:
    """Return records by data set and regime, and there by system, in the order they come."""
    found: dict[tuple[str, Regime], dict[str, list[Record]]] = defaultdict(dict)
    for one in records:
        found[one.data, one.regime].setdefault(one.system, []).append(one)
    return dict(found)


def compared(
    records: Sequence[Record], metrics: Sequence[str], *, ours: str, seed: int
) -> list[Compared]:
    """Compare one system with every other, on each data set in each regime it takes part in.

    All metrics and all other systems of a data set in a regime are one family.

    Args:
        records: all of them.
        metrics: keys of `Record.scores`; one that two systems share no question for is left out.
        ours: the system that the others are compared with.
        seed: of what is drawn.
    """
    found: list[Compared] = []
    for (data, regime), systems in sides(records).items():
        mine = systems.get(ours)
        if mine is None:
            continue
        family = [
            tested(pairs, metric=metric, data=data, regime=regime, names=(ours, theirs), seed=seed)
            for theirs, other in systems.items()
            if theirs != ours
            for metric in metrics
            if len((pairs := pair(mine, other, metric)).ours)
        ]
        found += corrected(family)
    return found


def tested(
    pairs: Pairs, *, metric: str, data: str, regime: Regime, names: tuple[str, str], seed: int
) -> Compared:
    """Return one comparison for a card, not corrected yet.

    Args:
        pairs: at least one.
        metric: what was scored.
        data: the data set's name.
        regime: of both sides.
        names: of our side and of theirs.
        seed: of what is drawn.
    """
    found = compare(pairs.ours, pairs.theirs, pairs.clusters, seed)
    return Compared(
        metric=metric,
        data=data,
        regime=regime,
        ours=names[0],
        theirs=names[1],
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=found.p,
        p_holm=None,
        family=f"{data} × {regime}",
        effect=found.delta,
        n=found.n,
        d=found.d,
    )


def corrected(comparisons: Sequence[Compared]) -> list[Compared]:
    """Return comparisons with their p-values corrected by Holm within each family."""
    families: Mapping[str, list[int]] = defaultdict(list)
    for n, one in enumerate(comparisons):
        families[one.family].append(n)
    result = list(comparisons)
    for members in families.values():
        for n, p in zip(members, holm([comparisons[n].p for n in members]), strict=True):
            result[n] = replace(comparisons[n], p_holm=p)
    return result
