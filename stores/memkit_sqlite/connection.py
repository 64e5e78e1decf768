"""One SQLite file behind one connection and one lock: whole transactions and stable reads.

Threads take turns; other processes may share the file (WAL).
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from memkit.errors import NotAMemory, StoreError, StoreReadOnly
from memkit_sqlite import schema
from memkit_sqlite.errors import in_our_words


class Connection:
    """An open memory file, with its schema up to date.

    Args:
        url: a path or ":memory:".
        busy_s: how long to wait for another process that holds the file.
    """

    def __init__(self, url: str, busy_s: float) -> None:
        self.url = url
        self.path = None if url == ":memory:" else Path(url).absolute()
        self._busy_s = busy_s
        self._process = os.getpid()
        self._lock = threading.RLock()
        if self.path is not None:
            _refuse_strangers(self.path)
        with in_our_words(url):
            self._raw = sqlite3.connect(
                url, timeout=busy_s, isolation_level=None, check_same_thread=False
            )
        with ExitStack() as undo:
            undo.callback(self._raw.close)
            self._open()
            undo.pop_all()  # all went well: it stays open

    def _open(self) -> None:
        self._raw.row_factory = sqlite3.Row
        with in_our_words(self.url):
            self._raw.execute("PRAGMA foreign_keys = ON")
            self._raw.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
            self._raw.execute("PRAGMA synchronous = FULL")  # acknowledged is safe from power cuts
        self._opened = self._file()
        with self.snapshot() as db:
            current = schema.is_current(db, self.url)
        if not current:
            with self.transaction() as db:
                schema.prepare(db, self.url)
        with in_our_words(self.url):
            self._use_wal()

    def _use_wal(self) -> None:
        """Let readers and a writer work at once; waits, as SQLite itself does not here."""
        until = time.monotonic() + self._busy_s
        while True:
            try:
                self._raw.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    def _file(self) -> tuple[int, int] | None:
        """Say which file stands at the path now."""
        try:
            found = None if self.path is None else self.path.stat()
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found else None

    @contextmanager
    def held(self) -> Iterator[sqlite3.Connection]:
        """Keep other threads out; errors come out in memkit's words."""
        if os.getpid() != self._process:
            raise StoreError(
                f"{self.url} was opened before this process was forked, and SQLite does not "
                "survive that; open it anew in the child"
            )
        with self._lock, in_our_words(self.url):
            yield self._raw

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block whole or not at all, alone among all writers of all processes."""
        with self.held() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                if self._file() != self._opened:  # SQLite would go on and write to nowhere
                    raise StoreError(
                        f"{self.url} was moved, deleted or replaced while it was open; nothing "
                        "was written, put it back or open it anew"
                    )
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextmanager
    def snapshot(self, *, alone: bool = False) -> Iterator[sqlite3.Connection]:
        """Let the block read one state of the file, whatever other processes write meanwhile.

        `alone` makes them wait, which FTS5's own check asks for. Nothing is committed.
        """
        with self.held() as db:
            if db.in_transaction:
                yield db
                return
            db.execute("BEGIN IMMEDIATE" if alone else "BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of one query."""
        with self.held() as db:
            return db.execute(sql, values).fetchall()

    def erase_log(self) -> None:
        """Take deleted text out of the write-ahead log too, unless somebody is reading it."""
        with self.held() as db, suppress(sqlite3.OperationalError):  # the deletion is committed
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Release the file; closing twice is fine."""
        with self._lock:
            self._raw.close()


def _refuse_strangers(path: Path) -> None:
    """Raise for a file that is no memory, without letting SQLite so much as open it."""
    if path.is_dir():
        raise StoreReadOnly(f"{path} is a folder; give the path of a file")
    if Path(f"{path}-journal").exists():
        return  # somebody is making it this moment, or crashed then: SQLite knows what to do
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return  # SQLite will say what is wrong
    if head and not schema.is_ours(head):
        raise NotAMemory(
            f"{path} is not a memkit memory but another program's file; nothing was changed, "
            "give another path"
        )
