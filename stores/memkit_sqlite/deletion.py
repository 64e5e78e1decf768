"""Delete turns with all rows derived from them, and note that the files still have their bytes."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime

from memkit.govern.residue import find
from memkit.protocols import Deletion
from memkit.records import Summary
from memkit_sqlite import cipher, postings, summaries
from memkit_sqlite.thoughts import rows as thought_rows
from memkit_sqlite.thoughts.rows import SQLiteThoughtRows
from memkit_sqlite.turns import change_layout, to_turn_or_words

# every column with words
_TEXTS = (
    "SELECT text FROM turns",
    "SELECT id || char(10) || coalesce(unseal(name), '') || char(10) || coalesce(session_id, '')"
    " || char(10) || coalesce(agent_id, '')"
    " || char(10) || coalesce(unseal(metadata), '') || char(10) || coalesce(unseal(tags), '')"
    " FROM turns",
    "SELECT text FROM wordings",
    "SELECT text FROM chunks",
    "SELECT unseal(text) || char(10) || coalesce(unseal(head), '')"
    " || char(10) || coalesce(unseal(relation), '')"
    " || char(10) || coalesce(unseal(tail), '') FROM thoughts",
    "SELECT text FROM summaries",
    "SELECT unseal_image(image) FROM undo WHERE image IS NOT NULL",
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL",
)
_VECTORS = tuple(
    f"SELECT EXISTS (SELECT 1 FROM {table} WHERE instr({cipher.unsealed(column)}, ?))"
    for table, column in (("vectors", "vector"), ("thought_vectors", "vector"), ("undo", "data"))
)
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # of a deleted summary; nobody asks for it
_PAGE = 1000  # texts read at a time
_BETWEEN = b"\xff"  # is in no UTF-8
_SUMMARIES = "SELECT * FROM summaries WHERE user_id = ?"
_WORDINGS = """SELECT w.text FROM json_each(?2) AS ids
    CROSS JOIN turns ON turns.user_id = ?1 AND turns.id = ids.value
    CROSS JOIN wordings w ON w.turn_seq = turns.seq"""
_CHUNKS = """SELECT c.seq FROM json_each(?2) AS ids
    CROSS JOIN turns ON turns.user_id = ?1 AND turns.id = ids.value
    CROSS JOIN chunks c ON c.turn_seq = turns.seq"""


def index_name(user_id: str) -> str:
    """Return the name of a user's index file, without its suffix."""
    return hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()


def read_deletion(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> Deletion:
    """Return the turns with these ids, their chunks and vectors, and all of the user's summaries.

    The caller deletes the turns, and then asks `complete` what else went.
    """
    ids = json.dumps(list(turn_ids))
    turns = db.execute(
        "SELECT turns.* FROM json_each(?) AS ids CROSS JOIN turns ON turns.user_id = ?"
        " AND turns.id = ids.value ORDER BY turns.said_us, turns.position",
        (ids, user_id),
    ).fetchall()
    chunks = db.execute(_CHUNKS, (user_id, ids)).fetchall()
    vectors = [
        bytes(row[0])
        for (seq,) in chunks
        for row in db.execute("SELECT vector FROM vectors WHERE chunk_seq = ?", (seq,))
    ]
    wordings = db.execute(_WORDINGS, (user_id, ids)).fetchall()
    summaries = [_to_summary(row) for row in db.execute(_SUMMARIES, (user_id,))]
    return Deletion(
        turns=[to_turn_or_words(row) for row in turns], chunks=len(chunks), vectors=vectors,
        wordings=[text for (text,) in wordings], summaries=summaries,
    )  # fmt: skip


def complete(
    db: sqlite3.Connection,
    user_id: str,
    deletion: Deletion,
    thoughts: SQLiteThoughtRows,
    event: str | None,
) -> Deletion:
    """Return a deletion with the thoughts and summaries that went with its turns."""
    left = {row["id"] for row in db.execute(_SUMMARIES, (user_id,))}
    return replace(
        deletion,
        thoughts=[thought for thought, _ in thoughts.deleted],
        vectors=[*deletion.vectors, *(vector for _, vector in thoughts.deleted)],
        summaries=[summary for summary in deletion.summaries if summary.id not in left],
        event=event,
    )


def _to_summary(row: sqlite3.Row) -> Summary:
    return Summary(
        id=row["id"], text=row["text"], level=row["level"], through=row["through"],
        tokens=row["tokens"], sources=(), created_at=_ANY_TIME,
    )  # fmt: skip


def delete_turns(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> None:
    """Delete turns with their chunks, and every summary that includes one of them."""
    keys = [(user_id, turn_id) for turn_id in turn_ids]
    sql = "SELECT position FROM turns WHERE user_id = ? AND id = ?"
    rows = [row for key in keys if (row := db.execute(sql, key).fetchone()) is not None]
    if not rows:
        return
    thought_rows.erase_failures(db, user_id)
    chunks = db.execute(_CHUNKS, (user_id, json.dumps(list(turn_ids)))).fetchall()
    postings.delete(db, [seq for (seq,) in chunks])
    db.executemany("DELETE FROM turns WHERE user_id = ? AND id = ?", keys)
    invalidate(db, user_id, min(row["position"] for row in rows))
    for table in ("users", "hashes"):
        db.execute(
            f"DELETE FROM {table} WHERE user_id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM turns WHERE user_id = ?1)",
            (user_id,),
        )


def invalidate(db: sqlite3.Connection, user_id: str, first: int) -> None:
    """Delete summaries that include turns from a position on, and outdate all work and caches."""
    db.execute("DELETE FROM summaries WHERE user_id = ? AND through >= ?", (user_id, first))
    summaries.set_summarised(db, user_id)
    change_layout(db, user_id)
    db.execute("UPDATE users SET generation = random() WHERE user_id = ?", (user_id,))
    db.execute("INSERT INTO purges (index_name) VALUES (?)", (index_name(user_id),))


def read_generation(db: sqlite3.Connection, user_id: str) -> int:
    """Return a number that changes whenever turns of this user are deleted; 0: no such user."""
    row = db.execute("SELECT generation FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0]) if row else 0


def find_retained(db: sqlite3.Connection, pieces: AbstractSet[bytes]) -> set[bytes]:
    """Return the pieces, in UTF-8, that are in a text or a vector that is stored."""
    retained = find(_stored_texts(db), pieces)
    for sql in _VECTORS:
        missing = pieces - retained
        retained |= {piece for piece in missing if db.execute(sql, (piece,)).fetchone()[0]}
    return retained


def _stored_texts(db: sqlite3.Connection) -> Iterator[bytes]:
    """Yield all texts, as they are and case-folded, with a byte between them that no text has."""
    for sql in _TEXTS:
        cursor = db.execute(sql)
        while rows := cursor.fetchmany(_PAGE):
            texts = "\0".join(text for (text,) in rows if isinstance(text, str))
            for variant in {texts, texts.casefold()}:
                yield variant.encode().replace(b"\0", _BETWEEN) + _BETWEEN


# ---- deletions whose bytes may still be in the files


def read_pending(db: sqlite3.Connection) -> dict[int, str]:
    """Return the names of the index files to delete, by the key of the deletion."""
    return {row[0]: row[1] for row in db.execute("SELECT id, index_name FROM purges")}


def mark_purged(db: sqlite3.Connection, keys: Sequence[int]) -> None:
    """Note that the bytes of these deletions are gone."""
    db.executemany("DELETE FROM purges WHERE id = ?", [(key,) for key in keys])
