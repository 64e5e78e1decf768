"""HEMA's semantic forgetting: search no longer finds old chunks that nobody retrieves.

This is a pruning policy and never a ranking factor. Hidden chunks can be restored; turns are only
deleted when the user says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memkit.errors import InvalidInput
from memkit.protocols import ChunkAge


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """HEMA's constants (section 3.5), each of them a setting."""

    freshness: float = 1.0  # λ
    rate: float = 0.002  # γ, per turn: half of the freshness is gone after 347 turns
    bonus: float = 0.5  # β
    sign: Literal["intended", "printed"] = "intended"  # see `retention_weights`
    fraction: float = 0.005  # of the visible chunks, hidden at a time
    interval: int = 100  # turns between two prunings, and what counts as recently retrieved

    def __post_init__(self) -> None:
        if self.sign not in ("intended", "printed"):
            raise InvalidInput(f'sign must be "intended" or "printed", got {self.sign!r}')
        if not 0 <= self.fraction <= 1:
            raise InvalidInput(f"fraction must be in [0, 1], got {self.fraction}")
        if self.interval < 1:
            raise InvalidInput(f"interval must be at least 1 turn, got {self.interval}")


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
