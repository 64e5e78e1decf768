"""BM25 over windows and over sessions, from the places of a question's words alone.

A word counts once in a chunk, however often it stands there: chunks are short. Frequencies are
those of the scope that is searched, so nobody's text changes another's scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memkit.protocols import Integers, Timeline
from memkit.retrieval.windows import Floats, Windows

_ALIKE = 3  # letters at the beginning of two forms of a word
_K1, _B = 1.2, 0.75  # the usual values; Robertson and Zaragoza 2009


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """What a question's words say of every place, each of shape (n,)."""

    window: Floats  # BM25 of the place and what stands around it, as a part of the most possible
    own: Floats  # the part of that from words of the place itself
    session: Floats  # BM25 of the whole session, as a part of the best session's


def score(timeline: Timeline, windows: Windows, found: Mapping[str, Integers]) -> Lexical:
    """Score every place by the question's words.

    Args:
        timeline: what is searched.
        windows: its windows.
        found: the question's words, and the places that have each, ascending; may be none.

    Source: Robertson and Zaragoza 2009 (BM25); dividing by the theoretical maximum as in Bruch,
    Gai and Ingber 2023, so that scores of different questions can be compared.
    """
    n = len(timeline)
    postings = _distinct(found)
    weights = [np.log(1 + (n - len(places) + 0.5) / (len(places) + 0.5)) for places in postings]
    most = sum(weights) * (_K1 + 1)
    counts = [windows.spread(places) for places in postings]
    touched = np.flatnonzero(sum(counts, np.zeros(n)))  # all the others score 0
    damping = _damping(windows.lengths())[touched]
    window, own = np.zeros(len(touched)), np.zeros(len(touched))
    for weight, count, places in zip(weights, counts, postings, strict=True):
        scores = weight / most * _saturated(count[touched], damping)
        window += scores
        itself = np.searchsorted(touched, places)
        own[itself] += scores[itself] / count[places]
    return Lexical(
        window=_scattered(window, touched, n),
        own=_scattered(own, touched, n),
        session=_sessions(timeline, weights, postings),
    )


def _scattered(scores: Floats, places: Integers, n: int) -> Floats:
    """Return the scores at their places among `n`, 0 elsewhere."""
    found = np.zeros(n)
    found[places] = scores
    return found


def _distinct(found: Mapping[str, Integers]) -> list[Integers]:
    """Return the places of each word, and of several forms of one word once.

    Words that begin alike and stand in the same places are forms of one to the store's stemmer.
    """
    kept: dict[str, Integers] = {}
    for word, places in found.items():
        forms = (other for other in kept if other[:_ALIKE] == word[:_ALIKE])
        if not len(places) or not any(np.array_equal(places, kept[other]) for other in forms):
            kept[word] = places
    return list(kept.values())


def _sessions(timeline: Timeline, weights: Sequence[float], postings: Sequence[Integers]) -> Floats:
    """Return each place's session's BM25, as a part of the best."""
    lengths = np.bincount(timeline.sessions, timeline.tokens).astype(float)
    damping = _damping(lengths)
    found = np.zeros(len(lengths))
    for weight, places in zip(weights, postings, strict=True):
        counts = np.bincount(timeline.sessions[places], minlength=len(lengths))
        found += weight * _saturated(counts, damping)
    return np.asarray((found / (found.max(initial=0) or 1))[timeline.sessions])


def _damping(lengths: Floats) -> Floats:
    mean = lengths.mean() if len(lengths) else 1.0
    return np.asarray(_K1 * (1 - _B + _B * lengths / mean))


def _saturated(counts: Floats | Integers, damping: Floats) -> Floats:
    return np.asarray(counts * (_K1 + 1) / (counts + damping))
