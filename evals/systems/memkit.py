"""memkit as a system: as it ships, with other weights, its thoughts alone, its summaries alone."""
# ruff: noqa: D102  # the methods without a docstring are documented in `System`

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np

import memkit
from evals import USER
from evals.data.haystack import Query
from evals.systems.protocol import PackedContext, ScoredTurn
from memkit import Summary, Turn, prompt
from memkit.protocols import Embedder
from memkit.records import Context, Scope
from memkit.retrieval import fusion, ranker, recall

OURS = "memkit"
UNDATED = datetime(2024, 1, 1, tzinfo=UTC)  # the clock, so that turns without a date always get it
TOGETHER: Mapping[str, tuple[str, ...]] = {  # signals that an ablation leaves out as one
    "lexical": ("lexical", "lexical window"),
    "windows": ("dense window", "lexical window"),  # no neighbour counts
    "vectors": ("dense", "dense window", "attention"),
}
NO_THOUGHTS = memkit.Settings(background=False, thoughts=False)
_WORD = re.compile(r"[^\W_]+")  # letters and digits


class Memkit:
    """memkit through its public face.

    Args:
        embedder: as for `memkit.open`.
        settings: of the memory; summaries are made once, after all turns.
        on_disk: keep it in a temporary folder, as a user does; else in RAM, where its size is
            not known.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        settings: memkit.Settings | None = None,
        on_disk: bool = False,
    ) -> None:
        settings = settings or memkit.Settings(background=False)
        self._folder = TemporaryDirectory(prefix="memkit-evals-") if on_disk else None
        url = str(Path(self._folder.name, "memory.db")) if self._folder else ":memory:"
        self.memory = memkit.open(url, embedder=embedder, settings=settings, clock=lambda: UNDATED)
        # a random signature has another number of tokens in every run
        self.memory.signer = prompt.BlockSigner(b"card")
        # the words of each turn, to see whether a hit quotes all of it
        self._words: dict[str, list[str]] = {}

    def remember(self, turns: Sequence[Turn]) -> None:
        """Remember turns and bring the summaries up to date, which take part of a budget."""
        self._words |= {turn.id or "": turn.text.split() for turn in turns}
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
        block = self._context(query, budget)
        oldest_first = sorted(block.hits, key=lambda hit: (hit.said_at, hit.position or 0))
        turns = dict.fromkeys(
            turn
            for hit in oldest_first
            for turn in hit.turn_ids
            if hit.text.split() == self._words[turn]
        )
        return PackedContext(text=block.text, turns=tuple(turns))

    def refuses(self, query: Query) -> bool | None:
        """Return whether nothing is recalled at `min_relevance="auto"`."""
        return not self.memory.recall(
            query.text, user_id=USER, as_of=query.asked_at, min_relevance="auto"
        )

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Forget turns, and derive again what other turns support too."""
        self.memory.forget(user_id=USER, turn_ids=turn_ids)
        self.memory.flush()

    def stored(self) -> frozenset[str]:
        return frozenset(turn.id or "" for turn in self.memory.turns(user_id=USER))

    def footprint(self) -> int | None:
        """Return the bytes of its files, index and log included; None in RAM."""
        return self.memory.stats()["bytes"] if self._folder else None

    def close(self) -> None:
        self.memory.close()
        if self._folder:
            self._folder.cleanup()

    def _context(self, query: Query, budget: int) -> Context:
        return self.memory.context(
            query.text, user_id=USER, budget_tokens=budget, as_of=query.asked_at
        )


class _Variant(Memkit):
    """memkit that ranks otherwise, for which `min_relevance` is no rule."""

    def refuses(self, query: Query) -> bool | None:  # noqa: ARG002
        return None


class ReweightedMemkit(_Variant):
    """memkit with another ranker; the candidates stay the same."""

    def __init__(self, other: ranker.Ranker, embedder: Embedder) -> None:
        super().__init__(embedder)
        self._ranker = other

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        with self._patched():
            return super().ask(query, k)

    def pack(self, query: Query, budget: int) -> PackedContext:
        with self._patched():
            return super().pack(query, budget)

    def _patched(self) -> AbstractContextManager[object]:
        return mock.patch.object(recall, "bundled_ranker", return_value=self._ranker)


def without(part: str) -> ranker.Ranker:
    """Return memkit's ranker without a signal, or without those that go together."""
    ours = ranker.bundled_ranker()
    removed = TOGETHER.get(part, (part,))
    is_kept = np.array([name not in removed for name in ours.signals])
    return replace(
        ours,
        base=np.where(is_kept, ours.base, -np.inf),
        slopes=np.where(is_kept[:, None], ours.slopes, 0),
    )


