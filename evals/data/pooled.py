"""Several data sets' conversations as one large memory: HEMA's 10,000 chunks, real questions."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count

from evals.data.haystack import Asked, DataSet, Gold, Haystack
from memkit import Turn
from memkit.errors import InvalidInput


def pool(sets: Sequence[DataSet], *, turns: int, questions: int, seed: int) -> DataSet:
    """Return one conversation of at least so many turns, if there are as many, and questions of it.

    Whole conversations are taken from the data sets in turn, so that each adds its share, and put
    in the order of their first dates. Only answerable questions with evidence are drawn, and none
    of a conversation that memkit was tuned on: it is there to be searched. Turns, sessions and
    questions are named after their conversation, so that none meets its namesake.
    """
    taken = _taken(sets, turns)
    if not taken:
        raise InvalidInput("nothing to pool: the data sets hold no conversation")
    taken.sort(key=lambda one: str(one.turns[0].said_at))
    asked = [
        _renamed(question, haystack.name)
        for haystack in taken
        for question in haystack.questions
        if haystack.split == "report"
        and question.answerable
        and any(gold.turns for gold in question.golds.values())
    ]
    chosen = random.Random(seed).sample(asked, k=min(questions, len(asked)))
    whole = Haystack(
        name="pooled",
        split="report",
        turns=[_moved(turn, one.name) for one in taken for turn in one.turns],
        questions=chosen,
    )
    files = " + ".join(one.file for one in sets)
    digest = "+".join(one.sha256 for one in sets)
    notes = (f"{len(taken)} conversations in one memory, {len(asked)} questions to draw from",)
    return DataSet(format="pooled", file=files, sha256=digest, haystacks=[whole], notes=notes)


def _taken(sets: Sequence[DataSet], turns: int) -> list[Haystack]:
    """Return conversations, one of each data set in turn, until there are turns enough."""
    taken: list[Haystack] = []
    for haystack in _in_turn(sets):
        if sum(len(one.turns) for one in taken) >= turns:
            break
        taken.append(haystack)
    return taken


def _in_turn(sets: Sequence[DataSet]) -> Iterator[Haystack]:
    for n in count():
        row = [one.haystacks[n] for one in sets if n < len(one.haystacks)]
        if not row:
            return
        yield from row


def _moved(turn: Turn, name: str) -> Turn:
    return replace(turn, id=f"{name}/{turn.id}", session_id=f"{name}/{turn.session_id}")


def _renamed(question: Asked, name: str) -> Asked:
    def moved(ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"{name}/{one}" for one in ids)

    expected = replace(
        question.expected,
        stale_turns=moved(question.expected.stale_turns),
        steps=moved(question.expected.steps),
    )
    golds = {
        whose: Gold(turns=moved(gold.turns), sessions=moved(gold.sessions))
        for whose, gold in question.golds.items()
    }
    id = f"{name}/{question.id}"
    return replace(question, id=id, golds=golds, expected=expected, asked_at=None, after=None)
