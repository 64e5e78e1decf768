"""One SQLite file behind one connection and one lock: transactions and snapshots.

Threads wait for each other, but none waits for a thread that waits for another process. Other
processes may use the file at the same time (WAL mode).
"""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from memkit.errors import (
    DamagedRow,
    NotAMemory,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
)
from memkit.govern.keys import KeyStore
from memkit_sqlite import backup, cipher, schema
from memkit_sqlite.fair_lock import FairLock

LACKS_LOG = (
    "{url} is a copy of a memory that was open, without its log {url}-wal: the newest turns may be "
    "missing; copy it again with `memkit backup`"
)


class Connection:
    """An open memory file, with its schema up to date.

    While it is open, the newest data is in a log next to the file, FILE-wal, and the file is marked
    as in use. When the last connection closes, all data is in the file and the mark is removed.
    `lacks_log`: the file was in use when it was copied, and its log was not copied with it.
    `was_in_use`: another process has it open, or was killed.
    `busy_s` is how long to wait for another process that has locked the file, in seconds.
    """

    def __init__(self, url: str, busy_s: float) -> None:
        self.url = url
        self.path = None if url == ":memory:" else Path(url).absolute()
        self._busy_s = busy_s
        self._process = os.getpid()
        self._lock = FairLock()
        self._keys: KeyStore | None = None
        self._writer: int | None = None  # the thread that has begun a transaction
        if self.path is not None:
            _refuse_other_files(self.path)
            _create_private(self.path)
        self.lacks_log = self.path is not None and _lacks_log(self.path)
        with translate_errors(url):
            self._raw = sqlite3.connect(
                url, timeout=busy_s, isolation_level=None, check_same_thread=False
            )
        with ExitStack() as undo:
            undo.callback(self._raw.close)
            self._open()
            undo.pop_all()  # all went well: it stays open
        # also at the end of the interpreter, if nobody calls close()
        self._finalizer = weakref.finalize(
            self, _release, self._raw, self.path, self._opened_file, self._process
        )

    def _open(self) -> None:
        cipher.install(self._raw, None)
        with translate_errors(self.url):
            self._raw.execute("PRAGMA foreign_keys = ON")
            self._raw.execute("PRAGMA secure_delete = ON")  # deleted data is overwritten
            self._raw.execute("PRAGMA synchronous = FULL")  # committed data survives power cuts
        self._opened_file = self._identify_file()
        with self.snapshot() as db:
            current = schema.is_current(db, self.url)
        if not current:
            with self.transaction() as db:
                schema.prepare(db, self.url)
        with translate_errors(self.url):
            self._use_wal()
            marked = self._raw.execute("PRAGMA user_version").fetchone()[0] == _IN_USE
        self.was_in_use = marked
        if self.path is not None and not marked:
            _mark(self.path, _IN_USE)

    def use_keys(self, keys: KeyStore | None) -> None:
        """Encrypt what is written from here on, and open what is read."""
        self._keys = keys
        cipher.install(self._raw, keys)

    def _use_wal(self) -> None:
        """Switch to WAL mode; retry while the file is locked, because SQLite does not wait here."""
        until = time.monotonic() + self._busy_s
        while True:
            try:
                self._raw.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise
            time.sleep(_RETRY_S)

    def _identify_file(self) -> tuple[int, int] | None:
        """Return device and inode of the file that is at the path now."""
        return None if self.path is None else _identify_file(self.path)

    @contextmanager
    def lock(self) -> Iterator[sqlite3.Connection]:
        """Lock out other threads during the block, and translate SQLite's errors."""
        if os.getpid() != self._process:
            raise StoreError(
                f"{self.url} was opened before this process was forked, and SQLite does not "
                "survive that; open it again in the child"
            )
        with self._lock, translate_errors(self.url):
            yield self._raw

    @property
    def is_writing(self) -> bool:
        """Return whether this thread is inside a transaction."""
        return self._writer == threading.get_ident()

    @contextmanager
    def transaction(self, undo: Callable[[], None] = lambda: None) -> Iterator[sqlite3.Connection]:
        """Commit all that the block writes or nothing; other writers of all processes wait.

        A transaction inside another one of the same thread is part of it. `undo` is called if
        nothing is committed, before other threads go on.
        """
        if self.is_writing:
            with self.lock() as db, _savepoint(db):
                yield db
            return
        with self._only_writer() as db:
            if self._identify_file() != self._opened_file:  # SQLite would write to the old file
                raise StoreError(
                    f"{self.url} was moved, deleted or replaced while it was open; nothing "
                    "was written, put it back or open it again"
                )
            self._writer = threading.get_ident()
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                undo()
                raise
            finally:
                self._writer = None

    @contextmanager
    def _only_writer(self) -> Iterator[sqlite3.Connection]:
        """Begin a transaction while no other process writes; roll back what is not committed.

        The thread waits for other processes without the lock, so that others can read meanwhile.
        """
        until = time.monotonic() + self._busy_s
        while True:
            with self.lock() as db:
                if self._begins_writing(db, is_last=time.monotonic() > until):
                    with _rolled_back(db):
                        yield db
                    return
            time.sleep(_RETRY_S)

    def _begins_writing(self, db: sqlite3.Connection, *, is_last: bool) -> bool:
        """Begin a transaction that writes; False if another process writes, an error at last."""
        db.execute("PRAGMA busy_timeout = 0")
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or is_last:
                raise
            return False
        finally:
            db.execute(f"PRAGMA busy_timeout = {int(1000 * self._busy_s)}")
        return True

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give the block one state of the file, whatever other processes write; commit nothing."""
        with self.lock() as db:
            if db.in_transaction:
                yield db
                return
            db.execute("BEGIN")
            with _rolled_back(db):
                yield db

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Give the block one state of the file by a connection of its own: nobody waits for it.

        In RAM there is one connection only, and other threads wait.
        """
        if self.path is None:
            with self.snapshot() as db:
                yield db
            return
        with self.lock() as db:  # closed, forked or moved: say so
            db.execute("SELECT 1")
        with (
            translate_errors(self.url),
            closing(sqlite3.connect(self.path, isolation_level=None)) as db,
        ):
            cipher.install(db, self._keys)
            db.execute("BEGIN")
            yield db

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of one query."""
        with self.lock() as db:
            return db.execute(sql, values).fetchall()

    def erase_log(self) -> bool:
        """Empty the write-ahead log; return False if another process reads from it.

        Waits for it for a second: what is deleted is in the log, and in the file before the log.
        """
        with self.lock() as db, suppress(sqlite3.OperationalError):
            db.execute(f"PRAGMA busy_timeout = {_ERASING_MS}")
            try:
                busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                db.execute(f"PRAGMA busy_timeout = {round(1000 * self._busy_s)}")
            return not busy
        return False

    def backup(self, target: Path) -> None:
        """Write one state of the file into the new file `target`; others may write meanwhile."""
        if self.path is None:
            with self.lock() as db:
                backup.copy_database(db, target)
            return
        with self.lock() as db:  # closed, forked or moved: say so
            db.execute("SELECT 1")
        # a connection of its own, so that other threads do not wait for the copy
        with translate_errors(self.url), closing(sqlite3.connect(self.path)) as source:
            backup.copy_database(source, target)

    def close(self) -> None:
        """Release the file. Idempotent."""
        with self._lock:
            self._finalizer()


def _create_private(path: Path) -> None:
    """Create a new file that only its owner can read; SQLite gives its log the same mode."""
    with suppress(OSError):  # it exists, or cannot be created: SQLite says so
        path.touch(mode=0o600, exist_ok=False)


_RETRY_S = 0.01  # pause between two attempts to write a file that is locked


def _is_busy(error: sqlite3.OperationalError) -> bool:
    """Return whether an error says that another process has locked the file."""
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


@contextmanager
def _rolled_back(db: sqlite3.Connection) -> Iterator[None]:
    """Roll back at the end of the block what it did not commit."""
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


@contextmanager
def _savepoint(db: sqlite3.Connection) -> Iterator[None]:
    """Take back what the block writes if it fails, and nothing else of the transaction."""
    db.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK TO part")
        raise
    finally:
        db.execute("RELEASE part")


# ---- the mark of a file in use

_NOT_IN_USE, _IN_USE = 0, 1  # user_version of a file; 1: the newest data is in its log
_ERASING_MS = 1000  # how long to wait for readers of the log
_LOOKS, _PAUSE_S = 3, 0.02  # how often and how long another process may be opening or closing


def _log(path: Path) -> Path:
    return Path(f"{path}-wal")


def _identify_file(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _lacks_log(path: Path) -> bool:
    """Return whether a file is marked as in use and has no log: a copy of an open memory."""
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_S)
        if not path.is_file() or _log(path).exists() or Path(f"{path}-journal").exists():
            return False
        header = _read_header(path)
        if header is None or header[1] != _IN_USE:
            return False
    return True


def _release(
    raw: sqlite3.Connection, path: Path | None, opened_file: tuple[int, int] | None, process: int
) -> None:
    """Close a connection; the last one of a file removes the mark that it is in use."""
    raw.close()
    if path is None or os.getpid() != process or _identify_file(path) != opened_file:
        return
    if not _log(path).exists():  # SQLite removes the log when the last connection closes
        _mark(path, _NOT_IN_USE)


def _mark(path: Path, mark: int) -> None:
    """Write the mark into the file itself, and not only into its log; skip it if that must wait."""
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as db,
    ):
        db.execute("PRAGMA synchronous = NORMAL")  # the checkpoint reaches the disk, that is enough
        db.execute(f"PRAGMA user_version = {mark}")
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _read_header(path: Path) -> tuple[int, int] | None:
    """Return application_id and user_version of a database file; None: not known yet.

    SQLite reads the file, without locks and without its log. Opening and closing the file ourselves
    would drop the locks that this process holds through other connections:
    sqlite.org/howtocorrupt.html, 2.2.

    Raises:
        sqlite3.DatabaseError: the file is no database.
    """
    uri = f"{path.as_uri()}?immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as db:
            values = [
                db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            ]
            return values[0], values[1]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise
        return None  # it is being written now, or cannot be read: the real opening says so


def _refuse_other_files(path: Path) -> None:
    """Raise for a file that is no memory before SQLite opens it for writing."""
    if path.is_dir():
        raise StoreReadOnly(f"{path} is a folder; give the path of a file")
    if Path(f"{path}-journal").exists():
        return  # being created now, or left by a crash: SQLite recovers it
    if not path.exists() or not path.stat().st_size:
        return
    try:
        header = _read_header(path)
    except sqlite3.DatabaseError:
        header = (0, 0)
    if header is not None and header[0] != schema.APPLICATION_ID:
        raise NotAMemory(
            f"{path} is not a memkit memory but a file of another program; nothing was changed, "
            "give another path"
        )


# ---- errors

# SQLite's primary result codes and the errors they mean
_FULL = (StoreFull, "no space is left for {url}; free some and try again")
_MEANING: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,  # no room for the -shm file
    sqlite3.SQLITE_READONLY: (
        StoreReadOnly,
        "{url} is read-only; make the file and its folder writable, or copy it to a disk that is",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StoreReadOnly,
        "{url} cannot be opened or created; check that its folder exists and is writable",
    ),
    sqlite3.SQLITE_BUSY: (
        StoreLocked,
        "{url} was locked by another process for longer than the busy timeout; try again, or end "
        "that process",
    ),
    sqlite3.SQLITE_NOTADB: (NotAMemory, "{url} is not a memkit memory; give another path"),
    sqlite3.SQLITE_CORRUPT: (
        NotAMemory,
        "{url} is damaged; restore a copy, or salvage it with `sqlite3 FILE .recover`",
    ),
}


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Raise an SQLite error of the block as the memkit error that it means."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None and "closed" in str(error):
            raise StoreClosed(f"{url} is closed; open it again with memkit.open") from error
        if "UTF-8" in str(error):
            raise DamagedRow(f"a row of {url}", str(error), "`memkit doctor` names it") from error
        unknown = (StoreError, "{url}: {error}")
        # an extended code means what its low byte means, except for those in the table
        kind, message = _MEANING.get(code or 0) or _MEANING.get((code or 0) & 0xFF, unknown)
        raise kind(message.format(url=url, error=error)) from error
