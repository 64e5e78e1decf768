"""What a reader of a file yields: turns with their locations, and what is left out and why."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal

from memkit.records import Turn

DateOrder = Literal["dmy", "mdy", "ymd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedTurn:
    """A turn and its location in a file.

    Without a turn, the message is empty, has an `error`, or is left out on purpose (`left`).
    """

    turn: Turn | None
    location: str  # such as "talk.jsonl, line 3"
    error: str | None = None
    former_id: str | None = None  # the id that memkit before 0.7.0 gave to the turn
    left: str | None = None  # why it is left out, such as "system message"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSource:
    """The turns of a file, read lazily."""

    turns: Iterable[LocatedTurn]
    total: int  # bytes; without `position`, an upper bound of the number of turns
    position: Callable[[], int] | None = None  # bytes read until now
    format: str | None = None  # its name in `FORMATS`
    notes: list[str] = field(default_factory=list)  # remarks for people; filled while reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a file does not say about itself."""

    user_id: str  # whose memory the turns are for
    me: str | None = None  # the name of the user in a chat of several people
    date_order: DateOrder | None = None  # None: decided from the whole file
    timezone: tzinfo | None = None  # of times without one; None: this machine's
    session_id: str | None = None  # of turns without a conversation
    conversation: str | None = None  # sample id, of a LoCoMo file
