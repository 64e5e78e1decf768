"""Embedders with an unusual view of texts, and helpers of the tests of `recall`."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from memkit import Turn
from memkit.protocols import Vectors
from memkit.testing import HashEmbedder

VOCABULARY = ["oslo", "bees", "jazz", "tea", "cat", "moon", "rain", "sister", "key", "red"]
users = map("user{}".format, count())


class BlindEmbedder(HashEmbedder):
    """Embeds all texts alike, so that only words, speakers and lengths differ."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        return super().embed(["same"] * len(texts))


class DenseEmbedder(HashEmbedder):
    """Returns vectors like a model's, whose numbers are not round."""

    def __init__(self) -> None:
        super().__init__(384)

    def embed(self, texts: Sequence[str]) -> Vectors:
        mixing = np.random.default_rng(0).normal(size=(384, 384))
        vectors = super().embed(texts) @ mixing
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / norms, dtype=np.float32)


def apart(texts: Sequence[str], **fields: Any) -> list[Turn]:
    """Return turns in sessions of their own, so that no turn has neighbours in its window."""
    return [Turn(text=text, session_id=f"s{n}", **fields) for n, text in enumerate(texts)]
