"""Write new turns with their chunks, vectors and postings."""

import sqlite3
from collections.abc import Sequence

from memkit.errors import TurnConflict
from memkit.protocols import Fingerprint, WriteBatch
from memkit.records import Turn, day
from memkit_sqlite import postings
from memkit_sqlite.turns import checked_vectors, from_turn


def new_turns(db: sqlite3.Connection, user_id: str, turns: Sequence[Turn]) -> dict[str, Turn]:
    """Return the turns that are not stored yet, by id, or raise `TurnConflict`."""
    new: dict[str, Turn] = {}
    for turn in turns:
        assert turn.id is not None
        row = db.execute(
            "SELECT text FROM turns WHERE user_id = ? AND id = ?", (user_id, turn.id)
        ).fetchone()
        if row is None and turn.id not in new:
            new[turn.id] = turn
        elif turn.text != (row[0] if row else new[turn.id].text) and not _was_said(
            db, user_id, turn
        ):
            raise TurnConflict(turn.id)
    return new


def _was_said(db: sqlite3.Connection, user_id: str, turn: Turn) -> bool:
    """Return whether the text is a former wording of the stored turn: an import may have it."""
    former = db.execute(
        "SELECT w.text FROM turns CROSS JOIN wordings w ON w.turn_seq = turns.seq"
        " WHERE turns.user_id = ? AND turns.id = ?",
        (user_id, turn.id),
    )
    return any(text == turn.text for (text,) in former)


def insert_turns(db: sqlite3.Connection, user_id: str, new: dict[str, Turn]) -> None:
    """Insert new turns behind the user's others, and count them."""
    db.execute(
        "INSERT OR IGNORE INTO users (user_id, layout, generation) VALUES (?, random(), random())",
        (user_id,),
    )
    count = db.execute("SELECT turns FROM users WHERE user_id = ?", (user_id,)).fetchone()[0]
    db.executemany(
        "INSERT INTO turns (user_id, id, position, session_id, agent_id, role, name, text,"
        " said_at, said_us, stored_at, metadata, flags, origin, tags)"
        " VALUES (?1,?2,?3,?4,?5,?6,seal(?1, ?7),seal(?1, ?8),?9,?10,?11,seal(?1, ?12),?13,?14,"
        " seal(?1, ?15))",
        [from_turn(user_id, count + n, turn) for n, turn in enumerate(new.values(), start=1)],
    )
    db.execute("UPDATE users SET turns = turns + ? WHERE user_id = ?", (len(new), user_id))


def insert_chunks(
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
    # by chunk id, because a batch may contain the same turn twice
    indexes = {chunk.id: n for n, chunk in enumerate(chunks) if chunk.turn_id in new}
    numbered = [(seq, n) for seq, n in enumerate(indexes.values(), start=first)]
    keys = postings.term_keys(db, user_id)
    terms = [(seq, keys.keys(chunks[n].text, day(chunks[n].said_at))) for seq, n in numbered]
    db.executemany(
        "INSERT INTO chunks (seq, user_id, id, turn_seq, start, \"end\", text, terms,"
        " tokens) VALUES"
        " (?1, ?2, ?3, (SELECT seq FROM turns WHERE user_id = ?2 AND id = ?4), ?5, ?6,"
        " seal(?2, ?7), ?8, ?9)",
        [
            (seq, user_id, chunks[n].id, chunks[n].turn_id, chunks[n].start,
             chunks[n].end, chunks[n].text, postings.pack(term_keys), max(chunks[n].tokens, 1))
            for (seq, n), (_, term_keys) in zip(numbered, terms, strict=True)
        ],
    )  # fmt: skip
    db.executemany(
        "INSERT INTO vectors (chunk_seq, embedder, vector) VALUES (?, ?, seal(?, ?))",
        [(seq, embedder, user_id, vectors[n].tobytes()) for seq, n in numbered],
    )
    postings.insert(db, terms)
