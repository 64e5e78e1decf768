"""The records of memkit: turns, thoughts, hits and the like.

They are frozen: they can be hashed, compared and shared between threads. Turns are the truth,
verbatim and immutable. Every other record is derived from turns and names its sources.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex, TypeVar, get_args, overload

from memkit._moved import serve_old_names
from memkit.errors import InvalidInput, InvalidTurn, NaiveDatetime, ScopeRequired

if TYPE_CHECKING:
    from rich.console import RenderableType

Role = Literal["user", "assistant", "system", "tool"]
ROLES: tuple[str, ...] = get_args(Role)
# words that the speaker did not say to this memory: read from an export of another program, or
# copied from a page, a mail, a file
Origin = Literal["imported", "pasted"]
ORIGINS: tuple[str, ...] = get_args(Origin)

_MOST_COUNTED, _MOST_SHOWN, _MOST_LEVELS = 2**31, 80, 100
MOST_TAGS, MOST_TAG_CHARACTERS = 32, 100

_Item = TypeVar("_Item")
MONTHS = ("January", "February", "March", "April", "May", "June",
          "July", "August", "September", "October", "November", "December")  # fmt: skip


def zoned(time: datetime, name: str) -> datetime:
    """Return `time` if it has a timezone; raise NaiveDatetime if it has none."""
    if not isinstance(time, datetime):
        raise NaiveDatetime(f"{name} must be a datetime with a timezone, got {shorten(time)}")
    if time.utcoffset() is None:
        raise NaiveDatetime(
            f"{name} {time.isoformat()} has no timezone; pass e.g. time.replace(tzinfo=UTC)"
        )
    return time


def id_set(ids: Iterable[str], argument: str) -> frozenset[str]:
    """Return ids as a set; reject a single string, which is an iterable of letters."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise InvalidInput(f"{argument} must be a list of ids, got {shorten(ids)}")
    return frozenset(check_id(item, argument) for item in ids)


def check_id(value: object, name: str) -> str:
    """Return an id of a turn or a thought; raise InvalidInput if it can be none."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name}: an id is a string, got {shorten(value)}")
    return check_utf8(value, name)


def check_count(value: object, name: str) -> int:
    """Return a number of things; raise InvalidInput if it is not a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_COUNTED:
        raise InvalidInput(f"{name} must be a whole number of at least 1, got {shorten(value)}")
    return value


def shorten(value: object) -> str:
    """Return a wrong value for an error message, or only its type if the value is long or deep."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # an integer of thousands of digits
        text = ""
    return text if 0 < len(text) <= _MOST_SHOWN else f"a {type(value).__name__}"


def day(time: datetime) -> str:
    """Return the date as "1 May 2024", the same on every platform and in every locale."""
    return f"{time.day} {MONTHS[time.month - 1]} {time.year}"


def check_utf8(text: str, name: str) -> str:
    """Return `text` if it can be encoded as UTF-8; raise InvalidInput for half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{name} holds half of a surrogate pair at character {error.start}, from a wrong "
            'decoding; remove it with text.encode("utf-8", "replace").decode()'
        ) from error
    return text


def _check_key(text: str, name: str) -> None:
    if "\0" in text:
        raise InvalidInput(
            f"{name} holds a NUL character, at which stores cut keys off: {text!r}; remove it"
        )
    check_utf8(text, name)


