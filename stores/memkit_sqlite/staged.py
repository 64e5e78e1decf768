"""The store as an embedder searches it that is not the current one: for a staged rollout.

Its vectors are beside the current ones. Rows that were written since the last search are embedded
before the next one. Its indexes are in memory only, because the files are those of the current one,
and nearest thoughts are found by comparing all, because a user's hash is of the current one.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from memkit.filters import Filter
from memkit.protocols import Embedder, Snapshot
from memkit.records import Scope
from memkit_sqlite import reembed
from memkit_sqlite.cache import IndexCache, VectorRows
from memkit_sqlite.connection import Connection
from memkit_sqlite.snapshot import SQLiteSnapshot


class StagedVectors:
    """A `memkit.protocols.Searchable` over the vectors of another embedder."""

    def __init__(self, connection: Connection, embedder: Embedder, store_id: str) -> None:
        self._connection, self._embedder = connection, embedder
        self._number = reembed.register(connection.transaction, embedder)
        self._cache = IndexCache(None, store_id=store_id)
        self._embed_missing()

    @contextmanager
    def snapshot(
        self, scope: Scope, until: datetime | None = None, where: Filter | None = None
    ) -> Iterator[Snapshot]:
        """Open a snapshot of the scope's searchable chunks that were said by `until`.

        `where` limits what is near.
        """
        self._embed_missing()
        with self._connection.lock(), self._connection.snapshot() as db:
            self._cache.tidy(self._rows_of)
            view = self._cache.timeline(db, scope.user_id).view(scope, until)
            snapshot = SQLiteSnapshot(
                db, scope, view, until=until, where=where, cache=self._cache,
                open_vectors=lambda: self._rows(db, scope.user_id),
                open_lsh_index=lambda: self._cache.thoughts(
                    db, scope.user_id, self._number, self._embedder.fingerprint.dimension
                ),
            )  # fmt: skip
            try:
                yield snapshot
            finally:
                snapshot.end()

    @contextmanager
    def _rows_of(self, user_id: str) -> Iterator[VectorRows]:
        with self._connection.snapshot() as db:
            yield self._rows(db, user_id)

    def _rows(self, db: sqlite3.Connection, user_id: str) -> VectorRows:
        return VectorRows(db, user_id, self._number, self._embedder.fingerprint)

    def _embed_missing(self) -> None:
        with self._connection.snapshot() as db:
            if reembed.is_complete(db, self._number):
                return
        reembed.embed_missing(
            self._connection.transaction, self._embedder, self._number, lambda *_: None
        )
