"""Keeps every user's vector index in step with the rows, and on disk between runs."""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Vectors
from stores.vectors import DamagedIndex, State, VectorIndex

Ids = NDArray[np.int64]
_PAGE = 4096  # vectors read from SQLite at a time
_SAVE_AFTER = 0.25  # share of an index that may be unsaved; what is missing is appended at load


@dataclass(frozen=True, slots=True)
class Rows:
    """One user's searchable vectors, as the store has them now."""

    db: sqlite3.Connection
    user_id: str
    embedder: int
    fingerprint: str

    def state(self, store_id: str) -> State:
        """Return what a fresh index must have taken in. Two look-ups by key."""
        layout = self.db.execute(
            "SELECT layout FROM users WHERE user_id = ?", (self.user_id,)
        ).fetchone()
        newest = self.db.execute(
            "SELECT max(seq) FROM chunks WHERE user_id = ? AND hidden = 0", (self.user_id,)
        ).fetchone()
        return State(
            store_id=store_id,
            embedder=self.fingerprint,
            user_id=self.user_id,
            layout=layout[0] if layout else 0,
            newest=newest[0] or 0,
        )

    def dimension(self) -> int:
        """Return how long the vectors are."""
        row = self.db.execute("SELECT dimension FROM embedders WHERE id = ?", (self.embedder,))
        return int(row.fetchone()[0])

    def ids(self) -> Ids:
        """Return the rows a fresh index holds, ascending."""
        rows = self.db.execute(
            "SELECT seq FROM chunks WHERE user_id = ? AND hidden = 0 ORDER BY seq", (self.user_id,)
        )
        return np.fromiter((row[0] for row in rows), dtype=np.int64)

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


class IndexCache:
    """The indexes in memory, one per user, and their files in `folder` (None: memory only)."""

    def __init__(self, folder: Path | None, store_id: str) -> None:
        self._folder = folder
        self._store_id = store_id
        self._open: dict[str, VectorIndex] = {}
        self.rebuilt = 0  # how often a file was absent, stale or damaged

    def fresh(self, rows: Rows) -> VectorIndex:
        """Return the user's index with every committed row in it, whoever wrote it."""
        wanted = rows.state(self._store_id)
        index = self._open.get(rows.user_id)
        if index is None or index.state.embedder != wanted.embedder:
            index = self._load(rows, wanted)
            self._open[rows.user_id] = index
        if index.state != wanted:
            _catch_up(index, rows, wanted)
            if index.unsaved > _SAVE_AFTER * len(index) + 10_000:
                self._save(index)
        return index

    def _load(self, rows: Rows, wanted: State) -> VectorIndex:
        """Read the user's file and bring it up to date, or start an empty index to fill."""
        empty = VectorIndex(
            rows.dimension(),
            State(
                store_id=wanted.store_id,
                embedder=wanted.embedder,
                user_id=wanted.user_id,
                layout=wanted.layout,
                newest=0,
            ),
        )
        path = self._path(rows.user_id)
        if path is None or not path.exists():
            return empty
        try:
            index = VectorIndex.load(path)
        except DamagedIndex:
            self.rebuilt += 1
            return empty
        have = index.state
        same = (have.store_id, have.embedder, have.user_id) == (
            wanted.store_id,
            wanted.embedder,
            wanted.user_id,
        )
        if not same or (have.newest > wanted.newest and have.layout == wanted.layout):
            self.rebuilt += 1  # of another memory, or from the future of a restored copy
            return empty
        _catch_up(index, rows, wanted)
        if len(index) != len(rows.ids()):
            self.rebuilt += 1
            return empty
        return index

    def _path(self, user_id: str) -> Path | None:
        if self._folder is None:
            return None
        return (
            self._folder / f"{hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()}.faiss"
        )

    def _save(self, index: VectorIndex) -> None:
        path = self._path(index.state.user_id)
        if path is not None and index.unsaved:
            index.save(path)

    def drop(self, user_id: str) -> None:
        """Forget a user's index and its file; the next search makes it anew from the rows."""
        self._open.pop(user_id, None)
        if (path := self._path(user_id)) is not None:
            path.unlink(missing_ok=True)

    def save(self) -> None:
        """Write every index that changed since it was read."""
        for index in self._open.values():
            try:
                self._save(index)
            except OSError:
                return  # it is a cache: the next open rebuilds it from the rows


def _catch_up(index: VectorIndex, rows: Rows, wanted: State) -> None:
    """Bring an index from its state to the rows' state, by appending alone where that does."""
    after = index.state.newest
    if index.state.layout != wanted.layout:
        live, have = rows.ids(), index.ids()
        index.remove(np.setdiff1d(have, live))
        back = np.setdiff1d(live[live <= after], have)
        if len(back):
            _append(index, rows, after=0, only=back)
    _append(index, rows, after=after)
    index.state = wanted


def _append(index: VectorIndex, rows: Rows, *, after: int, only: Ids | None = None) -> None:
    for ids, vectors in rows.vectors(after):
        keep = np.ones(len(ids), dtype=bool) if only is None else np.isin(ids, only)
        index.add(ids[keep], vectors[keep])
