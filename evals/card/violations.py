"""Count what no memory may do: show the future, show deleted turns, invent an answer.

A score alone would reward all three.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from evals.card.task import Evidence, QuestionState
from evals.metrics import answers, dates, grounding
from memkit import Turn

_HALF = 0.5  # least share of a derived sentence's content words that its source turn has
_MARK = re.compile(r"^[\s>]*(?:\[[^\]]*\b\d{4}\]\s*)?")  # "> [since 1 May 2024] "
_SPEAKER = re.compile(r"^(?:[^:]{0,60}:\s+)*")  # "Lately: Ann: "
_CLAUSE = re.compile(r"[,;:()]+\s|\s[–—-]\s")  # the boundary in "in Oslo, with Ann"


def count(state: QuestionState, evidence: Evidence) -> dict[str, int]:
    """Return the violations of each rule in the evidence for a question; 0 is reported too."""
    turns = {*evidence.served, *evidence.packed.turns}
    deleted = state.forgotten
    return {
        "from the future": len(turns - evidence.visible - deleted),
        "forgotten": len(turns & deleted) + _deleted_value(state, evidence),
        "answer leaked": _leaked(state, evidence),
    }


def _deleted_value(state: QuestionState, evidence: Evidence) -> int:
    """Return 1 if the prompt has a value that only deleted turns gave, in any wording."""
    values = state.question.expected.stale
    deleted = state.forgotten & set(state.question.expected.stale_turns)
    return int(bool(values and deleted and answers.contains(evidence.packed.text, values)))


def _leaked(state: QuestionState, evidence: Evidence) -> int:
    """Return how many packed sentences hold the answer without a source in the conversation.

    A sentence has a source if it is part of a turn; a bare answer, if it is a whole clause of one.
    A derived sentence has one if at least half of its content words, the answer's not counted, are
    those of a turn that holds the answer too. A date may be computed ("yesterday"), so then the
    turn need not hold it.
    """
    expected = state.question.expected.answers
    if not expected or not answers.contains(evidence.packed.text, expected):
        return 0
    past = [turn for turn in state.haystack.turns if turn.id in evidence.visible]
    is_date = dates.dated(expected)
    sources = [
        grounding.content(f"{turn.speaker}: {turn.text}")
        for turn in past
        if is_date or answers.contains(f"{turn.speaker}: {turn.text}", expected)
    ]
    answer = frozenset[str]().union(*map(grounding.content, expected))
    leaks = 0
    for sentence in _sentences(evidence.packed.text):
        if not answers.contains(sentence, expected):
            continue
        bare = _bare(sentence, state.question.text)
        words = grounding.content(bare) - answer
        if _is_quoted(bare, past, whole_clause=not words):
            continue
        shares = (len(words & source) / len(words) for source in sources if words)
        leaks += max(shares, default=0.0) < _HALF
    return leaks


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text without marks; the clauses of a summary one by one.

    A doubted thought is followed by the later words: "I live in Leeds · 12 May 2026: we moved".
    """
    return [
        _MARK.sub("", sentence)
        for line in text.splitlines()
        for part in line.split(" · ")
        for sentence in grounding.sentences(part.replace("; ", ". "))
    ]


def _bare(sentence: str, question: str = "") -> str:
    repeated = re.compile(re.escape(question.rstrip("?. ")), re.IGNORECASE)
    return _SPEAKER.sub("", dates.without(repeated.sub("", sentence) if question else sentence))


def _is_quoted(text: str, turns: Sequence[Turn], *, whole_clause: bool) -> bool:
    if not (normal := answers.normalise(text)):
        return False
    if whole_clause:
        return any(normal in _clauses(turn.text) for turn in turns)
    return any(f" {normal} " in _normalised(turn.text) for turn in turns)


@lru_cache(maxsize=8192)  # the same turns are searched for many questions
def _clauses(text: str) -> frozenset[str]:
    return frozenset(
        answers.normalise(clause)
        for sentence in map(_bare, _sentences(text))
        for clause in (sentence, *_CLAUSE.split(sentence))
    )


@lru_cache(maxsize=8192)
def _normalised(text: str) -> str:
    return f" {answers.normalise(dates.without(text))} "
