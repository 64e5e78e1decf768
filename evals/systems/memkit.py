"""memkit behind the seam, whole and with other weights of its arms."""

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
from evals.systems.protocol import Packed, ScoredTurn
from memkit import Turn, prompt
from memkit.protocols import Embedder
from memkit.retrieval import fusion as rank

OURS = "memkit"
UNDATED = datetime(2024, 1, 1, tzinfo=UTC)  # the day of turns without one, whatever day it is
TOGETHER: Mapping[str, tuple[str, ...]] = {  # arms that are left out as one
    "lexical": ("lexical", "lexical window"),
    "windows": ("dense window", "lexical window"),  # no neighbour counts
    "vectors": ("dense", "dense window", "attention"),
}


class Memkit:
    """memkit through its public face.

    Args:
        embedder: as for `memkit.open`.
        settings: of the memory; summaries are made once, after all turns.
        thresholds: values of `min_relevance` whose refusals are measured.
        on_disk: keep it in a temporary folder, as a user does; else in RAM, where it does not
            tell how much it holds.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        settings: memkit.Settings | None = None,
        thresholds: Sequence[float | Literal["auto"]] = (0.5, "auto"),
        on_disk: bool = False,
    ) -> None:
        chosen = settings or memkit.Settings(background=False)
        self._folder = TemporaryDirectory(prefix="memkit-evals-") if on_disk else None
        url = str(Path(self._folder.name, "memory.db")) if self._folder else ":memory:"
        self.memory = memkit.open(url, embedder=embedder, settings=chosen, clock=lambda: UNDATED)
        self._thresholds = thresholds
        self._words: dict[str, list[str]] = {}  # by turn

    def remember(self, turns: Sequence[Turn]) -> None:
        """Remember turns and bring the summaries up to date, which take part of a budget."""
        self._words |= {turn.id or "": prompt.strip(turn.text).split() for turn in turns}
        self.memory.remember(turns, user_id=USER)
        self.memory.flush()

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Recall; a hit that names several turns gives its relevance to each."""
        hits = self.memory.recall(query.text, user_id=USER, k=k, as_of=query.asked_at)
        found: dict[str, float] = {}
        for hit in hits:
            for turn in hit.turn_ids:
                found.setdefault(turn, hit.relevance)
        return [ScoredTurn(turn_id=turn, score=score) for turn, score in found.items()][:k]

    def pack(self, query: Query, budget: int) -> Packed:
        """Return the context block; its turns are those that stand there whole.

        A piece of a long turn is not counted, for it may lack the evidence; nor is what summaries
        and thoughts took from turns.
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
        return Packed(text=block.text, turns=tuple(turns))

    def refusals(self, query: Query) -> Mapping[str, bool]:
        """Return for each `min_relevance` whether nothing is recalled."""
        return {
            f"min_relevance={threshold!r}": not self.memory.recall(
                query.text, user_id=USER, as_of=query.asked_at, min_relevance=threshold
            )
            for threshold in self._thresholds
        }

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Forget turns, and draw anew what was also said elsewhere."""
        self.memory.forget(user_id=USER, turn_ids=turn_ids)
        self.memory.flush()

    def stored(self) -> frozenset[str]:
        """Return the ids of all turns."""
        return frozenset(turn.id or "" for turn in self.memory.turns(user_id=USER))

    def footprint(self) -> int | None:
        """Return the bytes of its files, index and log included; None in RAM."""
        return self.memory.stats()["bytes"] if self._folder else None

    def close(self) -> None:
        """Close the memory."""
        self.memory.close()
        if self._folder:
            self._folder.cleanup()


class OverMemkit:
    """A system that keeps everything in memkit and searches in its own way."""

    def __init__(self, memkit: Memkit) -> None:
        self._memkit = memkit

    def remember(self, turns: Sequence[Turn]) -> None:
        """Take in turns as memkit does."""
        self._memkit.remember(turns)

    def refusals(self, query: Query) -> Mapping[str, bool]:  # noqa: ARG002
        """Return nothing: it has no rule of its own."""
        return {}

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Forget as memkit does."""
        self._memkit.forget(turn_ids)

    def stored(self) -> frozenset[str]:
        """Return what memkit holds, whatever of it is used."""
        return self._memkit.stored()

    def footprint(self) -> int | None:
        """Return how much memkit holds, whatever of it is used."""
        return self._memkit.footprint()

    def close(self) -> None:
        """Close the memory."""
        self._memkit.close()


class Weighed(OverMemkit):
    """memkit with other weights of its signals, not renormalised.

    What is a candidate stays as it is: both searches go on finding them.
    """

    def __init__(self, weights: Mapping[str, float], embedder: Embedder) -> None:
        super().__init__(Memkit(embedder))
        self._weights = weights

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Recall by these weights."""
        with _weighed(self._weights):
            return self._memkit.ask(query, k)

    def pack(self, query: Query, budget: int) -> Packed:
        """Return the context block by these weights."""
        with _weighed(self._weights):
            return self._memkit.pack(query, budget)


@contextmanager
def _weighed(weights: Mapping[str, float]) -> Iterator[None]:
    """Rank by these weights inside the block, in every thread: for ablation only."""
    with mock.patch.object(rank, "WEIGHTS", weights):
        yield


def without(part: str) -> dict[str, float]:
    """Return memkit's weights with 0 for an arm, or for arms that go together."""
    out = TOGETHER.get(part, (part,))
    return {arm: 0.0 if arm in out else weight for arm, weight in rank.WEIGHTS.items()}


def only(arm: str) -> dict[str, float]:
    """Return weights with which memkit ranks by one arm and nothing else."""
    return {name: float(name == arm) for name in rank.WEIGHTS}
