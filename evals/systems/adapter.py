"""What a memory needs to be measured, at least, and the class that makes a `System` of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from evals.data.haystack import Query
from evals.metrics.retrieval import DEPTH
from evals.systems.protocol import Lines, Make, NotSupported, Packed, ScoredTurn, System
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.protocols import Embedder


class Outside(Protocol):
    """A memory of one conversation: made with an `Embedder`, filled, asked, closed.

    One that can also `forget` or tell what it has `stored` or its `footprint` has those methods
    of `System` as well; one that knows when to say nothing has `refuses(text) -> bool`.
    """

    def remember(self, turns: Sequence[Turn]) -> None:
        """Take in turns in the order they were said, maybe after others."""

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        """Return at most k turns, best first: id and score, the higher the better."""

    def close(self) -> None:
        """Release what it holds; closing twice is fine."""


def content(turn: Turn) -> str:
    """Return a turn as a memory of texts is given it: its words, behind the speaker's name."""
    return f"{turn.name}: {turn.text}" if turn.name else turn.text


@runtime_checkable
class _Forgets(Protocol):
    def forget(self, turn_ids: Sequence[str]) -> None: ...


@runtime_checkable
class _TellsStored(Protocol):
    def stored(self) -> frozenset[str]: ...


@runtime_checkable
class _TellsFootprint(Protocol):
    def footprint(self) -> int: ...


@runtime_checkable
class _Refuses(Protocol):
    def refuses(self, text: str) -> bool: ...


class Lifted:
    """An outside memory as a `System`: what it finds is packed as the baselines pack it.

    Nothing is mended: what it returns of forgotten turns stands in rankings and prompts, and the
    audits count it.

    Args:
        outside: the memory.
        embedder: counts a text's tokens, for packing.
    """

    def __init__(self, outside: Outside, embedder: Embedder) -> None:
        self._outside = outside
        self._lines = Lines(embedder.count)

    def remember(self, turns: Sequence[Turn]) -> None:
        """Let it take in turns."""
        self._lines.add(turns)
        self._outside.remember(turns)

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Return what it finds; it is not told when the question is asked.

        Raises:
            InvalidInput: what it returns is no list of ids and scores, or names a turn that it was
                never given.
        """
        found = self._outside.ask(query.text, k)
        try:
            scored = [ScoredTurn(turn_id=turn_id, score=float(score)) for turn_id, score in found]
        except (TypeError, ValueError) as error:
            raise self._wrong(f"returned {str(found)[:80]}") from error
        if unknown := [one.turn_id for one in scored if one.turn_id not in self._lines.ids]:
            raise self._wrong(f"returned the id {unknown[0]!r}, which no turn has")
        return scored

    def _wrong(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"{type(self._outside).__name__}.ask {what}; it has to return at most k pairs "
            '(turn.id, score), best first, such as [("t3", 0.8)]'
        )

    def pack(self, query: Query, budget: int) -> Packed:
        """Return lines of the best turns that fit, in the order they were said."""
        found = self.ask(query, DEPTH)
        return self._lines.pack((hit.turn_id for hit in found), budget)

    def refusals(self, query: Query) -> Mapping[str, bool]:
        """Return whether it says that it would say nothing, if it tells."""
        if not isinstance(self._outside, _Refuses):
            return {}
        return {"refuses": self._outside.refuses(query.text)}

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Let it delete turns.

        Raises:
            NotSupported: it cannot.
        """
        if not isinstance(self._outside, _Forgets):
            raise NotSupported(
                f"{type(self._outside).__name__} cannot delete: give it a forget(turn_ids), or "
                "leave it out where something is forgotten"
            )
        self._outside.forget(turn_ids)

    def stored(self) -> frozenset[str] | None:
        """Return what it says it holds, if it does."""
        return self._outside.stored() if isinstance(self._outside, _TellsStored) else None

    def footprint(self) -> int | None:
        """Return how many bytes it says it holds, if it does."""
        return self._outside.footprint() if isinstance(self._outside, _TellsFootprint) else None

    def close(self) -> None:
        """Close it."""
        self._outside.close()


def lift(made: Callable[[Embedder], Outside]) -> Make:
    """Return what makes a system of an outside memory."""

    def system(embedder: Embedder) -> System:
        return Lifted(made(embedder), embedder)

    return system
