"""HEMA's semantic forgetting: search no longer finds old chunks that nobody retrieves.

This is a pruning policy and never a ranking factor. Hidden chunks can be restored; turns are only
deleted when the user says so.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memkit.policy import Forgetting
from memkit.protocols import ChunkAge


def retention_weights(
    chunks: Sequence[ChunkAge], now: int, policy: Forgetting
) -> NDArray[np.float64]:
    """Return each chunk's weight w = λ·exp(-γ(now - i)) + β·δ, shape (n,).

    δ is 1 for a chunk that was retrieved in the last `interval` turns. The paper's text means this
    ("bonus for recent retrievals"); its formula prints β(1 - δ), which `sign="printed"` computes.
    """
    ages = np.array([now - chunk.position for chunk in chunks], dtype=float)
    is_recent = np.array(
        [
            chunk.retrieved is not None and now - chunk.retrieved <= policy.interval
            for chunk in chunks
        ],
        dtype=float,
    )
    has_bonus = is_recent if policy.sign == "intended" else 1 - is_recent
    return policy.freshness * np.exp(-policy.rate * ages) + policy.bonus * has_bonus


def select_prunable(chunks: Sequence[ChunkAge], now: int, policy: Forgetting) -> list[str]:
    """Return the ids of the visible chunks to hide at turn `now`: the lowest `fraction` by weight.

    Later turns do not count, so it does not matter how many turns came in at once.
    """
    visible = [chunk for chunk in chunks if not chunk.hidden and chunk.position <= now]
    count = int(policy.fraction * len(visible) + 0.5)
    order = np.argsort(retention_weights(visible, now, policy), kind="stable")
    return [visible[n].id for n in order[:count]]
