"""Context windows: the neighbours of a chunk in its session, weighted by distance in tokens.

Distance counts tokens, not turns: a short remark is read with the talk around it, and a long
message mostly by itself. A pause of half a day ends a conversation too, so that turns without a
session id have windows as well.
"""

import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Integers, Timeline

Floats = NDArray[np.float64]

HALF_LIFE = 35.0  # tokens after which a neighbour counts half
CHUNK = 100  # tokens of an attention chunk
_MIN_WEIGHT, _MAX_WEIGHT = 0.1, 0.6  # lower weights become 0, higher ones 0.6
_TYPICAL_LENGTH = 60  # tokens in most windows
_REACH = 5  # neighbours on either side, at most
_SESSION_GAP = 1e6 * CHUNK  # tokens between two sessions: no window reaches across
_PAUSE_US = 12 * 3600 * 10**6  # half a day in microseconds


class Windows:
    """The windows of one timeline of n rows: a positional kernel over tokens.

    Source of kernels over positions: Lv and Zhai, SIGIR 2009 (positional language models).
    """

    def __init__(self, timeline: Timeline) -> None:
        self._tokens = timeline.tokens
        starts = np.diff(timeline.sessions, prepend=-1) != 0
        starts |= np.diff(timeline.said_us, prepend=timeline.said_us[:1]) > _PAUSE_US
        conversation = np.cumsum(starts) - 1  # the number of each row's conversation
        before = np.cumsum(timeline.tokens) - timeline.tokens
        # the middle of each row in tokens, conversations far apart from each other
        self._middle = (
            before - before[starts][conversation] + timeline.tokens / 2
            + conversation * _SESSION_GAP
        )  # fmt: skip
        self._steps = [step for step in range(-_REACH, _REACH + 1) if step]

    def counts(self, rows: Integers) -> Floats:
        """Return how many of `rows` are in every window, counted by their weight; shape (n,)."""
        counts = np.zeros(len(self._middle))
        counts[rows] = 1
        for step in self._steps:
            neighbours, weights = self._neighbours(rows, step)[1:]
            counts[neighbours] += weights
        return counts

    def lengths(self) -> Floats:
        """Return the approximate number of tokens in every window, shape (n,).

        The sum of the neighbours' tokens by weight ranks the same turns first and takes longer.
        """
        return np.maximum(self._tokens, _TYPICAL_LENGTH).astype(float)

    def means(self, rows: Integers, values: Floats) -> Floats:
        """Return the mean of `values` by weight, over the part of each window that is in `rows`."""
        sums, weight_sums = values.copy(), np.ones(len(rows))
        middle = self._middle[rows]
        for step in range(1, _REACH + 1):  # rows in reach are at most this many entries apart
            weights = _weights(middle[step:] - middle[:-step])
            weights[rows[step:] - rows[:-step] > _REACH] = 0
            sums[:-step] += weights * values[step:]
            sums[step:] += weights * values[:-step]
            weight_sums[:-step] += weights
            weight_sums[step:] += weights
        return np.asarray(sums / weight_sums)

    def expand(self, rows: Integers) -> Integers:
        """Return `rows`, their windows and all rows of the same attention chunks, ascending."""
        nearby = [rows, *(self._neighbours(rows, step)[1] for step in self._steps)]
        chunks = np.unique(self.chunks(np.concatenate(nearby)))
        starts = np.searchsorted(self._middle, chunks * CHUNK)
        ends = np.searchsorted(self._middle, (chunks + 1) * CHUNK)
        ranges = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        return np.concatenate([np.empty(0, dtype=np.int64), *ranges])

    def chunks(self, rows: Integers) -> Integers:
        """Return the number of each row's attention chunk."""
        return np.asarray(self._middle[rows] // CHUNK, dtype=np.int64)

    def _neighbours(self, rows: Integers, step: int) -> tuple[Integers, Integers, Floats]:
        """Return indexes into `rows`, the rows `step` away from those, and their weights."""
        inside = np.flatnonzero((rows + step >= 0) & (rows + step < len(self._middle)))
        neighbours = rows[inside] + step
        weights = _weights(np.abs(self._middle[neighbours] - self._middle[rows[inside]]))
        positive = weights > 0
        return inside[positive], neighbours[positive], weights[positive]


def _weights(distances: Floats) -> Floats:
    """Return the weights of neighbours at these distances in tokens."""
    weights = np.minimum(np.exp2(-distances / HALF_LIFE), _MAX_WEIGHT)
    weights[weights < _MIN_WEIGHT] = 0
    return np.asarray(weights)
