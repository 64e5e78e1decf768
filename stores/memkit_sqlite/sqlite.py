"""The default store: one SQLite file has the truth, FAISS files next to it are a cache."""

import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from memkit.errors import DamagedRow, EmbeddingMismatch, IncompleteCopyWarning, StoreLocked
from memkit.filters import Filter
from memkit.govern.keys import Key, KeyStore
from memkit.policy import RetentionRule
from memkit.portable import StoredItem, UserImport
from memkit.protocols import (
    Activity,
    ChunkAge,
    Deletion,
    Embedder,
    Fingerprint,
    ItemKind,
    QueuedTurn,
    Searchable,
    Snapshot,
    Window,
    WriteBatch,
)
from memkit.records import Event, Rollback, Scope, Summary, Thought, Turn
from memkit.thoughts.merging import ThoughtTransaction
from memkit_sqlite import (
    cipher,
    deletion,
    health,
    insertion,
    ledger,
    policy,
    portability,
    reembed,
    summaries,
    undo,
    wordings,
)
from memkit_sqlite.cache import IndexCache, VectorRows
from memkit_sqlite.connection import LACKS_LOG, Connection
from memkit_sqlite.snapshot import SQLiteSnapshot
from memkit_sqlite.staged import StagedVectors
from memkit_sqlite.thoughts import rows as thought_rows
from memkit_sqlite.thoughts.lsh_index import LSHIndex
from memkit_sqlite.thoughts.rows import SQLiteThoughtRows
from memkit_sqlite.turns import (
    change_layout,
    lenient_text,
    match_ids,
    read_sessions,
    read_turns,
    read_users,
    read_version,
    sample_turns,
    turn_filter,
)


class _TakenBack(Exception):
    """Rolls a deletion back that was only tried."""


