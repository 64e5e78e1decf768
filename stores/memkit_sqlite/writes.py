"""Write one `WriteBatch` to the tables, inside the store's transaction."""

import sqlite3
from collections.abc import Callable, Sequence

from memkit.errors import TurnConflict
from memkit.protocols import Fingerprint, WriteBatch
from memkit.records import Summary, Turn, day
from memkit.thoughts.merging import ThoughtTransaction
from memkit_sqlite.thoughts import queue
from memkit_sqlite.thoughts.rows import SQLiteThoughtRows
from memkit_sqlite.turns import (
    change_layout,
    checked_vectors,
    extra_search_terms,
    from_turn,
    scope_tokens,
)

CurrentEmbedder = Callable[[], tuple[int, Fingerprint]]  # its key and its fingerprint


def apply(
    db: sqlite3.Connection,
    user_id: str,
    batch: WriteBatch,
    embedder: CurrentEmbedder,
    thoughts: SQLiteThoughtRows,
) -> int:
    """Write a user's batch; return how many turns were ever stored, 0 if none is left."""
    new = _new_turns(db, user_id, batch.turns)
    if new:
        current = embedder()
        _insert_turns(db, user_id, new)
        _insert_chunks(db, user_id, new, batch, current)
    for summary in batch.summaries:
        _insert_summary(db, user_id, summary)
    _set_hidden(db, user_id, batch.hide, 1)
    _set_hidden(db, user_id, batch.show, 0)
    db.executemany(
        "UPDATE chunks SET retrieved = max(coalesce(retrieved, 0), ?) WHERE user_id = ? AND id = ?",
        [(turn_count, user_id, chunk) for chunk, turn_count in batch.retrieved.items()],
    )
    if batch.unpark:
        queue.unpark(db, user_id)
    if batch.reflection is not None and batch.reflection.failure is not None:
        queue.record_failure(db, user_id, batch.reflection)
    ThoughtTransaction(thoughts).write(batch)
    thoughts.grow_index()
    if batch.forget:
        _forget_turns(db, user_id, batch.forget)
    if batch.failure or batch.summaries:
        db.execute("UPDATE users SET failure = ? WHERE user_id = ?", (batch.failure, user_id))
    row = db.execute("SELECT turns FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0]) if row else 0


def _new_turns(db: sqlite3.Connection, user_id: str, turns: Sequence[Turn]) -> dict[str, Turn]:
    """Return the turns that are not stored yet, by id, or raise `TurnConflict`."""
    new: dict[str, Turn] = {}
    for turn in turns:
        assert turn.id is not None
        row = db.execute(
            "SELECT text FROM turns WHERE user_id = ? AND id = ?", (user_id, turn.id)
        ).fetchone()
        if row is None and turn.id not in new:
            new[turn.id] = turn
        elif turn.text != (row[0] if row else new[turn.id].text):
            raise TurnConflict(turn.id)
    return new


def _insert_turns(db: sqlite3.Connection, user_id: str, new: dict[str, Turn]) -> None:
    db.execute("INSERT OR IGNORE INTO users (user_id, layout) VALUES (?, random())", (user_id,))
    count = db.execute("SELECT turns FROM users WHERE user_id = ?", (user_id,)).fetchone()[0]
    db.executemany(
        "INSERT INTO turns (user_id, id, position, session_id, agent_id, role, name, text,"
        " said_at, said_us, stored_at, metadata) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        [from_turn(user_id, count + n, turn) for n, turn in enumerate(new.values(), start=1)],
    )
    db.execute("UPDATE users SET turns = turns + ? WHERE user_id = ?", (len(new), user_id))


def _insert_chunks(
    db: sqlite3.Connection,
    user_id: str,
    new: dict[str, Turn],
    batch: WriteBatch,
    current: tuple[int, Fingerprint],
) -> None:
    """Insert the chunks of new turns with their vectors."""
    embedder, fingerprint = current
    chunks = batch.chunks
    vectors = checked_vectors(batch.vectors, (len(chunks), fingerprint.dimension), "chunk")
    # AUTOINCREMENT's counter: the key of a deleted row is never used again
    newest = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    first = newest[0] + 1 if newest else 1
    scopes = {
        turn_id: " ".join(scope_tokens(user_id, turn.agent_id, turn.session_id))
        for turn_id, turn in new.items()
    }
    # by chunk id, because a batch may contain the same turn twice
    indexes = {chunk.id: n for n, chunk in enumerate(chunks) if chunk.turn_id in new}
    numbered = [(seq, n) for seq, n in enumerate(indexes.values(), start=first)]
    db.executemany(
        "INSERT INTO chunks (seq, user_id, id, turn_seq, start, \"end\", text, said,"
        " scope, tokens) VALUES"
        " (?, ?, ?, (SELECT seq FROM turns WHERE user_id = ? AND id = ?), ?, ?, ?, ?, ?, ?)",
        [
            (seq, user_id, chunks[n].id, user_id, chunks[n].turn_id, chunks[n].start,
             chunks[n].end, chunks[n].text,
             extra_search_terms(chunks[n].text, day(chunks[n].said_at)),
             scopes[chunks[n].turn_id], max(chunks[n].tokens, 1))
            for seq, n in numbered
        ],
    )  # fmt: skip
    db.executemany(
        "INSERT INTO vectors (chunk_seq, embedder, vector) VALUES (?, ?, ?)",
        [(seq, embedder, vectors[n].tobytes()) for seq, n in numbered],
    )


def _insert_summary(db: sqlite3.Connection, user_id: str, summary: Summary) -> None:
    """Store a summary, unless it is stored already or one of its sources was deleted."""
    exists = (
        "SELECT EXISTS (SELECT 1 FROM turns WHERE user_id = ?1 AND id = ?2)"
        " OR EXISTS (SELECT 1 FROM summaries WHERE user_id = ?1 AND id = ?2)"
    )
    if not all(db.execute(exists, (user_id, id)).fetchone()[0] for id in summary.sources):
        return  # deleted while the summary was generated; the next one uses what is left
    row = db.execute(
        "INSERT OR IGNORE INTO summaries (user_id, id, level, through, tokens, text, created_at)"
        " VALUES (?,?,?,?,?,?,?) RETURNING seq",
        (user_id, summary.id, summary.level, summary.through, summary.tokens, summary.text,
         summary.created_at.isoformat()),
    ).fetchone()  # fmt: skip
    if row is None:
        return  # another process was first with this version
    db.executemany(
        "INSERT INTO summary_sources VALUES (?, ?, ?)",
        [(row[0], n, source) for n, source in enumerate(summary.sources)],
    )
    db.execute(
        "UPDATE users SET summarised = max(summarised, ?) WHERE user_id = ?",
        (summary.through, user_id),
    )


def _set_hidden(
    db: sqlite3.Connection, user_id: str, chunk_ids: Sequence[str], hidden: int
) -> None:
    changed = db.executemany(
        "UPDATE chunks SET hidden = ? WHERE user_id = ? AND id = ? AND hidden != ?",
        [(hidden, user_id, chunk, hidden) for chunk in chunk_ids],
    )
    if changed.rowcount > 0:
        change_layout(db, user_id)


def _forget_turns(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> None:
    """Delete turns with their chunks, and every summary that includes one of them."""
    keys = [(user_id, turn_id) for turn_id in turn_ids]
    sql = "SELECT position FROM turns WHERE user_id = ? AND id = ?"
    rows = [row for key in keys if (row := db.execute(sql, key).fetchone()) is not None]
    if not rows:
        return
    queue.erase_failures(db, user_id)
    db.executemany("DELETE FROM turns WHERE user_id = ? AND id = ?", keys)
    first = min(row["position"] for row in rows)
    db.execute("DELETE FROM summaries WHERE user_id = ? AND through >= ?", (user_id, first))
    db.execute(
        "UPDATE users SET summarised = coalesce((SELECT max(through) FROM summaries"
        " WHERE user_id = ?1 AND level = 1), 0) WHERE user_id = ?1",
        (user_id,),
    )
    change_layout(db, user_id)
    for table in ("users", "hashes"):
        db.execute(
            f"DELETE FROM {table} WHERE user_id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM turns WHERE user_id = ?1)",
            (user_id,),
        )
    # deleted words remain in FTS5's segments until the segments are merged
    db.execute("INSERT INTO searchable_fts (searchable_fts) VALUES ('optimize')")
