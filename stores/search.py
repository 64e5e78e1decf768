"""The two arms' questions to the tables. The scope is part of every one of them."""

import json
import sqlite3
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Match, Query, Window
from memkit.records import Scope
from stores.rows import microseconds, scope_tokens, to_turn, turn_filter

Found = list[tuple[int, float]]  # chunk rows and their scores, best first


def allowed(
    db: sqlite3.Connection, scope: Scope, until: datetime | None
) -> NDArray[np.int64] | None:
    """Return the chunk rows of a part of a user's memory; None: the whole of it."""
    if scope.agent_id is None and scope.session_id is None and until is None:
        return None
    where, values = turn_filter(scope, Window(until=until))
    rows = db.execute(
        f"SELECT c.seq FROM turns CROSS JOIN chunks c ON c.turn_seq = turns.seq WHERE {where}",
        values,
    )
    return np.fromiter((row[0] for row in rows), dtype=np.int64)


def by_words(db: sqlite3.Connection, scope: Scope, query: Query) -> Found:
    """Return the rows that match any of the words, by BM25."""
    # each word is an FTS5 string, in which only a quote and NUL mean anything
    quoted = ['"' + word.replace('"', '""').replace("\0", " ") + '"' for word in query.words]
    if not quoted:
        return []
    tokens = " AND ".join(scope_tokens(scope.user_id, scope.agent_id, scope.session_id))
    match = f"scope : ({tokens}) AND {{text said}} : ({' OR '.join(quoted)})"
    if query.until is None:
        rows = db.execute(
            "SELECT rowid, -rank FROM searchable_fts WHERE searchable_fts MATCH ?"
            " AND rank MATCH 'bm25(1.0, 1.0, 0.0)' ORDER BY rank LIMIT ?",
            (match, query.k),
        )
    else:
        rows = db.execute(
            "SELECT f.rowid, -bm25(searchable_fts, 1.0, 1.0, 0.0) AS score FROM searchable_fts f"
            " CROSS JOIN chunks c ON c.seq = f.rowid CROSS JOIN turns t ON t.seq = c.turn_seq"
            " WHERE searchable_fts MATCH ? AND t.said_us <= ? ORDER BY score DESC LIMIT ?",
            (match, microseconds(query.until), query.k),
        )
    return [(row[0], row[1]) for row in rows]


def matches(db: sqlite3.Connection, scope: Scope, found: Found) -> list[Match]:
    """Return the rows found as matches, each with its turn, in the order found."""
    where, values = turn_filter(scope, Window())
    rows = db.execute(
        'SELECT turns.*, c.seq AS c_seq, c.id AS c_id, c.start, c."end", c.text AS c_text'
        " FROM json_each(?) AS found CROSS JOIN chunks c ON c.seq = found.value"
        f" CROSS JOIN turns ON turns.seq = c.turn_seq WHERE {where}",
        [json.dumps([seq for seq, _ in found]), *values],
    )
    by_seq = {row["c_seq"]: row for row in rows}
    return [
        Match(
            chunk_id=row["c_id"], score=score, turn=to_turn(row), start=row["start"],
            end=row["end"], searched=row["c_text"],
        )
        for seq, score in found
        if (row := by_seq.get(seq)) is not None
    ]  # fmt: skip
