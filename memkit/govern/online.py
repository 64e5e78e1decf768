"""What users get from the two arms of a rollout, in counts, and when one is too much worse."""

from dataclasses import dataclass
from math import sqrt

from memkit.retrieval.fusion import AUTO

_ERRORS = 3.0  # standard errors that a difference must exceed its limit by; looked at very often


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much worse the candidate may be before it falls back. Write them down before you start.

    A limit is exceeded if the difference is greater by three standard errors, so that chance alone
    seldom does it however often the counts are looked at.
    """

    least: int = 100  # recalls of each arm, before they are compared
    empty: float = 0.02  # share of recalls without a hit that is probably relevant
    relevance: float = 0.05  # mean relevance of the best hit
    corrections: float = 0.02  # corrections and retractions, per recall
    probes: float = 0.02  # any score of the probe; not a sample, so it is compared as it is


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was counted of one arm."""

    recalls: int = 0
    empty: int = 0  # recalls without a hit that `min_relevance="auto"` keeps
    corrections: int = 0  # thoughts that users corrected or retracted
    total: float = 0.0  # of the relevance of best hits
    squares: float = 0.0

    def add_recall(self, relevance: float) -> None:
        """Count a recall by the relevance of its best hit, 0 without one."""
        self.recalls += 1
        self.empty += relevance < AUTO
        self.total += relevance
        self.squares += relevance**2

    @property
    def mean_relevance(self) -> float:
        """Return the mean relevance of the best hits, 0 to 1."""
        return self.total / max(self.recalls, 1)

    def _measures(self) -> dict[str, tuple[float, float]]:
        """Return mean and variance of what is compared; more is worse."""
        n = self.recalls
        empty, corrections = self.empty / n, self.corrections / n
        variance = max(self.squares / n - self.mean_relevance**2, 0)
        return {
            "empty": (empty, empty * (1 - empty)),
            "relevance": (-self.mean_relevance, variance),
            "corrections": (corrections, corrections),  # as many as happen by chance: Poisson
        }


def find_breaches(control: Counts, candidate: Counts, limits: Limits) -> list[str]:
    """Return the limits that the candidate exceeds, by name; none before both have enough recalls.

    >>> control = Counts(recalls=1000, empty=50, total=600, squares=400)
    >>> candidate = Counts(recalls=1000, empty=150, total=600, squares=400)
    >>> find_breaches(control, candidate, Limits())
    ['empty']
    """
    if min(control.recalls, candidate.recalls) < max(limits.least, 1):
        return []
    ours, theirs = candidate._measures(), control._measures()
    return [
        name
        for name, (mean, variance) in ours.items()
        if mean - theirs[name][0] - _ERRORS * _error(variance, candidate, theirs[name][1], control)
        > getattr(limits, name)
    ]


def _error(variance: float, of: Counts, other_variance: float, of_other: Counts) -> float:
    """Return the standard error of the difference of two means."""
    return sqrt(variance / of.recalls + other_variance / of_other.recalls)
