"""What a memory must not do, counted per question: know the future, keep what was deleted, make up.

Three things a broken or dishonest memory does that a score alone would reward.
"""

from evals.card.evidence import Evidence, Moment
from evals.card.metrics import answers, dates, grounding
from evals.retrieval.seam import line

_HALF = 0.5


def violations(moment: Moment, evidence: Evidence) -> dict[str, int]:
    """Return how often each rule was broken in what came back for a question; 0 is kept too."""
    shown = {*evidence.served, *evidence.packed.turns}
    gone = moment.forgotten
    return {
        "from the future": len(shown - evidence.known - gone),
        "forgotten": len(shown & gone) + _deleted_value(moment, evidence),
        "answer leaked": _leaked(moment, evidence),
    }


def _deleted_value(moment: Moment, evidence: Evidence) -> int:
    """Return 1 if what was deleted still stands in the prompt, in whatever words around it."""
    values = moment.question.expected.stale
    if not values or not _is_deleted(moment):
        return 0
    return int(bool(answers.contains(evidence.packed.text, values)))


def _is_deleted(moment: Moment) -> bool:
    return bool(moment.forgotten & set(moment.question.expected.stale_turns))


def _leaked(moment: Moment, evidence: Evidence) -> int:
    """Return how many packed sentences hold the answer and stem from nothing that had been said.

    A sentence stems from a turn that holds the answer too and has more than half of its content
    words; that is how a derived sentence, which may say it otherwise, stays allowed. A day may be
    worked out ("yesterday"), so there the turn needs to hold the rest of the sentence only.
    """
    given = moment.question.expected.answers
    if not given or not answers.contains(evidence.packed.text, given):
        return 0
    said = [line(turn) for turn in moment.haystack.turns if turn.id in evidence.known]
    dated = bool(dates.days(given))
    sources = said if dated else [text for text in said if answers.contains(text, given)]
    shown = [
        dates.without(one) if dated else one
        for text in evidence.packed.text.splitlines()
        for one in grounding.sentences(text.replace("; ", ". "))
        if answers.contains(one, given)
    ]
    return sum(not any(grounding.overlap(one, text) > _HALF for text in sources) for one in shown)
