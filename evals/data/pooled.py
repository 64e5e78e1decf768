"""Conversations of several data sets as one large memory: HEMA's 10,000 chunks, real questions."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

from evals.data.haystack import DataSet, Gold, Haystack, Question
from memkit import Turn
from memkit.errors import InvalidInput


def pool(sets: Sequence[DataSet], *, turns: int, questions: int, seed: int) -> DataSet:
    """Return one conversation of at least so many turns, if there are as many, and questions of it.

    Whole conversations are taken from the data sets alternately, so that each adds its share, and
    ordered by their first dates. Only answerable questions with evidence are sampled, and none of
    a tuning conversation: that is there to be searched. Turns, sessions and questions get their
    conversation's name in front of their ids, which makes them unique.
    """
    chosen = _choose_conversations(sets, turns)
    if not chosen:
        raise InvalidInput("nothing to pool: the data sets hold no conversation")
    chosen.sort(key=lambda haystack: str(haystack.turns[0].said_at))
    candidates = [
        _prefix_question(question, haystack.name)
        for haystack in chosen
        for question in haystack.questions
        if haystack.split == "report"
        and question.answerable
        and any(gold.turns for gold in question.golds.values())
    ]
    whole = Haystack(
        name="pooled",
        split="report",
        turns=[_prefix_turn(turn, haystack.name) for haystack in chosen for turn in haystack.turns],
        questions=random.Random(seed).sample(candidates, k=min(questions, len(candidates))),
    )
    return DataSet(
        format="pooled",
        file=" + ".join(data.file for data in sets),
        sha256="+".join(data.sha256 for data in sets),
        haystacks=[whole],
        notes=(
            f"{len(chosen)} conversations in one memory, {len(candidates)} questions to draw from",
        ),
    )


def _choose_conversations(sets: Sequence[DataSet], turns: int) -> list[Haystack]:
    """Return conversations, one of each data set in turn, until they have enough turns."""
    chosen: list[Haystack] = []
    for row in zip_longest(*(data.haystacks for data in sets)):
        for haystack in row:
            if sum(len(conversation.turns) for conversation in chosen) >= turns:
                return chosen
            if haystack is not None:
                chosen.append(haystack)
    return chosen


def _prefix_turn(turn: Turn, name: str) -> Turn:
    return replace(turn, id=f"{name}/{turn.id}", session_id=f"{name}/{turn.session_id}")


def _prefix_question(question: Question, name: str) -> Question:
    def prefix(ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"{name}/{id}" for id in ids)

    expected = replace(
        question.expected,
        stale_turns=prefix(question.expected.stale_turns),
        steps=prefix(question.expected.steps),
    )
    golds = {
        source: Gold(turns=prefix(gold.turns), sessions=prefix(gold.sessions))
        for source, gold in question.golds.items()
    }
    id = f"{name}/{question.id}"
    return replace(question, id=id, golds=golds, expected=expected, asked_at=None, after=None)
