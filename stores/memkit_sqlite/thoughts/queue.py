"""The queue of turns for reflection. A trigger queues a turn when it is stored."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from memkit.protocols import QueuedTurn, ReflectionResult
from memkit.records import Scope
from memkit_sqlite.turns import Fetch, microseconds, to_turn

_NEXT = """SELECT turns.*, q.attempts FROM thinking q CROSS JOIN turns ON turns.seq = q.turn_seq
    WHERE q.user_id = ? AND q.again_us <= ? ORDER BY q.attempts, q.turn_seq LIMIT ?"""
_END_OF_TIME_US = 2**62


def next_batch(fetch: Fetch, scope: Scope, limit: int, now: datetime | None) -> list[QueuedTurn]:
    """Return the next turns of one session; a turn that failed before is returned alone."""
    due_us = _END_OF_TIME_US if now is None else microseconds(now)
    batch: list[QueuedTurn] = []
    for row in fetch(_NEXT, (scope.user_id, due_us, limit)):
        queued = QueuedTurn(turn=to_turn(row), attempts=row["attempts"])
        if batch and (queued.attempts or queued.turn.session_id != batch[0].turn.session_id):
            break
        batch.append(queued)
        if queued.attempts:
            break
    return batch


def take(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> bool:
    """Remove turns from the queue; return False, and remove none, unless all are queued."""
    rows = [
        db.execute(
            "SELECT q.turn_seq FROM thinking q JOIN turns ON turns.seq = q.turn_seq"
            " WHERE turns.user_id = ? AND turns.id = ?",
            (user_id, turn_id),
        ).fetchone()
        for turn_id in turn_ids
    ]
    if None in rows:
        return False  # a turn was deleted in the meantime, or another process was first
    db.executemany("DELETE FROM thinking WHERE turn_seq = ?", rows)
    return True


def put(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> None:
    """Queue turns that are not queued yet."""
    db.execute(
        "INSERT OR IGNORE INTO thinking (turn_seq, user_id) SELECT turns.seq, ?1"
        " FROM json_each(?2) AS ids"
        " CROSS JOIN turns ON turns.user_id = ?1 AND turns.id = ids.value",
        (user_id, json.dumps(list(turn_ids))),
    )


def record_failure(db: sqlite3.Connection, user_id: str, reflection: ReflectionResult) -> None:
    """Count a failed attempt, with its reason and the time of the next one."""
    again_us = None if reflection.again_at is None else microseconds(reflection.again_at)
    db.executemany(
        "UPDATE thinking SET attempts = attempts + 1, again_us = ?, failure = ? WHERE turn_seq ="
        " (SELECT seq FROM turns WHERE user_id = ? AND id = ?)",
        [(again_us, reflection.failure, user_id, turn_id) for turn_id in reflection.turns],
    )


def erase_failures(db: sqlite3.Connection, user_id: str) -> None:
    """Delete the reasons of failed attempts: they may quote any turn of their batch.

    A parked turn has failed alone, so its reason quotes no other turn.
    """
    db.execute(
        "UPDATE thinking SET failure = NULL WHERE user_id = ? AND again_us IS NOT NULL", (user_id,)
    )


def unpark(db: sqlite3.Connection, user_id: str) -> None:
    """Make the turns that failed too often due again."""
    db.execute(
        "UPDATE thinking SET attempts = 0, again_us = 0 WHERE user_id = ? AND again_us IS NULL",
        (user_id,),
    )
