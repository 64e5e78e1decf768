"""The interface of every memory that is measured, memkit's own and any other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evals.data.haystack import Query
from memkit import Turn
from memkit.errors import MemkitError
from memkit.protocols import Embedder
from memkit.records import day


class NotSupported(MemkitError):
    """The memory cannot do what was requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTurn:
    """A turn in a ranking. Scores of different systems have different meanings."""

    turn_id: str
    score: float
    statement: str = ""  # of a system that returns derived statements: the statement
    sources: tuple[str, ...] = ()  # and the ids of all turns that support it


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedContext:
    """The part of a prompt that a memory fills."""

    text: str = ""
    turns: tuple[str, ...] = ()  # ids of the turns it quotes whole, in the order of the text
    statements: tuple[ScoredTurn, ...] = ()  # derived statements in it, of a system that has some


class System(Protocol):
    """A memory of one conversation, made new for each; it keeps nothing for the next one.

    A query has the time at which it is asked: the system must not use what was said later.
    A subclass inherits defaults for `refuses`, `forget`, `stored`, `footprint` and `close`.
    """

    def remember(self, turns: Sequence[Turn]) -> None:
        """Add turns in the order they were said, maybe after others; then all can be found."""

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Return at most k turns, best first; the best score is the system's confidence."""

    def pack(self, query: Query, budget: int) -> PackedContext:
        """Return what it would put into a prompt, at most `budget` of the embedder's tokens."""

    def refuses(self, query: Query) -> bool | None:  # noqa: ARG002
        """Return whether it finds nothing relevant; None: it has no rule for that."""
        return None

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Delete these turns; an id that it does not have is no error.

        Raises:
            NotSupported: the memory cannot delete.
        """
        raise NotSupported(f"{type(self).__name__} cannot delete {len(turn_ids)} turns")

    def stored(self) -> frozenset[str] | None:
        """Return the ids of the turns it holds now; None: not known."""
        return None

    def footprint(self) -> int | None:
        """Return how many bytes it holds; None: not known."""
        return None

    def close(self) -> None:
        """Release all resources; closing twice is fine."""
        return


MakeSystem = Callable[[Embedder], System]


def line(turn: Turn) -> str:
    """Return a turn as a line of a prompt, and as BM25 indexes it: date, speaker, words."""
    date = f"[{day(turn.said_at)}] " if turn.said_at else ""
    return f"{date}{turn.speaker}: {turn.text}"


class Lines:
    """Turns in the order they were said, as lines of a prompt; `count` counts a text's tokens."""

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count = count
        self._turns: dict[str, Turn] = {}
        self._costs: dict[str, int] = {}

    @property
    def turns(self) -> list[Turn]:
        """Return the turns in order."""
        return list(self._turns.values())

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of the turns."""
        return frozenset(self._turns)

    @property
    def size(self) -> int:
        """Return the bytes of the lines."""
        return sum(len(line(turn).encode()) for turn in self._turns.values())

    def add(self, turns: Iterable[Turn]) -> None:
        """Append turns; one that is there already stays as it is."""
        for turn in turns:
            self._turns.setdefault(turn.id or "", turn)

    def drop(self, turn_ids: Iterable[str]) -> None:
        """Remove turns."""
        for turn_id in turn_ids:
            self._turns.pop(turn_id, None)

    def pack(self, best: Iterable[str], budget: int, *, gaps: bool = True) -> PackedContext:
        """Return lines that fit into `budget` tokens, oldest first.

        `best` are turn ids, best first. With `gaps`, a line that is too long is skipped; else it
        ends the choice.
        """
        chosen: list[str] = []
        room = budget
        for turn_id in best:
            if turn_id not in self._costs:
                self._costs[turn_id] = self._count(line(self._turns[turn_id]) + "\n")
            if (cost := self._costs[turn_id]) <= room:
                chosen.append(turn_id)
                room -= cost
            elif not gaps:
                break
        # the tokens of the lines need not add up to those of the text: check the text
        while self._count((packed := self._join(chosen)).text) > budget and chosen:
            chosen.pop()
        return packed

    def _join(self, chosen: Iterable[str]) -> PackedContext:
        ids = set(chosen)
        ordered = [turn_id for turn_id in self._turns if turn_id in ids]
        text = "\n".join(line(self._turns[turn_id]) for turn_id in ordered)
        return PackedContext(text=text, turns=tuple(ordered))
