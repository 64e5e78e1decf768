"""Timing side by side, and what may be said of the times: medians, ratios, intervals.

The machine is shared and noisy, so a step is never timed alone: it takes turns with its baseline.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Step = Callable[[int], object]
_RESAMPLES = 2000


def nothing() -> None:
    """Do nothing between two timed steps."""


def seconds(step: Callable[[], object]) -> float:
    """Return how long `step` took, in seconds."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def interleave(
    steps: Mapping[str, Step], n: int, *, warm: int = 1, between: Callable[[], object] = nothing
) -> dict[str, Samples]:
    """Time every step `n` times, in turns, each other round in the opposite order.

    Args:
        steps: by name; a step is called with the number of its round, negative while warming up.
        n: rounds that count.
        warm: rounds before them that do not.
        between: done before every step, not timed.

    Returns:
        Seconds by name, shape (n,) each; equal rounds stand at equal places.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(-warm, n):
        names = list(steps)
        for name in names if turn % 2 == 0 else reversed(names):
            between()
            took = seconds(partial(steps[name], turn))
            if turn >= 0:
                times[name].append(took)
    return {name: np.array(taken) for name, taken in times.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its 95 % interval; without one if nothing was sampled."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1


def median_ratio(ours: Samples, baseline: Samples, *, seed: int) -> Interval:
    """Return median(ours) / median(baseline), resampling the rounds in pairs.

    Source: percentile bootstrap, Efron and Tibshirani 1993, chapter 13.
    """
    n = len(ours)
    drawn = np.random.default_rng(seed).integers(0, n, (_RESAMPLES, n))
    ratios = np.median(ours[drawn], axis=1) / np.median(baseline[drawn], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    value = float(np.median(ours) / np.median(baseline))
    return Interval(value=value, low=float(low), high=float(high), n=n)


def mean_interval(values: Sequence[float], *, seed: int) -> Interval:
    """Return the mean with a percentile-bootstrap interval; there is no mean of nothing."""
    if not len(values):
        raise ValueError("no values: a mean of nothing is not a figure")
    given = np.array(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(given), (_RESAMPLES, len(given)))
    low, high = np.percentile(given[drawn].mean(axis=1), [2.5, 97.5])
    return Interval(value=float(given.mean()), low=float(low), high=float(high), n=len(given))


def milliseconds(samples: Samples, percentile: float = 50) -> float:
    """Return a percentile of times in milliseconds."""
    return float(1000 * np.percentile(samples, percentile))
