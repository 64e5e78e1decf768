"""SQLite's errors in memkit's words: what happened, and what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from memkit.errors import (
    NotAMemory,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
)

_MEANING: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (StoreFull, "no space is left for {url}; free some and try again"),
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
        "{url} is held by another process for longer than the busy timeout; try again, or end "
        "the process that holds it",
    ),
    sqlite3.SQLITE_NOTADB: (NotAMemory, "{url} is not a memkit memory; give another path"),
    sqlite3.SQLITE_CORRUPT: (
        NotAMemory,
        "{url} is damaged; restore a copy, or salvage it with `sqlite3 FILE .recover`",
    ),
}


# what the low byte does not tell
_EXTENDED: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_IOERR_SHMSIZE: _MEANING[sqlite3.SQLITE_FULL],  # no room for the -shm file
}


@contextmanager
def in_our_words(url: str) -> Iterator[None]:
    """Turn an SQLite error inside the block into the memkit error it means."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None and "closed" in str(error):
            raise StoreClosed(f"{url} is closed; open it again with memkit.open") from error
        unknown = (StoreError, "{url}: {error}")
        kind, message = _EXTENDED.get(code or 0) or _MEANING.get((code or 0) & 0xFF, unknown)
        raise kind(message.format(url=url, error=error)) from error
