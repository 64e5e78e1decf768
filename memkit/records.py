"""The nouns of memkit. Frozen, so that they can be hashed, shared between threads and compared.

Turns are the truth: verbatim and immutable. Everything else is derived from turns and names them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex, TypeVar, get_args, overload

from memkit.errors import InvalidInput, InvalidTurn, NaiveDatetime, ScopeRequired

if TYPE_CHECKING:
    from rich.console import RenderableType

Role = Literal["user", "assistant", "system", "tool"]
ROLES: tuple[str, ...] = get_args(Role)

_Item = TypeVar("_Item")
_MONTHS = ("January", "February", "March", "April", "May", "June",
           "July", "August", "September", "October", "November", "December")  # fmt: skip


def zoned(time: datetime, what: str) -> datetime:
    """Return `time` if it has a timezone, or say how to give it one."""
    if not isinstance(time, datetime):
        raise NaiveDatetime(f"{what} must be a datetime with a timezone, got {time!r}")
    if time.utcoffset() is None:
        raise NaiveDatetime(
            f"{what} {time.isoformat()} has no timezone; pass e.g. time.replace(tzinfo=UTC)"
        )
    return time


def day(time: datetime) -> str:
    """Return the date as people and models read it, the same on every platform and locale."""
    return f"{time.day} {_MONTHS[time.month - 1]} {time.year}"


def writable(text: str, what: str) -> str:
    """Return `text` if it can be written as UTF-8, or say what is wrong with it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{what} holds half of a surrogate pair at character {error.start}; it was decoded "
            'wrongly, text.encode("utf-8", "replace").decode() takes it out'
        ) from error
    return text


def _key(text: str, what: str) -> str:
    """Return `text` if a store can look things up by it."""
    if "\0" in text:
        raise InvalidInput(f"{what} holds a NUL character, and stores cut keys there: {text!r}")
    return writable(text, what)


def _storable(metadata: object) -> None:
    """Say what is wrong with a turn's metadata, if JSON cannot hold it."""
    if not isinstance(metadata, Mapping):
        raise InvalidTurn(f"a turn's metadata must be a mapping, got {type(metadata).__name__}")
    try:
        json.dumps(dict(metadata))
    except (TypeError, ValueError) as error:
        raise InvalidTurn(
            f"a turn's metadata must be what JSON can hold ({error}); turn the rest into text"
        ) from error


def _display() -> ModuleType:
    # By name, because the dependency runs the other way: `memkit.display` knows the records. It is
    # loaded at the first display only, so that scripts without a notebook never import it.
    return import_module("memkit.display")


