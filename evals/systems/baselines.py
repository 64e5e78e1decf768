"""Baselines: exact dense search, stemmed BM25, their fusion, and the last turns.

A `Scorer` gives every turn a score; `RankingSystem` makes a system of it.
"""
# ruff: noqa: D102  # the methods without a docstring are documented in `System` and `Scorer`

from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evals.data.haystack import Query
from evals.metrics.retrieval import DEPTH
from evals.systems.protocol import Lines, PackedContext, ScoredTurn, System, line
from memkit import Turn
from memkit.errors import MissingExtra
from memkit.protocols import Embedder, Vectors

RRF_K = 60  # fixed in the pilot study of Cormack et al.

Scores = NDArray[np.float64]  # shape (turns,), higher is better; -inf: not found


class Scorer(Protocol):
    """Gives every turn a score for a question."""

    def index(self, turns: Sequence[Turn]) -> None:
        """Index all turns; they replace those of the call before."""

    def scores(self, question: str) -> Scores:
        """Return one score per turn, in the order of the index."""

    def size(self) -> int:
        """Return how many bytes the index has, without the turns."""


class RankingSystem(System):
    """A system that ranks by a scorer; of two equal scores the earlier turn is first.

    Turns said after the question's time are removed from the ranking, not from the index: BM25's
    word counts, and the ranks that are fused, still include them.

    Args:
        scorer: gives the scores.
        count: counts a text's tokens, for packing.
        whole: pack the whole ranking up to the first turn that does not fit, instead of all that
            fit among the best `DEPTH`.
    """

    def __init__(self, scorer: Scorer, count: Callable[[str], int], *, whole: bool = False) -> None:
        self._scorer, self._whole = scorer, whole
        self._lines = Lines(count)

    def remember(self, turns: Sequence[Turn]) -> None:
        self._lines.add(turns)
        self._scorer.index(self._lines.turns)

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        turns = self._lines.turns
        if not turns:
            return []
        scores = self._scorer.scores(query.text)
        if query.asked_at is not None:
            late = [turn.said_at is not None and turn.said_at > query.asked_at for turn in turns]
            scores = np.where(late, -np.inf, scores)
        order = np.argsort(-scores, kind="stable")[:k]  # stable: the earlier of equal turns first
        return [
            ScoredTurn(turn_id=turns[n].id or "", score=float(scores[n]))
            for n in order
            if scores[n] > -np.inf
        ]

    def pack(self, query: Query, budget: int) -> PackedContext:
        best = self.ask(query, len(self._lines.ids) if self._whole else DEPTH)
        return self._lines.pack((hit.turn_id for hit in best), budget, gaps=not self._whole)

    def forget(self, turn_ids: Sequence[str]) -> None:
        self._lines.drop(turn_ids)
        self._scorer.index(self._lines.turns)

    def stored(self) -> frozenset[str]:
        return self._lines.ids

    def footprint(self) -> int:
        """Return the bytes of the lines and of the index."""
        return self._lines.size + self._scorer.size()


class NoMemory(RankingSystem):
    """A system that stores nothing: what a model knows without a memory."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(NewestScorer(), embedder.count)

    def remember(self, turns: Sequence[Turn]) -> None:
        """Do nothing."""


def pieces(turn: Turn, embedder: Embedder) -> list[str]:
    """Return the pieces of a turn that dense search embeds, each behind the speaker's name."""
    header = f"{turn.name}: " if turn.name else ""
    spans = embedder.split(turn.text, header=header)
    return [header + turn.text[start:end] for start, end in spans]


