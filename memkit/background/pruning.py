"""HEMA's semantic forgetting: old chunks that nobody retrieves are hidden, and can come back.

A pruning policy and never a ranking factor; turns themselves go only when the user says so.
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
    sign: Literal["intended", "printed"] = "intended"
    fraction: float = 0.005  # of the visible chunks, hidden at a time
    interval: int = 100  # turns between two prunings, and what counts as recently retrieved

    def __post_init__(self) -> None:
        if self.sign not in ("intended", "printed"):
            raise InvalidInput(f'sign must be "intended" or "printed", got {self.sign!r}')
        if not 0 <= self.fraction <= 1:
            raise InvalidInput(f"fraction must be in [0, 1], got {self.fraction}")
        if self.interval < 1:
            raise InvalidInput(f"interval must be at least 1 turn, got {self.interval}")


def weights(ages: Sequence[ChunkAge], now: int, policy: Forgetting) -> NDArray[np.float64]:
    """Return each chunk's weight w = λ·exp(-γ(t - i)) + β·δ, shape (n,).

    δ is 1 for a chunk retrieved in the last `interval` turns. That is what the paper's text means
    ("bonus for recent retrievals"); its formula prints β(1 - δ), which `sign="printed"` keeps.

    Args:
        ages: the chunks.
        now: t, the user's turn count.
        policy: the constants.
    """
    age = np.array([now - chunk.position for chunk in ages], dtype=float)
    recent = np.array(
        [
            chunk.retrieved is not None and now - chunk.retrieved <= policy.interval
            for chunk in ages
        ],
        dtype=float,
    )
    rewarded = recent if policy.sign == "intended" else 1 - recent
    return policy.freshness * np.exp(-policy.rate * age) + policy.bonus * rewarded


def choose(ages: Sequence[ChunkAge], now: int, policy: Forgetting) -> list[str]:
    """Return the ids of the visible chunks to hide at turn `now`: the lowest `fraction` by weight.

    Chunks of later turns are left out, so that it makes no difference how many came in at once.
    """
    visible = [chunk for chunk in ages if not chunk.hidden and chunk.position <= now]
    count = int(policy.fraction * len(visible) + 0.5)
    order = np.argsort(weights(visible, now, policy), kind="stable")
    return [visible[n].id for n in order[:count]]
