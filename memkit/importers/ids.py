"""Ids of imported turns, the same whenever a file is imported."""

import hashlib
import json
import sqlite3

_MOST_CHARACTERS = 200


def digest(*values: object) -> str:
    """Return 24 hexadecimal digits that stand for JSON values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:24]


def make_id(program: str, *parts: object) -> str:
    """Return an id from those of another program: "telegram:42:7"; a digest if it is too long."""
    id = ":".join([program, *map(str, parts)])
    is_plain = len(id) <= _MOST_CHARACTERS and id.isprintable()
    return id if is_plain else f"{program}:{digest(*map(str, parts))}"


class Repeats:
    """Numbers equal digests in the order they come: "3f9a…:1", "3f9a…:2".

    SQLite keeps the counts of a large file in a temporary one, which vanishes by itself.
    """

    def __init__(self) -> None:
        self._counts = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._counts.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA temp_store = FILE;"
            "CREATE TABLE counts (digest TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID; BEGIN"
        )

    def __del__(self) -> None:
        self._counts.close()

    def number(self, digest: str) -> str:
        """Return the digest with how often it has come."""
        sql = "INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n"
        (n,) = self._counts.execute(sql, (digest,)).fetchone()
        return f"{digest}:{n}"
