"""Timing next to a baseline, and claims made of the times: medians, ratios, intervals.

The machine is shared and noisy, so a step is never timed alone: it alternates with its baseline.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Literal, TypeVar

import numpy as np

from evals.stats.interval import Interval, Samples, median_ratio
from evals.tables import Claim, Target

Clock = Callable[[], float]
Step = Callable[[int], object]
Name = TypeVar("Name", bound=Hashable)


def seconds(step: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Return how long `step` took by this clock, in seconds."""
    started = clock()
    step()
    return clock() - started


def milliseconds(samples: Samples, percentile: float = 50) -> float:
    """Return a percentile of times in milliseconds."""
    return float(1000 * np.percentile(samples, percentile))


def interleave(
    steps: Mapping[Name, Step],
    n: int,
    *,
    warm: int = 1,
    between: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
) -> dict[Name, Samples]:
    """Time every step `n` times, alternating; every other round runs in the opposite order.

    Args:
        steps: by name; a step is called with the number of its round, negative while warming up.
        n: rounds that count.
        warm: rounds before them that do not count.
        between: called before every step, not timed.
        clock: `time.process_time` measures the processor's time in place of the wall's.

    Returns:
        Seconds by name, shape (n,) each; equal positions are of the same round.
    """
    times: dict[Name, list[float]] = {name: [] for name in steps}
    for turn in range(-warm, n):
        names = list(steps)
        for name in names if turn % 2 == 0 else reversed(names):
            between()
            times[name].append(seconds(partial(steps[name], turn), clock))
    return {name: np.array(durations[warm:]) for name, durations in times.items()}


# ---- claims


def time_claim(
    label: str,
    times: Samples,
    baseline: Samples,
    *,
    against: str,
    seed: int,
    target: Target | None = None,
    unit: Literal["s", "ms"] = "ms",
) -> Claim:
    """Return the claim that `times` are so many times the baseline's (medians)."""
    scale = {"s": 1.0, "ms": 1000.0}[unit]
    figures = (scale * float(np.median(times)), scale * float(np.median(baseline)))
    ratio = median_ratio(times, baseline, seed=seed)
    return make_claim(label, unit, figures, ratio, against=against, target=target)


def rate_claim(
    label: str,
    times: Samples,
    baseline: Samples,
    *,
    items: float,
    against: str,
    seed: int,
    target: Target | None = None,
) -> Claim:
    """Return the claim about items per second, as a share of the baseline's rate."""
    figures = (items / float(np.median(times)), items / float(np.median(baseline)))
    ratio = median_ratio(baseline, times, seed=seed)  # a rate is the inverse of a time
    return make_claim(label, "turns/s", figures, ratio, against=against, target=target)


def size_claim(label: str, size: float, baseline: float, *, against: str, unit: str) -> Claim:
    """Return a claim about something that is counted, not sampled."""
    ratio = Interval(value=size / baseline)
    return make_claim(label, unit, (size, baseline), ratio, against=against)


def make_claim(
    label: str,
    unit: str,
    figures: tuple[float, float],
    ratio: Interval,
    *,
    against: str,
    target: Target | None = None,
) -> Claim:
    """Return a claim with its target, if there is one, checked."""
    figure, baseline = figures
    return Claim(
        what=label,
        unit=unit,
        ours=figure,
        against=against,
        baseline=baseline,
        ratio=ratio,
        target=target.text(unit) if target else "",
        met=target.met(figure, baseline, ratio.value) if target else None,
    )
