"""One unit of work, the order of its questions, the state of each, and the evidence for it."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from operator import itemgetter

from evals.card.records import Regime
from evals.data.haystack import Haystack, Query, Question, sessions_by_turn
from evals.systems.protocol import PackedContext, System, line
from memkit import Turn

Places = tuple[int | None, ...]  # from 1; None: not in the ranking


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


@dataclass(frozen=True, kw_only=True)
class QuestionState:
    """A question after a number of turns of its conversation were remembered."""

    haystack: Haystack
    question: Question
    turns: int
    writing: float = 0.0  # milliseconds that the memory took for these turns
    step: int = 0  # online: the maintenance step before the question
    probe: bool = False  # online: a repeated question; only the search is scored

    @property
    def gold(self) -> tuple[str, ...]:
        """Ids of the turns that answer the question."""
        return self.question.gold.turns

    @property
    def text_of(self) -> Mapping[str, str]:
        """The conversation's turns by id."""
        return {turn.id or "": turn.text for turn in self.haystack.turns}

    @property
    def line_of(self) -> Mapping[str, str]:
        """The conversation's turns by id, with date and speaker, as a prompt shows them."""
        return {turn.id or "": line(turn) for turn in self.haystack.turns}

    @property
    def session_of(self) -> Mapping[str, str]:
        """The session of each turn of the conversation, by the turn's id."""
        return sessions_by_turn(self.haystack.turns)

    @property
    def forgotten(self) -> frozenset[str]:
        """Ids of the turns that are deleted by now; online, deletion comes with the last step."""
        deleted = not self.step or self.turns == len(self.haystack.turns)
        return frozenset(self.haystack.forgotten if deleted else ())

    @property
    def query(self) -> Query:
        """The query for the memory; a probe has no past time, or later writes had no effect."""
        return Query(text=self.question.text) if self.probe else self.question.query

    @property
    def visible(self) -> frozenset[str]:
        """Ids of the turns that precede the question and are not deleted."""
        now, turns = self.query.asked_at, self.haystack.turns[: self.turns]
        past = (t.id or "" for t in turns if not (now and t.said_at and t.said_at > now))
        return frozenset(past) - self.forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence that a memory returned for a question."""

    ranking: tuple[str, ...]  # turn ids, best first
    ranks: bool  # whether the regime asks for a ranking
    served: tuple[str, ...]  # the ranking of a call for `SERVED` turns, as users make it
    confidence: float | None
    packed: PackedContext
    visible: frozenset[str]  # ids of the turns that preceded the question
    stored: frozenset[str] | None  # ids of the turns in the memory; None: it does not say
    refuses: bool | None  # whether the system's first rule returns nothing; None: it has no rule
    gold_places: Places = ()
    current_places: Places = ()  # of the gold turns, or of derived statements that give the answer
    stale_places: Places = ()  # of the stale turns, or of statements that give a stale answer
    session_places: Places = ()
    gold_in: Mapping[int, int] | None = None  # tokens of a context block -> gold turns in it
    states_stale: bool | None = None
    # whether statements that are shown as current give a stale version; None: it returns turns

    @property
    def place_of(self) -> Mapping[str, float]:
        """The place of each packed turn in the prompt: 0 first, 1 last."""
        last = max(len(self.packed.turns) - 1, 1)
        return {turn: n / last for n, turn in enumerate(self.packed.turns)}


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
    writes. `probed` has the ids of the questions that are repeated after every later step.
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
    started = time.perf_counter()
    system.remember(turns)
    return 1000 * (time.perf_counter() - started)


def _forget(haystack: Haystack, system: System, turns: Sequence[Turn]) -> None:
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
