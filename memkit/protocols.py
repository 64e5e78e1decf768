"""The seams of memkit: what a store, an embedder and a model must do, and no more.

Any object with these methods will do; nothing has to inherit from anything here.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from memkit._moved import old_names
from memkit.records import Chunk, Claim, Scope, Summary, Thought, Turn, Usage

Vectors = NDArray[np.float32]
Integers = NDArray[np.int64]
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Which embedder made a vector; vectors of two fingerprints are never compared."""

    model: str
    revision: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.model} (revision {self.revision[:12]}, {self.dimension}-d)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBatch:
    """What one transaction writes: everything here, or nothing.

    Turns carry all their fields. `vectors` has one row per chunk, in the same order.
    """

    turns: Sequence[Turn] = ()
    chunks: Sequence[Chunk] = ()
    vectors: Vectors | None = None
    summaries: Sequence[Summary] = ()
    hide: Sequence[str] = ()  # chunk ids that search shall no longer find
    show: Sequence[str] = ()  # chunk ids that search shall find again
    retrieved: Mapping[str, int] = field(default_factory=dict)  # chunk id -> at which turn
    forget: Sequence[str] = ()  # turn ids to delete with all that was derived from them
    failure: str | None = None  # why the user's upkeep stopped; cleared by the next summary
    reflection: "ReflectionResult | None" = None
    resolved_conflicts: Sequence[
        tuple[str, str, bool]
    ] = ()  # older and newer thought: do they contradict?
    retract: Mapping[str, datetime] = field(default_factory=dict)  # thought id -> since when
    unpark: bool = False  # give the turns that were given up another chance


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionResult:
    """What became of turns that were thought about.

    `vectors` has one row per thought, in the same order. Thoughts that say what is known already
    are merged into it, and those of a slot close what they replace.
    """

    turns: Sequence[str]  # ids; nothing is written unless all of them still wait
    thoughts: Sequence[Thought] = ()
    vectors: Vectors | None = None
    rejected: int = 0  # claims that their turn does not support
    failure: str | None = None  # why it failed: the turns wait for another attempt
    again_at: datetime | None = None  # not before then; None: never, until somebody asks for it


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedTurn:
    """A turn that has not been thought about."""

    turn: Turn
    attempts: int  # that failed


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledThought:
    """A thought found by a question, and what holds by now in its place."""

    thought: Thought
    cosine: float
    places: Integers  # of the chunks it comes from
    now: Thought | None  # the same if it holds; None: closed by something outside the scope
    now_places: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A scope's searchable chunks, session after session and in the order said, as arrays.

    A chunk's index in these arrays is its place. All have the shape (n,).
    """

    sessions: Integers  # which session, from 0 and never falling
    turns: Integers  # which turn: equal for the chunks of one turn, and for no others
    tokens: Integers  # length of the chunk, at least 1
    said_us: Integers  # when it was said, in microseconds since 1970
    speakers: Integers  # who said it, as an index into `names`
    names: Sequence[str]  # speakers' names; where there is no name, the role

    def __len__(self) -> int:
        return len(self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A chunk and the turn it comes from."""

    chunk_id: str
    turn: Turn
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkAge:
    """What pruning needs to know of a chunk."""

    id: str
    position: int  # of its turn among the user's turns, from 1
    retrieved: int | None  # the user's turn count when it was last retrieved
    hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which turns to read, oldest first."""

    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None  # only turns stored after the user's n-th, in the order stored
    last: int | None = None  # only the newest so many
    ids: Sequence[str] | None = None  # only these


class Snapshot(Protocol):
    """One state of a scope's searchable chunks; only inside the block that was given it.

    Nothing outside the scope is ever seen: places count this scope's chunks alone.
    """

    @property
    def timeline(self) -> Timeline:
        """Return all of them in order."""

    def nearest(self, vector: Vectors, k: int) -> tuple[Integers, Vectors]:
        """Return at most `k` places and their cosines with `vector`, shape (d,), nearest first."""

    def postings(self, word: str) -> Integers:
        """Return the places that have `word`, a form of it, or it in their date; ascending."""

    def vectors(self, places: Integers) -> Vectors:
        """Return the unit vectors of these places, shape (n, d)."""

    def matches(self, places: Integers) -> list[Match]:
        """Return these places with their turns, in the order given."""

    def thoughts(self, vector: Vectors, k: int) -> list[RecalledThought]:
        """Return at most `k` thoughts near `vector`, shape (d,), nearest first, closed ones too."""


class Store(Protocol):
    """Keeps one memory's truth and finds chunks in it. Safe to share between threads."""

    def write(self, scope: Scope, changes: WriteBatch) -> int:
        """Write all of `changes` or nothing; return the user's turn count afterwards.

        A turn that is there already with the same text is left out together with its chunks;
        with another text it raises `TurnConflict`.
        """

    def turns(self, scope: Scope, window: Window) -> Iterator[Turn]:
        """Yield the scope's turns in the order they were said, read lazily."""

    def chunks(self, scope: Scope) -> list[ChunkAge]:
        """Return the ages of all chunks of the scope, hidden ones too."""

    def summaries(self, scope: Scope, level: int) -> Iterator[Summary]:
        """Yield the user's summaries of this level, newest first."""

    def next_batch(self, scope: Scope, limit: int, now: datetime | None = None) -> list[QueuedTurn]:
        """Return the user's next turns to think about: neighbours of one session, oldest first.

        One whose last attempt failed comes alone, and not before its time unless `now` is None.
        """

    def thoughts(self, scope: Scope, at: datetime | None = None) -> Iterator[Thought]:
        """Yield the scope's thoughts that hold, or held at that time, as far as is known now."""

    def history(self, scope: Scope, thought_id: str) -> list[Thought]:
        """Return the thoughts of one slot, oldest first; or the thought alone, if it has none."""

    def count_derived(self, scope: Scope, turn_ids: Sequence[str]) -> int:
        """Return how many thoughts come from any of these turns."""

    def conflicts(self, scope: Scope) -> list[tuple[Thought, Thought]]:
        """Return the user's open thoughts that may contradict each other, the older one first."""

    def snapshot(
        self, scope: Scope, until: datetime | None = None
    ) -> AbstractContextManager["Snapshot"]:
        """Give the block one state of what is searchable inside the scope, said by `until`."""

    def close(self) -> None:
        """Save what is worth saving and release the file; closing twice is fine."""


