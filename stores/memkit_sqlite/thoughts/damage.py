"""Damaged rows: which there are, and how a write goes on without a damaged thought."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator

from memkit.errors import DamagedRow
from memkit.records import Thought
from memkit_sqlite.thoughts.columns import to_thought
from memkit_sqlite.turns import lenient_text, to_turn

_THOUGHTS = "SELECT *, '[]' AS sources, '[]' AS conflicts, '[]' AS later FROM thoughts"
_READERS: dict[str, Callable[[sqlite3.Row], object]] = {
    "SELECT * FROM turns": to_turn,
    _THOUGHTS: to_thought,
}


def find_damaged(db: sqlite3.Connection) -> Iterator[str]:
    """Yield one sentence per turn and thought that cannot be read. Cost: reads all of them."""
    with lenient_text(db, "surrogateescape"):
        for sql, read in _READERS.items():
            for row in db.execute(sql):
                try:
                    read(row)
                except DamagedRow as error:
                    yield str(error)


def read_or_requeue(db: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> Iterator[Thought]:
    """Yield the thoughts of rows, inside a write transaction.

    A damaged thought is deleted and its turns are queued to be thought about again, so that it
    keeps nobody from forgetting them.
    """
    for row in rows:
        try:
            yield to_thought(row)
        except DamagedRow:
            db.execute(
                "INSERT OR IGNORE INTO thinking (turn_seq, user_id)"
                " SELECT turn_seq, ?1 FROM thought_sources WHERE thought_seq = ?2",
                (row["user_id"], row["seq"]),
            )
            db.execute("DELETE FROM thoughts WHERE seq = ?", (row["seq"],))
