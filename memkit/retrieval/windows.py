"""What stands around a chunk: nearby chunks of its session, weighted by their distance in tokens.

A pause of half a day parts a session as well, so that turns without a session have windows too.

Distance is counted in tokens and not in turns, so that a short remark is read with what was said
around it, while a long message stands for itself.
"""

import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Integers, Timeline

Floats = NDArray[np.float64]

HALF_LIFE = 35.0  # tokens after which a neighbour counts half
CHUNK = 100  # tokens of an attention chunk
_LEAST, _MOST = 0.1, 0.6  # a neighbour that counts less does not count; none counts more
_FULL = 60  # tokens in a window, about, unless its own chunk is longer
_REACH = 5  # neighbours on either side, at most
_APART = 1e6 * CHUNK  # tokens that lie between two sessions: no window reaches across
_PAUSE_US = 12 * 3600 * 10**6  # what is said so much later is another conversation


class Windows:
    """The windows of one timeline: a positional kernel over tokens.

    Source of kernels over positions: Lv and Zhai, SIGIR 2009 (positional language models).
    """

    def __init__(self, timeline: Timeline) -> None:
        self._tokens = timeline.tokens
        begins = np.diff(timeline.sessions, prepend=-1) != 0
        begins |= np.diff(timeline.said_us, prepend=timeline.said_us[:1]) > _PAUSE_US
        talk = np.cumsum(begins) - 1  # which stretch of talk each place is in
        before = np.cumsum(timeline.tokens) - timeline.tokens
        self._at = before - before[begins][talk] + timeline.tokens / 2 + talk * _APART
        self._steps = [step for step in range(-_REACH, _REACH + 1) if step]

    def spread(self, places: Integers) -> Floats:
        """Return how much of these places every place has in its window, shape (n,)."""
        found = np.zeros(len(self._at))
        found[places] = 1
        for step in self._steps:
            near, weights = self._neighbours(places, step)[1:]
            found[near] += weights
        return found

    def lengths(self) -> Floats:
        """Return about how many tokens stand in every window, shape (n,): few differ from `_FULL`.

        Counting the neighbours' tokens, each by its weight, finds the same turns in more time.
        """
        return np.maximum(self._tokens, _FULL).astype(float)

    def means(self, places: Integers, values: Floats) -> Floats:
        """Return each place's weighted mean of `values` in its window, as far as it is in `places`.

        Args:
            places: ascending, each once; shape (m,).
            values: theirs; shape (m,).
        """
        found, weight = values.copy(), np.ones(len(places))
        at = self._at[places]
        for step in range(1, _REACH + 1):  # what is in reach is at most so many entries away
            weights = _weights(at[step:] - at[:-step])
            weights[places[step:] - places[:-step] > _REACH] = 0
            found[:-step] += weights * values[step:]
            found[step:] += weights * values[:-step]
            weight[:-step] += weights
            weight[step:] += weights
        return np.asarray(found / weight)

    def around(self, places: Integers) -> Integers:
        """Return these places, their windows, and all of the chunks these are in; ascending."""
        nearby = [places, *(self._neighbours(places, step)[1] for step in self._steps)]
        chunks = np.unique(self.chunks(np.concatenate(nearby)))
        first = np.searchsorted(self._at, chunks * CHUNK)
        beyond = np.searchsorted(self._at, (chunks + 1) * CHUNK)
        mates = [np.arange(*ends) for ends in zip(first, beyond, strict=True)]
        return np.concatenate([np.empty(0, dtype=np.int64), *mates])

    def chunks(self, places: Integers) -> Integers:
        """Return the number of the attention chunk that each place is in."""
        return np.asarray(self._at[places] // CHUNK, dtype=np.int64)

    def _neighbours(self, places: Integers, step: int) -> tuple[Integers, Integers, Floats]:
        """Return indexes into `places`, what stands `step` away from those, and its weight."""
        inside = np.flatnonzero((places + step >= 0) & (places + step < len(self._at)))
        near = places[inside] + step
        weights = _weights(np.abs(self._at[near] - self._at[places[inside]]))
        kept = weights > 0
        return inside[kept], near[kept], weights[kept]


def _weights(distances: Floats) -> Floats:
    """Return how much neighbours count that stand so many tokens away."""
    weights = np.minimum(np.exp2(-distances / HALF_LIFE), _MOST)
    weights[weights < _LEAST] = 0
    return np.asarray(weights)
