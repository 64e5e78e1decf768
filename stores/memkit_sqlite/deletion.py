"""Delete turns with all rows derived from them, and note that the files still have their bytes."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence

from memkit_sqlite import full_text
from memkit_sqlite.thoughts import rows as thought_rows
from memkit_sqlite.turns import change_layout

_CHUNKS = """SELECT c.seq FROM json_each(?2) AS ids
    CROSS JOIN turns ON turns.user_id = ?1 AND turns.id = ids.value
    CROSS JOIN chunks c ON c.turn_seq = turns.seq"""


def index_name(user_id: str) -> str:
    """Return the name of a user's index file, without its suffix."""
    return hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()


def erase_full_text(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> None:
    """Remove turns from the full-text index; the first step of their deletion."""
    rows = db.execute(_CHUNKS, (user_id, json.dumps(list(turn_ids)))).fetchall()
    full_text.erase(db, [row[0] for row in rows])


def delete_turns(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> None:
    """Delete turns with their chunks, and every summary that includes one of them."""
    keys = [(user_id, turn_id) for turn_id in turn_ids]
    sql = "SELECT position FROM turns WHERE user_id = ? AND id = ?"
    rows = [row for key in keys if (row := db.execute(sql, key).fetchone()) is not None]
    if not rows:
        return
    thought_rows.erase_failures(db, user_id)
    db.executemany("DELETE FROM turns WHERE user_id = ? AND id = ?", keys)
    first = min(row["position"] for row in rows)
    db.execute("DELETE FROM summaries WHERE user_id = ? AND through >= ?", (user_id, first))
    set_summarised(db, user_id)
    change_layout(db, user_id)
    db.execute("UPDATE users SET generation = random() WHERE user_id = ?", (user_id,))
    db.execute("INSERT INTO purges (index_name) VALUES (?)", (index_name(user_id),))
    for table in ("users", "hashes"):
        db.execute(
            f"DELETE FROM {table} WHERE user_id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM turns WHERE user_id = ?1)",
            (user_id,),
        )


def set_summarised(db: sqlite3.Connection, user_id: str) -> None:
    """Note how many turns the newest summary that is left takes in."""
    db.execute(
        "UPDATE users SET summarised = coalesce((SELECT max(through) FROM summaries"
        " WHERE user_id = ?1 AND level = 1), 0) WHERE user_id = ?1",
        (user_id,),
    )


def read_generation(db: sqlite3.Connection, user_id: str) -> int:
    """Return a number that changes whenever turns of this user are deleted; 0: no such user."""
    row = db.execute("SELECT generation FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0]) if row else 0


# ---- deletions whose bytes may still be in the files


def read_pending(db: sqlite3.Connection) -> dict[int, str]:
    """Return the names of the index files to delete, by the key of the deletion."""
    return {row[0]: row[1] for row in db.execute("SELECT id, index_name FROM purges")}


def mark_purged(db: sqlite3.Connection, keys: Sequence[int]) -> None:
    """Note that the bytes of these deletions are gone."""
    db.executemany("DELETE FROM purges WHERE id = ?", [(key,) for key in keys])
