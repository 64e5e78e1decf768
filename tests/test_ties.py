"""Ties: which rows count as the same text."""

import numpy as np

from memkit.retrieval import ties


def test_different_texts_with_equal_cosines_are_different() -> None:
    """The third and the fourth vector are as near to both vectors that all are compared with."""
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float32)[
        [0, 2, 1, 3]
    ]
    assert len(set(ties.group_texts(vectors, np.zeros(4, dtype=np.int64)).tolist())) == 4


def test_equal_texts_of_one_speaker_are_one() -> None:
    vector = np.array([0.6, 0.8], dtype=np.float32)
    vectors = np.stack([vector, vector * (1 + 1e-7), np.array([1, 0], dtype=np.float32), vector])
    groups = ties.group_texts(vectors, np.array([0, 0, 0, 1]))
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3
