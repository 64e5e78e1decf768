"""Outcomes in, what each system's confidence is worth out: in general, and by its rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evals.bench.measure import Interval
from evals.data.haystack import PUBLISHED
from evals.metrics import confidence as abstention
from evals.metrics.confidence import Flags, Floats, Refusing
from evals.retrieval.figures import by_system
from evals.retrieval.run import Outcome
from evals.stats import bootstrap as statistics

CHOSEN = "threshold chosen on tuning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """What a system's best score tells of its answers."""

    system: str
    answerable: int  # questions
    unanswerable: int
    auroc: Interval | None  # None: not both kinds
    aurc: Interval | None
    excess_aurc: float
    rules: Mapping[str, Refusing]  # when it says nothing: its own rules, then a chosen threshold


def judged(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes that count: unanswerable questions, and answerable ones with gold."""
    return [one for one in outcomes if not one.answerable or one.found[PUBLISHED].turns]


def errors(outcomes: Sequence[Outcome]) -> Flags:
    """Return which answers are wrong: unanswerable, or no gold among the turns served."""
    return np.array([not one.answerable or not _served(one) for one in outcomes], dtype=bool)


def _served(one: Outcome) -> bool:
    return any(place is not None for place in one.found[PUBLISHED].served)


def _signals(outcomes: Sequence[Outcome]) -> tuple[Floats, Flags]:
    best = abstention.confidences([one.confidence for one in outcomes])
    return best, np.array([one.answerable for one in outcomes], dtype=bool)


def thresholds(tuning: Sequence[Outcome]) -> dict[str, float]:
    """Return for each system the threshold chosen on the tuning split, if that has both kinds."""
    found = {}
    for system, theirs in by_system(judged(tuning)).items():
        chosen = abstention.choose_threshold(*_signals(theirs))
        if chosen is not None:
            found[system] = chosen
    return found


def measured(
    outcomes: Sequence[Outcome], chosen: Mapping[str, float], seed: int
) -> list[Confidence]:
    """Return for each system how its confidence orders questions, and what its rules refuse.

    Args:
        outcomes: of one split.
        chosen: threshold by system, from the tuning split.
        seed: of the intervals, which are by conversation.
    """
    return [
        _measured(system, theirs, chosen.get(system), seed)
        for system, theirs in by_system(judged(outcomes)).items()
    ]


def _measured(
    system: str, outcomes: Sequence[Outcome], chosen: float | None, seed: int
) -> Confidence:
    best, answerable = _signals(outcomes)
    wrong = errors(outcomes)

    def auroc(rows: NDArray[np.intp]) -> float | None:
        return abstention.auroc(best[rows], answerable[rows])

    def aurc(rows: NDArray[np.intp]) -> float:
        return abstention.aurc(best[rows], wrong[rows])

    answered = {
        rule: np.array([not one.refused[rule] for one in outcomes], dtype=bool)
        for rule in outcomes[0].refused
    }
    if chosen is not None:
        answered[f"{CHOSEN}: {chosen:.3g}"] = best >= chosen
    interval = partial(statistics.bootstrap, clusters=[one.haystack for one in outcomes], seed=seed)
    return Confidence(
        system=system,
        answerable=int(answerable.sum()),
        unanswerable=int((~answerable).sum()),
        auroc=interval(auroc),
        aurc=interval(aurc),
        excess_aurc=abstention.excess_aurc(best, wrong),
        rules={
            rule: abstention.refusing(which, wrong, answerable) for rule, which in answered.items()
        },
    )
