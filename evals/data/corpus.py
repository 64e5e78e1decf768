"""Memories of any size, filled quickly: texts with Zipf's distribution and derived vectors.

Embedding 100,000 texts takes longer than any benchmark here, so a few thousand generated texts are
really embedded and the other vectors are those with noise added. Times depend on how many vectors
there are and how texts share words, and both are as in real memories; which text is found does not
matter here and is not reported.
"""

import hashlib
import random
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import memkit
from evals import ROOT, USER
from memkit import Turn
from memkit.embedders import MINILM, MiniLM
from memkit.models.bundled import default_cache
from memkit.protocols import Embedder, Vectors
from memkit.records import Scope

START = datetime(2024, 1, 1, 9, tzinfo=UTC)
_WORDS = 40_000  # made-up ones
_EXPONENT, _SHIFT = 1.05, 2.7  # Zipf-Mandelbrot, as fitted to English
_BATCH = 2000
REALLY_EMBEDDED = 2500
NOISE = 0.5  # of a derived vector, relative to the spread of the real ones


@cache
def vocabulary(seed: int) -> tuple[list[str], list[float]]:
    """Return words by falling frequency, and their summed weights."""
    rng = random.Random(seed)
    given = tomllib.loads((ROOT / "evals/data/phrases.toml").read_text())
    syllables = [onset + vowel for onset in given["onsets"].split() for vowel in "aeiou"]
    made: dict[str, None] = {}
    while len(made) < _WORDS:
        made["".join(rng.choices(syllables, k=rng.choice((2, 2, 3, 3, 4))))] = None
    words = [*given["function_words"].split(), *made]
    weights = 1 / (np.arange(1, len(words) + 1) + _SHIFT) ** _EXPONENT
    return words, np.cumsum(weights).tolist()


def texts(n: int, seed: int) -> list[str]:
    """Return `n` sentences of 6 to 30 words, different in every one."""
    words, weights = vocabulary(seed)
    rng = random.Random(seed + 1)
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(6, 30))) + "."
        for _ in range(n)
    ]


def questions(asked_of: Sequence[str], n: int, seed: int) -> list[str]:
    """Return `n` questions, each with 3 to 7 words of one of the texts."""
    rng = random.Random(seed + 2)
    found = []
    for text in rng.choices(asked_of, k=n):
        words = text.rstrip(".").split()
        kept = rng.sample(words, k=min(len(words), rng.randint(3, 7)))
        found.append(f"What did you say about {' '.join(kept)}?")
    return found


def embedded(given: Sequence[str], embedder: Embedder) -> Vectors:
    """Return the texts' vectors, from the cache on disk if they were embedded before."""
    digest = hashlib.blake2b(str(embedder.fingerprint).encode(), digest_size=16)
    for text in given:
        digest.update(f"{len(text)}:{text}".encode())
    path = default_cache() / "evals" / f"{digest.hexdigest()}.npy"
    if path.exists():
        return np.asarray(np.load(path), dtype=np.float32)
    vectors = embedder.embed(given)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp.npy")
    np.save(unfinished, vectors)
    unfinished.replace(path)
    return vectors


def derived(real: Vectors, n: int, seed: int) -> Vectors:
    """Return `n` unit vectors: the real ones, then real ones with noise of the same covariance.

    Noise that is as wide in every direction as the real vectors are keeps them on the same few
    hundred directions; plain Gaussian noise would make them easier to tell apart than they are.
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


def vectors(n: int, seed: int, *, real: bool) -> Vectors:
    """Return `n` vectors for filling: derived from MiniLM's, or random ones for a quick test."""
    if not real:
        drawn = np.random.default_rng(seed).standard_normal((n, MINILM.dimension))
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)
    base = embedded(texts(min(n, REALLY_EMBEDDED), seed), MiniLM())
    return derived(base, n, seed)


class Prepared:
    """An embedder that hands out prepared vectors in turn, under MiniLM's name."""

    fingerprint = MINILM

    def __init__(self, prepared: Vectors) -> None:
        self._prepared, self._next = prepared, 0

    def count(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:  # noqa: ARG002
        """Return the text whole: one turn, one vector."""
        return [(0, len(text))]

    def embed(self, given: Sequence[str]) -> Vectors:
        """Return the next vectors, whatever the texts are."""
        first, self._next = self._next, self._next + len(given)
        return self._prepared[first : self._next]


def fill(path: Path, said: Sequence[str], prepared: Vectors) -> None:
    """Make a memory of one user with these texts and vectors, a minute between two turns."""
    settings = memkit.Settings(background=False)
    with memkit.open(str(path), embedder=Prepared(prepared), settings=settings) as memory:
        for first in range(0, len(said), _BATCH):
            batch = said[first : first + _BATCH]
            memory.remember(
                [
                    Turn(
                        id=f"t{first + n}",
                        text=text,
                        role="user" if n % 2 == 0 else "assistant",
                        said_at=START + timedelta(minutes=first + n),
                    )
                    for n, text in enumerate(batch)
                ],
                user_id=USER,
                session_id=f"s{first // _BATCH}",
            )
        # makes the index, which closing then saves
        with memory.store.snapshot(Scope(user_id=USER)) as snapshot:
            snapshot.nearest(prepared[0], 1)


def memory_file(folder: Path, size: int, seed: int, *, real: bool) -> Path:
    """Return a filled memory of `size` turns in `folder`, made at the first call."""
    path = folder / f"{size}-{seed}.db"
    if not path.exists():
        fill(path, texts(size, seed), vectors(size, seed, real=real))
    return path


def exact(prepared: Vectors) -> Any:
    """Return FAISS's exact index over the vectors: the baseline of every vector search here."""
    import faiss

    index = faiss.IndexFlatIP(prepared.shape[1])
    index.add(np.ascontiguousarray(prepared))
    return index


def save_flat(path: Path, prepared: Vectors) -> None:
    """Write a bare exact index of the vectors as FAISS writes it."""
    import faiss

    faiss.write_index(exact(prepared), str(path))


class Known:
    """An embedder that has seen these texts already; others it embeds with `inner`."""

    def __init__(self, given: Sequence[str], inner: Embedder) -> None:
        once = list(dict.fromkeys(given))
        self.fingerprint = inner.fingerprint
        self._inner = inner
        self._vectors = dict(zip(once, embedded(once, inner), strict=True))

    def count(self, text: str) -> int:
        """Return how many tokens `inner` counts."""
        return self._inner.count(text)

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return the spans that `inner` would."""
        return self._inner.split(text, header=header)

    def embed(self, given: Sequence[str]) -> Vectors:
        """Return one row per text; costs nothing for texts that are known."""
        new = [text for text in given if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self._inner.embed(new), strict=True))
        return np.stack([self._vectors[text] for text in given])
