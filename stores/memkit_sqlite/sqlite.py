"""The default store: one SQLite file has the truth, FAISS files next to it are a cache."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

from memkit.errors import EmbeddingMismatch
from memkit.protocols import (
    ChunkAge,
    Embedder,
    Fingerprint,
    QueuedTurn,
    Snapshot,
    Window,
    WriteBatch,
)
from memkit.records import Scope, Summary, Thought, Turn
from memkit_sqlite import health, reembed
from memkit_sqlite.cache import IndexCache, VectorRows
from memkit_sqlite.connection import Connection
from memkit_sqlite.snapshot import SQLiteSnapshot
from memkit_sqlite.thoughts import queue
from memkit_sqlite.thoughts import rows as thought_rows
from memkit_sqlite.thoughts.lsh_index import LSHIndex
from memkit_sqlite.thoughts.rows import SQLiteThoughtRows
from memkit_sqlite.turns import read_turns, turn_filter
from memkit_sqlite.writes import apply


class SQLiteStore:
    """One memory in a file, or in RAM for ":memory:". Threads and processes may share it.

    Args:
        url: a path, ":memory:" or "sqlite:///PATH".
        fingerprint: of the embedder that will be used; None skips the check (for repairs).
        busy_s: how long to wait for another process that has locked the file, in seconds.

    Raises:
        EmbeddingMismatch: the file was embedded with another model.
        StoreError: one of its kinds, if the file cannot be opened.
    """

    def __init__(
        self, url: str, fingerprint: Fingerprint | None = None, *, busy_s: float = 30
    ) -> None:
        self.url = url.removeprefix("sqlite:///")
        self._connection = Connection(self.url, busy_s)
        self.path = self._connection.path
        self._closed = False
        with ExitStack() as undo:
            undo.callback(self._connection.close)
            self.fingerprint = self._register_embedder(fingerprint)
            row = self._connection.fetch("SELECT value FROM meta WHERE key = 'store_id'")[0]
            undo.pop_all()  # no error: the connection stays open
        folder = None if self.path is None else Path(f"{self.path}.index")
        self._cache = IndexCache(folder, store_id=row[0])

    def _register_embedder(self, fingerprint: Fingerprint | None) -> Fingerprint | None:
        """Return the memory's embedder; a new memory registers the one passed."""
        with self._connection.snapshot() as db:
            stored = _read_embedder(db)
        if stored is None and fingerprint is not None:
            with self._connection.transaction() as db:
                db.execute(
                    "INSERT INTO embedders (model, revision, dimension, current)"
                    " SELECT ?1, ?2, ?3, 1 WHERE NOT EXISTS (SELECT 1 FROM embedders WHERE current)"
                    " ON CONFLICT DO UPDATE SET current = 1",
                    (fingerprint.model, fingerprint.revision, fingerprint.dimension),
                )
                stored = _read_embedder(db)
        if stored is not None and fingerprint is not None and stored[1] != fingerprint:
            raise EmbeddingMismatch(str(stored[1]), str(fingerprint), self.url)
        return stored[1] if stored else None

    def _embedder(self, db: sqlite3.Connection) -> tuple[int, Fingerprint]:
        """Return the memory's embedder, or raise if it was changed since the store was opened."""
        current = _read_embedder(db)
        if current is None or current[1] != self.fingerprint:
            new = "no embedder" if current is None else str(current[1])
            raise EmbeddingMismatch(new, str(self.fingerprint), self.url)
        return current

    # ---- writing

    def write(self, scope: Scope, batch: WriteBatch) -> int:
        """Write all of `batch` or nothing; return the user's turn count afterwards."""
        user_id = scope.user_id
        with self._connection.transaction() as db:
            thoughts = SQLiteThoughtRows(db, user_id, lambda: self._lsh_index(db, user_id))
            count = apply(db, user_id, batch, lambda: self._embedder(db), thoughts)
        if batch.forget:
            with self._connection.lock():
                self._cache.unlink(user_id)  # after the commit: see IndexCache._write
                self._connection.erase_log()
        return count

    def _lsh_index(self, db: sqlite3.Connection, user_id: str) -> LSHIndex:
        embedder, fingerprint = self._embedder(db)
        return self._cache.thoughts(db, user_id, embedder, fingerprint.dimension)

    # ---- reading

    def turns(self, scope: Scope, window: Window) -> Iterator[Turn]:
        """Yield the scope's turns in the order they were said, read lazily."""
        return read_turns(self._connection.fetch, scope, window)

    def chunks(self, scope: Scope) -> list[ChunkAge]:
        """Return the ages of all chunks of the scope, including hidden ones."""
        where, values = turn_filter(scope, Window())
        rows = self._connection.fetch(
            "SELECT c.id, turns.position, c.retrieved, c.hidden FROM turns"
            f" CROSS JOIN chunks c ON c.turn_seq = turns.seq WHERE {where} ORDER BY c.seq",
            values,
        )
        return [
            ChunkAge(id=row[0], position=row[1], retrieved=row[2], hidden=bool(row[3]))
            for row in rows
        ]

    def summaries(self, scope: Scope, level: int) -> Iterator[Summary]:
        """Yield the user's summaries of this level, newest first."""
        before = 2**62
        while True:
            with self._connection.snapshot() as db:
                row = db.execute(
                    "SELECT * FROM summaries WHERE user_id = ? AND level = ? AND through < ?"
                    " ORDER BY through DESC LIMIT 1",
                    (scope.user_id, level, before),
                ).fetchone()
                if row is None:
                    return
                sources = db.execute(
                    "SELECT source_id FROM summary_sources WHERE summary_seq = ? ORDER BY n",
                    (row["seq"],),
                ).fetchall()
            before = row["through"]
            yield Summary(
                id=row["id"], text=row["text"], level=cast(Literal[1, 2], row["level"]),
                through=row["through"], tokens=row["tokens"],
                sources=tuple(source[0] for source in sources),
                created_at=datetime.fromisoformat(row["created_at"]),
            )  # fmt: skip

    def next_batch(self, scope: Scope, limit: int, now: datetime | None = None) -> list[QueuedTurn]:
        """Return the user's next turns to reflect on: neighbours of one session, oldest first."""
        return queue.next_batch(self._connection.fetch, scope, limit, now)

    def thoughts(self, scope: Scope, at: datetime | None = None) -> Iterator[Thought]:
        """Yield the scope's thoughts that hold now, or that held at `at` as far as is known now."""
        return thought_rows.read_open(self._connection.fetch, scope, at)

    def history(self, scope: Scope, thought_id: str) -> list[Thought]:
        """Return a thought with all that it closed or that closed it, oldest first."""
        return thought_rows.read_history(self._connection.fetch, scope, thought_id)

    def count_derived(self, scope: Scope, turn_ids: Sequence[str]) -> int:
        """Return how many thoughts come from any of these turns."""
        return thought_rows.count_derived(self._connection.fetch, scope, turn_ids)

    def conflicts(self, scope: Scope) -> list[tuple[Thought, Thought]]:
        """Return open thoughts that may contradict each other, the older one first."""
        return thought_rows.read_conflicts(self._connection.fetch, scope)

    @contextmanager
    def snapshot(self, scope: Scope, until: datetime | None = None) -> Iterator[Snapshot]:
        """Open a snapshot of the scope's searchable chunks that were said by `until`.

        Other threads wait until the block ends. The block must not write.
        """
        user_id = scope.user_id
        with self._connection.lock():
            with self._connection.snapshot() as db:
                view = self._cache.timeline(db, user_id).view(scope, until)
                snapshot = SQLiteSnapshot(
                    db, scope, view, until=until, cache=self._cache,
                    open_vectors=lambda: VectorRows(db, user_id, *self._embedder(db)),
                    open_lsh_index=lambda: self._lsh_index(db, user_id),
                )  # fmt: skip
                try:
                    yield snapshot
                finally:
                    snapshot.end()
            self._cache.tidy(self._vector_rows)

    @contextmanager
    def _vector_rows(self, user_id: str) -> Iterator[VectorRows]:
        """Give the block one state of a user's searchable vectors."""
        with self._connection.snapshot() as db:
            yield VectorRows(db, user_id, *self._embedder(db))

    # ---- upkeep

    def stats(self, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, hidden chunks, summaries, thoughts, users and bytes."""
        return health.stats(self._connection.fetch, self.path, user_id)

    def check(self) -> list[str]:
        """Return one sentence per fault found: rows, full text and index that disagree."""
        with self._connection.snapshot(exclusive=True) as db:
            faults = health.find_faults(db)
            if self.fingerprint is None or health.is_damaged(faults):
                return faults
            for (user_id,) in db.execute("SELECT user_id FROM users").fetchall():
                with self._vector_rows(user_id) as rows:
                    faults += health.find_index_faults(rows, self._cache.fresh(rows))
            return faults

    def pending(self) -> list[str]:
        """Return the users with turns that are not summarised or not reflected on."""
        rows = self._connection.fetch(
            "SELECT user_id FROM users WHERE summarised <"
            " (SELECT max(position) FROM turns WHERE turns.user_id = users.user_id)"
            " OR EXISTS (SELECT 1 FROM thinking q WHERE q.user_id = users.user_id"
            " AND q.again_us IS NOT NULL)"
        )
        return [row[0] for row in rows]

    def reembed(self, embedder: Embedder, progress: Callable[[int, int], None]) -> int:
        """Embed every chunk again and switch over at the end; return how many. Resumable."""
        count = reembed.run(self._connection.transaction, embedder, progress)
        self.fingerprint = embedder.fingerprint
        return count

    def close(self) -> None:
        """Save the indexes that changed and release the file. Idempotent."""
        with self._connection.lock():
            if self._closed:
                return
            self._closed = True
            try:
                self._cache.save(self._vector_rows)
            finally:
                self._connection.close()


def _read_embedder(db: sqlite3.Connection) -> tuple[int, Fingerprint] | None:
    """Return the key and the fingerprint of the current embedder, None for a new memory."""
    row = db.execute("SELECT * FROM embedders WHERE current").fetchone()
    if row is None:
        return None
    return row["id"], Fingerprint(
        model=row["model"], revision=row["revision"], dimension=row["dimension"]
    )
