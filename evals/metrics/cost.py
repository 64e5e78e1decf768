"""What a memory costs: times, tokens, and the least that buys a score."""

from collections.abc import Iterable, Sequence

import numpy as np

from memkit.errors import InvalidInput


def percentile(values: Sequence[float], q: float) -> float:
    """Return the value that q % of the values are at or below, interpolated.

    Raises:
        InvalidInput: there is none.
    """
    if not len(values):
        raise InvalidInput("no values: a percentile of nothing is not a figure")
    return float(np.percentile(np.asarray(values, dtype=np.float64), q))


def cost_at_target(points: Iterable[tuple[float, float]], target: float) -> float | None:
    """Return the smallest cost whose score reaches the target; None if none does (Cost@Target).

    Source: Zhang et al. 2025 (arXiv 2509.18868), table 4.7.

    Args:
        points: (cost, score) of each configuration.
        target: the score to reach, higher is better.
    """
    return min((cost for cost, score in points if score >= target), default=None)


def prefix_reuse(reused: float, new: float) -> float | None:
    """Return the share of prompt tokens that a prefix cache already had; None of an empty prompt.

    Args:
        reused: tokens taken from the cache.
        new: tokens read for the first time.
    """
    return reused / (reused + new) if reused + new else None
