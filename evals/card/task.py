"""One unit of work: one system, one conversation, one regime, and a record per question."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from evals.card.ask import Evaluator
from evals.card.config import Config
from evals.card.records import Record, Regime
from evals.card.state import QuestionState
from evals.data.haystack import Asked, Haystack
from evals.systems.registry import System
from memkit import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is done, or not done, as a whole."""

    data: str  # the data set's name in the config
    haystack: str
    regime: Regime
    system: str

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.data} / {self.haystack} / {self.regime} / {self.system}"


def run(
    task: Task, config: Config, haystack: Haystack, system: System, asker: Evaluator
) -> list[Record]:
    """Return the records of a unit; the system is closed afterwards."""
    online = task.regime == "online"
    with closing(system):
        asked = (
            _online(config.steps, haystack, system, asker.probed)
            if online
            else _offline(haystack, system)
        )
        return [asker.ask(system, task, state) for state in asked]


def _offline(haystack: Haystack, system: System) -> Iterator[QuestionState]:
    """Yield every question with the memory as it was when the question was asked, in that order.

    What is said later is remembered later, so no memory has to be told the time. What the user
    deletes is gone before anything is asked.
    """
    said, writing = 0, 0.0
    for question in sorted(haystack.questions, key=lambda one: said_by(one, haystack)):
        if (end := said_by(question, haystack)) > said:
            new = haystack.turns[said:end]
            writing += _remember(system, new)
            _forget(haystack, system, new)
            said = end
        yield QuestionState(haystack=haystack, question=question, turns=said, writing=writing)


def _online(
    steps: int, haystack: Haystack, system: System, probed: frozenset[str]
) -> Iterator[QuestionState]:
    """Yield every question when its time has come, and some again after every later step.

    Asked again it is a probe: only the search is looked at, to see what later writes did to it.
    """
    asked: list[Asked] = []
    said, writing = 0, 0.0
    for step, end in enumerate(boundaries(haystack, steps), start=1):
        writing += _remember(system, haystack.turns[said:end])
        if end == len(haystack.turns):
            _forget(haystack, system, haystack.turns)
        state = QuestionState(
            haystack=haystack, question=haystack.questions[0], turns=end, writing=writing, step=step
        )
        for question in asked:
            yield replace(state, question=question, probe=True)
        due = [one for one in haystack.questions if said < time_of(one, haystack) <= end]
        for question in due:
            yield replace(state, question=question)
        asked += [one for one in due if one.id in probed and _lasts(one, haystack)]
        said = end


def _remember(system: System, turns: Sequence[Turn]) -> float:
    """Let a system take in turns; return how many milliseconds that took."""
    started = time.perf_counter()
    system.remember(turns)
    return 1000 * (time.perf_counter() - started)


def _forget(haystack: Haystack, system: System, said: Sequence[Turn]) -> None:
    """Delete what the user deletes of these turns."""
    there = {turn.id for turn in said}
    if gone := tuple(one for one in haystack.forgotten if one in there):
        system.forget(gone)


def _lasts(question: Asked, haystack: Haystack) -> bool:
    """Return whether a question has the same answer to the end: what is replaced has to go."""
    replaced = {turn for one in haystack.questions for turn in one.expected.stale_turns}
    return replaced.isdisjoint(question.gold.turns)


def said_by(question: Asked, haystack: Haystack) -> int:
    """Return how many turns had been said when a question was asked; all, if it has no time."""
    turns, at = haystack.turns[: question.after], question.asked_at
    later = (n for n, turn in enumerate(turns) if at and turn.said_at and turn.said_at > at)
    return next(later, len(turns))


def boundaries(haystack: Haystack, steps: int) -> list[int]:
    """Return after how many turns each step ends: equal parts, and where a question has its time.

    The last is the conversation's end.
    """
    n = len(haystack.turns)
    parts = {round(n * step / steps) for step in range(1, steps + 1)}
    times = {question.after for question in haystack.questions if question.after is not None}
    return sorted(end for end in parts | times if 0 < end <= n)


def time_of(question: Asked, haystack: Haystack) -> int:
    """Return after how many turns a question is first asked: when the evidence is in.

    A question without evidence waits for the end, and so does one about something deleted.
    """
    if question.after is not None:
        return min(max(question.after, 1), len(haystack.turns))
    place = {turn.id: n for n, turn in enumerate(haystack.turns, start=1)}
    ends = [place[turn] for turn in question.gold.turns if turn in place]
    return max(ends) if ends else len(haystack.turns)


def sample(haystacks: Sequence[Haystack], most: int | None, seed: int) -> frozenset[str]:
    """Return the ids of so many questions: of each kind in turn, drawn by seed; None: of all."""
    kinds: dict[str, list[str]] = {}
    for haystack in haystacks:
        for question in haystack.questions:
            kinds.setdefault(question.group, []).append(question.id)
    rng = random.Random(seed)
    for name in sorted(kinds):
        rng.shuffle(kinds[name])
    total = sum(map(len, kinds.values()))
    chosen: list[str] = []
    for place in range(max(map(len, kinds.values()), default=0)):
        chosen += [kinds[name][place] for name in sorted(kinds) if place < len(kinds[name])]
    return frozenset(chosen[: total if most is None else most])
