"""A question with the state of its conversation, and the evidence that a memory returned."""

from collections.abc import Mapping
from dataclasses import dataclass

from evals.data.haystack import Haystack, Query, Question
from evals.systems.protocol import PackedContext, line

Places = tuple[int | None, ...]  # from 1; None: not in the ranking


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
        return {turn.id or "": turn.session_id or "" for turn in self.haystack.turns}

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
        past = [
            turn for turn in turns if now is None or turn.said_at is None or turn.said_at <= now
        ]
        return frozenset(turn.id or "" for turn in past) - self.forgotten


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
