"""The interfaces of memkit: what a store, an embedder, a model and a thinker implement.

Any object with these methods qualifies; no base class is needed. The dataclasses are the values
that pass through the interfaces.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from memkit._moved import serve_old_names
from memkit.filters import Filter
from memkit.policy import PolicyStore
from memkit.portable import Portable
from memkit.records import (
    Chunk,
    Claim,
    Event,
    Rollback,
    Scope,
    Summary,
    Thought,
    Turn,
    Usage,
)
from memkit.trials import TrialStore

Vectors = NDArray[np.float32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The identity of an embedder; vectors with different fingerprints are never compared."""

    model: str
    revision: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.model} (revision {self.revision[:12]}, {self.dimension}-d)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBatch:
    """Everything that one transaction writes for one user: all of it or nothing.

    Turns have all their fields set. `vectors` has one row per chunk, in the same order.
    """

    turns: Sequence[Turn] = ()
    chunks: Sequence[Chunk] = ()
    vectors: Vectors | None = None
    # turns that replace the stored ones of these ids: text, metadata, tags, flags and `stored_at`.
    # Of those with other words `chunks` and `vectors` have the new ones
    updates: Sequence[Turn] = ()
    summaries: Sequence[Summary] = ()
    hide: Sequence[str] = ()  # ids of chunks to exclude from search
    show: Sequence[str] = ()  # ids of chunks to include in search again
    retrieved: Mapping[str, int] = field(default_factory=dict)  # chunk id -> the user's turn count
    forget: Sequence[str] = ()  # ids of turns to delete with everything derived from them
    failure: str | None = None  # why maintenance failed; the next summary clears it
    # `Store.generation` when the work on `summaries` or `failure` began: they are dropped if turns
    # were deleted since, because they may have the words of these. None: not checked
    generation: int | None = None
    reflection: "ReflectionResult | None" = None
    # (older thought id, newer thought id, whether they contradict each other)
    resolved_conflicts: Sequence[tuple[str, str, bool]] = ()
    retract: Mapping[str, datetime] = field(default_factory=dict)  # thought id -> time
    unpark: bool = False  # queue the turns again that failed too often
    source: str = "caller"  # who changes the memory, for the ledger
    # scores in thousandths of another batch, which the gate has admitted or refused
    scores: Mapping[str, int] = field(default_factory=dict)
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What a deletion removed, or would remove."""

    turns: Sequence[Turn] = ()
    chunks: int = 0
    wordings: Sequence[str] = ()  # former ones of the turns
    thoughts: Sequence[Thought] = ()  # without their sources
    summaries: Sequence[Summary] = ()
    vectors: Sequence[bytes] = ()  # of the chunks and thoughts
    event: str | None = None  # hash of its event in the ledger; None: nothing was deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionResult:
    """What a thinker made of a batch of turns: thoughts, or a failure.

    `vectors` has one row per thought, in the same order. A thought that repeats a stored one is
    merged into it; `verdicts` say which thoughts change which others.
    """

    turns: Sequence[str]  # turn ids; nothing is written unless all of them are still queued
    # all turns that the thinker read; nothing is written unless they are stored as they were, so
    # that words of a deleted turn never come back, whoever uses its id again
    read: Sequence[Turn] = ()
    thoughts: Sequence[Thought] = ()
    vectors: Vectors | None = None
    verdicts: Sequence["Verdict"] = ()
    rejected: int = 0  # claims that their turn does not support
    failure: str | None = None  # why it failed: the turns stay queued for another attempt
    again_at: datetime | None = None  # earliest next attempt; None: parked until `unpark`


# what newer words do to an older thought: it goes on as it is, is said again, is closed, or may
# have changed
Relation = Literal["keeps", "same", "closes", "doubts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The relation of a newer thought to an older one."""

    older_id: str
    newer_id: str
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtPair:
    """An older thought, a newer one, and the turns that say them."""

    older: Thought
    newer: Thought
    older_turn: Turn  # the first that says it
    turn: Turn  # that says the newer one


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedTurn:
    """A turn in the queue for reflection."""

    turn: Turn
    attempts: int  # failed ones


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledThought:
    """A thought near a question, and the thought that holds in its place today."""

    thought: Thought
    cosine: float
    rows: Integers  # timeline rows of the chunks it was drawn from
    # the same thought if it holds; None if the thought that closed it is outside the scope
    current: Thought | None
    current_rows: Integers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Timeline:
    """A scope's searchable chunks as arrays: by session, in the order they were said.

    A chunk's row is its index into these arrays, which all have the shape (n,).
    """

    sessions: Integers  # session number, from 0, ascending
    turns: Integers  # turn number: equal for the chunks of one turn, different otherwise
    tokens: Integers  # length of the chunk, at least 1
    said_us: Integers  # when it was said, in microseconds since 1970
    speakers: Integers  # who said it, as an index into `names`
    names: Sequence[str]  # speakers' names, or their roles where they have no name

    def __len__(self) -> int:
        return len(self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievedChunk:
    """A chunk and the turn that contains it."""

    chunk_id: str
    turn: Turn
    start: int  # characters into the turn's text
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkAge:
    """The facts about a chunk that pruning uses."""

    id: str
    position: int  # of its turn among the user's turns, from 1
    retrieved: int | None  # the user's turn count when it was last retrieved
    hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """How much a user, or one session of a user, has said, and when last."""

    id: str | None  # of the user or the session; None: turns without a session
    turns: int
    last_said_at: datetime


ItemKind = Literal["turn", "thought"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which turns to read, oldest first. All conditions must hold."""

    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None  # only turns after this position, in the order stored
    last: int | None = None  # only this many of the newest
    ids: Sequence[str] | None = None  # only turns with these ids


class Snapshot(Protocol):
    """One consistent state of a scope's searchable chunks, valid inside its `with` block.

    Rows are indexes into `timeline`: they number the chunks of this scope and of nothing else.
    """

    @property
    def timeline(self) -> Timeline:
        """Return all chunks of the scope in order, whether they match the filter or not."""

    @property
    def matching(self) -> Mask | None:
        """Return which rows match the snapshot's filter, shape (n,); None: there is no filter."""

    def nearest(self, vector: Vectors, k: int) -> tuple[Integers, Vectors]:
        """Return at most `k` matching rows and their cosines with `vector`, shape (d,).

        The nearest comes first. Of equally near rows the newest comes first, and none is cut off
        for an older one.
        """

    def postings(self, word: str) -> Integers:
        """Return the rows that contain `word` or a form of it in text or date, ascending.

        A word may be a code of `memkit.text.codes`: a store indexes the text of a chunk under its
        `memkit.text.words.search_terms`.
        """

    def vectors(self, rows: Integers) -> Vectors:
        """Return the unit vectors of these rows, shape (n, d)."""

    def chunks(self, rows: Integers) -> list[RetrievedChunk]:
        """Return the chunks of these rows with their turns, in the same order."""

    def thoughts(self, vector: Vectors, k: int) -> list[RecalledThought]:
        """Return at most `k` thoughts near `vector`, nearest first, including closed ones.

        With a filter these are the thoughts of which every source matches it.
        """


class Searchable(Protocol):
    """Opens snapshots of scopes."""

    def snapshot(
        self, scope: Scope, until: datetime | None = None, where: Filter | None = None
    ) -> AbstractContextManager["Snapshot"]:
        """Open a snapshot of the scope's searchable chunks that were said by `until`.

        `where` limits what `nearest` and `thoughts` return, and `matching` says which rows match.
        """


class Store(Searchable, Protocol):
    """Stores one memory's turns and derived data, and searches them. Safe to share by threads."""

    def write(self, scope: Scope, batch: WriteBatch) -> int:
        """Write all of `batch` or nothing; return the user's turn count afterwards.

        A turn that is already stored with the same text is skipped together with its chunks.

        Raises:
            TurnConflict: a turn's id is already stored with another text, which it never had.
            InvalidInput: a turn that is to be updated is not stored.
        """

    def forget(
        self, scope: Scope, turn_ids: Sequence[str], *, source: str = "caller",
        dry_run: bool = False,
    ) -> Deletion:  # fmt: skip
        """Delete turns with all that is derived from them; return what was deleted.

        A `dry_run` does the same and takes it back.
        """

    def rollback(
        self, scope: Scope, event: int, *, source: str = "caller", dry_run: bool = False
    ) -> Rollback:
        """Give a user's derived rows the state they had after an event; turns stay."""

    def trim_undo(self, scope: Scope, before: datetime) -> None:
        """Make a user's changes from before a time final."""

    def turns(self, scope: Scope, window: Window) -> Iterator[Turn]:
        """Yield the scope's turns in the order they were said, read lazily."""

    def wordings(self, scope: Scope, turn_id: str) -> list[Turn]:
        """Return a turn of the user before each change of its words, oldest first, and as it is."""

    def sessions(self, scope: Scope) -> list[Activity]:
        """Return the scope's sessions, the one with the latest turn first."""

    def match_ids(self, scope: Scope, kind: ItemKind, prefix: str, limit: int) -> list[str]:
        """Return at most `limit` ids of the user that start with `prefix`, in order.

        An id that equals `prefix` is the first. Retracted thoughts are left out.
        """

    def chunks(self, scope: Scope) -> list[ChunkAge]:
        """Return the ages of all chunks of the scope, including hidden ones."""

    def summaries(self, scope: Scope, level: int) -> Iterator[Summary]:
        """Yield the user's summaries of this level, newest first."""

    def generation(self, scope: Scope) -> int:
        """Return a number that changes whenever turns of this user are deleted."""

    def next_batch(self, scope: Scope, limit: int, now: datetime | None = None) -> list[QueuedTurn]:
        """Return the user's next turns to reflect on: neighbours of one session, oldest first.

        A turn that failed before is returned alone, and not before its next attempt is due
        unless `now` is None.
        """

    def thoughts(self, scope: Scope, at: datetime | None = None) -> Iterator[Thought]:
        """Yield the scope's thoughts that hold now, or that held at `at` as far as is known now."""

    def history(self, scope: Scope, thought_id: str) -> list[Thought]:
        """Return a thought with all that it closed or that closed it, oldest first."""

    def count_derived(self, scope: Scope, turn_ids: Sequence[str]) -> int:
        """Return how many thoughts come from any of these turns."""

    def conflicts(self, scope: Scope) -> list[tuple[Thought, Thought]]:
        """Return the user's open thoughts that may contradict each other, the older one first."""

    def close(self) -> None:
        """Save what is worth saving and release the file. Idempotent."""


class Upkeep(Protocol):
    """What operators ask of a store: counts, health checks, a change of embedder."""

    def users(self) -> list[Activity]:
        """Return the users, the one with the latest turn first."""

    def stats(self, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, hidden chunks, summaries, thoughts, users and bytes."""

    def files(self) -> list[Path]:
        """Return the files that the memory consists of now."""

    def retained(self, pieces: AbstractSet[bytes]) -> set[bytes]:
        """Return the pieces, in UTF-8, that are in a text or a vector that is stored."""

    def record(self, kind: str, *, source: str, ids: Sequence[str] = ()) -> str:
        """Add an event of the whole memory to the ledger; return its hash."""

    def last_event(self) -> Event:
        """Return the newest event of the ledger."""

    def events(self) -> Iterator[Event]:
        """Yield the events of the ledger in order."""

    def purge(self) -> bool:
        """Remove the bytes of deleted rows from all files; return whether that is done.

        It is not while another process reads an older state or keeps a file locked.
        """

    def vacuum(self) -> bool:
        """Write all files again without unused bytes; return whether these are gone."""

    def check(self) -> list[str]:
        """Return one sentence per fault found: rows, full text and index that disagree."""

    def pending(self) -> list[str]:
        """Return the users with turns that are not summarised or not reflected on."""

    def backup(self, path: str) -> None:
        """Write a copy of the whole memory to the new file `path`. Safe while others write.

        Raises:
            InvalidInput: there is something at `path`; nothing is ever replaced.
            StoreError: the file cannot be written.
        """

    def stage(self, embedder: "Embedder") -> Searchable:
        """Embed every row with another embedder too; return the store as this one searches it."""

    def reembed(
        self, embedder: "Embedder", progress: Callable[[int, int], None],
        check: Callable[[], None] = lambda: None,
    ) -> int:  # fmt: skip
        """Embed every chunk again and switch over at the end; return how many. Resumable.

        `check` is called inside the transaction that switches over; if it raises, that is undone.
        """

    def drop_embedder(self, fingerprint: Fingerprint) -> None:
        """Delete the vectors of an embedder that is not the memory's."""


class Backend(Store, Upkeep, Portable, PolicyStore, TrialStore, Protocol):
    """A complete store, as `memkit.open` needs it."""

    @property
    def path(self) -> Path | None:
        """Return the file of this memory; None if it is in RAM."""

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Return the identity of the embedder that the memory has now; None for a new memory."""

    @property
    def secret(self) -> bytes:
        """Random bytes of this memory, the same whenever it is opened; they sign memory blocks."""


class Embedder(Protocol):
    """Turns text into unit-length vectors."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Identify the model, if possible without loading it."""

    def count(self, text: str) -> int:
        """Return how many tokens `text` has for this embedder."""

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return character spans that cover `text`, each short enough to embed after `header`."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit-length row per text, shape (n, d), in the same order."""


@runtime_checkable
class QueryEmbedder(Protocol):
    """Embeds questions differently from texts. An embedder that has this method is one."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit-length row per question, shape (n, d), in the same order."""


class Model(Protocol):
    """A language model that continues a conversation."""

    @property
    def limit(self) -> int | None:
        """Return the most tokens that prompt and reply may have together, or None."""

    @property
    def usage(self) -> Usage | None:
        """Return the cost of the last reply that this thread has read."""

    def count(self, messages: Messages) -> int:
        """Return the number of tokens of these messages' prompt, including the template."""

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with the markers escaped that open or close a role for this model."""

    def stream(self, messages: Messages, *, max_new_tokens: int) -> Generator[str]:
        """Yield the reply in pieces; closing the generator stops the model."""


@runtime_checkable
class StructuredModel(Protocol):
    """A model that follows a JSON schema. Optional: a `Model` with this method is one."""

    def complete_json(
        self, messages: Messages, schema: Mapping[str, Any], *, max_new_tokens: int
    ) -> str | None:
        """Return a reply that matches `schema`, or None if the server does not take schemas.

        The caller checks the reply, which is cut off at `max_new_tokens`.
        """


@runtime_checkable
class CachingModel(Protocol):
    """A model that keeps parts of earlier prompts. Optional: a `Model` with this method is one."""

    def drop_cache(self) -> None:
        """Drop all that is kept of earlier prompts; after the current reply, if there is one."""


class ForgetListener(Protocol):
    """An object that has a copy of a user's words, such as an open chat."""

    def on_forget(self, user_id: str, *, everything: bool) -> None:
        """Drop the copies of words of this user that the store no longer has."""

    def on_update(self, user_id: str, turn: Turn) -> None:
        """Replace the words of this turn by its new ones, and drop what was made of the former."""


class Counter(Protocol):
    """Counts a text's tokens."""

    def __call__(self, text: str, /) -> int:
        """Return how many tokens `text` has."""


class Summariser(Protocol):
    """Updates HEMA's running summary with new turns."""

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        """Return the next summary from the previous one and the texts of the turns since."""

    @property
    def count(self) -> Counter:
        """Return the function that counts tokens in the unit of `max_tokens`."""


@runtime_checkable
class ThoughtSummariser(Protocol):
    """Summarises what holds. Optional: a `Summariser` with this method is one."""

    def summarise_thoughts(
        self, thoughts: Sequence[Thought], *, max_tokens: int, ageless: bool = False
    ) -> tuple[str, Sequence[Thought]]:
        """Return a summary of thoughts, and the thoughts that it shows; ("", ()) if none.

        `thoughts` hold, and some may be in doubt. `ageless`: newer ones count no more than older.
        """

    @property
    def count(self) -> Counter:
        """Return the function that counts tokens in the unit of `max_tokens`."""


class Thinker(Protocol):
    """Extracts claims from turns."""

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        """Return the claims of these turns, each with its source.

        The turns are neighbours in one session, oldest first; those `before` them are context only.
        May raise any exception: the turns are queued for another attempt.
        """


@runtime_checkable
class Comparer(Protocol):
    """Decides what newer thoughts do to older ones. A thinker that has this method is one."""

    def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
        """Return the relation of each pair, in the same order.

        May raise any exception: the turns are queued for another attempt.
        """


class Judge(Protocol):
    """Decides whether a doubted thought and the newer one contradict each other."""

    def contradict(self, older: str, newer: str) -> bool:
        """Return whether the two sentences contradict each other."""


serve_old_names(__name__)
