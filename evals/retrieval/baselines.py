"""What a memory has to beat: exact dense search, stemmed BM25, their fusion, and the last turns.

A `Scorer` gives every turn a score; `Ranked` makes a system of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evals.retrieval.data import Asked
from evals.retrieval.metrics import DEPTH
from memkit import Turn
from memkit.errors import MissingExtra
from memkit.protocols import Embedder, Vectors
from memkit.records import day

RRF_K = 60

Scores = NDArray[np.float64]  # shape (turns,), higher is better; -inf: not found


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTurn:
    """A turn found. Scores of different systems mean different things."""

    turn_id: str
    score: float


class Scorer(Protocol):
    """Gives every turn a score for a question."""

    def index(self, turns: Sequence[Turn]) -> None:
        """Take in all turns."""

    def scores(self, question: str) -> Scores:
        """Return one score per turn, in the order they were taken in."""


class Ranked:
    """A system that ranks by a scorer; the earlier of two equal turns is first.

    What was said after the question's time is taken out of the ranking, not out of the scorer:
    BM25's word counts, and the places that are fused, still have it.

    Args:
        scorer: gives the scores.
        count: counts a text's tokens, for packing.
    """

    def __init__(self, scorer: Scorer, count: Callable[[str], int]) -> None:
        self._scorer, self._count = scorer, count
        self._turns: Sequence[Turn] = ()
        self._costs: dict[int, int] = {}

    def index(self, turns: Sequence[Turn]) -> None:
        """Take in all turns."""
        self._turns = turns
        self._scorer.index(turns)

    def search(self, question: Asked, k: int) -> list[ScoredTurn]:
        """Return the k turns of the highest scores."""
        return [
            ScoredTurn(turn_id=self._turns[n].id or "", score=score)
            for n, score in self._best(question, k)
        ]

    def pack(self, question: Asked, budget: int) -> list[str]:
        """Return turns, best first, while their lines fit; one too long is passed over."""
        packed = []
        for n, _ in self._best(question, DEPTH):
            if (cost := self._cost(n)) <= budget:
                budget -= cost
                packed.append(self._turns[n].id or "")
        return packed

    def refusals(self, question: Asked) -> Mapping[str, bool]:  # noqa: ARG002
        """Return nothing: it always answers."""
        return {}

    def close(self) -> None:
        """Hold nothing."""

    def _best(self, question: Asked, k: int) -> list[tuple[int, float]]:
        scores = self._scorer.scores(question.text)
        if question.asked_at is not None:
            late = [
                turn.said_at is not None and turn.said_at > question.asked_at
                for turn in self._turns
            ]
            scores = np.where(late, -np.inf, scores)
        order = np.argsort(-scores, kind="stable")[:k]
        return [(int(n), float(scores[n])) for n in order if scores[n] > -np.inf]

    def _cost(self, n: int) -> int:
        if n not in self._costs:
            self._costs[n] = self._count(line(self._turns[n]) + "\n")
        return self._costs[n]


def line(turn: Turn) -> str:
    """Return a turn as it stands in a prompt and in BM25's index: date, speaker, words."""
    date = f"[{day(turn.said_at)}] " if turn.said_at else ""
    return f"{date}{turn.speaker}: {turn.text}"


def pieces(turn: Turn, embedder: Embedder) -> list[str]:
    """Return a turn as dense search embeds it: all of it, behind the speaker's name if known."""
    header = f"{turn.name}: " if turn.name else ""
    spans = embedder.split(turn.text, header=header)
    return [header + turn.text[start:end] for start, end in spans]


class Dense:
    """Exact cosine over the turns' pieces; a turn is as near as its nearest piece."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: Vectors = np.empty((0, 0), dtype=np.float32)
        self._firsts: list[int] = []

    def index(self, turns: Sequence[Turn]) -> None:
        """Embed all pieces."""
        texts: list[str] = []
        for turn in turns:
            self._firsts.append(len(texts))
            texts += pieces(turn, self._embedder)
        self._vectors = self._embedder.embed(texts)

    def scores(self, question: str) -> Scores:
        """Return cosines, from -1 to 1."""
        cosines = self._vectors @ self._embedder.embed([question])[0]
        return np.asarray(np.maximum.reduceat(cosines, self._firsts), dtype=np.float64)


class Bm25:
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
        self._index: Any = bm25s.BM25()
        self._turns = 0

    def index(self, turns: Sequence[Turn]) -> None:
        """Count all words."""
        self._turns = len(turns)
        words = self._words([line(turn) for turn in turns])
        self._index.index(words, show_progress=False)

    def scores(self, question: str) -> Scores:
        """Return BM25; a turn that shares no word is not found."""
        (words,) = self._words([question])
        if not words:  # stop words only
            return np.full(self._turns, -np.inf)
        scores = np.asarray(self._index.get_scores(words), dtype=np.float64)
        return np.where(scores > 0, scores, -np.inf)

    def _words(self, texts: list[str]) -> list[list[str]]:
        return self._tokenize(
            texts, stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )


class Fused:
    """Reciprocal rank fusion: the sum of 1 / (60 + place) over the scorers that found a turn.

    Source: Cormack, Clarke and Büttcher, SIGIR 2009.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self._scorers = scorers

    def index(self, turns: Sequence[Turn]) -> None:
        """Let every scorer take in the turns."""
        for scorer in self._scorers:
            scorer.index(turns)

    def scores(self, question: str) -> Scores:
        """Return the sums, over whole rankings."""
        parts = [_reciprocal(scorer.scores(question)) for scorer in self._scorers]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def _reciprocal(scores: Scores) -> Scores:
    places = np.empty(len(scores))
    places[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.where(scores > -np.inf, 1 / (RRF_K + places), 0.0)


class Newest:
    """The last turns, whatever is asked: the newest scores 1, the one before 1/2."""

    def __init__(self) -> None:
        self._turns = 0

    def index(self, turns: Sequence[Turn]) -> None:
        """Count the turns."""
        self._turns = len(turns)

    def scores(self, question: str) -> Scores:  # noqa: ARG002
        """Return 1 / (turns from the end)."""
        return 1 / np.arange(self._turns, 0, -1, dtype=np.float64)
