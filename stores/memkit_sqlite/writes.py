"""One `Changes` into the tables. Runs inside the store's transaction: all of it or nothing."""

import sqlite3
from collections.abc import Callable, Sequence

import numpy as np

from memkit.errors import TurnConflict
from memkit.protocols import Fingerprint, Vectors, WriteBatch
from memkit.records import Chunk, Summary, Turn, day
from memkit_sqlite.thoughts import merge as thinking
from memkit_sqlite.thoughts import queue
from memkit_sqlite.thoughts.transaction import ThoughtTransaction
from memkit_sqlite.turns import beside, from_turn, scope_tokens

CurrentEmbedder = Callable[[], tuple[int, Fingerprint]]  # its number and what it is


def apply(
    db: sqlite3.Connection,
    user: str,
    changes: WriteBatch,
    embedder: CurrentEmbedder,
    transaction: Callable[[], ThoughtTransaction],
) -> int:
    """Write `changes` of `user`; return how many turns were ever stored, 0 if none is left."""
    new = _new_turns(db, user, changes.turns)
    if new:
        _insert(db, user, new, changes, embedder())
    for summary in changes.summaries:
        _summarise(db, user, summary)
    _set_hidden(db, user, changes.hide, 1)
    _set_hidden(db, user, changes.show, 0)
    db.executemany(
        "UPDATE chunks SET retrieved = max(coalesce(retrieved, 0), ?) WHERE user_id = ? AND id = ?",
        [(turn, user, chunk) for chunk, turn in changes.retrieved.items()],
    )
    if changes.unpark:
        queue.unpark(db, user)
    if changes.reflection is not None or changes.resolved_conflicts or changes.retract:
        _think(transaction(), changes)
    if changes.forget:
        _forget(db, user, changes.forget, transaction)
    if changes.failure or changes.summaries:
        db.execute("UPDATE users SET failure = ? WHERE user_id = ?", (changes.failure, user))
    row = db.execute("SELECT turns FROM users WHERE user_id = ?", (user,)).fetchone()
    return int(row[0]) if row else 0


def _think(transaction: ThoughtTransaction, changes: WriteBatch) -> None:
    if changes.reflection is not None:
        thinking.apply(transaction, changes.reflection)
    for older, newer, contradict in changes.resolved_conflicts:
        thinking.resolve_conflict(transaction, older, newer, contradict=contradict)
    for thought, at in changes.retract.items():
        thinking.retract(transaction, thought, at)


def _new_turns(db: sqlite3.Connection, user: str, turns: Sequence[Turn]) -> dict[str, Turn]:
    """Return the turns not stored yet, by id, or raise `TurnConflict`."""
    new: dict[str, Turn] = {}
    for turn in turns:
        assert turn.id is not None
        row = db.execute("SELECT text FROM turns WHERE user_id = ? AND id = ?", (user, turn.id))
        stored = row.fetchone()
        there = stored[0] if stored else new[turn.id].text if turn.id in new else None
        if there is None:
            new[turn.id] = turn
        elif there != turn.text:
            raise TurnConflict(turn.id)
    return new


def _insert(
    db: sqlite3.Connection,
    user: str,
    new: dict[str, Turn],
    changes: WriteBatch,
    embedder: tuple[int, Fingerprint],
) -> None:
    vectors = _checked(changes, embedder[1].dimension)
    db.execute("INSERT OR IGNORE INTO users (user_id, layout) VALUES (?, random())", (user,))
    count = db.execute("SELECT turns FROM users WHERE user_id = ?", (user,)).fetchone()[0]
    db.executemany(
        "INSERT INTO turns (user_id, id, position, session_id, agent_id, role, name, text,"
        " said_at, said_us, stored_at, metadata) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        [from_turn(user, count + n, turn) for n, turn in enumerate(new.values(), start=1)],
    )
    db.execute("UPDATE users SET turns = turns + ? WHERE user_id = ?", (len(new), user))
    _insert_chunks(db, user, new, chunks=changes.chunks, vectors=vectors, embedder=embedder[0])


