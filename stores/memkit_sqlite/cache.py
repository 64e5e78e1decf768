"""Keeps every user's timeline and vector index in step with the rows, and indexes on disk."""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memkit.errors import StoreError
from memkit.protocols import Fingerprint, Vectors
from memkit_sqlite.faiss_index import DamagedIndex, State, VectorIndex
from memkit_sqlite.thoughts.lsh_index import HashedThoughts
from memkit_sqlite.timeline import UserTimeline
from memkit_sqlite.turns import freshness

Ids = NDArray[np.int64]
_PAGE = 4096  # vectors read from SQLite at a time
_SAVE_AFTER = 0.25  # share of an index that may be unsaved; what is missing is appended at load
_ROOM = 512 * 2**20  # bytes kept in memory of users, besides the one in use


@dataclass(frozen=True, slots=True)
class Rows:
    """One user's searchable vectors, as one state of the store has them."""

    db: sqlite3.Connection
    user_id: str
    embedder: int
    fingerprint: Fingerprint

    def state(self, store_id: str) -> State:
        """Return what a fresh index must have taken in."""
        layout, newest = freshness(self.db, self.user_id)
        made_by = self.fingerprint
        return State(
            store_id=store_id,
            embedder=f"{made_by.model} {made_by.revision} {made_by.dimension}",
            user_id=self.user_id,
            layout=layout,
            newest=newest,
        )

    def ids(self) -> Ids:
        """Return the rows a fresh index holds, ascending."""
        rows = self.db.execute(
            "SELECT seq FROM chunks WHERE user_id = ? AND hidden = 0 ORDER BY seq", (self.user_id,)
        )
        return np.fromiter((row[0] for row in rows), dtype=np.int64)

    def count(self) -> int:
        """Return how many rows a fresh index holds."""
        sql = "SELECT count(*) FROM chunks WHERE user_id = ? AND hidden = 0"
        return int(self.db.execute(sql, (self.user_id,)).fetchone()[0])

    def mark(self, seq: int) -> int:
        """Return a checksum of one visible row's vector, 0 if there is no such row."""
        row = self.db.execute(
            "SELECT vector FROM vectors WHERE chunk_seq = ? AND embedder = ?", (seq, self.embedder)
        ).fetchone()
        return zlib.crc32(row[0]) if row else 0

    def of(self, wanted: Ids) -> Vectors:
        """Return the vectors of these visible rows, in the order given."""
        found = self.db.execute(
            "SELECT v.vector FROM json_each(?) AS wanted"
            " CROSS JOIN chunks c ON c.seq = wanted.value"
            " CROSS JOIN vectors v ON v.chunk_seq = c.seq"
            " WHERE c.user_id = ? AND v.embedder = ? ORDER BY wanted.key",
            (json.dumps(wanted.tolist()), self.user_id, self.embedder),
        )
        data = bytearray().join(row[0] for row in found)  # so that the array can be written to
        return np.frombuffer(data, dtype=np.float32).reshape(
            len(wanted), self.fingerprint.dimension
        )

    def vectors(self, after: int) -> Iterator[tuple[Ids, Vectors]]:
        """Yield visible rows above `after` with their vectors, in pages."""
        cursor = self.db.execute(
            "SELECT c.seq, v.vector FROM chunks c JOIN vectors v ON v.chunk_seq = c.seq"
            " WHERE c.user_id = ? AND c.hidden = 0 AND c.seq > ? AND v.embedder = ?"
            " ORDER BY c.seq",
            (self.user_id, after, self.embedder),
        )
        while page := cursor.fetchmany(_PAGE):
            ids = np.fromiter((row[0] for row in page), dtype=np.int64)
            data = b"".join(row[1] for row in page)
            yield ids, np.frombuffer(data, dtype=np.float32).reshape(len(page), -1)


Reader = Callable[[str], AbstractContextManager[Rows]]  # gives a block one state of a user's rows


@dataclass(slots=True)
class Kept:
    """What is kept in memory of one user."""

    timeline: UserTimeline | None = None
    index: VectorIndex | None = None
    thoughts: HashedThoughts | None = None

    @property
    def size(self) -> int:
        """Return about how many bytes of memory it takes."""
        parts = (self.timeline, self.index, self.thoughts)
        return sum(part.size for part in parts if part is not None)


