"""Read SQLite files of other programs, without writing to them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput
from memkit.importers.files import ExportFile

SQLITE_MAGIC = b"SQLite format 3\0"


@contextmanager
def open_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file for reading, for the block.

    A program that has the file open may write meanwhile. If nobody has, and the folder cannot be
    written, SQLite needs `immutable` for a file in WAL mode.

    Raises:
        InvalidInput: it is damaged, or cannot be opened.
    """
    uri = path.absolute().as_uri()
    try:
        try:
            connection = _connect(f"{uri}?mode=ro")
        except sqlite3.OperationalError:
            if Path(f"{path}-wal").exists():
                raise
            connection = _connect(f"{uri}?immutable=1")
        with closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise InvalidInput(f"{path} cannot be read as an SQLite file: {error}") from error


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")  # views and triggers call no functions
    connection.execute("SELECT count(*) FROM sqlite_master")
    return connection


def list_tables(path: Path) -> frozenset[str]:
    """Return the names of the tables of a file; views are none."""
    with open_sqlite(path) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return frozenset(str(name) for (name,) in rows)


def read_rows(export: ExportFile, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query; the position of the export goes up with them.

    Raises:
        InvalidInput: the file is damaged, or has other tables.
    """
    with open_sqlite(export.path) as connection:
        (total,) = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
        for n, row in enumerate(connection.execute(query), start=1):
            export.position = export.size * n // max(total, n)
            yield row
