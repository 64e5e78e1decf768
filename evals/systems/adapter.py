"""Adapters for third-party memories: `remember`, `ask`, `close`.

Results are not filtered. A memory runs as its documentation says, but without a network and
without a model of its own. A system is asked in the state that it had at the question's time.
"""
# ruff: noqa: D102  # the methods without a docstring are documented in `System`

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from evals.data.haystack import Query
from evals.metrics.retrieval import DEPTH
from evals.systems.protocol import (
    Lines,
    MakeSystem,
    NotSupported,
    PackedContext,
    ScoredTurn,
    System,
)
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.protocols import Embedder


class ThirdPartyMemory(Protocol):
    """A memory of one conversation, made with an `Embedder`.

    `forget`, `stored` and `footprint` are optional and work as those of `System`; so is
    `refuses(text) -> bool`, whether the memory finds nothing relevant.
    """

    def remember(self, turns: Sequence[Turn]) -> None:
        """Add turns in the order they were said, maybe after others."""

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        """Return at most k turns, best first: id and score, the higher the better."""

    def close(self) -> None:
        """Release all resources; closing twice is fine."""


def content(turn: Turn) -> str:
    """Return the text of a turn for a memory of texts, behind the speaker's name.

    >>> content(Turn(text="I moved.", name="Ann"))
    'Ann: I moved.'
    """
    return f"{turn.name}: {turn.text}" if turn.name else turn.text


class AdaptedSystem(System):
    """A third-party memory as a `System`; its results are packed as those of the baselines.

    What it returns of forgotten turns is in rankings and prompts, and the audits count it.
    """

    def __init__(self, memory: ThirdPartyMemory, embedder: Embedder) -> None:
        self._memory: Any = memory  # Any, for its optional methods
        self._lines = Lines(embedder.count)

    def remember(self, turns: Sequence[Turn]) -> None:
        self._lines.add(turns)
        self._memory.remember(turns)

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Return its results; the memory does not see when the question is asked.

        Raises:
            InvalidInput: it does not return a list of ids and scores, or returns the id of a turn
                that it was never given.
        """
        results = self._memory.ask(query.text, k)
        try:
            hits = [ScoredTurn(turn_id=turn_id, score=float(score)) for turn_id, score in results]
        except (TypeError, ValueError) as error:
            raise self._wrong_result(f"returned {str(results)[:80]}") from error
        if unknown := [hit.turn_id for hit in hits if hit.turn_id not in self._lines.ids]:
            raise self._wrong_result(f"returned the id {unknown[0]!r}, which no turn has")
        return hits

    def _wrong_result(self, fault: str) -> InvalidInput:
        return InvalidInput(
            f"{type(self._memory).__name__}.ask {fault}; it has to return at most k pairs "
            '(turn.id, score), best first, such as [("t3", 0.8)]'
        )

    def pack(self, query: Query, budget: int) -> PackedContext:
        return self._lines.pack((hit.turn_id for hit in self.ask(query, DEPTH)), budget)

    def refuses(self, query: Query) -> bool | None:
        return bool(self._memory.refuses(query.text)) if hasattr(self._memory, "refuses") else None

    def forget(self, turn_ids: Sequence[str]) -> None:
        if not hasattr(self._memory, "forget"):
            raise NotSupported(
                f"{type(self._memory).__name__} cannot delete: give it a forget(turn_ids), or "
                "leave it out where something is forgotten"
            )
        self._memory.forget(turn_ids)

    def stored(self) -> frozenset[str] | None:
        return self._memory.stored() if hasattr(self._memory, "stored") else None

    def footprint(self) -> int | None:
        return self._memory.footprint() if hasattr(self._memory, "footprint") else None

    def close(self) -> None:
        self._memory.close()


def adapt(make: Callable[[Embedder], ThirdPartyMemory]) -> MakeSystem:
    """Return a function that makes a third-party memory and adapts it."""
    return lambda embedder: AdaptedSystem(make(embedder), embedder)
