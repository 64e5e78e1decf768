"""A question at its time, and what a memory gave for it."""

from collections.abc import Mapping
from dataclasses import dataclass

from evals.data.haystack import Asked, Haystack, Query
from evals.systems.protocol import Packed, line


@dataclass(frozen=True, kw_only=True)
class QuestionState:
    """A question, asked when so many turns of its conversation have been remembered."""

    haystack: Haystack
    question: Asked
    turns: int
    writing: float = 0.0  # milliseconds that the memory took for those
    step: int = 0  # online: the maintenance step it is asked after
    probe: bool = False  # online: asked before, and now only searched for

    @property
    def gold(self) -> tuple[str, ...]:
        """Ids of the turns that answer it."""
        return self.question.gold.turns

    @property
    def text_of(self) -> Mapping[str, str]:
        """The conversation's turns by id."""
        return {turn.id or "": turn.text for turn in self.haystack.turns}

    @property
    def line_of(self) -> Mapping[str, str]:
        """The conversation's turns by id, with dates and speakers, as they stand in a prompt."""
        return {turn.id or "": line(turn) for turn in self.haystack.turns}

    @property
    def forgotten(self) -> frozenset[str]:
        """Ids of the turns that are deleted by now: online, that is the last step."""
        by_now = not self.step or self.turns == len(self.haystack.turns)
        return frozenset(self.haystack.forgotten if by_now else ())

    @property
    def query(self) -> Query:
        """What the memory is asked; a probe is asked now, or later writes could do nothing."""
        return Query(text=self.question.text) if self.probe else self.question.query


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a memory gave for a question."""

    ranking: tuple[str, ...]  # turn ids, best first
    ranks: bool  # whether it was asked for a ranking at all
    served: tuple[str, ...]  # the same for a user's call
    confidence: float | None
    packed: Packed
    known: frozenset[str]  # ids of the turns that there were at the question's time
    stored: frozenset[str] | None  # ids of the turns it holds; None: it does not tell
    refuses: bool | None  # whether its own first rule says nothing; None: it has none
    gold_places: tuple[int | None, ...]
    stale_places: tuple[int | None, ...]

    @property
    def place_of(self) -> Mapping[str, float]:
        """Where each packed turn stands in the prompt: 0 first, 1 last."""
        last = max(len(self.packed.turns) - 1, 1)
        return {turn: n / last for n, turn in enumerate(self.packed.turns)}


def known(state: QuestionState) -> frozenset[str]:
    """Return the ids of the turns said before a question is asked, and not deleted since."""
    at, said = state.query.asked_at, state.haystack.turns[: state.turns]
    there = [turn for turn in said if at is None or turn.said_at is None or turn.said_at <= at]
    return frozenset(turn.id or "" for turn in there) - state.forgotten
