"""Count a memory's rows and find faults in them. Read-only."""

import sqlite3
import tomllib
from functools import cache
from pathlib import Path

import numpy as np

from memkit_sqlite import postings
from memkit_sqlite.cache import VectorRows
from memkit_sqlite.faiss_index import VectorIndex
from memkit_sqlite.thoughts import damage
from memkit_sqlite.turns import Fetch

_DAMAGED = "SQLite finds the file damaged"


@cache
def _queries() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def stats(fetch: Fetch, path: Path | None, user_id: str | None) -> dict[str, int]:
    """Count rows, of one user or of all; `bytes` is the whole memory on disk."""
    counts, values = {}, [] if user_id is None else [user_id]
    for name, sql in _queries()["counts"].items():
        clause = f" {'AND' if 'WHERE' in sql else 'WHERE'} user_id = ?" if values else ""
        counts[name] = int(fetch(sql + clause, values)[0][0])
    files = [] if path is None else [path, *Path(f"{path}.index").glob("*"), Path(f"{path}-wal")]
    counts["bytes"] = sum(file.stat().st_size for file in files if file.is_file())
    return counts


def find_faults(db: sqlite3.Connection) -> list[str]:
    """Return one sentence per fault in the file, the tables and the full-text index."""
    faults = [f"{_DAMAGED}: {fault}" for fault in _check_integrity(db)]
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
    for fault, sql in _queries()["must_be_zero"].items():
        count = db.execute(sql).fetchone()[0]
        if count:
            faults.append(f"{count} {fault}")
    faults += damage.find_damaged(db)
    return faults + postings.find_faults(db)


def is_damaged(faults: list[str]) -> bool:
    """Return whether the file itself is damaged, so that its rows cannot be trusted."""
    return any(fault.startswith(_DAMAGED) for fault in faults)


def _check_integrity(db: sqlite3.Connection) -> list[str]:
    """Run SQLite's own check and return what it finds."""
    try:
        return [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [str(error)]


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
