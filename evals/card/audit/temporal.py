"""Time: nothing may come from the future of a question, neither in the data nor in a prompt.

Source: Zhang et al. 2025, 4.1.2 (temporal governance) and table 4.3.
"""

from collections.abc import Sequence

from evals.card.records import Audit
from evals.data.haystack import Asked, DataSet, Haystack


def evidence(data: str, read: DataSet) -> Audit:
    """Return the audit of the data itself: evidence that was said after its question was asked.

    Checked are the questions that have evidence and a time: a date, or a place among the turns.
    """
    timed = [
        (haystack, one)
        for haystack in read.haystacks
        for one in haystack.questions
        if (one.asked_at or one.after is not None) and _gold(one)
    ]
    late = [one.id for haystack, one in timed if _comes_late(haystack, one)]
    return Audit(
        name="temporal: evidence before its question",
        data=data,
        system="",
        checked=len(timed),
        violations=len(late),
        passed=not late,
        note=_note(late) if timed else "no question of this data set has a time and evidence",
    )


def _gold(one: Asked) -> set[str]:
    return {turn for gold in one.golds.values() for turn in gold.turns}


def _comes_late(haystack: Haystack, one: Asked) -> bool:
    gold = _gold(one)
    for n, turn in enumerate(haystack.turns):
        if turn.id not in gold:
            continue
        if one.after is not None and n >= one.after:
            return True
        if one.asked_at and turn.said_at and turn.said_at > one.asked_at:
            return True
    return False


def _note(late: Sequence[str]) -> str:
    shown = ", ".join(late[:5])
    return f"said after it was asked: {shown}{' …' if len(late) > 5 else ''}" if late else ""
