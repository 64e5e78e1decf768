"""Where evidence was lost: stored, retrieved, packed into the prompt, used, answered right?

Every stage counts only questions that passed all earlier stages, so the difference of two
neighbours is the loss of the later one. The last two stages cover the questions that a model
answered, which may be a sample: as shares they are shares of those.
"""

from collections.abc import Sequence
from typing import TypedDict

from evals.card.aggregate import group_by_kind, group_by_system
from evals.card.records import Funnel, Record

STAGES = ("stored", "retrieved", "packed", "used", "right")
OF_REPLIES = ("used", "right")


def funnels(records: Sequence[Record]) -> list[Funnel]:
    """Return a funnel per data set, regime, system and kind of question, answerable ones only."""
    result = []
    for (data, regime, system), members in group_by_system(records).items():
        questions = [
            record for record in members if record.answerable and not record.probe and record.stages
        ]
        for group, some in group_by_kind(questions).items():
            if some:
                result.append(
                    Funnel(data=data, group=group, regime=regime, system=system, **_counts(some))
                )
    return result


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
    """Return how many questions passed each stage; stages of replies count answered questions."""
    answered = [record for record in records if "right" in record.stages]
    searches, replies = _passed(records), _passed(answered)
    return _Counts(
        asked=len(records),
        stored=searches["stored"],
        retrieved=searches["retrieved"],
        packed=searches["packed"],
        answered=len(answered) if answered else None,
        used=replies["used"],
        right=replies["right"],
        lucky=sum(record.stages.get("lucky", False) for record in answered) if answered else None,
    )


def _passed(records: Sequence[Record]) -> dict[str, int | None]:
    """Return how many questions passed each stage; None for a stage without information."""
    left, counts = list(records), dict[str, int | None]()
    for stage in STAGES:
        if any(stage in record.stages for record in records):
            left = [record for record in left if record.stages.get(stage, True)]
            counts[stage] = len(left)
        else:
            counts[stage] = None
    return counts