def checked_tags(tags: object) -> tuple[str, ...]:
    """Return tags, each once, in their order; raise InvalidTurn for what is no list of tags."""
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise InvalidTurn(f"a turn's tags must be a list of strings, got {tags!r:.200}")
    tags = tuple(tags)
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip() or len(tag) > MOST_TAG_CHARACTERS:
            raise InvalidTurn(
                f"a tag must be a string of 1 to {MOST_TAG_CHARACTERS} characters, got {tag!r:.200}"
            )
        _check_key(tag, "a tag")
    distinct = tuple(dict.fromkeys(tags))
    if len(distinct) > MOST_TAGS:
        raise InvalidTurn(f"a turn has at most {MOST_TAGS} tags, got {len(distinct)}")
    return distinct


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, Mapping):
        raise InvalidTurn(f"a turn's metadata must be a mapping, got {type(metadata).__name__}")
    try:
        json.dumps(dict(metadata))
    except (TypeError, ValueError) as error:
        raise InvalidTurn(
            f"a turn's metadata must be JSON data ({error}); convert other values to text"
        ) from error
    except RecursionError:
        levels = _MOST_LEVELS + 1
    else:
        levels = _count_levels(metadata)
    if levels > _MOST_LEVELS:
        raise InvalidTurn(
            f"a turn's metadata is nested more than {_MOST_LEVELS} levels deep; flatten it, or "
            "store it elsewhere and its address here"
        )


def _count_levels(value: object) -> int:
    """Return how deep JSON data is nested, as far as it counts."""
    level, depth = [value], 0
    while depth <= _MOST_LEVELS and (
        level := [child for item in level for child in _children(item)]
    ):
        depth += 1
    return depth