class SQLiteStore:
    """One memory in a file, or in RAM for ":memory:". Threads and processes may share it.

    The URL is a path, ":memory:" or "sqlite:///PATH". `fingerprint` is that of the embedder that
    will be used; None skips the check (for repairs). `busy_s` is how long to wait for another
    process that has locked the file, in seconds. `key` encrypts words and vectors: see
    `memkit.govern.keys`.

    Raises:
        EmbeddingMismatch: the file was embedded with another model.
        StoreError: one of its kinds, if the file cannot be opened.
    """

    def __init__(
        self,
        url: str,
        fingerprint: Fingerprint | None = None,
        *,
        busy_s: float = 30,
        key: Key | None = None,
    ) -> None:
        self.url = url.removeprefix("sqlite:///")
        self._connection = Connection(self.url, busy_s)
        self.path = self._connection.path
        self._closed = False
        with ExitStack() as undo:
            undo.callback(self._connection.close)
            self._keys = self._open_keys(key)
            self.fingerprint = self._register_embedder(fingerprint)
            if self._connection.lacks_log:
                warnings.warn(LACKS_LOG.format(url=self.url), IncompleteCopyWarning, stacklevel=4)
            row = self._connection.fetch("SELECT value FROM meta WHERE key = 'store_id'")[0]
            undo.pop_all()  # no error: the connection stays open
        # an index file has vectors as they are; of an encrypted memory there is none
        in_ram = self.path is None or self._keys is not None
        folder = None if in_ram else Path(f"{self.path}.index")
        self.secret = str(row[0]).encode()
        self._cache = IndexCache(folder, store_id=row[0])
        self._is_purge_due = False  # whether bytes of deleted rows could not be removed yet
        self._finish_purges()

    def _open_keys(self, key: Key | None) -> KeyStore | None:
        with self._connection.snapshot() as db:
            keys, is_new = cipher.open_keys(db, self.path, key)
        if is_new:
            with self._connection.transaction() as db:
                cipher.mark(db)
        self._connection.use_keys(keys)
        return keys

    def _destroy_key(self, user_id: str) -> None:
        """Destroy the key of a user without turns: copies of the memory are then unreadable too."""
        if self._keys is None or self._connection.is_writing:  # a branch may be rolled back
            return
        with self._connection.transaction() as db:  # nobody writes for the user meanwhile
            known = db.execute("SELECT 1 FROM users WHERE user_id = ?", (user_id,)).fetchone()
            if known is None and self._keys.destroy(user_id):
                ledger.append(db, "destroy key", user_id=user_id, counts={"keys": 1})

    def _finish_purges(self) -> None:
        """Do what a process that was killed left undone of its deletions."""
        with self._connection.lock() as db:
            if self._connection.was_in_use:
                self._cache.sweep(db)
            self._is_purge_due = bool(pending := deletion.read_pending(db))
        if pending:
            self._is_purge_due = not (self.vacuum() and self.purge())

    def _register_embedder(self, fingerprint: Fingerprint | None) -> Fingerprint | None:
        """Return the memory's embedder; a new memory registers the one passed."""
        with self._connection.snapshot() as db:
            stored = reembed.read_embedder(db)
        if stored is None and fingerprint is not None:
            with self._connection.transaction() as db:
                db.execute(
                    "INSERT INTO embedders (model, revision, dimension, current)"
                    " SELECT ?1, ?2, ?3, 1 WHERE NOT EXISTS (SELECT 1 FROM embedders WHERE current)"
                    " ON CONFLICT DO UPDATE SET current = 1",
                    (fingerprint.model, fingerprint.revision, fingerprint.dimension),
                )
                stored = reembed.read_embedder(db)
        if stored is not None and fingerprint is not None and stored[1] != fingerprint:
            raise EmbeddingMismatch(str(stored[1]), str(fingerprint), self.url)
        return stored[1] if stored else None

    def _embedder(self, db: sqlite3.Connection) -> tuple[int, Fingerprint]:
        """Return the memory's embedder, or raise if it was changed since the store was opened."""
        current = reembed.read_embedder(db)
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
            count, _ = _write_batch(db, user_id, batch, lambda: self._embedder(db), thoughts)
        if (
            batch.forget or batch.updates or self._is_purge_due
        ) and not self._connection.is_writing:
            self.purge()
        if batch.forget:
            self._destroy_key(user_id)
        return count

    @contextmanager
    def branch(self, scope: Scope) -> Iterator[None]:
        """Commit all that the block writes, or nothing if it fails; it reads what it has written.

        Other threads and other writers wait until the block ends.
        """
        newest = 0

        def rewind() -> None:
            self._cache.rewind(scope.user_id, newest)

        with self._connection.transaction(rewind) as db:
            _, newest = read_version(db, scope.user_id)
            yield

    def forget(
        self,
        scope: Scope,
        turn_ids: Sequence[str],
        *,
        source: str = "caller",
        dry_run: bool = False,
    ) -> Deletion:
        """Delete turns with all that is derived from them; return what was deleted."""
        user_id = scope.user_id
        deleted = Deletion()
        with suppress(_TakenBack), self._connection.transaction() as db, lenient_text(db):
            deleted = deletion.read_deletion(db, user_id, turn_ids)
            if not deleted.turns:
                raise _TakenBack
            batch = WriteBatch(forget=[turn.id or "" for turn in deleted.turns], source=source)
            thoughts = SQLiteThoughtRows(db, user_id, lambda: self._lsh_index(db, user_id))
            _, event = _write_batch(db, user_id, batch, lambda: self._embedder(db), thoughts)
            deleted = deletion.complete(db, user_id, deleted, thoughts, event)
            if dry_run:
                raise _TakenBack
        if not dry_run:
            if deleted.turns:
                self.purge()
            self._destroy_key(user_id)
        return deleted

    def rollback(
        self, scope: Scope, event: int, *, source: str = "caller", dry_run: bool = False
    ) -> Rollback:
        """Give a user's derived rows the state they had after an event; turns stay."""
        rollback = Rollback(user_id=scope.user_id, to_event=event)
        with suppress(_TakenBack), self._connection.transaction() as db:

            def open_index() -> LSHIndex:
                embedder, fingerprint = self._embedder(db)
                return LSHIndex(embedder, fingerprint.dimension)

            rollback = undo.rollback(db, scope.user_id, event, open_index, source)
            if dry_run:
                rollback = replace(rollback, event=None)
                raise _TakenBack
        return rollback

    def trim_undo(self, scope: Scope, before: datetime) -> None:
        """Make a user's changes from before a time final."""
        with self._connection.lock() as db:
            if not undo.is_due(db, scope.user_id, before):
                return
        with self._connection.transaction() as db:
            undo.trim(db, scope.user_id, before)

    def purge(self) -> bool:
        """Remove the bytes of deleted rows from all files; return whether that is done.

        It is not while another process reads a state from before the deletion, or writes all the
        time. Every later write tries again, and so does `close`.
        """
        with self._connection.lock() as db:
            pending = deletion.read_pending(db)
            self._is_purge_due = bool(pending)
            if not pending:
                return True
            self._cache.unlink(pending.values())  # after the commit: see IndexCache._write
        if not self._connection.erase_log():
            return False
        with suppress(StoreLocked), self._connection.transaction() as db:
            deletion.mark_purged(db, list(pending))
            self._is_purge_due = bool(deletion.read_pending(db))
            return True
        return False

    def vacuum(self) -> bool:
        """Write the whole file again without unused bytes; return whether these are gone.

        Cost: reads and writes the whole file; needs as much free space.
        """
        with suppress(StoreLocked), self._connection.lock() as db:
            db.execute("VACUUM")
            return self._connection.erase_log()
        return False

    def _lsh_index(self, db: sqlite3.Connection, user_id: str) -> LSHIndex:
        embedder, fingerprint = self._embedder(db)
        return self._cache.thoughts(db, user_id, embedder, fingerprint.dimension)

    # ---- reading

    def turns(self, scope: Scope, window: Window) -> Iterator[Turn]:
        """Yield the scope's turns in the order they were said, read lazily."""
        return read_turns(self._connection.fetch, scope, window)

    def wordings(self, scope: Scope, turn_id: str) -> list[Turn]:
        """Return a turn of the user before each change of its words, oldest first, and as it is."""
        with self._connection.snapshot() as db:
            return wordings.read(db, scope.user_id, turn_id)

    def sessions(self, scope: Scope) -> list[Activity]:
        """Return the scope's sessions, the one with the latest turn first."""
        return read_sessions(self._connection.fetch, scope)

    def match_ids(self, scope: Scope, kind: ItemKind, prefix: str, limit: int) -> list[str]:
        """Return at most `limit` ids of the user that start with `prefix`, in order."""
        return match_ids(self._connection.fetch, scope, kind, prefix, limit)

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

    def sample(self, scope: Scope, limit: int) -> list[Turn]:
        """Return at most `limit` turns of the user, evenly spread, in the order stored."""
        return sample_turns(self._connection.fetch, scope, limit)

    def summaries(self, scope: Scope, level: int) -> Iterator[Summary]:
        """Yield the user's summaries of this level, newest first."""
        return summaries.read(self._connection.fetch, scope.user_id, level)

    def generation(self, scope: Scope) -> int:
        """Return a number that changes whenever turns of this user are deleted."""
        with self._connection.lock() as db:
            return deletion.read_generation(db, scope.user_id)

    def next_batch(self, scope: Scope, limit: int, now: datetime | None = None) -> list[QueuedTurn]:
        """Return the user's next turns to reflect on: neighbours of one session, oldest first."""
        return thought_rows.next_batch(self._connection.fetch, scope, limit, now)

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

    def ended(self, scope: Scope, limit: int) -> list[tuple[str, str]]:
        """Return the texts of the last thoughts that ended, with those that closed them."""
        return thought_rows.read_ended(self._connection.fetch, scope, limit)

    def superseded(self, scope: Scope, limit: int) -> list[tuple[Thought, Thought]]:
        """Return the last superseded thoughts, each with the one that holds in its place."""
        return thought_rows.read_superseded(self._connection.fetch, scope, limit)

    @contextmanager
    def snapshot(
        self, scope: Scope, until: datetime | None = None, where: Filter | None = None
    ) -> Iterator[Snapshot]:
        """Open a snapshot of the scope's searchable chunks that were said by `until`.

        `where` limits what is near. Other threads wait until the block ends; it must not write.
        """
        user_id = scope.user_id
        with self._connection.lock():
            with self._connection.snapshot() as db:
                view = self._cache.timeline(db, user_id).view(scope, until)
                snapshot = SQLiteSnapshot(
                    db, scope, view, until=until, where=where, cache=self._cache,
                    open_vectors=lambda: VectorRows(db, user_id, *self._embedder(db)),
                    open_lsh_index=lambda: self._lsh_index(db, user_id),
                )  # fmt: skip
                try:
                    yield snapshot
                finally:
                    snapshot.end()
            if not self._connection.is_writing:
                self._cache.tidy(self._vector_rows)

    @contextmanager
    def _vector_rows(self, user_id: str) -> Iterator[VectorRows]:
        """Give the block one state of a user's searchable vectors."""
        with self._connection.snapshot() as db:
            yield VectorRows(db, user_id, *self._embedder(db))

    # ---- upkeep

    def users(self) -> list[Activity]:
        """Return the users, the one with the latest turn first."""
        return read_users(self._connection.fetch)

    def stats(self, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, hidden chunks, summaries, thoughts, users and bytes."""
        return health.stats(self._connection.fetch, self.path, user_id)

    def check(self) -> list[str]:
        """Return one sentence per fault found: rows, full text and index that disagree."""
        with self._connection.snapshot() as db:
            faults = health.find_faults(db)
            if self._connection.lacks_log:
                faults.append(LACKS_LOG.format(url=self.url))
            if self.fingerprint is None or health.is_damaged(faults):
                return faults
            for (user_id,) in db.execute("SELECT user_id FROM users").fetchall():
                with self._vector_rows(user_id) as rows:
                    try:
                        faults += health.find_index_faults(rows, self._cache.fresh(rows))
                    except DamagedRow as error:
                        faults.append(str(error))
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

    def files(self) -> list[Path]:
        """Return the files that the memory consists of now; none in RAM."""
        if self.path is None:
            return []
        beside = (Path(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal"))
        index = Path(f"{self.path}.index").glob("*")
        return [file for file in (*beside, *index) if file.is_file()]

    def retained(self, pieces: AbstractSet[bytes]) -> set[bytes]:
        """Return the pieces, in UTF-8, that are in a text or a vector that is stored."""
        with self._connection.snapshot() as db, lenient_text(db):
            return deletion.find_retained(db, pieces)

    def last_event(self) -> Event:
        """Return the newest event of the ledger."""
        with self._connection.snapshot() as db:
            return ledger.read_last(db)

    def events(self) -> Iterator[Event]:
        """Yield the events of the ledger in order."""
        with self._connection.snapshot() as db:
            yield from list(ledger.read(db))

    def head(self) -> str:
        """Return the hash of the newest event: as long as it is the same, nothing was changed."""
        with self._connection.lock() as db:
            return ledger.read_head(db)

    def record(self, kind: str, *, source: str, ids: Sequence[str] = ()) -> str:
        """Add an event of the whole memory to the ledger; return its hash."""
        with self._connection.transaction() as db:
            return ledger.append(db, kind, source=source, counts={}, ids=ids)

    def backup(self, path: str) -> None:
        """Write a copy of the whole memory to the new file `path`. Safe while others write."""
        self._connection.backup(Path(path).absolute())

    @contextmanager
    def dump(self, user_id: str | None = None) -> Iterator[Iterator[tuple[str, StoredItem]]]:
        """Give the block all items of a user, or of all users, in one state of the memory."""
        with self._connection.reader() as db:
            yield portability.dump(db, user_id)

    def stage(self, embedder: Embedder) -> Searchable:
        """Embed every row with another embedder too; return the store as this one searches it."""
        return StagedVectors(self._connection, embedder, self.secret.decode())

    def load(self, user: UserImport) -> bool:
        """Write a user with all that was derived; return False if it has turns already."""
        user_id = user.user_id
        with self._connection.transaction() as db:
            thoughts = SQLiteThoughtRows(db, user_id, lambda: self._lsh_index(db, user_id))
            embedder = lambda: self._embedder(db)  # noqa: E731
            return portability.load(
                db,
                user,
                thoughts,
                lambda batch: _write_batch(db, user_id, batch, embedder, thoughts),
            )

    def retention(self) -> tuple[RetentionRule, ...]:
        """Return the rules of retention."""
        with self._connection.snapshot() as db:
            return policy.read_retention(db)

    def set_retention(self, rules: Sequence[RetentionRule], *, source: str = "caller") -> None:
        """Replace the rules of retention, under a new version that the ledger notes."""
        with self._connection.transaction() as db:
            policy.write_retention(db, rules, source)

    def reembed(
        self,
        embedder: Embedder,
        progress: Callable[[int, int], None],
        check: Callable[[], None] = lambda: None,
    ) -> int:
        """Embed every chunk again and switch over at the end; return how many. Resumable."""
        old = self.fingerprint

        def finish(db: sqlite3.Connection, count: int) -> None:
            source, counts = str(embedder.fingerprint), {"chunks": count}
            ledger.append(db, "reembed", source=source, counts=counts)
            undo.clear(db)  # images have vectors of the old embedder
            self.fingerprint = embedder.fingerprint
            check()

        try:
            return reembed.run(self._connection.transaction, embedder, progress, finish)
        except BaseException:
            self.fingerprint = old
            raise

    def drop_embedder(self, fingerprint: Fingerprint) -> None:
        """Delete the vectors of an embedder that is not the memory's."""
        with self._connection.transaction() as db:
            reembed.drop(db, fingerprint)

    def close(self) -> None:
        """Save the indexes that changed and release the file. Idempotent."""
        with self._connection.lock():
            if self._closed:
                return
            self._closed = True
            try:
                if self._is_purge_due:
                    self.purge()
                self._cache.save(self._vector_rows)
            finally:
                self._connection.close()


# ---- one batch into the tables


def _write_batch(
    db: sqlite3.Connection,
    user_id: str,
    batch: WriteBatch,
    embedder: Callable[[], tuple[int, Fingerprint]],
    thoughts: SQLiteThoughtRows,
) -> tuple[int, str | None]:
    """Write a batch; return how many turns were ever stored, 0 if none is left, and its event."""
    reworded = wordings.find_reworded(db, user_id, batch.updates)
    gone = [*batch.forget, *reworded]  # turns whose words, or former words, leave all thoughts
    forgotten = undo.start_forgetting(db, user_id, gone) if gone else None
    generation = deletion.read_generation(db, user_id)
    is_outdated = batch.generation not in (None, generation)  # turns were deleted since
    new = insertion.new_turns(db, user_id, batch.turns)
    if new:
        current = embedder()
        insertion.insert_turns(db, user_id, new)
        insertion.insert_chunks(db, user_id, new, batch, current)
    for summary in () if is_outdated else batch.summaries:
        summaries.insert(db, user_id, summary)
    counts = {
        "turns": len(new) + len(batch.forget) + len(batch.updates),
        "summaries": 0 if is_outdated else len(batch.summaries),
        "hidden": _set_hidden(db, user_id, batch.hide, 1),
        "shown": _set_hidden(db, user_id, batch.show, 0),
    }
    db.executemany(
        "UPDATE chunks SET retrieved = max(coalesce(retrieved, 0), ?) WHERE user_id = ? AND id = ?",
        [(turn_count, user_id, chunk) for chunk, turn_count in batch.retrieved.items()],
    )
    if batch.unpark:
        thought_rows.unpark(db, user_id)
    if batch.reflection is not None and batch.reflection.failure is not None:
        thought_rows.record_failure(db, user_id, batch.reflection)
    ThoughtTransaction(thoughts).write(replace(batch, forget=gone))
    thoughts.grow_index()
    if batch.reflection or batch.retract or batch.resolved_conflicts or gone:
        summaries.delete_outdated(db, user_id)
    if batch.updates:
        wordings.update(db, user_id, batch, reworded, embedder)
    if forgotten is not None:
        deletion.delete_turns(db, user_id, batch.forget)
        undo.erase(db, user_id, forgotten, [thought for thought, _ in thoughts.deleted])
    if (batch.failure or batch.summaries) and not is_outdated:
        failure = "UPDATE users SET failure = seal(user_id, ?) WHERE user_id = ?"
        db.execute(failure, (batch.failure, user_id))
    if batch.refused:
        db.execute("UPDATE users SET refused = refused + 1 WHERE user_id = ?", (user_id,))
    ids = [*new, *batch.forget, *(turn.id or "" for turn in batch.updates), *thoughts.changed]
    event = ledger.append_batch(db, user_id, batch, counts | thoughts.counts, ids)
    row = db.execute("SELECT turns FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0]) if row else 0, event


def _set_hidden(db: sqlite3.Connection, user_id: str, chunk_ids: Sequence[str], hidden: int) -> int:
    """Hide chunks from search, or show them again; return how many changed."""
    changed = db.executemany(
        "UPDATE chunks SET hidden = ? WHERE user_id = ? AND id = ? AND hidden != ?",
        [(hidden, user_id, chunk, hidden) for chunk in chunk_ids],
    )
    if changed.rowcount > 0:
        change_layout(db, user_id)
    return max(changed.rowcount, 0)
