"""Copy an open memory into one file that is whole by itself."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from memkit.errors import InvalidInput, StoreReadOnly


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """Write all that is committed in `source` into the new file `target`; readable by its owner.

    The file appears complete or not at all, and no file is ever replaced. Others may read and write
    the source meanwhile: SQLite's backup copies one state of it.

    Raises:
        InvalidInput: there is something at `target`.
        StoreReadOnly: its folder does not exist or cannot be written.
    """
    _refuse_existing(target)
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f"{target.name}.", suffix=".tmp", dir=target.parent
        )
    except OSError as error:
        raise StoreReadOnly(f"{target} cannot be written: {error.strerror}") from error
    unfinished = Path(name)
    try:
        with closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # needs no second file, unlike WAL
            copy.execute("PRAGMA user_version = 0")  # not in use, see connection.py
        os.fsync(descriptor)
        _refuse_existing(target)
        target.touch(mode=0o600, exist_ok=False)  # takes the name, or fails if somebody was faster
        unfinished.replace(target)
    except OSError as error:
        _refuse_existing(target)
        raise StoreReadOnly(f"{target} cannot be written: {error.strerror}") from error
    finally:
        os.close(descriptor)
        unfinished.unlink(missing_ok=True)


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise InvalidInput(f"{target} exists, and a backup replaces nothing; give another path")
