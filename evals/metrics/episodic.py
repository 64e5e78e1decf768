"""What comes of events told over months: E-MARS+, panels 1, 2 and 4. Panel 3 is in `current`.

Source of all: Zhang et al. 2025 (arXiv 2509.18868), table 4.7, which names them and gives each a
few words; the exact definitions are here.
"""

from collections.abc import Collection, Hashable, Sequence
from datetime import date, timedelta
from itertools import combinations, pairwise
from math import log

import numpy as np

from evals.metrics import grounding
from evals.metrics import retrieval as metrics
from evals.metrics.position import slope
from evals.metrics.retrieval import Places
from memkit.errors import InvalidInput


def event_f1(found: Collection[Hashable], gold: Collection[Hashable]) -> float | None:
    """Return F1 of the events found, by id, whatever their order; None if there are none to find.

    An event is known by the turn that tells it.
    """
    return grounding.evidence_f1(found, gold)


def procedure_f1(found: Sequence[Hashable], gold: Sequence[Hashable]) -> float | None:
    """Return F1 of the transitions of a procedure: the pairs of a step and the next one.

    So a right step counts only where it follows the right one; give `found` without what is no
    step. None if gold has fewer than two steps.
    """
    return grounding.evidence_f1(list(pairwise(found)), list(pairwise(gold)))


def anchoring_error(
    said: Collection[date], gold: Collection[date], window: timedelta
) -> float | None:
    """Return how far off the dates said are, in windows, at most 1 each (TAE). Lower is better.

    The mean over gold dates of min(1, |nearest date said − gold| / window); a date that is not
    said counts 1. None if there is no gold date.

    Raises:
        InvalidInput: the window is not positive.
    """
    if window <= timedelta():
        raise InvalidInput(f"a window of {window}; give the time span that counts as wholly wrong")
    errors = [min([abs(one - right) / window for one in said] + [1.0]) for right in gold]
    return sum(errors) / len(errors) if errors else None


def replay_support(answer: str, replayed: Sequence[str]) -> float | None:
    """Return 1 if replayed gold supports every claim of an answer (RSF); None if it has none.

    Args:
        answer: the reply.
        replayed: the gold turns that were put before the model; none of them supports nothing.
    """
    covered = grounding.citation_coverage(answer, replayed)
    return None if covered is None else float(covered == 1)


def replay_at_k(found: Places, k: int) -> float | None:
    """Return the share of the gold among the first k replayed (ASR@k); None if there is no gold."""
    return metrics.recall(found, k) if found else None


def step_order(found: Sequence[Hashable], gold: Sequence[Hashable]) -> float | None:
    """Return the share of all pairs of gold steps that were found in the right order.

    A pair with a step that was not found is wrong, and what is not gold is passed over. With every
    step found this is (Kendall's τ + 1) / 2. None if gold has fewer than two steps.
    """
    at = {step: n for n, step in reversed(list(enumerate(found)))}  # where it first is
    pairs = list(combinations(gold, 2))
    right = sum(a in at and b in at and at[a] < at[b] for a, b in pairs)
    return right / len(pairs) if pairs else None


def spurious_replay(
    replayed: Collection[Hashable], gold: Collection[Hashable], *, answerable: bool
) -> float | None:
    """Return the share of replayed turns that are not gold. Lower is better.

    For a question that cannot be answered: 1 if anything was replayed at all, else 0. None if an
    answerable question had nothing replayed, which recall punishes.
    """
    if not answerable:
        return float(bool(replayed))
    precise = grounding.context_precision(replayed, gold)
    return None if precise is None else 1 - precise


def half_life(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return after how many x a score has fallen to half: ln 2 / b of y = a·exp(−b·x).

    By least squares on the scores themselves, so that zeros count.

    Returns:
        None if the score does not fall by least squares, if there are no three different x, or if
        the half-life would be more than a hundred times what was looked at.
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

    tried = np.linspace(log(gaps.min() / 10), log(100 * gaps.sum()), 200)
    best = int(np.argmin([misfit(one) for one in tried]))
    if best == len(tried) - 1:
        return None
    around = (tried[max(best - 1, 0)], tried[best + 1])
    return float(np.exp(minimize_scalar(misfit, bounds=around, method="bounded").x))
