"""Cost metrics: the cheapest way to a score, and reuse of the prefix cache."""

from collections.abc import Iterable


def cost_at_target(points: Iterable[tuple[float, float]], target: float) -> float | None:
    """Return the smallest cost that reaches the target score, or None (Cost@Target).

    Args:
        points: (cost, score) of each configuration.
        target: the score to reach; higher is better.

    Source: Zhang et al. 2025 (arXiv 2509.18868), table 4.7.
    """
    return min((cost for cost, score in points if score >= target), default=None)


def prefix_reuse(reused: float, new: float) -> float | None:
    """Return the share of prompt tokens in the prefix cache; None of an empty prompt."""
    return reused / (reused + new) if reused + new else None
