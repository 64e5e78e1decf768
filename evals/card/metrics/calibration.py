"""Are confidences right as probabilities? Only for those that are meant as such, from 0 to 1.

Whether they put questions in the right order is AURC and AUROC, in `evals.retrieval.abstention`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memkit.errors import InvalidInput

BINS = 10


def brier(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Return the mean squared difference of a probability and what came of it. 0 is best.

    Source: Brier, Monthly Weather Review 1950, for two outcomes.

    Raises:
        InvalidInput: there are none, unequally many, or one is no probability.
    """
    given, came = _checked(probabilities, outcomes)
    return float(np.square(given - came).mean())


def adaptive_calibration_error(
    probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = BINS
) -> float:
    """Return the mean over bins of equal n of |mean probability − share that came true| (ACE).

    Equal probabilities count as their mean outcome, so that the order of questions is nothing.
    Source: Nixon et al., CVPR workshops 2019, for two outcomes.

    Args:
        probabilities: that an answer is right.
        outcomes: whether it was.
        bins: fewer if there are not so many questions.

    Raises:
        InvalidInput: there are none, unequally many, or one is no probability.
    """
    given, came = _checked(probabilities, outcomes)
    _, tied = np.unique(given, return_inverse=True)
    expected = (np.bincount(tied, weights=came) / np.bincount(tied))[tied]
    order = np.argsort(given, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(np.mean([abs(given[part].mean() - expected[part].mean()) for part in parts]))


def _checked(
    probabilities: Sequence[float], outcomes: Sequence[bool]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(probabilities) or len(probabilities) != len(outcomes):
        raise InvalidInput(
            f"{len(probabilities)} probabilities and {len(outcomes)} outcomes; give one of each "
            "per question, for one question or more"
        )
    given = np.asarray(probabilities, dtype=np.float64)
    if not ((given >= 0) & (given <= 1)).all():
        raise InvalidInput("a confidence outside 0 … 1 is no probability; calibrate it first")
    return given, np.asarray(outcomes, dtype=np.float64)
