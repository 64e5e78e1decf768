"""What a question attends to: the chunks of dialogue that it opens, and the turns inside them.

HCAM compares a question with the keys of all chunks, opens the best chunks and attends inside them.
Recall uses only the scores (`memkit.retrieval.fusion`); this is for those who show them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memkit.protocols import RetrievedChunk, Snapshot, Vectors
from memkit.retrieval import fusion
from memkit.retrieval.windows import Floats, Windows

_OPENED = 3  # chunks whose turns are read


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendedChunk:
    """A chunk of dialogue that a question opens."""

    weight: float  # share of all attention
    matches: list[RetrievedChunk]  # its turns, in the order they were said
    shares: Floats  # each turn's share of all attention, shape (turns,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkAttention:
    """The attention that a question pays to a whole dialogue."""

    times: NDArray[np.datetime64]  # when each chunk was said, in UTC; shape (chunks,)
    weights: Floats  # each chunk's share of all attention
    best: list[int]  # indices of the opened chunks, most attention first
    opened: list[AttendedChunk]  # the same chunks


def attend_to_dialogue(snapshot: Snapshot, vector: Vectors) -> ChunkAttention:
    """Attend to all chunks of a scope, as recall does to those around its candidates.

    `snapshot` has at least one row; `vector` is the question's, shape (d,). Cost: the cosines with
    all rows of the scope.
    """
    positions = np.arange(len(snapshot.timeline))
    numbers = Windows.of(snapshot.timeline).chunks(positions)
    shares = fusion.attention_scores(numbers, (snapshot.vectors(positions) @ vector).astype(float))
    shares /= shares.sum()
    _, first, chunks = np.unique(numbers, return_index=True, return_inverse=True)
    weights = np.bincount(chunks, shares).astype(float)
    best = np.argsort(-weights, kind="stable")[:_OPENED].tolist()
    rows = [np.flatnonzero(chunks == chunk) for chunk in best]
    opened = [
        AttendedChunk(weight=weights[chunk], matches=snapshot.chunks(inside), shares=shares[inside])
        for chunk, inside in zip(best, rows, strict=True)
    ]
    times = snapshot.timeline.said_us[first].astype("datetime64[us]")
    return ChunkAttention(times=times, weights=weights, best=best, opened=opened)
