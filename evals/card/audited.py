"""What a memory must not do, counted per question: know the future, keep what was deleted, make up.

Three things a broken or dishonest memory does that a score alone would reward.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from evals.card.state import Evidence, QuestionState
from evals.metrics import answers, dates, grounding
from memkit import Turn

_HALF = 0.5
_MARK = re.compile(r"^[\s>]*(?:\[[^\]]*\b\d{4}\]\s*)?")  # "> [since 1 May 2024] "
_SPEAKER = re.compile(r"^(?:[^:]{0,60}:\s+)*")  # "Lately: Ann: "
_CLAUSE = re.compile(r"[,;:()]+\s|\s[–—-]\s")


def violations(state: QuestionState, evidence: Evidence) -> dict[str, int]:
    """Return how often each rule was broken in what came back for a question; 0 is kept too."""
    shown = {*evidence.served, *evidence.packed.turns}
    gone = state.forgotten
    return {
        "from the future": len(shown - evidence.known - gone),
        "forgotten": len(shown & gone) + _deleted_value(state, evidence),
        "answer leaked": _leaked(state, evidence),
    }


def _deleted_value(state: QuestionState, evidence: Evidence) -> int:
    """Return 1 if what was deleted still stands in the prompt, in whatever words around it."""
    values = state.question.expected.stale
    if not values or not _is_deleted(state):
        return 0
    return int(bool(answers.contains(evidence.packed.text, values)))


def _is_deleted(state: QuestionState) -> bool:
    return bool(state.forgotten & set(state.question.expected.stale_turns))


def _leaked(state: QuestionState, evidence: Evidence) -> int:
    """Return how many packed sentences hold the answer and stem from nothing that had been said.

    What somebody said, whole or in part, does; a bare answer only where it was a clause of its own.
    Of a derived sentence, which may say it otherwise, at least half of the content words besides
    the answer have to be those of one turn that holds the answer too. A day, a month or a year may
    be worked out ("yesterday"), so there the turn need not hold it.
    """
    given = state.question.expected.answers
    if not given or not answers.contains(evidence.packed.text, given):
        return 0
    said = [turn for turn in state.haystack.turns if turn.id in evidence.known]
    dated = dates.dated(given)
    sources = [
        grounding.content(f"{turn.speaker}: {turn.text}")
        for turn in said
        if dated or answers.contains(f"{turn.speaker}: {turn.text}", given)
    ]
    answer = frozenset[str]().union(*map(grounding.content, given))
    leaks = 0
    for sentence in map(_unmarked, _sentences(evidence.packed.text)):
        if not answers.contains(sentence, given):
            continue
        bare = _bare(sentence, state.question.text)
        others = grounding.content(bare) - answer
        if _was_said(bare, said, whole=not others):
            continue
        shares = (len(others & source) / len(others) for source in sources if others)
        leaks += max(shares, default=0.0) < _HALF
    return leaks


def _sentences(text: str) -> list[str]:
    """Return sentences; the clauses of a summary, which stand in one line, each alone."""
    return [one for line in text.splitlines() for one in grounding.sentences(_unclaused(line))]


def _unclaused(line: str) -> str:
    return line.replace("; ", ". ")


def _unmarked(sentence: str) -> str:
    """Return a sentence without the quote mark and the day that a memory writes before it."""
    return _MARK.sub("", sentence)


def _bare(sentence: str, question: str = "") -> str:
    """Return a sentence without its dates, without who says it, and without the question."""
    asked = re.compile(re.escape(question.rstrip("?. ")), re.IGNORECASE)
    return _SPEAKER.sub("", dates.without(asked.sub("", sentence) if question else sentence))


def _was_said(text: str, said: Sequence[Turn], *, whole: bool) -> bool:
    """Return whether a text stands in what was said: as a clause of its own, or anywhere."""
    plain = answers.normalise(text)
    if not plain:
        return False
    if whole:
        return any(plain in _clauses(turn.text) for turn in said)
    return any(f" {plain} " in _plain(turn.text) for turn in said)


@lru_cache(maxsize=8192)  # the same turns are looked through for many questions
def _clauses(text: str) -> frozenset[str]:
    sentences = [_bare(_unmarked(one)) for one in _sentences(text)]
    return frozenset(
        answers.normalise(part) for one in sentences for part in (one, *_CLAUSE.split(one))
    )


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    return f" {answers.normalise(dates.without(text))} "