class Upkeep(Protocol):
    """What operators ask of a store: is it healthy, how big is it, move it to a new embedder."""

    def stats(self, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, hidden chunks, summaries, users and bytes."""

    def check(self) -> list[str]:
        """Return one sentence per fault found: rows, full text and index that disagree."""

    def pending(self) -> list[str]:
        """Return the users with turns that are not summarised, or not thought about."""

    def reembed(self, embedder: "Embedder", progress: Callable[[int, int], None]) -> int:
        """Embed every chunk anew and switch over at the end; return how many. Resumable."""


class Backend(Store, Upkeep, Protocol):
    """A whole store, as `memkit.open` needs it."""


class Embedder(Protocol):
    """Turns text into unit-length vectors."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Say which model this is; must not need the model loaded where that can be avoided."""

    def count(self, text: str) -> int:
        """Return how many tokens `text` has for this embedder."""

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return character spans that cover `text`, each short enough to embed behind `header`."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit-length row per text, shape (n, d), in the same order."""


class Model(Protocol):
    """A language model that continues a conversation."""

    @property
    def limit(self) -> int | None:
        """Most tokens of prompt and reply together, if there is a limit."""

    @property
    def usage(self) -> Usage | None:
        """What the last reply cost that this thread has read."""

    def count(self, messages: Messages) -> int:
        """Return how many tokens the prompt of these messages has, template included."""

    def escape_role_markers(self, text: str) -> str:
        """Return `text` unable to open or close a role in this model's prompt."""

    def stream(self, messages: Messages, *, max_new_tokens: int) -> Generator[str]:
        """Yield the reply piece by piece; closing the generator stops the model."""


class Counter(Protocol):
    """Counts a text's tokens."""

    def __call__(self, text: str, /) -> int:
        """Return how many tokens `text` has."""


class Summariser(Protocol):
    """Folds new turns into HEMA's running sentence."""

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        """Return the next running sentence from the previous one and what was said since."""

    @property
    def count(self) -> Counter:
        """What counts a text's tokens, in the unit of `max_tokens`."""


class Thinker(Protocol):
    """Draws claims from turns."""

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        """Return what these turns claim, each claim with the place it comes from.

        May raise anything: the turns are thought about again later.

        Args:
            turns: neighbours in one session, oldest first.
            before: what was said before them there, to understand them by; it claims nothing.
        """


class Judge(Protocol):
    """Decides whether two thoughts can both hold, where rules cannot."""

    def contradict(self, older: str, newer: str) -> bool:
        """Return whether the two sentences contradict each other."""


if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
