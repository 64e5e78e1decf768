"""The default store: one SQLite file holds the truth, FAISS files beside it are a cache."""

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
from memkit_sqlite import health as check
from memkit_sqlite import reembed
from memkit_sqlite import turns as rows
from memkit_sqlite.cache import IndexCache, Rows
from memkit_sqlite.connection import Connection
from memkit_sqlite.snapshot import SQLiteSnapshot
from memkit_sqlite.thoughts import queue
from memkit_sqlite.thoughts import rows as thoughts
from memkit_sqlite.thoughts.lsh_index import HashedThoughts
from memkit_sqlite.thoughts.transaction import ThoughtTransaction
from memkit_sqlite.writes import apply


class SQLiteStore:
    """Keeps one memory in one file, or in RAM for ":memory:". Threads and processes may share it.

    Args:
        url: a path, ":memory:" or "sqlite:///PATH".
        fingerprint: the embedder that will be used; None skips the check (for repairs).
        busy_s: how long to wait for another process that holds the file.

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
            self.fingerprint = self._agree(fingerprint)
            row = self._connection.fetch("SELECT value FROM meta WHERE key = 'store_id'")[0]
            undo.pop_all()  # all went well: it stays open
        folder = None if self.path is None else Path(f"{self.path}.index")
        self._cache = IndexCache(folder, store_id=row[0])

    def _agree(self, given: Fingerprint | None) -> Fingerprint | None:
        """Return the embedder in use; a new memory takes the one given."""
        with self._connection.snapshot() as db:
            stored = _current(db)
        if stored is None and given is not None:
            with self._connection.transaction() as db:
                db.execute(
                    "INSERT INTO embedders (model, revision, dimension, current)"
                    " SELECT ?1, ?2, ?3, 1 WHERE NOT EXISTS (SELECT 1 FROM embedders WHERE current)"
                    " ON CONFLICT DO UPDATE SET current = 1",
                    (given.model, given.revision, given.dimension),
                )
                stored = _current(db)
        if stored is not None and given is not None and stored[1] != given:
            raise EmbeddingMismatch(str(stored[1]), str(given), self.url)
        return stored[1] if stored else None

    def _embedder(self, db: sqlite3.Connection) -> tuple[int, Fingerprint]:
        """Return the embedder in use, if it still is the one opened with."""
        current = _current(db)
        if current is None or current[1] != self.fingerprint:
            new = "no embedder" if current is None else str(current[1])
            raise EmbeddingMismatch(new, str(self.fingerprint), self.url)
        return current

    # ---- writing

    def write(self, scope: Scope, changes: WriteBatch) -> int:
        """Write all of `changes` or nothing; return the user's turn count afterwards."""
        with self._connection.transaction() as db:
            count = apply(
                db, scope.user_id, changes, lambda: self._embedder(db),
                lambda: ThoughtTransaction(
                    db, scope.user_id, lambda: self._thoughts(db, scope.user_id)
                ),
            )  # fmt: skip
        if changes.forget:
            with self._connection.held():
                self._cache.unlink(scope.user_id)  # after the commit: see IndexCache._write
                self._connection.erase_log()
        return count

    def _thoughts(self, db: sqlite3.Connection, user: str) -> HashedThoughts:
        number, made_by = self._embedder(db)
        return self._cache.thoughts(db, user, number, made_by.dimension)

    # ---- reading

    def turns(self, scope: Scope, window: Window) -> Iterator[Turn]:
        """Yield the scope's turns in the order they were said, read lazily."""
        return rows.turns(self._connection.fetch, scope, window)

    def chunks(self, scope: Scope) -> list[ChunkAge]:
        """Return the ages of all chunks of the scope, hidden ones too."""
        where, values = rows.turn_filter(scope, Window())
        found = self._connection.fetch(
            "SELECT c.id, turns.position, c.retrieved, c.hidden FROM turns"
            f" CROSS JOIN chunks c ON c.turn_seq = turns.seq WHERE {where} ORDER BY c.seq",
            values,
        )
        return [
            ChunkAge(id=row[0], position=row[1], retrieved=row[2], hidden=bool(row[3]))
            for row in found
        ]

    def summaries(self, scope: Scope, level: int) -> Iterator[Summary]:
        """Yield the user's summaries of this level, the one that reaches furthest first."""
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
        """Return the user's next turns to think about: neighbours of one session, oldest first."""
        return queue.next_batch(self._connection.fetch, scope, limit, now)

    def thoughts(self, scope: Scope, at: datetime | None = None) -> Iterator[Thought]:
        """Yield the scope's thoughts that hold, or held at that time, as far as is known now."""
        return thoughts.holding(self._connection.fetch, scope, at)

    def history(self, scope: Scope, thought_id: str) -> list[Thought]:
        """Return the thoughts that are linked with one by closing, oldest first."""
        return thoughts.history(self._connection.fetch, scope, thought_id)

    def count_derived(self, scope: Scope, turn_ids: Sequence[str]) -> int:
        """Return how many thoughts come from any of these turns."""
        return thoughts.count_derived(self._connection.fetch, scope, turn_ids)

    def conflicts(self, scope: Scope) -> list[tuple[Thought, Thought]]:
        """Return open thoughts that may contradict each other, the older one first."""
        return thoughts.conflicts(self._connection.fetch, scope)

    @contextmanager
    def snapshot(self, scope: Scope, until: datetime | None = None) -> Iterator[Snapshot]:
        """Give the block one state of what is searchable inside the scope, said by `until`.

        Other threads wait until the block ends, and it cannot write.
        """
        with self._connection.held():
            with self._connection.snapshot() as db:
                part = self._cache.timeline(db, scope.user_id).part(scope, until)
                snapshot = SQLiteSnapshot(
                    db, scope, part, until=until, cache=self._cache,
                    rows=lambda: Rows(db, scope.user_id, *self._embedder(db)),
                    hashed=lambda: self._thoughts(db, scope.user_id),
                )  # fmt: skip
                try:
                    yield snapshot
                finally:
                    snapshot.end()
            self._cache.tidy(self._rows)

    @contextmanager
    def _rows(self, user: str) -> Iterator[Rows]:
        """Give the block one state of a user's searchable rows."""
        with self._connection.snapshot() as db:
            yield Rows(db, user, *self._embedder(db))

    # ---- upkeep

    def stats(self, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, hidden chunks, summaries, users and bytes."""
        return check.stats(self._connection.fetch, self.path, user_id)

    def check(self) -> list[str]:
        """Return one sentence per fault found: rows, full text and index that disagree."""
        with self._connection.snapshot(alone=True) as db:
            faults = check.faults(db)
            if self.fingerprint is None or check.is_broken(faults):
                return faults
            for (user,) in db.execute("SELECT user_id FROM users").fetchall():
                with self._rows(user) as own:
                    faults += check.index_faults(own, self._cache.fresh(own))
            return faults

    def pending(self) -> list[str]:
        """Return the users with turns that are not summarised, or not thought about."""
        found = self._connection.fetch(
            "SELECT user_id FROM users WHERE summarised <"
            " (SELECT max(position) FROM turns WHERE turns.user_id = users.user_id)"
            " OR EXISTS (SELECT 1 FROM thinking q WHERE q.user_id = users.user_id"
            " AND q.again_us IS NOT NULL)"
        )
        return [row[0] for row in found]

    def reembed(self, embedder: Embedder, progress: Callable[[int, int], None]) -> int:
        """Embed every chunk anew and switch over at the end; return how many. Resumable."""
        count = reembed.run(self._connection.transaction, embedder, progress)
        self.fingerprint = embedder.fingerprint
        return count

    def close(self) -> None:
        """Save the indexes that changed and release the file; closing twice is fine."""
        with self._connection.held():
            if self._closed:
                return
            self._closed = True
            try:
                self._cache.save(self._rows)
            finally:
                self._connection.close()


def _current(db: sqlite3.Connection) -> tuple[int, Fingerprint] | None:
    row = db.execute("SELECT * FROM embedders WHERE current").fetchone()
    if row is None:
        return None
    return row["id"], Fingerprint(
        model=row["model"], revision=row["revision"], dimension=row["dimension"]
    )
