"""Read SQLite files of other programs, without writing to them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput
from memkit.importers.files import ExportFile, open_file

SQLITE_MAGIC = b"SQLite format 3\0"


@contextmanager
def open_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file for reading, for the block; no file appears beside it.

    Another program may have it open and write meanwhile.

    Raises:
        InvalidInput: it is damaged, or cannot be opened.
    """
    # Without a log, nobody has a file in WAL mode open. `mode=ro` would make an empty log then,
    # and could not delete it.
    is_closed = _is_in_wal_mode(path) and not Path(f"{path}-wal").exists()
    uri = f"{path.absolute().as_uri()}?{'immutable=1' if is_closed else 'mode=ro'}"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            connection.execute("PRAGMA query_only = ON")
            connection.execute(
                "PRAGMA trusted_schema = OFF"
            )  # views and triggers call no functions
            yield connection
    except sqlite3.Error as error:
        raise InvalidInput(f"{path} cannot be read as an SQLite file: {error}") from error


def _is_in_wal_mode(path: Path) -> bool:
    with open_file(path) as file:
        return file.read(20)[18:] == b"\x02\x02"  # the versions of the format


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
