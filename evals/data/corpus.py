"""Memories of any size, filled quickly: texts with Zipf's distribution and derived vectors.

Embedding 100,000 texts takes longer than any benchmark here, so a few thousand generated texts are
really embedded and the other vectors are those with noise added. Times depend on how many vectors
there are and how texts share words, and both are as in real memories; which text is found does not
matter here and is not reported.
"""

import hashlib
import random
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import memkit
from evals import USER
from evals.data.synthetic.talk import PHRASES
from memkit import Turn
from memkit.embedders import MINILM, MiniLM
from memkit.models.bundled import default_cache
from memkit.protocols import Embedder, Vectors
from memkit.records import Scope

START = datetime(2024, 1, 1, 9, tzinfo=UTC)
REALLY_EMBEDDED = 2500
NOISE = 0.5  # of a derived vector, relative to the spread of the real ones
_WORDS = 40_000  # made-up ones
_EXPONENT, _SHIFT = 1.05, 2.7  # Zipf-Mandelbrot, as fitted to English
_BATCH = 2000


@cache
def _make_vocabulary(seed: int) -> tuple[list[str], list[float]]:
    rng = random.Random(seed)
    syllables = [onset + vowel for onset in PHRASES["onsets"].split() for vowel in "aeiou"]
    invented: dict[str, None] = {}
    while len(invented) < _WORDS:
        invented["".join(rng.choices(syllables, k=rng.choice((2, 2, 3, 3, 4))))] = None
    words = [*PHRASES["function_words"].split(), *invented]
    weights = 1 / (np.arange(1, len(words) + 1) + _SHIFT) ** _EXPONENT
    return words, np.cumsum(weights).tolist()


def make_texts(n: int, seed: int) -> list[str]:
    """Return `n` sentences of 6 to 30 words, different in every one."""
    words, weights = _make_vocabulary(seed)
    rng = random.Random(seed + 1)
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(6, 30))) + "."
        for _ in range(n)
    ]


def make_questions(texts: Sequence[str], n: int, seed: int) -> list[str]:
    """Return `n` questions, each with 3 to 7 words of one of the texts."""
    rng = random.Random(seed + 2)
    questions = []
    for text in rng.choices(texts, k=n):
        words = text.rstrip(".").split()
        sample = rng.sample(words, k=min(len(words), rng.randint(3, 7)))
        questions.append(f"What did you say about {' '.join(sample)}?")
    return questions


def embed_texts(texts: Sequence[str], embedder: Embedder) -> Vectors:
    """Return the texts' vectors, from a file in the cache if it has them."""
    digest = hashlib.blake2b(str(embedder.fingerprint).encode(), digest_size=16)
    for text in texts:
        digest.update(f"{len(text)}:{text}".encode())
    path = default_cache() / "evals" / f"{digest.hexdigest()}.npy"
    if path.exists():
        return np.asarray(np.load(path), dtype=np.float32)
    vectors = embedder.embed(texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp.npy")
    np.save(unfinished, vectors)
    unfinished.replace(path)
    return vectors


def derive_vectors(real: Vectors, n: int, seed: int) -> Vectors:
    """Return `n` unit vectors: the real ones, then real ones with noise of the same covariance.

    Plain Gaussian noise would make them easier to tell apart than real vectors are.
    """
    rng = np.random.default_rng(seed)
    spread = np.linalg.cholesky(np.cov(real.T) + 1e-6 * np.eye(real.shape[1]))
    parts = [real[:n]]
    for first in range(len(real), n, _BATCH):
        count = min(_BATCH, n - first)
        noise = rng.standard_normal((count, real.shape[1])) @ spread.T
        moved = real[rng.integers(0, len(real), count)] + NOISE * noise
        parts.append((moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32))
    return np.concatenate(parts)


def make_vectors(n: int, seed: int, *, real: bool) -> Vectors:
    """Return `n` vectors: derived from MiniLM's, or random ones for a quick test."""
    if not real:
        random_vectors = np.random.default_rng(seed).standard_normal((n, MINILM.dimension))
        lengths = np.linalg.norm(random_vectors, axis=1, keepdims=True)
        return np.asarray(random_vectors / lengths, dtype=np.float32)
    base = embed_texts(make_texts(min(n, REALLY_EMBEDDED), seed), MiniLM())
    return derive_vectors(base, n, seed)


class _PreparedEmbedder:
    """An embedder that returns prepared vectors in turn, under MiniLM's name."""

    fingerprint = MINILM

    def __init__(self, vectors: Vectors) -> None:
        self._vectors, self._next = vectors, 0

    def count(self, text: str) -> int:
        return len(text.split())

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:  # noqa: ARG002
        return [(0, len(text))]  # one turn, one vector

    def embed(self, texts: Sequence[str]) -> Vectors:
        first, self._next = self._next, self._next + len(texts)
        return self._vectors[first : self._next]


class DrawnEmbedder:
    """An embedder under MiniLM's name that draws a unit vector by each text, and runs no model."""

    fingerprint = MINILM

    def count(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:  # noqa: ARG002
        """Return the whole text: one turn, one vector."""
        return [(0, len(text))]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the same vector for the same text, shape (n, 384)."""
        draws = (np.random.default_rng(zlib.crc32(text.encode())) for text in texts)
        vectors = np.stack([draw.standard_normal(MINILM.dimension) for draw in draws])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / lengths, dtype=np.float32)


def make_memory_file(folder: Path, size: int, seed: int, *, real: bool) -> Path:
    """Return a memory of one user with `size` turns in `folder`, made at the first call."""
    path = folder / f"{size}-{seed}.db"
    if path.exists():
        return path
    texts, vectors = make_texts(size, seed), make_vectors(size, seed, real=real)
    settings, embedder = memkit.Settings(background=False), _PreparedEmbedder(vectors)
    with memkit.open(str(path), embedder=embedder, settings=settings) as memory:
        for first in range(0, len(texts), _BATCH):
            turns = [
                Turn(
                    id=f"t{n}",
                    text=text,
                    role="user" if n % 2 == 0 else "assistant",
                    said_at=START + timedelta(minutes=n),
                )
                for n, text in enumerate(texts[first : first + _BATCH], start=first)
            ]
            memory.remember(turns, user_id=USER, session_id=f"s{first // _BATCH}")
        # a search builds the index, which closing saves
        with memory.store.snapshot(Scope(user_id=USER)) as snapshot:
            snapshot.nearest(vectors[0], 1)
    return path


def exact_index(vectors: Vectors) -> Any:
    """Return FAISS's exact index of the vectors: the baseline of every vector search here."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index
