"""Where evidence was lost: stored, retrieved, packed into the prompt, used, answered right?

Every stage counts only questions that passed all earlier stages, so the difference of two
neighbours is the loss of the later one. The last two stages cover the questions that a model
answered, which may be a sample: as shares they are shares of those.
"""

from collections.abc import Sequence

from evals.card.aggregate import group_by_kind, group_by_system
from evals.card.records import Funnel, Record

STAGES = ("stored", "retrieved", "packed", "used", "right")
OF_REPLIES = ("used", "right")


def funnels(records: Sequence[Record]) -> list[Funnel]:
    """Return a funnel per data set, regime, system and kind of question, answerable ones only."""
    result = []
    for (data, regime, system), members in group_by_system(records).items():
        questions = [r for r in members if r.answerable and not r.probe and r.stages]
        for group, some in group_by_kind(questions).items():
            answered = [record for record in some if "right" in record.stages]
            lucky = sum(record.stages.get("lucky", False) for record in answered)
            searches, replies = _passed(some), _passed(answered)
            funnel = Funnel(
                data=data, group=group, regime=regime, system=system, asked=len(some),
                stored=searches["stored"], retrieved=searches["retrieved"],
                packed=searches["packed"], used=replies["used"], right=replies["right"],
                answered=len(answered) if answered else None, lucky=lucky if answered else None,
            )  # fmt: skip
            result += [funnel] if some else []
    return result


def _passed(records: Sequence[Record]) -> dict[str, int | None]:
    """Return how many questions passed each stage; None for a stage without information."""
    left, counts = records, dict[str, int | None]()
    for stage in STAGES:
        known = any(stage in record.stages for record in records)
        left = [record for record in left if record.stages.get(stage, True)]
        counts[stage] = len(left) if known else None
    return counts
