"""The seams of memkit: what a store, an embedder and a model must do, and no more.

Any object with these methods will do; nothing has to inherit from anything here.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memkit.records import Chunk, Scope, Summary, Thought, Turn, Usage

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
class Changes:
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


class Reading(Protocol):
    """One state of a scope's searchable chunks; only inside the block that was given it.

    Nothing outside the scope is ever seen: places count this scope's chunks alone.
    """

    @property
    def timeline(self) -> Timeline:
        """Return all of them in order."""

    def near(self, vector: Vectors, k: int) -> tuple[Integers, Vectors]:
        """Return at most `k` places and their cosines with `vector`, shape (d,), nearest first."""

    def having(self, word: str) -> Integers:
        """Return the places that have `word`, a form of it, or it in their date; ascending."""

    def vectors(self, places: Integers) -> Vectors:
        """Return the unit vectors of these places, shape (n, d)."""

    def matches(self, places: Integers) -> list[Match]:
        """Return these places with their turns, in the order given."""


class Store(Protocol):
    """Keeps one memory's truth and finds chunks in it. Safe to share between threads."""

    def write(self, scope: Scope, changes: Changes) -> int:
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

    def reading(
        self, scope: Scope, until: datetime | None = None
    ) -> AbstractContextManager["Reading"]:
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
        """Return the users whose Compact Memory is behind their turns."""

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
        """What the last reply cost."""

    def count(self, messages: Messages) -> int:
        """Return how many tokens the prompt of these messages has, template included."""

    def neutralise(self, text: str) -> str:
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
    """Draws thoughts from turns."""

    def think(self, turns: Sequence[Turn]) -> list[Thought]:
        """Return what these turns tell, each thought naming the turns it comes from."""
