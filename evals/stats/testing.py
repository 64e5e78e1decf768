"""Paired tests of two systems, with the conversation as the unit.

Questions about one conversation share its turns, so a test that shuffles questions finds far too
much. Intervals resample whole conversations; p-values flip the sign of whole conversations.
Source: Zhang et al. 2025, 4.1.5 (paired tests, Holm, effect sizes, the session as the unit).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.stats.bootstrap import RANGE, Floats, Labels, weights

RESAMPLES = 9999
_BATCH = 1000  # resamples at a time, to bound memory
# Romano et al. 2006, for Cliff's delta
_SIZES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (np.inf, "large"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A paired difference, scores − baseline, with its interval, test and effect sizes.

    Fewer than two conversations give neither an interval nor a p-value.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None  # two-sided
    delta: float  # Cliff's, paired
    d: float | None  # Cohen's, paired; None: the differences do not vary
    n: int  # questions
    clusters: int  # conversations


def compare(scores: Floats, baseline: Floats, clusters: Labels, seed: int) -> Comparison:
    """Compare the scores of two systems on the same questions.

    The interval is the percentile bootstrap by conversation, and the p-value that of a permutation
    test, exact where the conversations are few: with k of them it cannot be below 2 / 2^k. Scores,
    baseline and clusters, the conversation of each question, have one length.

    Source: Efron and Tibshirani 1993, chapters 13 and 15; cluster bootstrap: Davison and Hinkley
    1997, 3.8.
    """
    differences = scores - baseline
    names, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(cluster, weights=differences).astype(np.float64)
    sizes = np.bincount(cluster).astype(np.float64)
    low, high = _interval(sums, sizes, names, seed)
    return Comparison(
        difference=float(differences.mean()),
        low=low,
        high=high,
        p=_permutation_p(sums, seed),
        delta=cliffs_delta(differences),
        d=cohens_d(differences),
        n=len(differences),
        clusters=len(names),
    )


def _interval(
    sums: Floats, sizes: Floats, names: NDArray[np.str_], seed: int
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the mean over questions, resampling conversations."""
    resampled = weights(names, seed)
    if resampled is None:
        return None, None
    low, high = np.percentile((resampled @ sums) / (resampled @ sizes), RANGE)
    return float(low), float(high)


def _permutation_p(sums: Floats, seed: int) -> float | None:
    from scipy.stats import permutation_test

    if len(sums) < 2:
        return None
    if not sums.any():
        return 1.0  # what the test would return, after 9,999 resamples
    test = permutation_test(
        (sums, np.zeros_like(sums)),  # exchanging a sum with 0 flips its sign
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def cliffs_delta(differences: Floats) -> float:
    """Return the share of won pairs − the share of lost pairs, from −1 to 1.

    Source: Cliff 1993, the within-pair delta, which compares each score with its own partner.
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
    """Return the p-values of one family, corrected by Holm 1979; None stays None."""
    from statsmodels.stats.multitest import multipletests

    tested = [p for p in ps if p is not None]
    corrected = iter(multipletests(tested, method="holm")[1] if tested else ())
    return [None if p is None else float(next(corrected)) for p in ps]
