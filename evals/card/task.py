"""One unit of work (data set × system × regime × conversation) and the order of its questions."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from operator import itemgetter

from evals.card.records import Regime
from evals.card.state import QuestionState
from evals.data.haystack import Haystack, Question
from evals.systems.registry import System
from memkit import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The smallest part of a card that is run, stored and resumed as a whole."""

    data: str  # name of the data set in the config
    haystack: str
    regime: Regime
    system: str

    @property
    def name(self) -> str:
        """The task in words, for error messages."""
        return f"{self.data} / {self.haystack} / {self.regime} / {self.system}"


def replay(haystack: Haystack, system: System) -> Iterator[QuestionState]:
    """Yield every question with the memory in its state at the question's time, in that order.

    Later turns are remembered later, so no memory needs the time. Turns that the user
    deletes are forgotten before any question.
    """
    turns, writing = 0, 0.0
    ends = [(turns_before(question, haystack), question) for question in haystack.questions]
    for end, question in sorted(ends, key=itemgetter(0)):
        if end > turns:
            new = haystack.turns[turns:end]
            writing += _remember(system, new)
            _forget(haystack, system, new)
            turns = end
        yield QuestionState(haystack=haystack, question=question, turns=turns, writing=writing)


def online(
    steps: int, haystack: Haystack, system: System, probed: frozenset[str]
) -> Iterator[QuestionState]:
    """Yield every question after the step that completes its evidence, and repeat some later.

    A repeated question is a probe: only its search is scored, to measure the effect of later
    writes.

    Args:
        steps: maintenance steps of the conversation.
        haystack: the conversation.
        system: the memory, empty.
        probed: ids of the questions that are repeated after every later step.
    """
    stale = {turn for question in haystack.questions for turn in question.expected.stale_turns}
    repeated: list[Question] = []
    turns, writing = 0, 0.0
    for step, end in enumerate(boundaries(haystack, steps), start=1):
        writing += _remember(system, haystack.turns[turns:end])
        if end == len(haystack.turns):
            _forget(haystack, system, haystack.turns)
        state = QuestionState(
            haystack=haystack, question=haystack.questions[0], turns=end, writing=writing, step=step
        )
        for question in repeated:
            yield replace(state, question=question, probe=True)
        due = [
            question
            for question in haystack.questions
            if turns < turns_at_first(question, haystack) <= end
        ]
        for question in due:
            yield replace(state, question=question)
        # a superseded answer is meant to disappear, so only answers that hold are repeated
        repeated += [
            question
            for question in due
            if question.id in probed and stale.isdisjoint(question.gold.turns)
        ]
        turns = end


def _remember(system: System, turns: Sequence[Turn]) -> float:
    """Remember turns; return the time in milliseconds."""
    started = time.perf_counter()
    system.remember(turns)
    return 1000 * (time.perf_counter() - started)


def _forget(haystack: Haystack, system: System, turns: Sequence[Turn]) -> None:
    """Delete those of these turns that the user deletes."""
    present = {turn.id for turn in turns}
    if deleted := tuple(turn_id for turn_id in haystack.forgotten if turn_id in present):
        system.forget(deleted)


def turns_before(question: Question, haystack: Haystack) -> int:
    """Return the number of turns that precede a question; all turns if it has no time."""
    turns, now = haystack.turns[: question.after], question.asked_at
    later = (n for n, turn in enumerate(turns) if now and turn.said_at and turn.said_at > now)
    return next(later, len(turns))


def boundaries(haystack: Haystack, steps: int) -> list[int]:
    """Return the number of turns at the end of each step.

    Steps are equal parts, and end where a question has a fixed time. The last boundary is the end
    of the conversation.
    """
    n = len(haystack.turns)
    parts = {round(n * step / steps) for step in range(1, steps + 1)}
    times = {question.after for question in haystack.questions if question.after is not None}
    return sorted(end for end in parts | times if 0 < end <= n)


def turns_at_first(question: Question, haystack: Haystack) -> int:
    """Return the number of turns before a question is first put: its evidence is complete.

    A question without evidence, or about a deleted turn, is put at the end.
    """
    if question.after is not None:
        return min(max(question.after, 1), len(haystack.turns))
    place = {turn.id: n for n, turn in enumerate(haystack.turns, start=1)}
    ends = [place[turn] for turn in question.gold.turns if turn in place]
    return max(ends) if ends else len(haystack.turns)


def sample(haystacks: Sequence[Haystack], most: int | None, seed: int) -> frozenset[str]:
    """Return the ids of `most` questions, stratified by kind and drawn by seed; None: all ids."""
    kinds: dict[str, list[str]] = {}
    for haystack in haystacks:
        for question in haystack.questions:
            kinds.setdefault(question.group, []).append(question.id)
    rng = random.Random(seed)
    for name in sorted(kinds):
        rng.shuffle(kinds[name])
    rounds = zip_longest(*(kinds[name] for name in sorted(kinds)))  # one question of each kind
    chosen = [question for round_ in rounds for question in round_ if question is not None]
    return frozenset(chosen[:most])
