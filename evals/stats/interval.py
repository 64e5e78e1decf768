"""A figure with its 95 % interval, and percentile-bootstrap intervals of independent samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

Samples = NDArray[np.float64]
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its 95 % interval; without limits if nothing was sampled."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1


def mean_interval(values: Sequence[float], *, seed: int) -> Interval:
    """Return the mean with a percentile-bootstrap interval.

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("no values: a mean of nothing is not a figure")
    return _percentile(np.mean, (np.array(values, dtype=float),), seed)


def median_ratio(numerator: Samples, denominator: Samples, *, seed: int) -> Interval:
    """Return the ratio of two medians; samples with equal positions are resampled in pairs.

    Source: percentile bootstrap, Efron and Tibshirani 1993, chapter 13.
    """

    def ratio(a: Samples, b: Samples, axis: int = -1) -> Any:
        return np.median(a, axis=axis) / np.median(b, axis=axis)

    return _percentile(ratio, (numerator, denominator), seed)


def _percentile(statistic: Callable[..., Any], samples: tuple[Samples, ...], seed: int) -> Interval:
    value, n = float(statistic(*samples)), len(samples[0])
    if n < 2:  # scipy refuses a single value; every resample of it is the same
        return Interval(value=value, low=value, high=value, n=n)
    low, high = bootstrap(
        samples, statistic, paired=True, n_resamples=_RESAMPLES, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(value=value, low=float(low), high=float(high), n=n)
