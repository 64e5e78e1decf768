"""memkit as a system: as it ships, and with other weights of its signals."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from unittest import mock

import memkit
from evals import USER
from evals.data.haystack import Query
from evals.systems.protocol import PackedContext, ScoredTurn, System
from memkit import Turn, prompt
from memkit.protocols import Embedder
from memkit.retrieval import fusion

OURS = "memkit"
UNDATED = datetime(2024, 1, 1, tzinfo=UTC)  # the clock, so that turns without a date always get it
TOGETHER: Mapping[str, tuple[str, ...]] = {  # signals that an ablation leaves out as one
    "lexical": ("lexical", "lexical window"),
    "windows": ("dense window", "lexical window"),  # no neighbour counts
    "vectors": ("dense", "dense window", "attention"),
}


class Memkit:
    """memkit through its public face.

    Args:
        embedder: as for `memkit.open`.
        settings: of the memory; summaries are made once, after all turns.
        thresholds: values of `min_relevance` that serve as abstention rules.
        on_disk: keep it in a temporary folder, as a user does; else in RAM, where its size is
            not known.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        settings: memkit.Settings | None = None,
        thresholds: Sequence[float | Literal["auto"]] = (0.5, "auto"),
        on_disk: bool = False,
    ) -> None:
        settings = settings or memkit.Settings(background=False)
        self._folder = TemporaryDirectory(prefix="memkit-evals-") if on_disk else None
        url = str(Path(self._folder.name, "memory.db")) if self._folder else ":memory:"
        self.memory = memkit.open(url, embedder=embedder, settings=settings, clock=lambda: UNDATED)
        self._thresholds = thresholds
        # the words of each turn, to see whether a hit quotes all of it
        self._words: dict[str, list[str]] = {}

    def remember(self, turns: Sequence[Turn]) -> None:
        """Remember turns and bring the summaries up to date, which take part of a budget."""
        self._words |= {
            turn.id or "": prompt.strip_memory_block(turn.text).split() for turn in turns
        }
        self.memory.remember(turns, user_id=USER)
        self.memory.flush()

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Recall; a hit that names several turns gives its relevance to each."""
        hits = self.memory.recall(query.text, user_id=USER, k=k, as_of=query.asked_at)
        scores: dict[str, float] = {}
        for hit in hits:
            for turn in hit.turn_ids:
                scores.setdefault(turn, hit.relevance)
        return [ScoredTurn(turn_id=turn, score=score) for turn, score in scores.items()][:k]

    def pack(self, query: Query, budget: int) -> PackedContext:
        """Return the context block; its turns are those that it quotes whole.

        A piece of a long turn does not count, because it may lack the evidence; neither does what
        summaries and thoughts took from turns.
        """
        block = self.memory.context(
            query.text, user_id=USER, budget_tokens=budget, as_of=query.asked_at
        )
        oldest_first = sorted(block.hits, key=lambda hit: (hit.said_at, hit.position or 0))
        turns = dict.fromkeys(
            turn
            for hit in oldest_first
            for turn in hit.turn_ids
            if hit.text.split() == self._words[turn]
        )
        return PackedContext(text=block.text, turns=tuple(turns))

    def refusals(self, query: Query) -> Mapping[str, bool]:
        """Return for each `min_relevance` whether nothing is recalled."""
        return {
            f"min_relevance={threshold!r}": not self.memory.recall(
                query.text, user_id=USER, as_of=query.asked_at, min_relevance=threshold
            )
            for threshold in self._thresholds
        }

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Forget turns, and derive again what other turns support too."""
        self.memory.forget(user_id=USER, turn_ids=turn_ids)
        self.memory.flush()

    def stored(self) -> frozenset[str]:
        """Return the ids of all turns."""
        return frozenset(turn.id or "" for turn in self.memory.turns(user_id=USER))

    def footprint(self) -> int | None:
        """Return the bytes of its files, index and log included; None in RAM."""
        return self.memory.stats()["bytes"] if self._folder else None

    def close(self) -> None:
        """Close the memory and delete its files."""
        self.memory.close()
        if self._folder:
            self._folder.cleanup()


class MemkitBackedSystem(System):
    """A system that stores everything in memkit and searches in its own way."""

    def __init__(self, memkit: Memkit) -> None:
        self._memkit = memkit

    def remember(self, turns: Sequence[Turn]) -> None:
        """Remember turns as memkit does."""
        self._memkit.remember(turns)

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Forget as memkit does."""
        self._memkit.forget(turn_ids)

    def stored(self) -> frozenset[str]:
        """Return the ids of all turns in memkit, used or not."""
        return self._memkit.stored()

    def footprint(self) -> int | None:
        """Return the bytes of all that memkit holds, used or not."""
        return self._memkit.footprint()

    def close(self) -> None:
        """Close the memory."""
        self._memkit.close()


class ReweightedMemkit(MemkitBackedSystem):
    """memkit with other weights of its signals, not renormalised.

    The candidates stay the same: both searches go on finding them.
    """

    def __init__(self, weights: Mapping[str, float], embedder: Embedder) -> None:
        super().__init__(Memkit(embedder))
        self._weights = weights

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Recall by these weights."""
        with _use_weights(self._weights):
            return self._memkit.ask(query, k)

    def pack(self, query: Query, budget: int) -> PackedContext:
        """Return the context block by these weights."""
        with _use_weights(self._weights):
            return self._memkit.pack(query, budget)


@contextmanager
def _use_weights(weights: Mapping[str, float]) -> Iterator[None]:
    """Rank by these weights inside the block, in every thread: for ablation only."""
    with mock.patch.object(fusion, "WEIGHTS", weights):
        yield


def without(part: str) -> dict[str, float]:
    """Return memkit's weights with 0 for a signal, or for signals that go together."""
    removed = TOGETHER.get(part, (part,))
    return {
        signal: 0.0 if signal in removed else weight for signal, weight in fusion.WEIGHTS.items()
    }


def only(signal: str) -> dict[str, float]:
    """Return weights with which memkit ranks by one signal and nothing else."""
    return {name: float(name == signal) for name in fusion.WEIGHTS}
