"""Where evidence was lost: was it stored, found, inside the budget, used?

Every stage counts only questions that passed all earlier ones, so that the difference of two
neighbours is what that stage lost. The last two are about the questions that a model answered,
which may be a sample: as shares they are of those.
"""

from collections.abc import Sequence
from typing import TypedDict

from evals.card.aggregate import groups, parts
from evals.card.records import Funnel, Record

STAGES = ("stored", "retrieved", "packed", "used", "right")
OF_REPLIES = ("used", "right")


def funnels(records: Sequence[Record]) -> list[Funnel]:
    """Return a funnel per data set, regime, system and kind of question, answerable ones only."""
    found = []
    for (data, regime, system), theirs in parts(records).items():
        asked = [one for one in theirs if one.answerable and not one.probe and one.stages]
        for group, some in groups(asked).items():
            if some:
                found.append(
                    Funnel(data=data, group=group, regime=regime, system=system, **_counts(some))
                )
    return found


class _Counts(TypedDict):
    asked: int
    stored: int | None
    retrieved: int | None
    packed: int | None
    answered: int | None
    used: int | None
    right: int | None
    lucky: int | None


def _counts(records: Sequence[Record]) -> _Counts:
    """Return how many questions came how far: what a model made of them, of the answered only."""
    answered = [one for one in records if "right" in one.stages]
    known, replied = _passed(records), _passed(answered)
    return _Counts(
        asked=len(records),
        stored=known["stored"],
        retrieved=known["retrieved"],
        packed=known["packed"],
        answered=len(answered) if answered else None,
        used=replied["used"],
        right=replied["right"],
        lucky=sum(one.stages.get("lucky", False) for one in answered) if answered else None,
    )


def _passed(records: Sequence[Record]) -> dict[str, int | None]:
    """Return how many questions came so far; None for a stage that nothing is known of."""
    left, counts = list(records), dict[str, int | None]()
    for stage in STAGES:
        if any(stage in one.stages for one in records):
            left = [one for one in left if one.stages.get(stage, True)]
            counts[stage] = len(left)
        else:
            counts[stage] = None
    return counts
