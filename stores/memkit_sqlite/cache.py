"""Keep each user's timeline and indexes up to date with the rows, and save indexes."""

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memkit.errors import DamagedRow, StoreError
from memkit.filters import Filter
from memkit.protocols import Fingerprint, Integers, Vectors
from memkit_sqlite.deletion import index_name
from memkit_sqlite.faiss_index import DamagedIndex, State, VectorIndex
from memkit_sqlite.matching import MatchingTurns
from memkit_sqlite.thoughts.lsh_index import LSHIndex
from memkit_sqlite.timeline import UserTimeline
from memkit_sqlite.turns import read_layout, read_version

Ids = NDArray[np.int64]
_PAGE = 4096  # vectors read from SQLite at a time
_SAVE_AFTER = 0.25  # share of an index that may be unsaved; missing vectors are appended at load
_MOST_FILTERS = 16  # of one user, cached
_MOST_BYTES = 512 * 2**20  # cached for users other than the one in use


@dataclass(frozen=True, slots=True)
class VectorRows:
    """One user's searchable vectors, as of one state of the rows."""

    db: sqlite3.Connection
    user_id: str
    embedder: int
    fingerprint: Fingerprint

    def state(self, store_id: str) -> State:
        """Return the state of an index that is up to date."""
        layout, newest = read_version(self.db, self.user_id)
        model = self.fingerprint
        return State(
            store_id=store_id,
            embedder=f"{model.model} {model.revision} {model.dimension}",
            user_id=self.user_id,
            layout=layout,
            newest=newest,
        )

    def checksum(self, seq: int) -> int:
        """Return the CRC-32 of one chunk's vector, 0 if there is no such chunk."""
        row = self.db.execute(
            "SELECT vector FROM vectors WHERE chunk_seq = ? AND embedder = ?", (seq, self.embedder)
        ).fetchone()
        return zlib.crc32(row[0]) if row else 0

    def vectors(self, after: int) -> Iterator[tuple[Ids, Vectors]]:
        """Yield pages of searchable chunks with keys above `after`, and their vectors."""
        cursor = self.db.execute(
            "SELECT c.seq, v.vector FROM chunks c JOIN vectors v ON v.chunk_seq = c.seq"
            " WHERE c.user_id = ? AND c.hidden = 0 AND c.seq > ? AND v.embedder = ?"
            " ORDER BY c.seq",
            (self.user_id, after, self.embedder),
        )
        while page := cursor.fetchmany(_PAGE):
            ids = np.fromiter((row[0] for row in page), dtype=np.int64)
            data = b"".join(row[1] for row in page)
            if len(data) != len(page) * 4 * self.fingerprint.dimension:
                raise DamagedRow(
                    f"a vector of {self.user_id!r} among the chunks {ids[0]} to {ids[-1]}",
                    "its length is wrong",
                    "move to another embedder and back with `memkit reembed`, or restore a backup",
                )
            yield ids, np.frombuffer(data, dtype=np.float32).reshape(len(page), -1)


# opens one state of a user's vectors, given the user's id
Reader = Callable[[str], AbstractContextManager[VectorRows]]


@dataclass(slots=True)
class UserCache:
    """The cached data of one user."""

    timeline: UserTimeline | None = None
    index: VectorIndex | None = None
    thoughts: LSHIndex | None = None
    matching: dict[Filter, MatchingTurns] = field(default_factory=dict)  # by last use

    def fresh_timeline(self, db: sqlite3.Connection, user_id: str) -> UserTimeline:
        """Return the user's timeline with every committed chunk."""
        self.timeline = self.timeline or UserTimeline()
        self.timeline.refresh(db, user_id)
        return self.timeline

    def fresh_matching(self, db: sqlite3.Connection, user_id: str, where: Filter) -> MatchingTurns:
        """Return the user's turns that match a filter, with every committed one."""
        matching = self.matching.pop(where, None) or MatchingTurns(where)
        matching.refresh(db, user_id)
        self.matching[where] = matching
        if len(self.matching) > _MOST_FILTERS:
            del self.matching[next(iter(self.matching))]
        return matching

    @property
    def size(self) -> int:
        """Return the approximate size in bytes."""
        parts = (self.timeline, self.index, self.thoughts, *self.matching.values())
        return sum(part.size for part in parts if part is not None)


