"""Where evidence was lost: was it stored, found, inside the budget, used?

Every stage counts only questions that passed all earlier ones, so that the difference of two
neighbours is what that stage lost.
"""

from collections.abc import Sequence

from evals.card.layers import groups, parts
from evals.card.records import Funnel, Record

STAGES = ("stored", "retrieved", "packed", "used", "right")


def funnels(records: Sequence[Record]) -> list[Funnel]:
    """Return a funnel per data set, regime, system and kind of question, answerable ones only."""
    found = []
    for (data, regime, system), theirs in parts(records).items():
        asked = [one for one in theirs if one.answerable and not one.probe and one.stages]
        answered = [one for one in asked if "right" in one.stages]
        for group, some in groups(answered or asked).items():
            if some:
                counts = _counts(some)
                lucky = [one for one in some if one.stages.get("lucky")]
                found.append(
                    Funnel(
                        data=data, group=group, regime=regime, system=system, asked=len(some),
                        lucky=len(lucky) if answered else None, **counts,
                    )
                )  # fmt: skip
    return found


def _counts(records: Sequence[Record]) -> dict[str, int | None]:
    """Return how many questions came so far; None from a stage on that nothing is known of."""
    left, counts = list(records), dict[str, int | None]()
    for stage in STAGES:
        if any(stage in one.stages for one in records):
            left = [one for one in left if one.stages.get(stage, True)]
            counts[stage] = len(left)
        else:
            counts[stage] = None
    return counts