class Displayable:
    """Displays itself as HTML in Jupyter and with Rich in a terminal; its text is escaped."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        html: str = _display().to_html(self)
        return html

    def __rich__(self) -> "RenderableType":
        renderable: RenderableType = _display().to_rich(self)
        return renderable


class DisplayableList(Displayable, list[_Item]):
    """A list that displays as a table; so do its slices."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> _Item: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: SupportsIndex | slice) -> "_Item | Self":
        if isinstance(index, slice):
            return type(self)(super().__getitem__(index))
        return super().__getitem__(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose memory, and optionally which agent's and which session's part of it."""

    user_id: str
    agent_id: str | None = None
    session_id: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.user_id, str) or not self.user_id:
            raise ScopeRequired(
                f"user_id must be a non-empty string, got {self.user_id!r}; every call names "
                'whose memory it means, e.g. user_id="ann"'
            )
        for name in ("agent_id", "session_id"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise ScopeRequired(f"{name} must be a non-empty string or None, got {value!r}")
        for name in ("user_id", "agent_id", "session_id"):
            _key(getattr(self, name) or "", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message as it was said. What the caller leaves out, `remember` fills in."""

    text: str
    role: Role = "user"
    id: str | None = None  # unique within a user; given by the caller or made by memkit
    name: str | None = None  # of the speaker, if known
    said_at: datetime | None = None  # when it was said, with a timezone; not when it was stored
    session_id: str | None = None
    agent_id: str | None = None
    stored_at: datetime | None = None
    position: int | None = None  # its number among the user's turns, from 1, in the order stored
    # what the caller wants back with it, as JSON can hold it; never searched, never in a prompt
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidTurn(
                f"a turn's text must be a string, got {type(self.text).__name__}; "
                "join the text parts of multi-part content yourself"
            )
        if not self.text.strip():
            raise InvalidTurn("a turn's text is empty; leave such messages out")
        if self.role not in ROLES:
            raise InvalidTurn(f"unknown role {self.role!r}; roles are {', '.join(ROLES)}")
        for name in ("id", "name", "session_id", "agent_id"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise InvalidTurn(f"a turn's {name} must be a non-empty string, got {value!r}")
        writable(self.text, "a turn's text")
        for name in ("id", "name", "session_id", "agent_id"):
            _key(getattr(self, name) or "", f"a turn's {name}")
        for name in ("said_at", "stored_at"):
            if getattr(self, name) is not None:
                zoned(getattr(self, name), name)
        _storable(self.metadata)

    @property
    def speaker(self) -> str:
        """Who said it, as shown to people and models: the name, or else the role."""
        return self.name or self.role.capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A verbatim piece of one turn, as long as the embedder can read at once."""

    id: str
    turn_id: str
    start: int  # characters into the turn's text
    end: int
    text: str  # what is embedded and searched: the piece, the speaker's name in front
    said_at: datetime
    tokens: int = 1  # how long the piece is, as the embedder counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Displayable):
    """A version of HEMA's Compact Memory (level 1) or of its summary of summaries (level 2)."""

    id: str
    text: str
    level: Literal[1, 2]
    through: int  # how many of the user's turns it has taken in
    tokens: int
    sources: tuple[str, ...]  # ids of the turns it took in, and of the summary it grew from
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where something was said."""

    turn_id: str
    start: int  # characters into the turn's text
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a thinker concluded from a piece of a turn, not yet compared with what is known."""

    text: str  # one sentence that needs no other to be understood
    source: Source
    head: str | None = None  # who or what it is about, and
    relation: str | None = None  # what it says of it: ("Ann", "lives in", "Oslo")
    tail: str | None = None
    slot: str | None = None  # what can only be one way at a time: a newer claim closes an older
    valid_from: datetime | None = None  # None: since it was said


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought(Displayable):
    """One conclusion drawn from turns.

    A newer one of its slot closes it; only forgetting a turn that it comes from deletes it. It has
    two times. Valid time is when it holds in the world: `valid_from` to `valid_to`. System
    time is when memkit believed it: `recorded_at` to `retracted_at`.
    """

    id: str
    text: str  # one sentence that needs no other to be understood, dates resolved
    sources: tuple[Source, ...]  # every place where it was said
    said_by: str  # who claimed it: a name, or a role
    role: Role  # a user's claim outranks an assistant's
    said_at: datetime  # when it was said
    repeated_at: datetime  # when it was last said
    valid_from: datetime
    valid_to: datetime | None = None  # None: it holds
    closed_at: datetime | None = None  # when what closed it was said
    closed_by: str | None = None  # id of the thought that closed it
    conflicts: tuple[str, ...] = ()  # ids of thoughts that may contradict it: nobody could decide
    head: str | None = None
    relation: str | None = None
    tail: str | None = None
    slot: str | None = None
    recorded_at: datetime | None = None
    retracted_at: datetime | None = None

    @property
    def support(self) -> int:
        """Return how often it was said."""
        return len(self.sources)

    @property
    def turn_ids(self) -> tuple[str, ...]:
        """Return the turns it comes from."""
        return tuple(dict.fromkeys(source.turn_id for source in self.sources))


class Thoughts(DisplayableList[Thought]):
    """A list of thoughts that is shown as a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(Displayable):
    """Something recalled, and how relevant: higher is better, everywhere."""

    text: str
    relevance: float  # 0 to 1
    kind: Literal["turn", "thought"]
    said_at: datetime
    turn_ids: tuple[str, ...]
    role: Role = "user"
    name: str | None = None
    session_id: str | None = None
    position: int | None = None  # its number among the user's turns, from 1, in the order stored
    # each arm's share; sums to relevance
    explain: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def speaker(self) -> str:
        """Who said it, as shown to people and models: the name, or else the role."""
        return self.name or self.role.capitalize()


class Hits(DisplayableList[Hit]):
    """A list of hits that is shown as a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Displayable):
    """What memory has to say to a question, packed into a token budget."""

    text: str  # the quoted block, ready to stand in front of the question; may be empty
    tokens: int
    hits: tuple[Hit, ...]
    messages: tuple[Mapping[str, str], ...]  # the same as chat messages, without the question
    thoughts: tuple[Thought, ...] = ()  # that hold, nearest first
    budget_tokens: int | None = None  # most that it could have


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a deletion took, or would take (`dry_run`)."""

    user_id: str
    turn_ids: tuple[str, ...]
    chunks: int
    summaries: int
    thoughts: int
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one reply cost."""

    prompt_tokens: int
    reused_tokens: int  # of the prompt's tokens, those whose keys and values were kept
    new_tokens: int
    first_token_s: float  # seconds from the request to the first token
    total_s: float

    @property
    def reused(self) -> float:
        """Share of the prompt that was reused, 0 to 1."""
        return self.reused_tokens / self.prompt_tokens if self.prompt_tokens else 0.0