def by_hand() -> ranker.Ranker:
    """Return the ranking of 0.7: weights that were set by hand, the same for every question."""
    weights = np.array(list(fusion.WEIGHTS.values()))
    none = np.zeros(0)
    return ranker.Ranker(
        signals=tuple(fusion.WEIGHTS), features=(), base=np.log(np.expm1(weights)),
        slopes=np.zeros((len(weights), 0)), means=none, spreads=none,
        calibration=ranker.Calibration(lead=18.0, log_rank=0.0, bias=-3.3),
    )  # fmt: skip


class ThoughtSystem(_Variant):
    """memkit asked for thoughts alone: statements with their sources instead of turns."""

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Recall thoughts; each names its first source turn, and all sources apart."""
        hits = self.memory.recall(
            query.text, user_id=USER, k=k, kind="thought", as_of=query.asked_at
        )
        return [_statement(hit.text, hit.turn_ids, hit.relevance) for hit in hits]

    def pack(self, query: Query, budget: int) -> PackedContext:
        """Return the thoughts of the context block as statements, one in a line."""
        thoughts = self._context(query, budget).thoughts
        return PackedContext(
            text="\n".join(thought.text for thought in thoughts),
            statements=tuple(_statement(thought.text, thought.turn_ids) for thought in thoughts),
        )

    def stored(self) -> frozenset[str]:
        """Return the ids of the turns that some current thought comes from."""
        thoughts = self.memory.thoughts(user_id=USER)
        return frozenset(turn for thought in thoughts for turn in thought.turn_ids)


def _statement(text: str, turn_ids: tuple[str, ...], relevance: float = 0.0) -> ScoredTurn:
    return ScoredTurn(turn_id=turn_ids[0], score=relevance, statement=text, sources=turn_ids)


class CompactMemory(_Variant):
    """HEMA's Compact Memory: memkit's summaries alone; no turn is searched, and none is shown.

    A turn counts as found if the summaries have a clause of it word by word, as the extractive
    summariser leaves it: that a summary covers a turn does not say what it keeps of it. The newest
    such turn is first.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder, settings=NO_THOUGHTS, on_disk=True)
        self._count = embedder.count
        self._turns: list[Turn] = []  # in memkit's order
        self._clauses: dict[str, str] = {}  # what a clause is looked up in, by turn

    def remember(self, turns: Sequence[Turn]) -> None:
        super().remember(turns)
        self._load_turns()

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Return the turns that have words in the summaries; the newest scores 1, the next 1/2."""
        sources = set(self._sources(self._summaries(query)))
        newest_first = [turn.id or "" for turn in reversed(self._turns) if turn.id in sources]
        return [
            ScoredTurn(turn_id=turn_id, score=1 / rank)
            for rank, turn_id in enumerate(newest_first[:k], start=1)
        ]

    def pack(self, query: Query, budget: int) -> PackedContext:
        """Return the summaries as memkit puts them into a prompt."""
        items, _ = prompt.select_within_budget(self._summaries(query), [], budget, self._count)
        summaries = [item for item in items if isinstance(item, Summary)]
        turns = dict.fromkeys(self._sources(summaries))
        return PackedContext(text=prompt.format_memory_block(summaries, []), turns=tuple(turns))

    def forget(self, turn_ids: Sequence[str]) -> None:
        super().forget(turn_ids)
        self._load_turns()

    def _load_turns(self) -> None:
        turns = self.memory.turns(user_id=USER)
        self._turns = sorted(turns, key=lambda turn: turn.position or 0)
        self._clauses = {turn.id or "": _join_words(turn.text) for turn in self._turns}

    def _summaries(self, query: Query) -> list[Summary]:
        late = [
            turn.position or 0
            for turn in self._turns
            if query.asked_at and turn.said_at and turn.said_at > query.asked_at
        ]
        newest = []
        for level in (2, 1):  # the summary of summaries, then the running summary
            summaries = self.memory.store.summaries(Scope(user_id=USER), level)
            early = (item for item in summaries if not late or item.through < min(late))
            newest += [item for item in [next(early, None)] if item is not None]
        return newest

    def _sources(self, summaries: Sequence[Summary]) -> Iterator[str]:
        """Yield turn ids in the order of the clauses; of equal turns the oldest first."""
        for summary in summaries:
            for clause in summary.text.rstrip(".").split("; "):
                words = _join_words(clause.rpartition(": ")[2])  # without the speaker
                if words.strip():
                    yield from (turn for turn, text in self._clauses.items() if words in text)


def _join_words(text: str) -> str:
    """Return a text's words with a space around each, so that whole words can be searched.

    >>> _join_words("red") in _join_words("I like red."), _join_words("red") in _join_words("Fred")
    (True, False)
    """
    return f" {' '.join(_WORD.findall(text.casefold()))} "
