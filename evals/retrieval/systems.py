"""The seam that every memory is measured through, memkit behind it, and the table of all systems.

Another memory joins by having these methods and a line in `SYSTEMS`; a variant of memkit is one
line more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol
from unittest import mock

import memkit
from evals import USER
from evals.retrieval.baselines import Bm25, Dense, Fused, Newest, Ranked, ScoredTurn
from evals.retrieval.data import Asked
from memkit import Turn, rank
from memkit.protocols import Embedder

OURS = "memkit"
TOGETHER: Mapping[str, tuple[str, ...]] = {  # arms that are left out as one
    "lexical": ("lexical", "lexical window"),
    "windows": ("dense window", "lexical window"),  # no neighbour counts
    "vectors": ("dense", "dense window", "attention"),
}


class System(Protocol):
    """A memory of one conversation, made anew for each; nothing said after `asked_at` counts."""

    def index(self, turns: Sequence[Turn]) -> None:
        """Take in all turns, in the order they were said. Called once, before anything else."""

    def search(self, question: Asked, k: int) -> list[ScoredTurn]:
        """Return at most k turns, best first; the best score is its confidence."""

    def pack(self, question: Asked, budget: int) -> list[str]:
        """Return the ids of the turns whose text it would put into a prompt of so many tokens."""

    def refusals(self, question: Asked) -> Mapping[str, bool]:
        """Return, by each rule the system itself has for that, whether it says nothing."""

    def close(self) -> None:
        """Release what it holds."""


Make = Callable[[Embedder], System]


class Memkit:
    """memkit through its public face.

    Args:
        embedder: as for `memkit.open`.
        settings: of the memory; summaries are made once, after all turns.
        thresholds: values of `min_relevance` whose refusals are measured.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        settings: memkit.Settings | None = None,
        thresholds: Sequence[float | Literal["auto"]] = (0.5, "auto"),
    ) -> None:
        chosen = settings or memkit.Settings(background=False)
        self._memory = memkit.open(":memory:", embedder=embedder, settings=chosen)
        self._thresholds = thresholds

    def index(self, turns: Sequence[Turn]) -> None:
        """Remember all turns and bring the summaries up to date, which take part of a budget."""
        self._memory.remember(turns, user_id=USER)
        self._memory.flush()

    def search(self, question: Asked, k: int) -> list[ScoredTurn]:
        """Recall; a hit that names several turns gives its relevance to each."""
        hits = self._memory.recall(question.text, user_id=USER, k=k, as_of=question.asked_at)
        found: dict[str, float] = {}
        for hit in hits:
            for turn in hit.turn_ids:
                found.setdefault(turn, hit.relevance)
        return [ScoredTurn(turn_id=turn, score=score) for turn, score in found.items()][:k]

    def pack(self, question: Asked, budget: int) -> list[str]:
        """Return the turns in the context block."""
        block = self._memory.context(
            question.text, user_id=USER, budget_tokens=budget, as_of=question.asked_at
        )
        return [turn for hit in block.hits for turn in hit.turn_ids]

    def refusals(self, question: Asked) -> Mapping[str, bool]:
        """Return for each `min_relevance` whether nothing is recalled."""
        return {
            f"min_relevance={threshold!r}": not self._memory.recall(
                question.text, user_id=USER, as_of=question.asked_at, min_relevance=threshold
            )
            for threshold in self._thresholds
        }

    def close(self) -> None:
        """Close the memory."""
        self._memory.close()


class Weighed:
    """memkit with other weights of its arms, not renormalised; it ranks, and packs nothing.

    What is a candidate stays as it is: both searches go on finding them.
    """

    def __init__(self, weights: Mapping[str, float], embedder: Embedder) -> None:
        self._weights, self._memkit = weights, Memkit(embedder)

    def index(self, turns: Sequence[Turn]) -> None:
        """Take in all turns as memkit does."""
        self._memkit.index(turns)

    def search(self, question: Asked, k: int) -> list[ScoredTurn]:
        """Recall by these weights."""
        with _weighed(self._weights):
            return self._memkit.search(question, k)

    def pack(self, question: Asked, budget: int) -> list[str]:  # noqa: ARG002
        """Return nothing: only the ranking is measured."""
        return []

    def refusals(self, question: Asked) -> Mapping[str, bool]:  # noqa: ARG002
        """Return nothing: no rule of memkit's was chosen for these weights."""
        return {}

    def close(self) -> None:
        """Close the memory."""
        self._memkit.close()


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


SYSTEMS: Mapping[str, Make] = {
    OURS: Memkit,
    "dense": lambda embedder: Ranked(Dense(embedder), embedder.count),
    "BM25": lambda embedder: Ranked(Bm25(), embedder.count),
    "RRF": lambda embedder: Ranked(Fused([Dense(embedder), Bm25()]), embedder.count),
    "last turns": lambda embedder: Ranked(Newest(), embedder.count),
}
ABLATIONS: Mapping[str, Make] = {
    f"{OURS} without {part}": partial(Weighed, without(part))
    for part in dict.fromkeys([*rank.WEIGHTS, *TOGETHER])
} | {
    f"{OURS} without thoughts": partial(
        Memkit, settings=memkit.Settings(background=False, thoughts=False)
    )
}
