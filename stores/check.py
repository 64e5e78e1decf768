"""Is a memory in order, and how big is it? Read-only questions about the tables."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stores.vectors import VectorIndex

Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]

_COUNTS = {
    "users": "SELECT count(*) FROM users",
    "turns": "SELECT count(*) FROM turns",
    "chunks": "SELECT count(*) FROM chunks",
    "hidden_chunks": "SELECT count(*) FROM chunks WHERE hidden = 1",
    "summaries": "SELECT count(*) FROM summaries",
}

# each query returns one number, which is zero in a healthy memory
_MUST_BE_ZERO = {
    "turns without a chunk": "SELECT count(*) FROM turns WHERE seq NOT IN"
    " (SELECT turn_seq FROM chunks)",
    "chunks without their turn": "SELECT count(*) FROM chunks WHERE turn_seq NOT IN"
    " (SELECT seq FROM turns)",
    "chunks without a vector of the current embedder": "SELECT count(*) FROM chunks WHERE seq"
    " NOT IN (SELECT chunk_seq FROM vectors JOIN embedders ON embedders.id = embedder"
    " WHERE current)",
    "chunks whose user is not their turn's": "SELECT count(*) FROM chunks c JOIN turns t"
    " ON t.seq = c.turn_seq WHERE c.user_id != t.user_id",
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


def faults(db: sqlite3.Connection) -> list[str]:
    """Return one sentence per fault in the tables and the full-text index."""
    found = [f"SQLite: {row[0]}" for row in db.execute("PRAGMA quick_check") if row[0] != "ok"]
    found += [
        f"{row[0]} row {row[1]} points to a row of {row[2]} that is gone"
        for row in db.execute("PRAGMA foreign_key_check")
    ]
    found += [
        f"Compact Memory of {row[0]!r} could not be updated: {row[1]}"
        for row in db.execute("SELECT user_id, failure FROM users WHERE failure IS NOT NULL")
    ]
    for what, sql in _MUST_BE_ZERO.items():
        count = db.execute(sql).fetchone()[0]
        if count:
            found.append(f"{count} {what}")
    try:
        # rank 1: compare the index with the rows it was made from, not only with itself
        db.execute(
            "INSERT INTO searchable_fts (searchable_fts, rank) VALUES ('integrity-check', 1)"
        )
    except sqlite3.DatabaseError as error:
        found.append(f"full text disagrees with the rows: {error}")
    return found


def index_faults(db: sqlite3.Connection, user_id: str, index: VectorIndex) -> list[str]:
    """Return a sentence if a user's vector index does not hold exactly the visible rows."""
    rows = db.execute("SELECT seq FROM chunks WHERE user_id = ? AND hidden = 0", (user_id,))
    live = np.fromiter((row[0] for row in rows), dtype=np.int64)
    wrong = np.setxor1d(live, index.ids())
    return [f"vector index of {user_id!r}: {len(wrong)} rows differ"] if len(wrong) else []