class IndexCache:
    """What is in memory of each user, and the indexes' files in `folder` (None: memory only)."""

    def __init__(self, folder: Path | None, store_id: str) -> None:
        self._folder = folder
        self._store_id = store_id
        self._open: dict[str, Kept] = {}  # the one used last stands last
        self.rebuilt = 0  # how often a file was stale or damaged

    @contextmanager
    def _using(self, user_id: str) -> Iterator[Kept]:
        """Give the block what is kept of a user; it is kept no longer if the block fails."""
        kept = self._open.pop(user_id, None) or Kept()
        yield kept
        self._open[user_id] = kept

    def timeline(self, db: sqlite3.Connection, user_id: str) -> UserTimeline:
        """Return the user's timeline with every committed chunk in it, whoever wrote it."""
        with self._using(user_id) as kept:
            kept.timeline = kept.timeline or UserTimeline()
            kept.timeline.refresh(db, user_id)
            return kept.timeline

    def thoughts(
        self, db: sqlite3.Connection, user_id: str, embedder: int, dimension: int
    ) -> HashedThoughts:
        """Return the user's thoughts by their groups, with every committed one among them."""
        with self._using(user_id) as kept:
            if kept.thoughts is None or kept.thoughts.embedder != embedder:
                kept.thoughts = HashedThoughts(embedder, dimension)
            kept.thoughts.refresh(db, user_id)
            return kept.thoughts

    def fresh(self, rows: Rows) -> VectorIndex:
        """Return the user's index with every committed row in it, whoever wrote it."""
        with self._using(rows.user_id) as kept:
            wanted = rows.state(self._store_id)
            if kept.index is None or kept.index.state.embedder != wanted.embedder:
                kept.index = self._load(rows, wanted)
            if kept.index.state != wanted:
                _catch_up(kept.index, rows, wanted)
            return kept.index

    def _load(self, rows: Rows, wanted: State) -> VectorIndex:
        """Read the user's file and append what is new, or return an empty index to fill."""
        empty = VectorIndex(rows.fingerprint.dimension, replace(wanted, newest=0))
        path = self._path(rows.user_id)
        if path is None or not path.exists():
            return empty
        try:
            index = VectorIndex.load(path)
        except (DamagedIndex, OSError):
            self.rebuilt += 1
            return empty
        # of another memory, embedder or layout; or from the future or another past of a copy
        have = index.state
        same = replace(have, newest=wanted.newest) == wanted
        if same and have.newest <= wanted.newest and rows.mark(have.newest) == index.mark:
            _catch_up(index, rows, wanted)
            if len(index) == rows.count():
                return index
        self.rebuilt += 1
        return empty

    def _path(self, user_id: str) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()
        return self._folder / f"{name}.faiss"

    def tidy(self, reader: Reader) -> None:
        """Save the index in use if much of it is new, and let go of the ones used longest ago."""
        user = next(reversed(self._open), None)
        if user is None:
            return
        index = self._open[user].index
        if index is not None and index.unsaved > _SAVE_AFTER * len(index) + 10_000:
            self._write(user, reader)
        while len(self._open) > 1 and sum(kept.size for kept in self._open.values()) > _ROOM:
            oldest = next(iter(self._open))
            self._write(oldest, reader)
            self._open.pop(oldest, None)

    def save(self, reader: Reader) -> None:
        """Write every index that changed since it was read."""
        for user in list(self._open):
            self._write(user, reader)

    def _write(self, user: str, reader: Reader) -> None:
        """Write an index to its file, best effort: it is a cache."""
        path = self._path(user)
        if path is None or self._open[user].index is None:
            return
        try:
            with reader(user) as rows:
                index = self.fresh(rows)
                index.mark = rows.mark(index.state.newest)
            if not index.unsaved:
                return
            index.save(path)
            # whoever forgets deletes the file after the commit; whoever saves looks after saving:
            # whichever comes last, no forgotten vector stays in a file
            with reader(user) as rows:
                stale = rows.state(self._store_id).layout != index.state.layout
            if stale:
                path.unlink(missing_ok=True)
        except (OSError, StoreError):
            return

    def unlink(self, user_id: str) -> None:
        """Delete a user's file, and what a crash left of one; another is written in time."""
        path = self._path(user_id)
        if path is not None and self._folder is not None:
            for file in self._folder.glob(f"{path.stem}.*"):
                file.unlink(missing_ok=True)


def _catch_up(index: VectorIndex, rows: Rows, wanted: State) -> None:
    """Bring an index from its state to the rows' state, by appending alone where that does."""
    after = index.state.newest
    if index.state.layout != wanted.layout:
        live, have = rows.ids(), index.ids()
        index.remove(np.setdiff1d(have, live))
        back = np.setdiff1d(live[live <= after], have)
        if len(back):
            _append(index, rows, int(back[0]) - 1, only=back)
    _append(index, rows, after)
    index.state = wanted


def _append(index: VectorIndex, rows: Rows, after: int, only: Ids | None = None) -> None:
    """Add the rows above `after` (of those, `only`) at once, so that lists are trained once."""
    kept = []
    for ids, vectors in rows.vectors(after):
        if only is not None and ids[0] > only[-1]:
            break
        keep = np.ones(len(ids), dtype=bool) if only is None else np.isin(ids, only)
        kept.append((ids[keep], vectors[keep]))
    if kept:
        index.add(np.concatenate([ids for ids, _ in kept]), np.concatenate([v for _, v in kept]))
