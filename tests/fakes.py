"""Embedders that see less or more than usual, and what tests of `recall` say to a memory."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import numpy as np

import memkit
from memkit import Turn
from memkit.protocols import Vectors
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TOLD = ["oslo", "bees", "jazz", "tea", "cat", "moon", "rain", "sister", "key", "red"]
users = map("user{}".format, count())


class Blind(HashEmbedder):
    """Sees no difference between texts: only words, speakers and lengths tell."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        return super().embed(["same"] * len(texts))


class Real(HashEmbedder):
    """Has vectors like a model's: no number in them is round."""

    def __init__(self) -> None:
        super().__init__(384)

    def embed(self, texts: Sequence[str]) -> Vectors:
        mixed = np.random.default_rng(0).normal(size=(384, 384))
        vectors = super().embed(texts) @ mixed
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / norms, dtype=np.float32)


def opened(embedder: HashEmbedder) -> memkit.Memory:
    return memkit.open(
        ":memory:",
        embedder=embedder,
        settings=memkit.Settings(background=False),
        clock=lambda: NOON,
    )


def apart(texts: Sequence[str], **rest: Any) -> list[Turn]:
    """Turns in sessions of their own, so that none is read with its neighbours."""
    return [Turn(text=text, session_id=f"s{n}", **rest) for n, text in enumerate(texts)]
