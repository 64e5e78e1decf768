"""Summaries as SQLite rows, and when a stored one no longer holds."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Literal, cast

from memkit.records import Summary
from memkit_sqlite.turns import Fetch

# the newest summary before a turn count, with its sources as JSON
_SUMMARY = """SELECT *, (SELECT json_group_array(source_id) FROM (SELECT source_id
    FROM summary_sources WHERE summary_seq = summaries.seq ORDER BY n)) AS sources
    FROM summaries WHERE user_id = ? AND level = ? AND through < ?
    ORDER BY through DESC, seq DESC LIMIT 1"""
# ?1 is the user; whether {id} is a turn, a summary or a thought that holds
_HOLDS = """(EXISTS (SELECT 1 FROM turns WHERE user_id = ?1 AND id = {id})
    OR EXISTS (SELECT 1 FROM summaries WHERE user_id = ?1 AND id = {id})
    OR EXISTS (SELECT 1 FROM thoughts WHERE user_id = ?1 AND id = {id}
               AND closed_by IS NULL AND retracted_at IS NULL))"""


def read(fetch: Fetch, user_id: str, level: int) -> Iterator[Summary]:
    """Yield a user's summaries of this level, newest first."""
    before = 2**62
    while rows := fetch(_SUMMARY, (user_id, level, before)):
        (row,) = rows
        before = row["through"]
        yield Summary(
            id=row["id"], text=row["text"], level=cast(Literal[1, 2], row["level"]),
            through=row["through"], tokens=row["tokens"],
            sources=tuple(json.loads(row["sources"])),
            created_at=datetime.fromisoformat(row["created_at"]),
        )  # fmt: skip


def insert(db: sqlite3.Connection, user_id: str, summary: Summary) -> None:
    """Store a summary in place of one with its id, unless a source is deleted or does not hold."""
    holds = "SELECT " + _HOLDS.format(id="?2")
    if not all(db.execute(holds, (user_id, id)).fetchone()[0] for id in summary.sources):
        return  # changed while the summary was generated; the next one uses what is left
    db.execute("DELETE FROM summaries WHERE user_id = ? AND id = ?", (user_id, summary.id))
    row = db.execute(
        "INSERT INTO summaries (user_id, id, level, through, tokens, text, created_at)"
        " VALUES (?1,?2,?3,?4,?5,seal(?1, ?6),?7) RETURNING seq",
        (user_id, summary.id, summary.level, summary.through, summary.tokens, summary.text,
         summary.created_at.isoformat()),
    ).fetchone()  # fmt: skip
    db.executemany(
        "INSERT INTO summary_sources VALUES (?, ?, ?)",
        [(row[0], n, source) for n, source in enumerate(summary.sources)],
    )
    db.execute(
        "UPDATE users SET summarised = max(summarised, ?) WHERE user_id = ?",
        (summary.through, user_id),
    )


def delete_outdated(db: sqlite3.Connection, user_id: str) -> None:
    """Delete a user's summaries, older ones too, if one has a thought that no longer holds."""
    deleted = db.execute(
        "DELETE FROM summaries WHERE user_id = ?1 AND EXISTS (SELECT 1 FROM summaries o"
        " CROSS JOIN summary_sources s ON s.summary_seq = o.seq"
        f" WHERE o.user_id = ?1 AND NOT {_HOLDS.format(id='s.source_id')})",
        (user_id,),
    )
    if deleted.rowcount > 0:
        set_summarised(db, user_id)


def set_summarised(db: sqlite3.Connection, user_id: str) -> None:
    """Note how many turns the newest summary that is left takes in."""
    db.execute(
        "UPDATE users SET summarised = coalesce((SELECT max(through) FROM summaries"
        " WHERE user_id = ?1 AND level = 1), 0) WHERE user_id = ?1",
        (user_id,),
    )
