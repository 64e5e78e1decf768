"""The trained projection of a question: what an answer in other words looks like.

HCAM scores memories by the product of a projected query and projected keys. The product of the two
projections is one matrix, so the stored vectors stay as they are and only the question is
projected: q + up (down q), of low rank, divided by its length. `training/projection.py` writes
`projection.npz` for the bundled encoder; the questions of other encoders are not projected.

Source: Lampinen et al. 2021, section 3.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from memkit.embedders import MINILM
from memkit.protocols import Fingerprint, Vectors

FILE = Path(__file__).with_name("projection.npz")


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """What is added to the vector of a question: `up` and `down` have the shape (rank, d)."""

    up: Vectors
    down: Vectors

    def __call__(self, vector: Vectors) -> Vectors:
        """Return the projected vector, a unit vector of shape (d,)."""
        projected = vector + (self.down @ vector) @ self.up
        return np.asarray(projected / np.linalg.norm(projected), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class QuestionVectors:
    """The vector of a question, and the same projected; unit vectors of shape (d,)."""

    plain: Vectors
    projected: Vectors

    @classmethod
    def of(cls, vector: Vectors, fingerprint: Fingerprint) -> "QuestionVectors":
        """Return both, by the encoder that embedded the question."""
        is_trained = fingerprint == MINILM
        return cls(vector, bundled_projection()(vector) if is_trained else vector)


@cache
def bundled_projection() -> Projection:
    """Return the projection that memkit ships."""
    with np.load(FILE) as arrays:
        return Projection(*(arrays[name].astype(np.float32) for name in ("up", "down")))


def save(projection: Projection, file: Path) -> None:
    """Write a projection in half precision."""
    np.savez(file, up=projection.up.astype(np.float16), down=projection.down.astype(np.float16))