class DenseScorer:
    """Exact cosine over the turns' pieces; a turn has the score of its nearest piece."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._by_turn: dict[str, Vectors] = {}
        self._vectors: Vectors = np.empty((0, 0), dtype=np.float32)
        self._firsts: list[int] = []

    def index(self, turns: Sequence[Turn]) -> None:
        """Embed the pieces of new turns, in one call."""
        if new := [turn for turn in turns if turn.id not in self._by_turn]:
            texts = [pieces(turn, self._embedder) for turn in new]
            vectors = self._embedder.embed(list(chain.from_iterable(texts)))
            parts = np.split(vectors, np.cumsum([len(of_turn) for of_turn in texts])[:-1])
            self._by_turn |= {turn.id or "": part for turn, part in zip(new, parts, strict=True)}
        self._by_turn = {turn.id or "": self._by_turn[turn.id or ""] for turn in turns}
        sizes = [len(vectors) for vectors in self._by_turn.values()]
        # the first row of each turn's pieces, by which `scores` takes the best piece of a turn
        self._firsts = [0, *accumulate(sizes)][: len(sizes)]
        if turns:
            self._vectors = np.concatenate(list(self._by_turn.values()))

    def scores(self, question: str) -> Scores:
        """Return cosines, from -1 to 1."""
        if not self._firsts:
            return np.empty(0)
        cosines = self._vectors @ self._embedder.embed([question])[0]
        return np.asarray(np.maximum.reduceat(cosines, self._firsts), dtype=np.float64)

    def size(self) -> int:
        return sum(vectors.nbytes for vectors in self._by_turn.values())


class Bm25Scorer:
    """BM25 (Lucene's, k1 1.5, b .75) over stemmed English words of date, speaker and text."""

    def __init__(self) -> None:
        try:
            import bm25s
            import Stemmer
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"the BM25 baseline needs {error.name}: pip install bm25s PyStemmer"
            ) from error
        self._tokenize: Callable[..., list[list[str]]] = bm25s.tokenize
        self._stemmer = Stemmer.Stemmer("english")
        self._make_index: Callable[[], Any] = bm25s.BM25
        self._index: Any = None
        self._turns = 0

    def index(self, turns: Sequence[Turn]) -> None:
        self._turns = len(turns)
        self._index = self._make_index()
        if turns:
            words = self._words([line(turn) for turn in turns])
            self._index.index(words, show_progress=False)

    def scores(self, question: str) -> Scores:
        """Return BM25 scores; -inf for a turn that shares no word with the question."""
        (words,) = self._words([question])
        if not words or not self._turns:  # stop words only
            return np.full(self._turns, -np.inf)
        scores = np.asarray(self._index.get_scores(words), dtype=np.float64)
        return np.where(scores > 0, scores, -np.inf)  # 0: no word in common

    def size(self) -> int:
        """Return the bytes of the postings; the vocabulary is left out."""
        if not self._turns:
            return 0
        return sum(int(self._index.scores[name].nbytes) for name in ("data", "indices", "indptr"))

    def _words(self, texts: list[str]) -> list[list[str]]:
        return self._tokenize(
            texts, stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )


class FusionScorer:
    """Reciprocal rank fusion: the sum of 1 / (60 + rank) over the scorers that found a turn.

    Source: Cormack, Clarke and Büttcher, SIGIR 2009.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self._scorers = scorers

    def index(self, turns: Sequence[Turn]) -> None:
        for scorer in self._scorers:
            scorer.index(turns)

    def scores(self, question: str) -> Scores:
        parts = [_reciprocal(scorer.scores(question)) for scorer in self._scorers]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def size(self) -> int:
        return sum(scorer.size() for scorer in self._scorers)


def _reciprocal(scores: Scores) -> Scores:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.where(scores > -np.inf, 1 / (RRF_K + ranks), 0.0)


class NewestScorer:
    """The last turns, for any question: the newest scores 1, the one before 1/2."""

    def __init__(self) -> None:
        self._turns = 0

    def index(self, turns: Sequence[Turn]) -> None:
        self._turns = len(turns)

    def scores(self, question: str) -> Scores:  # noqa: ARG002
        return 1 / np.arange(self._turns, 0, -1, dtype=np.float64)

    def size(self) -> int:
        return 0
