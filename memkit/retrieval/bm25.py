"""BM25 over context windows and over sessions, computed from postings alone.

A word counts once in a chunk, however often it occurs there, because chunks are short. Document
frequencies are those of the searched scope, so no user's text changes another user's scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memkit.protocols import Integers, Timeline
from memkit.retrieval.windows import Floats, Windows

_PREFIX = 3  # letters that two forms of a word have in common at least
_K1, _B = 1.2, 0.75  # the usual values; Robertson and Zaragoza 2009


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalScores:
    """BM25 scores of every row of a timeline, each array of shape (n,)."""

    window: Floats  # of the row's window, as a share of the theoretical maximum
    chunk: Floats  # the part of `window` that comes from the row's chunk itself
    session: Floats  # of the row's session, as a share of the best session's


def score(timeline: Timeline, windows: Windows, postings: Mapping[str, Integers]) -> LexicalScores:
    """Score every row by the words of a question, given the rows of each word, ascending.

    Source: Robertson and Zaragoza 2009 (BM25). Dividing by the theoretical maximum, as Bruch, Gai
    and Ingber 2023 do, makes the scores of different questions comparable.
    """
    n = len(timeline)
    row_lists = _merge_word_forms(postings)
    weights = [np.log(1 + (n - len(rows) + 0.5) / (len(rows) + 0.5)) for rows in row_lists]
    maximum = sum(weights) * (_K1 + 1)
    counts = [windows.counts(rows) for rows in row_lists]
    matched = np.flatnonzero(sum(counts, np.zeros(n)))  # all other rows score 0
    damping = _damping(windows.lengths())[matched]
    window, chunk = np.zeros(n), np.zeros(n)
    for weight, count, rows in zip(weights, counts, row_lists, strict=True):
        scores = weight / maximum * _saturate(count[matched], damping)
        window[matched] += scores
        chunk[rows] += scores[np.searchsorted(matched, rows)] / count[rows]
    return LexicalScores(
        window=window, chunk=chunk, session=_score_sessions(timeline, weights, row_lists)
    )


def _merge_word_forms(postings: Mapping[str, Integers]) -> list[Integers]:
    """Return the rows of each word, once for forms of one word: same rows, same first letters."""
    distinct: dict[str, Integers] = {}
    for word, rows in postings.items():
        forms = (form for form in distinct if form[:_PREFIX] == word[:_PREFIX])
        if not len(rows) or not any(np.array_equal(rows, distinct[form]) for form in forms):
            distinct[word] = rows
    return list(distinct.values())


def _score_sessions(
    timeline: Timeline, weights: Sequence[float], row_lists: Sequence[Integers]
) -> Floats:
    """Return the BM25 score of each row's session, as a share of the best."""
    lengths = np.bincount(timeline.sessions, timeline.tokens).astype(float)
    damping = _damping(lengths)
    scores = np.zeros(len(lengths))
    for weight, rows in zip(weights, row_lists, strict=True):
        counts = np.bincount(timeline.sessions[rows], minlength=len(lengths))
        scores += weight * _saturate(counts, damping)
    return np.asarray((scores / (scores.max(initial=0) or 1))[timeline.sessions])


def _damping(lengths: Floats) -> Floats:
    """Return BM25's length normalisation, K1 (1 - B + B length / mean length)."""
    mean = lengths.mean() if len(lengths) else 1.0
    return np.asarray(_K1 * (1 - _B + _B * lengths / mean))


def _saturate(counts: Floats | Integers, damping: Floats) -> Floats:
    return np.asarray(counts * (_K1 + 1) / (counts + damping))