def _children(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


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
    """A user's memory, or the part of it that belongs to an agent or a session."""

    user_id: str
    agent_id: str | None = None
    session_id: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.user_id, str) or not self.user_id:
            raise ScopeRequired(
                f"user_id must be a non-empty string, got {shorten(self.user_id)}; pass the owner "
                'of the memory, e.g. user_id="ann"'
            )
        for name in ("agent_id", "session_id"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise ScopeRequired(
                    f"{name} must be a non-empty string or None, got {shorten(value)}"
                )
        for name in ("user_id", "agent_id", "session_id"):
            _check_key(getattr(self, name) or "", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message, verbatim. `remember` fills in the fields that the caller leaves out."""

    text: str
    role: Role = "user"
    id: str | None = None  # unique within a user; memkit generates one if the caller passes none
    name: str | None = None  # of the speaker, if known
    said_at: datetime | None = None  # when it was said, with a timezone; not when it was stored
    session_id: str | None = None
    agent_id: str | None = None
    stored_at: datetime | None = None
    position: int | None = None  # its number among the user's turns, from 1, in the order stored
    # JSON data that comes back with the turn; never searched, never in a prompt
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()  # short labels for filters, each once; never in a prompt
    # kinds of secrets and personal data found in it: memkit.govern.privacy
    flags: tuple[str, ...] = ()
    # whose words they are, where the role does not say it: see `Turn.source`
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidTurn(
                f"a turn's text must be a string, got {type(self.text).__name__}; "
                "pass multi-part content as a message dict"
            )
        if not self.text.strip():
            raise InvalidTurn("a turn's text is empty; leave such messages out")
        if self.role not in ROLES:
            raise InvalidTurn(f"unknown role {shorten(self.role)}; roles are {', '.join(ROLES)}")
        for name in ("id", "name", "session_id", "agent_id"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise InvalidTurn(
                    f"a turn's {name} must be a non-empty string, got {shorten(value)}"
                )
        check_utf8(self.text, "a turn's text")
        for name in ("id", "name", "session_id", "agent_id"):
            _check_key(getattr(self, name) or "", f"a turn's {name}")
        for name in ("said_at", "stored_at"):
            if getattr(self, name) is not None:
                zoned(getattr(self, name), name)
        _check_metadata(self.metadata)
        object.__setattr__(self, "tags", checked_tags(self.tags))
        if self.origin not in (None, *ORIGINS):
            raise InvalidTurn(
                f"unknown origin {shorten(self.origin)}; origins are {', '.join(ORIGINS)}"
            )

    @property
    def speaker(self) -> str:
        """The name of the speaker, or else the role."""
        return self.name or self.role.capitalize()

    @property
    def source(self) -> str:
        """Where the words come from: the origin, or else the role."""
        return self.origin or self.role


class TurnIds(list[str]):
    """The ids of remembered turns, in order. `skipped` has the indexes of messages left out."""

    def __init__(self, ids: Iterable[str] = (), *, skipped: Iterable[int] = ()) -> None:
        super().__init__(ids)
        self.skipped = tuple(skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A verbatim piece of one turn, as long as the embedder can read at once."""

    id: str
    turn_id: str
    start: int  # characters into the turn's text
    end: int
    text: str  # the embedded and searched text: the speaker's name and the piece
    said_at: datetime
    tokens: int = 1  # length of the piece by the embedder's tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Displayable):
    """A version of HEMA's Compact Memory (level 1) or of its summary of summaries (level 2)."""

    id: str
    text: str
    level: Literal[1, 2]
    through: int  # number of the user's turns that it summarises
    tokens: int
    # ids of its thoughts, all of which hold; or of its turns, and of the previous version
    sources: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The piece of a turn from which something was derived."""

    turn_id: str
    start: int  # characters into the turn's text
    end: int


# a lasting fact; a plan or appointment; a passing state; or words that only say that something no
# longer holds, which are kept to explain why, and never believed by themselves
ClaimKind = Literal["fact", "plan", "state", "denial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A thinker's conclusion from a piece of a turn, not yet compared with the user's thoughts."""

    text: str  # the speaker's words, or one sentence that needs no context
    source: Source
    kind: ClaimKind = "fact"
    changes: bool = True  # False: it probably changes nothing that was said before
    head: str | None = None  # the triple ("Ann", "lives in", "Oslo")
    relation: str | None = None
    tail: str | None = None
    slot: str | None = None  # an attribute's name, for readers; memkit does not use it
    valid_from: datetime | None = None  # None: when it was said


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Words of a turn, with when they were said."""

    turn_id: str
    start: int  # characters into the turn's text
    said_at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought(Displayable):
    """One conclusion drawn from turns.

    A newer thought that replaces it closes it; one that may replace it puts it in doubt. Only
    forgetting one of its source turns deletes it. It has two times: valid time, when it is true in
    the world (`valid_from` to `valid_to`), and system time, when memkit believed it (`recorded_at`
    to `retracted_at`).
    """

    id: str
    text: str  # the speaker's words or one sentence, relative dates resolved
    sources: tuple[Source, ...]  # every piece that states it
    said_by: str  # the speaker's name, or role
    role: Role  # a user's claim outranks an assistant's
    said_at: datetime  # when it was first said
    repeated_at: datetime  # when it was last said
    valid_from: datetime
    valid_to: datetime | None = None  # None: it is still valid
    closed_at: datetime | None = None  # when the thought that closed it was said
    closed_by: str | None = None  # id of the thought that closed it
    conflicts: tuple[str, ...] = ()  # ids of thoughts that may contradict it, undecided
    later: tuple[Quote, ...] = ()  # later words that may have changed it, oldest first
    kind: ClaimKind = "fact"
    head: str | None = None
    relation: str | None = None
    tail: str | None = None
    slot: str | None = None
    recorded_at: datetime | None = None
    retracted_at: datetime | None = None

    @property
    def doubt(self) -> tuple[str, ...]:
        """Return the ids of later turns that may have changed it; empty if nothing did."""
        return tuple(dict.fromkeys(quote.turn_id for quote in self.later))

    @property
    def support(self) -> int:
        """Return the number of its sources."""
        return len(self.sources)

    @property
    def turn_ids(self) -> tuple[str, ...]:
        """Return the ids of its source turns."""
        return tuple(dict.fromkeys(source.turn_id for source in self.sources))


class Thoughts(DisplayableList[Thought]):
    """A list of thoughts that displays as a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(Displayable):
    """A recalled turn or thought with its relevance; higher is better."""

    text: str
    relevance: float  # 0 to 1
    kind: Literal["turn", "thought"]
    said_at: datetime
    turn_ids: tuple[str, ...]
    role: Role = "user"
    name: str | None = None
    session_id: str | None = None
    position: int | None = None  # its number among the user's turns, from 1, in the order stored
    thought_id: str | None = None  # of a thought
    origin: Origin | None = None  # of a turn: see `Turn.source`
    trusted: bool = True  # False: its source is in `Settings.untrusted`
    tags: tuple[str, ...] = ()  # of a turn
    # each signal's share of the relevance
    explain: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def speaker(self) -> str:
        """The name of the speaker, or else the role."""
        return self.name or self.role.capitalize()

    @property
    def source(self) -> str:
        """Where the words come from: the origin, or else the role."""
        return self.origin or self.role


class Hits(DisplayableList[Hit]):
    """A list of hits that displays as a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Displayable):
    """The memory block for a question, within a token budget."""

    text: str  # the quoted block, to put before the question; may be empty
    tokens: int
    hits: tuple[Hit, ...]
    messages: tuple[Mapping[str, str], ...]  # the block as chat messages, without the question
    thoughts: tuple[Thought, ...] = ()  # valid ones, nearest first
    budget_tokens: int | None = None  # the limit of `tokens`


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCounts:
    """How many turns their own words recalled among ten, before and after a deletion."""

    forgotten: int  # turns that were asked for, at most ten of the deleted ones
    forgotten_before: int  # of them found before the deletion
    forgotten_after: int
    kept: int  # turns said before these, which stay
    kept_before: int
    kept_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a deletion removed, or would remove (`dry_run`)."""

    user_id: str
    turn_ids: tuple[str, ...]
    chunks: int
    summaries: int
    thoughts: int
    dry_run: bool
    thought_ids: tuple[str, ...] = ()
    at: datetime | None = None
    event: str | None = None  # hash of the deletion's event in the ledger
    # whether no byte of it is left in the files; not yet while another process reads an older state
    # or keeps the file locked
    purged: bool = False
    searched: int = 0  # pieces of text and vectors that were searched for
    residue: int | None = None  # pieces found in the files; None: not searched
    recalled: int | None = None  # pieces found in thoughts and summaries; None: not searched
    probes: ProbeCounts | None = None  # None: not asked
    salt: str = ""
    digests: tuple[str, ...] = ()  # of user, id and text of each turn, with the salt


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What a rollback changed, or would change."""

    user_id: str
    to_event: int  # number of the event whose state was restored
    event: str | None = None  # hash of its own event in the ledger; None: nothing was changed
    undone: int = 0  # events that had changed something since
    thoughts: int = 0  # that changed, came back or went
    summaries: int = 0
    chunks: int = 0  # hidden or shown again
    queued: int = 0  # turns to think about again


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change in the ledger. Users and items are digests keyed with a secret of the memory."""

    seq: int  # from 1, without gaps
    at: str  # when it was written, ISO-8601, by the machine's clock
    kind: str  # "remember", "think", "correct", "retract", "forget", …
    user: str  # digest of the user's id; empty: the whole memory
    source: str  # who changed it: "caller", or the thinker or summariser by name
    policy: int  # version of the retention policy
    counts: Mapping[str, int]  # of turns, thoughts inserted, merged, superseded and so on
    items: str  # digests of the ids of turns and thoughts, 16 hexadecimal digits each
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The cost of one reply."""

    prompt_tokens: int
    reused_tokens: int  # prompt tokens with keys and values from the cache
    new_tokens: int
    first_token_s: float  # seconds from the request to the first token
    total_s: float

    @property
    def computed_tokens(self) -> int:
        """Prompt tokens that the model computed for this reply."""
        return self.prompt_tokens - self.reused_tokens

    @property
    def reused(self) -> float:
        """Share of the prompt that was reused, 0 to 1."""
        return self.reused_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


serve_old_names(__name__)
