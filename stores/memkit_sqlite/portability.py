"""Read all of a user's rows for an export, and write them into a memory that lacks the user."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from memkit.portable import (
    ChunkState,
    QueueState,
    StoredItem,
    StoredThought,
    StoredTurn,
    UserImport,
    UserState,
)
from memkit.protocols import WriteBatch
from memkit.records import Source, Summary
from memkit_sqlite import ledger, wordings
from memkit_sqlite.thoughts.columns import to_thought
from memkit_sqlite.thoughts.rows import SQLiteThoughtRows
from memkit_sqlite.turns import microseconds, to_turn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_USERS = "SELECT * FROM users WHERE user_id = coalesce(?, user_id) ORDER BY user_id"
_TURNS = """SELECT turns.*, q.turn_seq AS queued, q.attempts, q.again_us, q.failure,
    (SELECT json_group_array(json_array(id, hidden, retrieved)) FROM
        (SELECT id, hidden, retrieved FROM chunks WHERE turn_seq = turns.seq
         AND (hidden OR retrieved IS NOT NULL) ORDER BY seq)) AS chunk_states,
    (SELECT json_group_array(json_array(unseal(text), stored_at)) FROM
        (SELECT text, stored_at FROM wordings WHERE turn_seq = turns.seq ORDER BY n)) AS former
    FROM turns LEFT JOIN thinking q ON q.turn_seq = turns.seq
    WHERE turns.user_id = ? ORDER BY turns.position"""
_THOUGHTS = """SELECT t.*, '[]' AS conflicts, '[]' AS later,
    (SELECT json_group_array(json_array(id, start, "end")) FROM ({sources})) AS sources,
    (SELECT json_group_array(worded) FROM ({sources})) AS worded,
    (SELECT json_group_array(id) FROM (SELECT o.id FROM conflicts c
        CROSS JOIN thoughts o ON o.seq = c.newer_seq
        WHERE c.older_seq = t.seq ORDER BY o.seq)) AS doubted_by
    FROM thoughts t WHERE t.user_id = ? ORDER BY t.seq""".format(
    sources="""SELECT turns.id, s.start, s."end", s.worded FROM thought_sources s
        CROSS JOIN turns ON turns.seq = s.turn_seq
        WHERE s.thought_seq = t.seq ORDER BY s.turn_seq, s.start"""
)
_SUMMARIES = """SELECT summaries.*, (SELECT json_group_array(source_id) FROM
        (SELECT source_id FROM summary_sources WHERE summary_seq = summaries.seq ORDER BY n)
    ) AS sources FROM summaries WHERE user_id = ? ORDER BY seq"""


# ---- out


def dump(db: sqlite3.Connection, user_id: str | None) -> Iterator[tuple[str, StoredItem]]:
    """Yield the items of a user, or of all users, each with its user.

    A user's state comes first, then turns, thoughts and summaries. They are read lazily, inside the
    caller's snapshot.
    """
    for row in db.execute(_USERS, (user_id,)).fetchall():
        user = row["user_id"]
        yield user, UserState(
            turns=row["turns"], summarised=row["summarised"], rejected=row["rejected"],
            failure=row["failure"],
        )  # fmt: skip
        yield from ((user, _to_stored_turn(row)) for row in db.execute(_TURNS, (user,)))
        yield from ((user, _to_stored_thought(row)) for row in db.execute(_THOUGHTS, (user,)))
        yield from ((user, _to_summary(row)) for row in db.execute(_SUMMARIES, (user,)))


def _to_stored_turn(row: sqlite3.Row) -> StoredTurn:
    queue = None
    if row["queued"] is not None:
        again_us = row["again_us"]
        queue = QueueState(
            attempts=row["attempts"], failure=row["failure"], parked=again_us is None,
            again_at=_EPOCH + timedelta(microseconds=again_us) if again_us else None,
        )  # fmt: skip
    chunks = {
        chunk_id: ChunkState(hidden=bool(hidden), retrieved=retrieved)
        for chunk_id, hidden, retrieved in json.loads(row["chunk_states"])
    }
    turn = to_turn(row)
    former = wordings.parse_former(turn, row["former"])
    return StoredTurn(turn=turn, queue=queue, chunks=chunks, former=former)


def _to_stored_thought(row: sqlite3.Row) -> StoredThought:
    return StoredThought(
        thought=to_thought(row),
        worded=tuple(map(bool, json.loads(row["worded"]))),
        doubted_by=tuple(json.loads(row["doubted_by"])),
    )


def _to_summary(row: sqlite3.Row) -> Summary:
    return Summary(
        id=row["id"], text=row["text"], level=row["level"], through=row["through"],
        tokens=row["tokens"], sources=tuple(json.loads(row["sources"])),
        created_at=datetime.fromisoformat(row["created_at"]),
    )  # fmt: skip


# ---- in


def load(
    db: sqlite3.Connection,
    user: UserImport,
    rows: SQLiteThoughtRows,
    write: Callable[[WriteBatch], object],
) -> bool:
    """Write a user with all that was derived; return False, and write nothing, if it has turns.

    `write` writes a batch of this user, and `rows` are its thoughts, in the caller's transaction.
    """
    if db.execute("SELECT 1 FROM users WHERE user_id = ?", (user.user_id,)).fetchone():
        return False
    states = [(id, state) for item in user.turns for id, state in item.chunks.items()]
    write(
        WriteBatch(
            turns=[item.turn for item in user.turns], chunks=user.chunks, vectors=user.vectors,
            hide=[id for id, state in states if state.hidden], source=user.source,
            retrieved={id: state.retrieved for id, state in states if state.retrieved is not None},
        )
    )  # fmt: skip
    _restore_turns(db, user)
    _insert_thoughts(db, rows, user)
    if user.summaries:
        write(WriteBatch(summaries=user.summaries, source=user.source))
    state = user.state
    db.execute(
        "UPDATE users SET turns = ?, summarised = ?, rejected = ?, failure = seal(user_id, ?)"
        " WHERE user_id = ?",
        (state.turns, state.summarised, state.rejected, state.failure, user.user_id),
    )
    ids = [item.thought.id for item in user.thoughts]
    counts = {"thoughts": len(ids)}
    ledger.append(
        db, "import", user_id=user.user_id, source=user.source, counts=counts, ids=ids
    )  # fmt: skip
    return True


def _restore_turns(db: sqlite3.Connection, user: UserImport) -> None:
    """Give turns that were just stored their positions, and the queue its former state."""
    user_id = user.user_id
    # from the last to the first: a position is never below the number of turns before it
    db.executemany(
        "UPDATE turns SET position = ? WHERE user_id = ? AND id = ?",
        [(item.turn.position, user_id, item.turn.id) for item in reversed(user.turns)],
    )
    for item in user.turns:
        wordings.insert(db, user_id, item.former)
    db.execute("DELETE FROM thinking WHERE user_id = ?", (user_id,))
    db.executemany(
        "INSERT INTO thinking (turn_seq, user_id, attempts, again_us, failure)"
        " SELECT seq, user_id, ?, ?, seal(user_id, ?) FROM turns WHERE user_id = ? AND id = ?",
        [(*_from_queue(item.queue), user_id, item.turn.id) for item in user.turns if item.queue],
    )


def _from_queue(queue: QueueState) -> tuple[Any, ...]:
    again_us = 0 if queue.again_at is None else microseconds(queue.again_at)
    return queue.attempts, None if queue.parked else again_us, queue.failure


def _insert_thoughts(db: sqlite3.Connection, rows: SQLiteThoughtRows, user: UserImport) -> None:
    """Insert a user's thoughts with their sources and conflicts exactly as they were."""
    for item, vector in zip(user.thoughts, user.thought_vectors, strict=True):
        rows.insert(replace(item.thought, sources=(), conflicts=()), vector)
        _insert_sources(db, user.user_id, item)
    db.executemany(
        "INSERT OR IGNORE INTO conflicts SELECT older.seq, newer.seq FROM thoughts older"
        " JOIN thoughts newer ON newer.user_id = older.user_id AND newer.id = ?"
        " WHERE older.user_id = ? AND older.id = ?",
        [
            (newer, user.user_id, item.thought.id)
            for item in user.thoughts
            for newer in item.doubted_by
        ],
    )
    rows.grow_index()


def _insert_sources(db: sqlite3.Connection, user_id: str, item: StoredThought) -> None:
    pairs: Iterable[tuple[Source, bool]] = zip(item.thought.sources, item.worded, strict=True)
    db.executemany(
        'INSERT INTO thought_sources (thought_seq, turn_seq, start, "end", worded)'
        " SELECT t.seq, turns.seq, ?, ?, ? FROM thoughts t JOIN turns ON turns.user_id = t.user_id"
        " AND turns.id = ? WHERE t.user_id = ? AND t.id = ?",
        [
            (source.start, source.end, worded, source.turn_id, user_id, item.thought.id)
            for source, worded in pairs
        ],
    )