def _insert_chunks(
    db: sqlite3.Connection,
    user: str,
    new: dict[str, Turn],
    *,
    chunks: Sequence[Chunk],
    vectors: Vectors,
    embedder: int,
) -> None:
    # AUTOINCREMENT's own counter: the number of a forgotten row is never given again
    newest = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    first = newest[0] + 1 if newest else 1
    scopes = {
        turn_id: " ".join(scope_tokens(user, turn.agent_id, turn.session_id))
        for turn_id, turn in new.items()
    }
    # by id: a batch may hold the same turn twice
    rows = {chunk.id: n for n, chunk in enumerate(chunks) if chunk.turn_id in new}
    kept = [(seq, n) for seq, n in enumerate(rows.values(), start=first)]
    db.executemany(
        "INSERT INTO chunks (seq, user_id, id, turn_seq, start, \"end\", text, said,"
        " scope, tokens) VALUES"
        " (?, ?, ?, (SELECT seq FROM turns WHERE user_id = ? AND id = ?), ?, ?, ?, ?, ?, ?)",
        [
            (seq, user, chunks[n].id, user, chunks[n].turn_id, chunks[n].start, chunks[n].end,
             chunks[n].text, beside(chunks[n].text, day(chunks[n].said_at)),
             scopes[chunks[n].turn_id], max(chunks[n].tokens, 1))
            for seq, n in kept
        ],
    )  # fmt: skip
    db.executemany(
        "INSERT INTO vectors (chunk_seq, embedder, vector) VALUES (?, ?, ?)",
        [(seq, embedder, vectors[n].tobytes()) for seq, n in kept],
    )


def _checked(changes: WriteBatch, dimension: int) -> Vectors:
    """Return the vectors, or raise before one that does not fit spoils every later search."""
    shape = (len(changes.chunks), dimension)
    if changes.vectors is None or changes.vectors.shape != shape:
        given = None if changes.vectors is None else changes.vectors.shape
        raise ValueError(f"vectors must have the shape {shape}, one row per chunk, got {given}")
    if not np.isfinite(changes.vectors).all():
        raise ValueError("vectors must be finite; the embedder returned nan or infinity")
    return np.ascontiguousarray(changes.vectors, dtype=np.float32)


def _summarise(db: sqlite3.Connection, user: str, summary: Summary) -> None:
    """Store a summary, unless it is there already or something it took in was forgotten."""
    there = (
        "SELECT EXISTS (SELECT 1 FROM turns WHERE user_id = ?1 AND id = ?2)"
        " OR EXISTS (SELECT 1 FROM summaries WHERE user_id = ?1 AND id = ?2)"
    )
    if not all(db.execute(there, (user, one)).fetchone()[0] for one in summary.sources):
        return  # forgotten while this was being written; the next step takes in what is left
    row = db.execute(
        "INSERT OR IGNORE INTO summaries (user_id, id, level, through, tokens, text, created_at)"
        " VALUES (?,?,?,?,?,?,?) RETURNING seq",
        (user, summary.id, summary.level, summary.through, summary.tokens, summary.text,
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
        (summary.through, user),
    )


def _set_hidden(db: sqlite3.Connection, user: str, chunk_ids: Sequence[str], hidden: int) -> None:
    changed = db.executemany(
        "UPDATE chunks SET hidden = ? WHERE user_id = ? AND id = ? AND hidden != ?",
        [(hidden, user, chunk, hidden) for chunk in chunk_ids],
    )
    if changed.rowcount > 0:
        _relayout(db, user)


def _relayout(db: sqlite3.Connection, user: str) -> None:
    db.execute("UPDATE users SET layout = random() WHERE user_id = ?", (user,))


def _forget(
    db: sqlite3.Connection,
    user: str,
    turn_ids: Sequence[str],
    transaction: Callable[[], ThoughtTransaction],
) -> None:
    """Delete turns, what hangs on them, and every summary that took one of them in."""
    going = [(user, turn) for turn in turn_ids]
    where = "WHERE user_id = ? AND id = ?"
    sql = f"SELECT position, seq FROM turns {where}"
    found = [row for one in going if (row := db.execute(sql, one).fetchone()) is not None]
    positions = [row["position"] for row in found]
    if not positions:
        return
    thinking.forget(transaction(), [row["seq"] for row in found])
    db.executemany(f"DELETE FROM turns {where}", going)
    db.execute("DELETE FROM summaries WHERE user_id = ? AND through >= ?", (user, min(positions)))
    db.execute(
        "UPDATE users SET summarised = coalesce((SELECT max(through) FROM summaries"
        " WHERE user_id = ?1 AND level = 1), 0) WHERE user_id = ?1",
        (user,),
    )
    _relayout(db, user)
    db.execute(
        "DELETE FROM users WHERE user_id = ?1"
        " AND NOT EXISTS (SELECT 1 FROM turns WHERE user_id = ?1)",
        (user,),
    )
    db.execute(
        "DELETE FROM hashes WHERE user_id = ?1"
        " AND NOT EXISTS (SELECT 1 FROM turns WHERE user_id = ?1)",
        (user,),
    )
    # deleted words stay in FTS5's segments until these are merged
    db.execute("INSERT INTO searchable_fts (searchable_fts) VALUES ('optimize')")