class IndexCache:
    """The cached data of all users, and the files of their vector indexes in `folder`, if any.

    `store_id` identifies the memory, so that index files of another one are not used.
    """

    def __init__(self, folder: Path | None, store_id: str) -> None:
        self._folder = folder
        self._store_id = store_id
        self._users: dict[str, UserCache] = {}  # ordered by last use, the most recent last
        self.rebuilt = 0  # how many index files were stale or damaged

    @contextmanager
    def _using(self, user_id: str) -> Iterator[UserCache]:
        """Give the block a user's cache, and drop it if the block fails."""
        cache = self._users.pop(user_id, None) or UserCache()
        yield cache
        self._users[user_id] = cache

    def timeline(self, db: sqlite3.Connection, user_id: str) -> UserTimeline:
        """Return the user's timeline with every committed chunk, including other processes'."""
        with self._using(user_id) as cache:
            return cache.fresh_timeline(db, user_id)

    def matching(self, db: sqlite3.Connection, user_id: str, where: Filter) -> Integers:
        """Return the positions of the user's turns that match a filter, ascending."""
        with self._using(user_id) as cache:
            return cache.fresh_matching(db, user_id, where).positions

    def thoughts(
        self, db: sqlite3.Connection, user_id: str, embedder: int, dimension: int
    ) -> LSHIndex:
        """Return the LSH index of the user's thoughts with every committed one."""
        with self._using(user_id) as cache:
            if cache.thoughts is None or cache.thoughts.embedder != embedder:
                cache.thoughts = LSHIndex(embedder, dimension)
            cache.thoughts.refresh(db, user_id)
            return cache.thoughts

    def fresh(self, rows: VectorRows) -> VectorIndex:
        """Return the user's vector index with every committed chunk."""
        with self._using(rows.user_id) as cache:
            target = rows.state(self._store_id)
            if cache.index is not None and cache.index.state == target:
                return cache.index
            live = cache.fresh_timeline(rows.db, rows.user_id).seqs
            if cache.index is None or cache.index.state.embedder != target.embedder:
                cache.index = self._load(rows, target, live)
            if cache.index.state != target:
                _bring_up_to_date(cache.index, rows, target, live)
            return cache.index

    def _load(self, rows: VectorRows, target: State, live: Ids) -> VectorIndex:
        """Load the user's index file and append new vectors, or return an empty index."""
        empty = VectorIndex(rows.fingerprint.dimension, replace(target, newest=0))
        path = self._path(rows.user_id)
        if path is None or not path.exists():
            return empty
        try:
            index = VectorIndex.load(path)
        except (DamagedIndex, OSError):
            self.rebuilt += 1
            return empty
        # Not usable: an index of another memory, embedder or layout. Nor one that is newer than the
        # rows or has another newest vector: the memory file was then replaced by a copy.
        newest = index.state.newest
        same = replace(index.state, newest=target.newest) == target
        if same and newest <= target.newest and rows.checksum(newest) == index.checksum:
            _bring_up_to_date(index, rows, target, live)
            if len(index) == len(live):
                return index
        self.rebuilt += 1
        return empty

    def _path(self, user_id: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{index_name(user_id)}.faiss"

    def rewind(self, user_id: str, newest: int) -> None:
        """Drop what a user's caches have of rows that are rolled back.

        Chunks after `newest` are such rows. Changes of older chunks have changed the layout, so the
        caches follow them by themselves. The keys of thoughts are used again.
        """
        if (cache := self._users.get(user_id)) is None:
            return
        cache.thoughts = None
        cache.matching.clear()
        if cache.timeline is not None and cache.timeline.newest > newest:
            cache.timeline = None
        if cache.index is not None and cache.index.state.newest > newest:
            cache.index = None

    def tidy(self, reader: Reader) -> None:
        """Save the index in use if much of it is unsaved; evict the least recently used users."""
        user = next(reversed(self._users), None)
        if user is None:
            return
        index = self._users[user].index
        if index is not None and index.unsaved > _SAVE_AFTER * len(index) + 10_000:
            self._write(user, reader)
        while (
            len(self._users) > 1 and sum(cache.size for cache in self._users.values()) > _MOST_BYTES
        ):
            oldest = next(iter(self._users))
            self._write(oldest, reader)
            self._users.pop(oldest, None)

    def save(self, reader: Reader) -> None:
        """Write every index that changed since it was loaded."""
        for user in list(self._users):
            self._write(user, reader)

    def _write(self, user: str, reader: Reader) -> None:
        """Write a user's index to its file; failures are ignored, because it is a cache."""
        path = self._path(user)
        if path is None or self._users[user].index is None:
            return
        try:
            with reader(user) as rows:
                index = self.fresh(rows)
                index.checksum = rows.checksum(index.state.newest)
            if not index.unsaved:
                return
            index.save(path)
            # A process that forgets turns deletes the file after its commit; a process that saves
            # checks after saving. Whichever is last, no forgotten vector remains in a file.
            with reader(user) as rows:
                stale = rows.state(self._store_id).layout != index.state.layout
            if stale:
                path.unlink(missing_ok=True)
        except (OSError, StoreError):
            return

    def sweep(self, db: sqlite3.Connection) -> None:
        """Delete the index files that a killed process has left: unfinished or outdated ones.

        They may have vectors of deleted rows. One that another process is writing is written later.
        """
        for file in self._folder.glob("*") if self._folder is not None else ():
            state = VectorIndex.read_state(file) if file.suffix == ".faiss" else None
            if state is None or state.layout != read_layout(db, state.user_id):
                file.unlink(missing_ok=True)

    def unlink(self, names: Iterable[str]) -> None:
        """Delete index files and unfinished copies of them; new ones are saved later."""
        if self._folder is None:
            return
        for name in names:
            for file in self._folder.glob(f"{name}.*"):
                file.unlink(missing_ok=True)


def _bring_up_to_date(index: VectorIndex, rows: VectorRows, target: State, live: Ids) -> None:
    """Change an index to the rows' state, in which the keys of all searchable chunks are `live`."""
    after = index.state.newest
    if index.state.layout != target.layout:
        indexed = index.ids()
        index.remove(indexed[~np.isin(indexed, live)])
        shown_again = np.sort(live[(live <= after) & ~np.isin(live, indexed)])
        if len(shown_again):
            _append(index, rows, int(shown_again[0]) - 1, only=shown_again)
    _append(index, rows, after)
    index.state = target


def _append(index: VectorIndex, rows: VectorRows, after: int, only: Ids | None = None) -> None:
    """Add the chunks above `after` (of those, `only`) at once, so that lists are trained once."""
    pages = []
    for ids, vectors in rows.vectors(after):
        if only is not None and ids[0] > only[-1]:
            break
        keep = np.ones(len(ids), dtype=bool) if only is None else np.isin(ids, only)
        pages.append((ids[keep], vectors[keep]))
    if pages:
        index.add(np.concatenate([ids for ids, _ in pages]), np.concatenate([v for _, v in pages]))
