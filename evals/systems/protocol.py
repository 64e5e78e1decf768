"""The seam that every memory is measured through, ours or anybody's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from evals.data.haystack import Query
from memkit import Turn
from memkit.errors import MemkitError
from memkit.protocols import Embedder
from memkit.records import day


class NotSupported(MemkitError):
    """The memory has no way to do what it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTurn:
    """A turn found. Scores of different systems mean different things."""

    turn_id: str
    score: float
    statement: str = ""  # of a system that returns derived statements: the statement
    sources: tuple[str, ...] = ()  # and the ids of all turns that support it


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What a memory puts into a prompt."""

    text: str = ""  # as it stands there
    turns: tuple[str, ...] = ()  # ids of those whose words are in it, in the order they stand
    statements: tuple[ScoredTurn, ...] = ()  # derived statements in it, of a system that has some


class System(Protocol):
    """A memory of one conversation, made anew for each; it keeps nothing for another one.

    It is told when a question is asked: what was said later is not there yet.
    """

    def remember(self, turns: Sequence[Turn]) -> None:
        """Take in turns in the order they were said, maybe after others; then all are found."""

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Return at most k turns, best first; the best score is its confidence."""

    def pack(self, query: Query, budget: int) -> Packed:
        """Return what it would put into a prompt, at most `budget` of the embedder's tokens."""

    def refusals(self, query: Query) -> Mapping[str, bool]:
        """Return, by each rule the system itself has for that, whether it says nothing.

        A card keeps to the first of them.
        """

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Delete these turns; an id that it does not have is no error.

        Raises:
            NotSupported: it cannot.
        """

    def stored(self) -> frozenset[str] | None:
        """Return the ids of the turns it holds now; None: it does not tell."""

    def footprint(self) -> int | None:
        """Return how many bytes it holds; None: not known."""

    def close(self) -> None:
        """Release what it holds; closing twice is fine."""


Make = Callable[[Embedder], System]


def line(turn: Turn) -> str:
    """Return a turn as it stands in a prompt and in BM25's index: date, speaker, words."""
    date = f"[{day(turn.said_at)}] " if turn.said_at else ""
    return f"{date}{turn.speaker}: {turn.text}"


class Lines:
    """Turns in the order they were said, as lines of a prompt.

    Args:
        count: counts a text's tokens.
    """

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count = count
        self._turns: dict[str, Turn] = {}
        self._costs: dict[str, int] = {}

    @property
    def turns(self) -> list[Turn]:
        """Return them in order."""
        return list(self._turns.values())

    @property
    def ids(self) -> frozenset[str]:
        """Return whose lines these are."""
        return frozenset(self._turns)

    @property
    def size(self) -> int:
        """Return their bytes."""
        return sum(len(line(turn).encode()) for turn in self._turns.values())

    def add(self, turns: Iterable[Turn]) -> None:
        """Append turns; one that is there already stays as it is."""
        for turn in turns:
            self._turns.setdefault(turn.id or "", turn)

    def drop(self, turn_ids: Iterable[str]) -> None:
        """Take turns out."""
        for turn_id in turn_ids:
            self._turns.pop(turn_id, None)

    def pack(self, best: Iterable[str], budget: int, *, gaps: bool = True) -> Packed:
        """Return lines that fit into `budget` tokens, oldest first.

        Args:
            best: ids, best first; one that is not here is left out.
            budget: most tokens of the text.
            gaps: pass over a line that is too long; else it ends the choice.
        """
        chosen: list[str] = []
        room = budget
        for turn_id in best:
            if turn_id not in self._turns:
                continue
            if (cost := self._cost(turn_id)) <= room:
                chosen.append(turn_id)
                room -= cost
            elif not gaps:
                break
        # tokens of the lines need not add up to those of the whole: check the whole
        while self._count((packed := self._in_order(chosen)).text) > budget and chosen:
            chosen.pop()
        return packed

    def _in_order(self, chosen: Iterable[str]) -> Packed:
        wanted = set(chosen)
        kept = [turn_id for turn_id in self._turns if turn_id in wanted]
        return Packed(text="\n".join(line(self._turns[one]) for one in kept), turns=tuple(kept))

    def _cost(self, turn_id: str) -> int:
        if turn_id not in self._costs:
            self._costs[turn_id] = self._count(line(self._turns[turn_id]) + "\n")
        return self._costs[turn_id]
