"""Give stored turns other words, metadata or tags; former words stay in the table `wordings`.

A turn with other words keeps its key, id and position. All that was derived from its former words
goes, as if the turn had been forgotten, and the turn is queued to be thought about again.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from memkit.errors import InvalidInput
from memkit.protocols import Fingerprint, WriteBatch
from memkit.records import Turn
from memkit_sqlite import deletion, insertion, postings
from memkit_sqlite.thoughts import rows as thought_rows
from memkit_sqlite.turns import change_layout, dump_tags, to_turn

_FORMER = """SELECT w.text, w.stored_at FROM turns CROSS JOIN wordings w ON w.turn_seq = turns.seq
    WHERE turns.user_id = ? AND turns.id = ? ORDER BY w.n"""
_TURN = "SELECT * FROM turns WHERE user_id = ? AND id = ?"


def read(db: sqlite3.Connection, user_id: str, turn_id: str) -> list[Turn]:
    """Return a turn as it was before each change of its words, oldest first, and as it is now."""
    row = db.execute(_TURN, (user_id, turn_id)).fetchone()
    if row is None:
        return []
    turn = to_turn(row)
    former = db.execute(_FORMER, (user_id, turn_id)).fetchall()
    return [*(_former(turn, text, stored_at) for text, stored_at in former), turn]


def parse_former(turn: Turn, column: str | None) -> list[Turn]:
    """Return former versions of a turn from a JSON list of their texts and times."""
    return [_former(turn, text, stored_at) for text, stored_at in json.loads(column or "[]")]


def _former(turn: Turn, text: str, stored_at: str) -> Turn:
    return replace(turn, text=text, stored_at=datetime.fromisoformat(stored_at))


def insert(db: sqlite3.Connection, user_id: str, former: Sequence[Turn]) -> None:
    """Insert former wordings of a turn that is stored, oldest first."""
    db.executemany(
        "INSERT INTO wordings (turn_seq, n, user_id, text, stored_at)"
        " SELECT seq, ?1, ?2, seal(?2, ?3), ?4 FROM turns WHERE user_id = ?2 AND id = ?5",
        [(n, user_id, turn.text, _iso(turn), turn.id) for n, turn in enumerate(former, start=1)],
    )


def find_reworded(db: sqlite3.Connection, user_id: str, updates: Sequence[Turn]) -> dict[str, Turn]:
    """Return the updates that give a stored turn other words, by id.

    Raises InvalidInput if a turn is not stored (any more).
    """
    reworded: dict[str, Turn] = {}
    for turn in updates:
        assert turn.id is not None
        row = db.execute(_TURN, (user_id, turn.id)).fetchone()
        if row is None:
            raise InvalidInput(f"{user_id!r} has no turn {turn.id!r}; see turns()")
        if row["text"] != turn.text:
            reworded[turn.id] = turn
    return reworded


def update(
    db: sqlite3.Connection,
    user_id: str,
    batch: WriteBatch,
    reworded: dict[str, Turn],
    embedder: Callable[[], tuple[int, Fingerprint]],
) -> None:
    """Write the batch's updates of turns; thoughts of the `reworded` ones are deleted already."""
    for turn in reworded.values():
        _drop_derived(db, user_id, turn)
    db.executemany(
        "UPDATE turns SET text = seal(?1, ?3), metadata = seal(?1, ?4), tags = seal(?1, ?5),"
        " flags = ?6, stored_at = ?7 WHERE user_id = ?1 AND id = ?2",
        [_columns(user_id, turn) for turn in batch.updates],
    )
    change_layout(db, user_id)
    if reworded:
        insertion.insert_chunks(db, user_id, reworded, batch, embedder())


def _columns(user_id: str, turn: Turn) -> tuple[Any, ...]:
    metadata = json.dumps(dict(turn.metadata)) if turn.metadata else None
    flags = " ".join(turn.flags) or None
    return user_id, turn.id, turn.text, metadata, dump_tags(turn.tags), flags, _iso(turn)


def _drop_derived(db: sqlite3.Connection, user_id: str, turn: Turn) -> None:
    """Note the words that a turn still has, and delete what was derived from them."""
    key = (user_id, turn.id)
    sql = "SELECT seq, position FROM turns WHERE user_id = ? AND id = ?"
    seq, position = db.execute(sql, key).fetchone()
    db.execute(
        "INSERT INTO wordings (turn_seq, n, user_id, text, stored_at) SELECT seq,"
        " 1 + (SELECT count(*) FROM wordings WHERE turn_seq = ?1), user_id, text, stored_at"
        " FROM turns WHERE seq = ?1",
        (seq,),
    )
    chunks = db.execute("SELECT seq FROM chunks WHERE turn_seq = ?", (seq,)).fetchall()
    postings.delete(db, [chunk for (chunk,) in chunks])
    db.execute("DELETE FROM chunks WHERE turn_seq = ?", (seq,))
    thought_rows.erase_failures(db, user_id)
    db.execute(
        "INSERT INTO thinking (turn_seq, user_id) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET attempts = 0, again_us = 0, failure = NULL",
        (seq, user_id),
    )
    deletion.invalidate(db, user_id, position)


def _iso(turn: Turn) -> str:
    assert turn.stored_at is not None
    return turn.stored_at.isoformat()
