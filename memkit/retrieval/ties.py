"""Ties: of equal texts the newest comes first, and no cut keeps an older one in its place."""

import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Integers, Timeline, Vectors
from memkit.retrieval.windows import Floats

# The cosines of one text differ by up to 1e-6 between batches, which are padded differently.
EQUAL = 1e-5
# Lead in score that an equal text may have because of the talk around it. More of a lead means that
# the talk around it answers: the one "Yes." of many that follows the question about the boat.
_CONTEXT = 0.03


def group_close(values: Floats | Vectors | Integers) -> Integers:
    """Number the groups of nearly equal values, shape (n,), the greatest being group 0.

    >>> group_close(np.array([0.2, 0.9, 0.2000001])).tolist()
    [1, 0, 1]
    """
    order = np.argsort(-values, kind="stable")
    groups = np.empty(len(values), dtype=np.int64)
    groups[order] = np.cumsum(np.diff(-values[order], prepend=-values[order[:1]]) > EQUAL)
    return groups


def best_first(scores: Floats | Vectors, timeline: Timeline, rows: Integers, k: int) -> Integers:
    """Return the indexes of the `k` greatest scores, of nearly equal ones the newest first.

    `rows` are the timeline rows that have the scores, both of shape (n,).
    """
    age = -timeline.turns[rows], -timeline.said_us[rows]
    return np.asarray(np.lexsort((*age, group_close(scores)))[:k])


def group_texts(vectors: Vectors, *own: Integers | NDArray[np.bool_]) -> Integers:
    """Number the groups of rows with the same text, shape (n,).

    Equal texts have equal `vectors`, shape (n, d), and equal values of their `own`, such as length
    and speaker, each of shape (n,) and not negative. Cosines with two of the rows tell which rows
    to compare.
    """
    if not len(vectors):
        return np.empty(0, dtype=np.int64)
    cosines = vectors @ vectors[[0, len(vectors) // 2]].T
    keys = np.zeros(len(vectors), dtype=np.int64)
    for values in (*own, *map(group_close, cosines.T)):  # digits of one number: fast to sort
        keys = keys * (int(values.max()) + 1) + values
    _, first, groups = np.unique(keys, return_index=True, return_inverse=True)
    firsts = first[groups]  # the row with which each row is compared; most are the only one
    repeated = np.flatnonzero(firsts != np.arange(len(vectors)))
    cosines = np.einsum("nd,nd->n", vectors[repeated], vectors[firsts[repeated]])
    differing = repeated[cosines < 1 - EQUAL]
    groups[differing] = len(first) + np.arange(len(differing))
    return np.asarray(groups)


def newest_first(scores: Floats, texts: Integers, age: tuple[Integers | Floats, ...]) -> Floats:
    """Exchange the scores of equal texts, so that the newest has the best one.

    Equal texts have different scores because of the talk around them. Scores that are far below the
    best one of their text stay. `texts` numbers the texts, the last array of `age` counts most; all
    have the shape (n,).
    """
    repeated = np.flatnonzero(np.bincount(texts)[texts] > 1)  # most texts are different
    best = np.full(len(scores), -np.inf)
    np.maximum.at(best, texts[repeated], scores[repeated])
    near = repeated[best[texts[repeated]] - scores[repeated] <= _CONTEXT]
    by_score = near[np.lexsort((-scores[near], texts[near]))]
    by_age = near[np.lexsort((*(key[near] for key in age), texts[near]))]
    exchanged = scores.copy()
    exchanged[by_age] = scores[by_score]
    return exchanged
