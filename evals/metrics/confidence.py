"""Does a memory know when it has nothing to say? Its best score as confidence, and what follows.

An answer is an error if the question cannot be answered from the dialogue, or if it can and none
of its gold is among the first ten turns. Confidences of two systems are never compared: each
one's questions are put in the order of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing:
    """What a rule of when to say nothing does to all questions; None: no such questions."""

    coverage: float  # share of all questions that are answered
    risk: float | None  # share of errors among the answered
    unanswerable_refused: float | None  # of the unanswerable: rightly
    answerable_refused: float | None  # of the answerable: wrongly


def confidences(best: Sequence[float | None]) -> Floats:
    """Return best scores as an array; a search that found nothing is the least confident."""
    return np.array([-np.inf if score is None else score for score in best], dtype=np.float64)


def risk_coverage(confidence: Floats, errors: Flags) -> tuple[Floats, Floats]:
    """Return coverage and risk when the most confident 1, 2, … n questions are answered.

    Among equal confidences the order is chance: each of them counts as their mean error, so that
    a constant confidence has the same risk everywhere.
    """
    _, tied = np.unique(-confidence, return_inverse=True)  # 0 is the most confident
    mean = np.bincount(tied, weights=errors) / np.bincount(tied)
    expected = np.sort(tied)
    answered = np.arange(1, len(errors) + 1)
    return answered / len(errors), np.cumsum(mean[expected]) / answered


def aurc(confidence: Floats, errors: Flags) -> float:
    """Return the area under the risk-coverage curve: 0 is best.

    The mean of the risks over all n coverages. Source: Geifman, Uziel and El-Yaniv, ICLR 2019.
    """
    return float(risk_coverage(confidence, errors)[1].mean())


def excess_aurc(confidence: Floats, errors: Flags) -> float:
    """Return what AURC has above the ideal order of the same answers, errors last: 0 is best.

    Source: the same (E-AURC), with the exact ideal in place of its limit.
    """
    return aurc(confidence, errors) - aurc(-errors.astype(np.float64), errors)


def auroc(confidence: Floats, answerable: Flags) -> float | None:
    """Return how often an answerable question is more confident than an unanswerable one.

    .5 is chance, a tie is half; None if there are not both.
    """
    yes, no = confidence[answerable], np.sort(confidence[~answerable])
    if not len(yes) or not len(no):
        return None
    below, up_to = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    return float((below + up_to).mean() / (2 * len(no)))


def refusing(answered: Flags, errors: Flags, answerable: Flags) -> Refusing:
    """Return what comes of answering only these questions."""
    return Refusing(
        coverage=float(answered.mean()),
        risk=_share(errors[answered]),
        unanswerable_refused=_share(~answered[~answerable]),
        answerable_refused=_share(~answered[answerable]),
    )


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None


def choose_threshold(confidence: Floats, answerable: Flags) -> float | None:
    """Return the confidence from which on to answer, chosen on these questions.

    The one with the largest difference between the share of unanswerable questions refused and
    that of answerable ones refused (Youden's J); the lowest of equals. None if there are not both.
    """
    if answerable.all() or not answerable.any():
        return None
    candidates = np.unique(confidence[np.isfinite(confidence)])
    if not len(candidates):
        return None
    yes, no = np.sort(confidence[answerable]), np.sort(confidence[~answerable])
    refused_no = np.searchsorted(no, candidates, "left") / len(no)
    refused_yes = np.searchsorted(yes, candidates, "left") / len(yes)
    return float(candidates[np.argmax(refused_no - refused_yes)])
