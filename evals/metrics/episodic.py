"""Metrics of events told over months: E-MARS+, panels 1, 2 and 4. Panel 3 is in `current`.

Source: Zhang et al. 2025 (arXiv 2509.18868), table 4.7, which names these metrics without formulas;
the formulas are ours.
"""

from collections.abc import Collection, Hashable, Sequence
from datetime import date, timedelta
from itertools import combinations, pairwise
from math import log

import numpy as np

from evals.metrics import grounding
from evals.metrics.position import slope


def procedure_f1(steps: Sequence[Hashable], gold: Sequence[Hashable]) -> float | None:
    """Return F1 of the transitions of a procedure, the pairs of a step and the next step.

    A right step counts only where it follows the right step. None if gold has fewer than two steps.
    Both are in order, and hold nothing that is no step.
    """
    return grounding.evidence_f1(list(pairwise(steps)), list(pairwise(gold)))


def anchoring_error(
    stated: Collection[date], gold: Collection[date], window: timedelta
) -> float | None:
    """Return the error of the stated dates in windows, at most 1 each (TAE).

    The mean over gold dates of min(1, |nearest stated date − gold| / window); a gold date without
    any stated date counts 1. None if there is no gold date.
    """
    errors = [min([abs(day - right) / window for day in stated] + [1.0]) for right in gold]
    return sum(errors) / len(errors) if errors else None


def replay_support(answer: str, replayed: Sequence[str]) -> float | None:
    """Return 1 if replayed gold turns support every claim of an answer (RSF).

    None if the answer claims nothing; without replayed gold turns nothing is supported.
    """
    covered = grounding.citation_coverage(answer, replayed)
    return None if covered is None else float(covered == 1)


def step_order(steps: Sequence[Hashable], gold: Sequence[Hashable]) -> float | None:
    """Return the share of all pairs of gold steps that appear in the right order.

    A pair with a missing step is wrong; anything that is not gold is ignored. With all steps
    present this is (Kendall's τ + 1) / 2. None if gold has fewer than two steps.
    """
    first = {step: n for n, step in reversed(list(enumerate(steps)))}
    pairs = list(combinations(gold, 2))
    right = sum(a in first and b in first and first[a] < first[b] for a, b in pairs)
    return right / len(pairs) if pairs else None


def spurious_replay(
    replayed: Collection[Hashable], gold: Collection[Hashable], *, answerable: bool
) -> float | None:
    """Return the share of replayed turns that are not gold.

    For an unanswerable question: 1 if anything was replayed, else 0. None if nothing was replayed
    for an answerable question: recall already counts that.
    """
    if not answerable:
        return float(bool(replayed))
    precision = grounding.context_precision(replayed, gold)
    return None if precision is None else 1 - precision


def half_life(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the x after which a score has fallen to half: ln 2 / b of y = a·exp(−b·x).

    Fitted by least squares on the scores themselves, so that zeros count. None if the score does
    not fall, without three different x, or above a hundred times the range of x.
    """
    from scipy.optimize import minimize_scalar

    x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    gaps = np.diff(np.unique(x))
    trend = slope(xs, ys)
    if len(gaps) < 2 or trend is None or trend >= 0:
        return None

    def misfit(log_half: float) -> float:
        decay = np.exp2(-(x - x.min()) / np.exp(log_half))
        height = (decay @ y) / (decay @ decay)  # the best a for this b
        return float(np.square(y - height * decay).sum())

    # the misfit may have several minima: bracket the lowest on a grid, then refine
    grid = np.linspace(log(gaps.min() / 10), log(100 * gaps.sum()), 200)
    best = int(np.argmin([misfit(log_half) for log_half in grid]))
    if best == len(grid) - 1:
        return None
    bounds = (grid[max(best - 1, 0)], grid[best + 1])
    return float(np.exp(minimize_scalar(misfit, bounds=bounds, method="bounded").x))
