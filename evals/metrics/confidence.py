"""Abstention metrics: the best score of a search as its confidence, and the risk of answering.

An answer is an error if the question is unanswerable, or if none of its gold is among the first ten
turns. Confidences of two systems are never compared; only the order within a system counts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def confidences(best: Sequence[float | None]) -> Floats:
    """Return best scores as an array; an empty search (None) has the least confidence."""
    return np.array([-np.inf if score is None else score for score in best], dtype=np.float64)


def risk_coverage(confidence: Floats, errors: Flags) -> tuple[Floats, Floats]:
    """Return coverage and risk when the most confident 1, 2, … n questions are answered.

    Equal confidences are in random order: each question of a tie counts as the mean error of the
    tie, so that a constant confidence has the same risk everywhere.
    """
    _, ties = np.unique(-confidence, return_inverse=True)  # 0 is the most confident
    mean_error = np.bincount(ties, weights=errors) / np.bincount(ties)
    answered = np.arange(1, len(errors) + 1)
    return answered / len(errors), np.cumsum(mean_error[np.sort(ties)]) / answered


def aurc(confidence: Floats, errors: Flags) -> float:
    """Return the area under the risk-coverage curve: the mean risk over all n coverages."""
    return float(risk_coverage(confidence, errors)[1].mean())


def auroc(confidence: Floats, answerable: Flags) -> float | None:
    """Return the area under the ROC curve of answerable against unanswerable questions.

    .5 is chance, a tie counts half; None if one of the two kinds is missing.
    """
    from scipy.stats import rankdata

    yes, no = int(answerable.sum()), int((~answerable).sum())
    if not yes or not no:
        return None
    # Mann-Whitney's U over its maximum. scikit-learn's roc_auc_score gives the same value, takes
    # twenty times as long, which 500 resamples of every figure feel, and refuses infinities.
    ranks = rankdata(confidence)[answerable].sum()
    return float((ranks - yes * (yes + 1) / 2) / (yes * no))
