"""Memories that are broken on purpose, each in one way, for the card to catch."""

import random
from collections.abc import Mapping, Sequence

from evals.data.haystack import Query
from evals.systems.memkit import Memkit
from evals.systems.protocol import PackedContext, ScoredTurn
from memkit import Turn
from memkit.protocols import Embedder


class _Broken:
    """memkit behind the seam, until one method is replaced."""

    def __init__(self, embedder: Embedder) -> None:
        self._inner = Memkit(embedder)
        self._turns: list[Turn] = []

    def remember(self, turns: Sequence[Turn]) -> None:
        self._turns += turns
        self._inner.remember(turns)

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        return self._inner.ask(query, k)

    def pack(self, query: Query, budget: int) -> PackedContext:
        return self._inner.pack(query, budget)

    def refuses(self, query: Query) -> bool | None:
        return self._inner.refuses(query)

    def forget(self, turn_ids: Sequence[str]) -> None:
        self._inner.forget(turn_ids)

    def stored(self) -> frozenset[str] | None:
        return self._inner.stored()

    def footprint(self) -> int | None:
        return None

    def close(self) -> None:
        self._inner.close()


class Shuffled(_Broken):
    """Returns turns in an order that has nothing to do with the question."""

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        ids = [turn.id or "" for turn in self._turns]
        random.Random(query.text).shuffle(ids)
        return [ScoredTurn(turn_id=one, score=1 / n) for n, one in enumerate(ids[:k], start=1)]


class Leaking(_Broken):
    """Was given the answers, and writes them into the prompt."""

    answers: Mapping[Query, str] = {}  # a test fills both
    wording = "{answer}."

    def pack(self, query: Query, budget: int) -> PackedContext:
        packed = self._inner.pack(query, budget)
        if (answer := self.answers.get(query)) is None:
            return packed
        told = self.wording.format(question=query.text, answer=answer)
        return PackedContext(text=f"{packed.text}\n{told}", turns=packed.turns)


class Stale(_Broken):
    """Puts the oldest of what it found first, so that what held once comes before what holds."""

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        at = {turn.id: n for n, turn in enumerate(self._turns)}
        found = sorted(self._inner.ask(query, k), key=lambda hit: at[hit.turn_id])
        return [ScoredTurn(turn_id=hit.turn_id, score=1 / n) for n, hit in enumerate(found, 1)]


class Prophet(_Broken):
    """Was given whole conversations, and remembers them before they are said."""

    conversations: Sequence[Sequence[Turn]] = ()  # a test fills it

    def remember(self, turns: Sequence[Turn]) -> None:
        whole = [one for one in self.conversations if one[0].text == turns[0].text]
        super().remember(whole[0] if whole else turns)

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        return self._inner.ask(Query(text=query.text), k)


class Hoarder(_Broken):
    """Says that it has deleted, and keeps everything."""

    def forget(self, turn_ids: Sequence[str]) -> None:
        pass
