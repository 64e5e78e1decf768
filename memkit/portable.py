"""The records of an export: all that a memory cannot compute again, one user after the other.

`memkit.govern.export_format` writes them as JSON lines; a store reads and writes them as rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from memkit.records import Chunk, Summary, Thought, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class UserState:
    """The counters of a user."""

    turns: int  # ever stored: the next one gets the position after it
    summarised: int = 0  # turns that the newest summary takes in
    rejected: int = 0  # claims that their turns did not support
    failure: str | None = None  # why background work failed last


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The state of a turn that waits to be thought about."""

    attempts: int = 0  # failed ones
    again_at: datetime | None = None  # earliest next attempt; None: at once
    parked: bool = False  # it failed too often and waits for `think(retry=True)`
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkState:
    """What pruning knows of a chunk."""

    hidden: bool = False
    retrieved: int | None = None  # the user's turn count when it was last recalled


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTurn:
    """A turn with its position, and the state of what was derived from it."""

    turn: Turn
    queue: QueueState | None = None  # None: it was thought about
    chunks: Mapping[str, ChunkState] = field(default_factory=dict)  # by id; others are as new
    former: Sequence[Turn] = ()  # the turn before each change of its words, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredThought:
    """A thought with its links. Its `conflicts` and `later` are empty: `doubted_by` has them."""

    thought: Thought
    worded: tuple[bool, ...]  # of each source: whether it has the thought's words
    doubted_by: tuple[str, ...] = ()  # ids of newer thoughts that may have changed it


StoredItem = UserState | StoredTurn | StoredThought | Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class UserImport:
    """All of one user, with chunks and vectors, for one transaction.

    `vectors` has one row per chunk and `thought_vectors` one row per thought, in the same order.
    """

    user_id: str
    state: UserState
    turns: Sequence[StoredTurn]
    chunks: Sequence[Chunk]
    vectors: "NDArray[np.float32] | None"
    thoughts: Sequence[StoredThought]
    thought_vectors: "NDArray[np.float32]"
    summaries: Sequence[Summary]
    source: str  # for the ledger


class Portable(Protocol):
    """What an export and an import ask of a store."""

    def dump(
        self, user_id: str | None = None
    ) -> AbstractContextManager[Iterator[tuple[str, StoredItem]]]:
        """Give the block all items of a user, or of all users, in one state of the memory.

        They come with their user: its state, its turns by position, its thoughts in the order
        recorded, its summaries. Others may write meanwhile.
        """

    def load(self, user: UserImport) -> bool:
        """Write a user with all that was derived, or nothing; return False if it has turns."""
