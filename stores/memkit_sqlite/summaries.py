"""Summaries as SQLite rows: insert them, and delete those that no longer hold."""

import sqlite3

from memkit.records import Summary
from memkit_sqlite import deletion

# ?1 is the user; whether {id} is a turn, a summary or a thought that holds
_HOLDS = """(EXISTS (SELECT 1 FROM turns WHERE user_id = ?1 AND id = {id})
    OR EXISTS (SELECT 1 FROM summaries WHERE user_id = ?1 AND id = {id})
    OR EXISTS (SELECT 1 FROM thoughts WHERE user_id = ?1 AND id = {id}
               AND closed_by IS NULL AND retracted_at IS NULL))"""


def insert(db: sqlite3.Connection, user_id: str, summary: Summary) -> None:
    """Store a summary in place of one with its id, unless a source is deleted or does not hold."""
    holds = "SELECT " + _HOLDS.format(id="?2")
    if not all(db.execute(holds, (user_id, id)).fetchone()[0] for id in summary.sources):
        return  # changed while the summary was generated; the next one uses what is left
    db.execute("DELETE FROM summaries WHERE user_id = ? AND id = ?", (user_id, summary.id))
    row = db.execute(
        "INSERT INTO summaries (user_id, id, level, through, tokens, text, created_at)"
        " VALUES (?,?,?,?,?,?,?) RETURNING seq",
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
        deletion.set_summarised(db, user_id)
