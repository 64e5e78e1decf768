"""Count a memory's rows and find faults in them. Read-only."""

import sqlite3
from pathlib import Path

import numpy as np

from memkit_sqlite.cache import VectorRows
from memkit_sqlite.faiss_index import VectorIndex
from memkit_sqlite.turns import Fetch

_DAMAGED = "SQLite finds the file damaged"

_COUNTS = {
    "users": "SELECT count(*) FROM users",
    "turns": "SELECT count(*) FROM turns",
    "chunks": "SELECT count(*) FROM chunks",
    "hidden_chunks": "SELECT count(*) FROM chunks WHERE hidden = 1",
    "summaries": "SELECT count(*) FROM summaries",
    "thoughts": "SELECT count(*) FROM thoughts WHERE retracted_at IS NULL",
    "waiting_turns": "SELECT count(*) FROM thinking WHERE again_us IS NOT NULL",
    "parked_turns": "SELECT count(*) FROM thinking WHERE again_us IS NULL",
    "rejected_claims": "SELECT coalesce(sum(rejected), 0) FROM users",
}

# each query returns one number, which is 0 in a healthy memory
_MUST_BE_ZERO = {
    "turns without a chunk": "SELECT count(*) FROM turns WHERE seq NOT IN"
    " (SELECT turn_seq FROM chunks)",
    "chunks without their turn": "SELECT count(*) FROM chunks WHERE turn_seq NOT IN"
    " (SELECT seq FROM turns)",
    "chunks without a vector of the current embedder": "SELECT count(*) FROM chunks WHERE seq"
    " NOT IN (SELECT chunk_seq FROM vectors JOIN embedders ON embedders.id = embedder"
    " WHERE current)",
    "summaries with deleted sources": "SELECT count(DISTINCT s.seq) FROM summaries s"
    " JOIN summary_sources o ON o.summary_seq = s.seq"
    " WHERE NOT EXISTS (SELECT 1 FROM turns t WHERE t.user_id = s.user_id AND t.id = o.source_id)"
    " AND NOT EXISTS (SELECT 1 FROM summaries e WHERE e.user_id = s.user_id"
    " AND e.id = o.source_id)",
    "turns of an unknown user": "SELECT count(*) FROM turns WHERE user_id NOT IN"
    " (SELECT user_id FROM users)",
    "chunks of another user than their turn": "SELECT count(*) FROM chunks c JOIN turns t"
    " ON t.seq = c.turn_seq WHERE c.user_id != t.user_id",
    "thoughts without a source": "SELECT count(*) FROM thoughts WHERE seq NOT IN"
    " (SELECT thought_seq FROM thought_sources)",
    "thoughts without a vector of the current embedder": "SELECT count(*) FROM thoughts WHERE seq"
    " NOT IN (SELECT thought_seq FROM thought_vectors JOIN embedders ON embedders.id = embedder"
    " WHERE current)",
    "thoughts in no group": "SELECT count(*) FROM thought_vectors WHERE groups IS NULL"
    " AND embedder IN (SELECT id FROM embedders WHERE current)",
    "thoughts of another user than their turns": "SELECT count(*) FROM thoughts t"
    " JOIN thought_sources s ON s.thought_seq = t.seq JOIN turns ON turns.seq = s.turn_seq"
    " WHERE turns.user_id != t.user_id",
    "thoughts closed by a deleted thought": "SELECT count(*) FROM thoughts t"
    " WHERE closed_by IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM thoughts o WHERE o.user_id = t.user_id AND o.id = t.closed_by)",
    "single-valued attributes with more than one open thought": "SELECT count(*) FROM ("
    "SELECT 1 FROM thoughts WHERE slot IS NOT NULL AND closed_by IS NULL AND retracted_at IS NULL"
    " GROUP BY user_id, slot HAVING count(*) > 1)",
    "visible chunks missing from full text, or extra rows in it": "SELECT abs((SELECT count(*)"
    " FROM searchable) - (SELECT count(*) FROM searchable_fts_docsize))",
}


def stats(fetch: Fetch, path: Path | None, user_id: str | None) -> dict[str, int]:
    """Count rows, of one user or of all; `bytes` is the whole memory on disk."""
    counts = {}
    for name, sql in _COUNTS.items():
        if user_id is None:
            counts[name] = int(fetch(sql, ())[0][0])
        else:
            clause = " AND user_id = ?" if "WHERE" in sql else " WHERE user_id = ?"
            counts[name] = int(fetch(sql + clause, (user_id,))[0][0])
    files = [] if path is None else [path, *Path(f"{path}.index").glob("*"), Path(f"{path}-wal")]
    counts["bytes"] = sum(file.stat().st_size for file in files if file.is_file())
    return counts


def find_faults(db: sqlite3.Connection) -> list[str]:
    """Return one sentence per fault in the file, the tables and the full-text index."""
    faults = _find_file_faults(db)
    if faults:
        return faults  # the content of damaged pages means nothing
    faults += [
        f"{row[0]} row {row[1]} points to a deleted row of {row[2]}"
        for row in db.execute("PRAGMA foreign_key_check")
    ]
    faults += [
        f"Compact Memory of {row[0]!r} could not be updated: {row[1]}"
        for row in db.execute("SELECT user_id, failure FROM users WHERE failure IS NOT NULL")
    ]
    faults += [
        f"turn {row['id']!r} of {row['user_id']!r} was parked after {row['attempts']} failed"
        f" attempts to draw thoughts from it: {row['failure']}; `memkit think --retry` tries again"
        for row in db.execute(
            "SELECT turns.id, turns.user_id, attempts, failure FROM thinking q"
            " JOIN turns ON turns.seq = q.turn_seq WHERE again_us IS NULL ORDER BY turns.seq"
        )
    ]
    for fault, sql in _MUST_BE_ZERO.items():
        count = db.execute(sql).fetchone()[0]
        if count:
            faults.append(f"{count} {fault}")
    return faults + _find_full_text_faults(db)


def _find_file_faults(db: sqlite3.Connection) -> list[str]:
    try:
        rows = db.execute("PRAGMA integrity_check").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [f"{_DAMAGED}: {error}"]
    return [f"{_DAMAGED}: {row[0]}" for row in rows if row[0] != "ok"]


def is_damaged(faults: list[str]) -> bool:
    """Return whether the file itself is damaged, so that its rows cannot be trusted."""
    return any(fault.startswith(_DAMAGED) for fault in faults)


def _find_full_text_faults(db: sqlite3.Connection) -> list[str]:
    try:
        # rank 1: compare the index with the rows, not only with itself
        db.execute(
            "INSERT INTO searchable_fts (searchable_fts, rank) VALUES ('integrity-check', 1)"
        )
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [f"full text disagrees with the rows: {error}"]
    return []


def find_index_faults(rows: VectorRows, index: VectorIndex) -> list[str]:
    """Return a sentence if a user's index differs from the searchable chunks' vectors."""
    ids = index.ids()
    order = np.argsort(ids, kind="stable")
    ids, vectors = ids[order], index.vectors()[order]
    wrong, compared = 0, 0
    for page, expected in rows.vectors(after=0):
        part = slice(compared, compared + len(page))
        compared += len(page)
        if not np.array_equal(ids[part], page):
            wrong += len(np.setxor1d(ids[part], page)) or 1
        elif not np.array_equal(vectors[part], expected):
            wrong += int((vectors[part] != expected).any(axis=1).sum())
    wrong += max(len(ids) - compared, 0)
    return [f"vector index of {rows.user_id!r}: {wrong} rows differ"] if wrong else []
