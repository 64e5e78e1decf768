"""BM25 over context windows and over sessions, computed from postings alone.

A word counts once in a chunk, however often it occurs there, because chunks are short. Document
frequencies are those of the searched scope, so no user's text changes another user's scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from memkit.protocols import Integers, Timeline
from memkit.retrieval.windows import Floats, Windows

_PREFIX = 3  # letters that two forms of a word have in common at least
_K1, _B = 1.2, 0.75  # the usual values; Robertson and Zaragoza 2009


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalScores:
    """BM25 scores of the n rows and s sessions of a timeline."""

    window: Floats  # of each row's window, as a share of the theoretical maximum, shape (n,)
    chunk: Floats  # the part of `window` that comes from the row's chunk itself, shape (n,)
    session: Floats  # of each session, as a share of the best, shape (s,)


def score(timeline: Timeline, windows: Windows, postings: Mapping[str, Integers]) -> LexicalScores:
    """Score every row by the words of a question, given the rows of each word, ascending.

    Source: Robertson and Zaragoza 2009 (BM25). Dividing by the theoretical maximum, as Bruch, Gai
    and Ingber 2023 do, makes the scores of different questions comparable.
    """
    n = len(timeline)
    window, chunk, session = np.zeros(n), np.zeros(n), np.zeros(len(windows.session_lengths))
    row_lists = _merge_word_forms(postings)
    if not n or not row_lists:
        return LexicalScores(window=window, chunk=chunk, session=session)
    frequencies = np.array([len(rows) for rows in row_lists])
    weights = np.log(1 + (n - frequencies + 0.5) / (frequencies + 0.5))
    # the rows of all words in one array, and the number of the word of each
    rows, words = np.concatenate(row_lists), np.repeat(np.arange(len(row_lists)), frequencies)
    neighbours, shares = windows.neighbours(rows)
    matched = _distinct(neighbours[shares > 0], n)  # all other rows score 0
    index = np.empty(n, dtype=np.int64)  # of a matched row in `matched`; others are not read
    index[neighbours] = 0  # of neighbours out of reach, which count 0
    index[matched] = np.arange(len(matched))
    counts = _count(words, index[neighbours], shares, (len(row_lists), len(matched)))
    scores = _saturate(counts, _damping(windows.lengths[matched], windows.mean_length))
    scores *= (weights / (weights.sum() * (_K1 + 1)))[:, None]
    window[matched] = scores.sum(axis=0)
    own = index[rows]
    chunk[matched] = np.bincount(own, scores[words, own] / counts[words, own], len(matched))
    session = _score_sessions(timeline.sessions[rows], words, weights, windows.session_lengths)
    return LexicalScores(window=window, chunk=chunk, session=session)


def _distinct(rows: Integers, n: int) -> Integers:
    """Return the distinct values of rows below `n`, ascending."""
    occurs = np.zeros(n, dtype=bool)
    occurs[rows] = True
    return np.flatnonzero(occurs)


def _count(words: Integers, index: Integers, shares: Floats, shape: tuple[int, int]) -> Floats:
    """Return how often each word is in each window, counted by weight, of this `shape`."""
    cells = words * shape[1] + index
    counts = np.bincount(cells.ravel(), shares.ravel(), shape[0] * shape[1])
    return counts.astype(float, copy=False).reshape(shape)


def _merge_word_forms(postings: Mapping[str, Integers]) -> list[Integers]:
    """Return the rows of each word, once for forms of one word: same rows, same first letters."""
    distinct: dict[str, Integers] = {}
    for word, rows in postings.items():
        forms = (form for form in distinct if form[:_PREFIX] == word[:_PREFIX])
        if not len(rows) or not any(np.array_equal(rows, distinct[form]) for form in forms):
            distinct[word] = rows
    return list(distinct.values())


def _score_sessions(
    sessions: Integers, words: Integers, weights: Floats, lengths: Floats
) -> Floats:
    """Return the BM25 score of each session, as a share of the best.

    `sessions` and `words` are those of every posting, `lengths` those of every session in tokens.
    """
    shape = len(weights), len(lengths)
    counts = _count(words, sessions, np.ones(len(sessions)), shape)
    scores = weights @ _saturate(counts, _damping(lengths, lengths.mean()))
    return np.asarray(scores / (scores.max(initial=0) or 1))


def _damping(lengths: Floats, mean: float) -> Floats:
    """Return BM25's length normalisation, K1 (1 - B + B length / mean length)."""
    return np.asarray(_K1 * (1 - _B + _B * lengths / mean))


def _saturate(counts: Floats, damping: Floats) -> Floats:
    return np.asarray(counts * (_K1 + 1) / (counts + damping))
