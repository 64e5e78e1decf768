"""Context windows: the neighbours of a chunk in its session, weighted by distance in tokens.

Distance counts tokens, not turns: a short remark is read with the talk around it, and a long
message mostly by itself. A pause of half a day ends a conversation too, so that turns without a
session id have windows as well.
"""

from collections.abc import MutableMapping
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Integers, Timeline

Floats = NDArray[np.float64]

HALF_LIFE = 35.0  # tokens after which a neighbour counts half
CHUNK = 100  # tokens of an attention chunk
_MIN_WEIGHT, _MAX_WEIGHT = 0.1, 0.6  # lower weights become 0, higher ones 0.6
_TYPICAL_LENGTH = 60  # tokens in most windows
_REACH = 5  # neighbours on either side, at most
_SESSION_GAP = 10**6 * CHUNK  # tokens between two sessions: no window reaches across
_PAUSE_US = 12 * 3600 * 10**6  # half a day in microseconds


def _weights_by_distance() -> Floats:
    """Return the weight of a neighbour at each distance in half tokens; the last one is 0."""
    weights = np.exp2(-np.arange(10 * HALF_LIFE) / (2 * HALF_LIFE))
    weights[weights < _MIN_WEIGHT] = 0
    return np.minimum(weights, _MAX_WEIGHT)


_WEIGHTS = _weights_by_distance()


class Windows:
    """The windows of one timeline of n rows: a positional kernel over tokens.

    Source of kernels over positions: Lv and Zhai, SIGIR 2009 (positional language models).
    """

    def __init__(self, timeline: Timeline) -> None:
        starts = np.diff(timeline.sessions, prepend=-1) != 0
        starts |= np.diff(timeline.said_us, prepend=timeline.said_us[:1]) > _PAUSE_US
        conversation = np.cumsum(starts) - 1  # the number of each row's conversation
        before = np.cumsum(timeline.tokens) - timeline.tokens
        # the middle of each row in half tokens, conversations far apart from each other
        self._middle = (
            2 * (before - before[starts][conversation]) + timeline.tokens
            + 2 * _SESSION_GAP * conversation
        )  # fmt: skip
        # The approximate number of tokens in every window, shape (n,). The sum of the neighbours'
        # tokens by weight ranks the same turns first and takes longer.
        self.lengths = np.maximum(timeline.tokens, _TYPICAL_LENGTH).astype(float)
        self.mean_length = float(self.lengths.mean()) if len(timeline) else 0.0
        self.session_lengths = np.bincount(timeline.sessions, timeline.tokens).astype(float)

    @classmethod
    def of(cls, timeline: Timeline) -> "Windows":
        """Return the windows of a timeline; they are computed once, and kept while it is."""
        windows = _WINDOWS.get(timeline)
        if windows is None:
            windows = _WINDOWS[timeline] = cls(timeline)
        return windows

    def neighbours(self, rows: Integers) -> tuple[Integers, Floats]:
        """Return the rows around each of `rows` and their weights, shape (11, m) each.

        The row itself has the weight 1. A neighbour out of reach has the weight 0.
        """
        steps = np.arange(-_REACH, _REACH + 1)[:, None]
        neighbours = np.clip(rows + steps, 0, max(len(self._middle) - 1, 0))
        distances = np.abs(self._middle[neighbours] - self._middle[rows])
        weights = _WEIGHTS[np.minimum(distances, len(_WEIGHTS) - 1)]
        weights[neighbours - rows != steps] = 0  # beyond an end of the timeline
        weights[_REACH] = 1
        return neighbours, weights

    def means(self, rows: Integers, values: Floats) -> Floats:
        """Return the mean of `values` by weight, over the part of each window that is in `rows`."""
        sums, weight_sums = values.copy(), np.ones(len(rows))
        middle = self._middle[rows]
        for step in range(1, _REACH + 1):  # rows in reach are at most this many entries apart
            distances = middle[step:] - middle[:-step]
            weights = _WEIGHTS[np.minimum(distances, len(_WEIGHTS) - 1)]
            weights[rows[step:] - rows[:-step] > _REACH] = 0
            sums[:-step] += weights * values[step:]
            sums[step:] += weights * values[:-step]
            weight_sums[:-step] += weights
            weight_sums[step:] += weights
        return np.asarray(sums / weight_sums)

    def expand(self, rows: Integers) -> Integers:
        """Return `rows`, their windows and all rows of the same attention chunks, ascending."""
        neighbours, weights = self.neighbours(rows)
        chunks = distinct(self.chunks(neighbours[weights > 0]))
        starts = np.searchsorted(self._middle, chunks * 2 * CHUNK)
        sizes = np.searchsorted(self._middle, (chunks + 1) * 2 * CHUNK) - starts
        offsets = np.cumsum(sizes) - sizes  # of each chunk's first row in the result
        return np.asarray(np.repeat(starts - offsets, sizes) + np.arange(sizes.sum()))

    def chunks(self, rows: Integers) -> Integers:
        """Return the number of each row's attention chunk."""
        return np.asarray(self._middle[rows] // (2 * CHUNK))


def distinct(values: Integers) -> Integers:
    """Return the distinct values, ascending; np.unique hashes integers, which takes longer."""
    values = np.sort(values)
    return np.asarray(values[np.diff(values, prepend=values[:1] - 1) != 0])


_WINDOWS: MutableMapping[Timeline, Windows] = WeakKeyDictionary()  # forgotten with the timeline
