"""The queue of turns to think about. A turn enters it when it is stored, by a trigger."""

import sqlite3
from datetime import datetime

from memkit.protocols import QueuedTurn, ReflectionResult
from memkit.records import Scope
from memkit_sqlite.turns import Fetch, microseconds, to_turn

_NEXT = """SELECT turns.*, q.attempts FROM thinking q CROSS JOIN turns ON turns.seq = q.turn_seq
    WHERE q.user_id = ? AND q.again_us <= ? ORDER BY q.attempts, q.turn_seq LIMIT ?"""
_ALWAYS = 2**62


def next_batch(fetch: Fetch, scope: Scope, limit: int, now: datetime | None) -> list[QueuedTurn]:
    """Return the next turns of one session; one whose last attempt failed comes alone."""
    rows = fetch(_NEXT, (scope.user_id, _ALWAYS if now is None else microseconds(now), limit))
    found: list[QueuedTurn] = []
    for row in rows:
        one = QueuedTurn(turn=to_turn(row), attempts=row["attempts"])
        if found and (one.attempts or one.turn.session_id != found[0].turn.session_id):
            break
        found.append(one)
        if one.attempts:
            break
    return found


def take(db: sqlite3.Connection, user: str, turns: tuple[str, ...]) -> bool:
    """Take turns out of the queue; return False, and take none, unless all are in it."""
    rows = [
        db.execute(
            "SELECT q.turn_seq FROM thinking q JOIN turns ON turns.seq = q.turn_seq"
            " WHERE turns.user_id = ? AND turns.id = ?",
            (user, turn),
        ).fetchone()
        for turn in turns
    ]
    if None in rows:
        return False  # forgotten meanwhile, or another process was first
    db.executemany("DELETE FROM thinking WHERE turn_seq = ?", rows)
    return True


def put_off(db: sqlite3.Connection, user: str, thinking: ReflectionResult) -> None:
    """Write down that an attempt failed, and when the next one may be made."""
    again = None if thinking.again_at is None else microseconds(thinking.again_at)
    db.executemany(
        "UPDATE thinking SET attempts = attempts + 1, again_us = ?, failure = ? WHERE turn_seq ="
        " (SELECT seq FROM turns WHERE user_id = ? AND id = ?)",
        [(again, thinking.failure, user, turn) for turn in thinking.turns],
    )


def unpark(db: sqlite3.Connection, user: str) -> None:
    """Give the turns that were given up another chance."""
    db.execute(
        "UPDATE thinking SET attempts = 0, again_us = 0 WHERE user_id = ? AND again_us IS NULL",
        (user,),
    )
