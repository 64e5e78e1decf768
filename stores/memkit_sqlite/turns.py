"""Turns as SQLite rows and back, and scopes as SQL conditions."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np

from memkit.errors import DamagedRow
from memkit.protocols import Activity, Integers, ItemKind, Vectors, Window
from memkit.records import Role, Scope, Turn

Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]

_PAGE = 500  # turns read at a time, so that a long history is never in memory as a whole
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Fibonacci hashing: the first turns by it are evenly spread over all. There is an index on it.
SPREAD = "seq * 2654435761 & 4294967295"


# ---- values of columns


def microseconds(time: datetime) -> int:
    """Return whole microseconds since 1970, so that times sort across timezones."""
    delta = time - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def parse_integers(column: str | None) -> Integers:
    """Parse a column of integers joined by SQLite's group_concat: faster than many rows."""
    return np.fromstring(column or "", dtype=np.int64, sep=",")


def checked_vectors(vectors: Vectors | None, shape: tuple[int, int], item: str) -> Vectors:
    """Return vectors as float32, or raise ValueError for a wrong shape, nan or infinity."""
    if vectors is None or vectors.shape != shape:
        actual = None if vectors is None else vectors.shape
        raise ValueError(f"vectors must have the shape {shape}, one row per {item}, got {actual}")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite; the embedder returned nan or infinity")
    return np.ascontiguousarray(vectors, dtype=np.float32)


# ---- versions of a user's rows, for caches


def read_layout(db: sqlite3.Connection, user_id: str) -> int:
    """Return a value that changes whenever rows are not only appended; 0: no such user."""
    row = db.execute("SELECT layout FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return row[0] if row else 0


def change_layout(db: sqlite3.Connection, user_id: str) -> None:
    """Invalidate the caches of a user's rows: rows were removed, hidden, shown or replaced."""
    db.execute("UPDATE users SET layout = random() WHERE user_id = ?", (user_id,))


def read_version(db: sqlite3.Connection, user_id: str) -> tuple[int, int]:
    """Return a user's layout and newest searchable chunk key: an equal cache is up to date."""
    newest = db.execute(
        "SELECT max(seq) FROM chunks WHERE user_id = ? AND hidden = 0", (user_id,)
    ).fetchone()
    return read_layout(db, user_id), newest[0] or 0


def read_seqs(db: sqlite3.Connection, user_id: str) -> Integers:
    """Return the keys of a user's searchable chunks, ascending. Reads an index only."""
    sql = "SELECT group_concat(seq) FROM chunks WHERE user_id = ? AND hidden = 0"
    return np.sort(parse_integers(db.execute(sql, (user_id,)).fetchone()[0]))


# ---- turns


@contextmanager
def lenient_text(db: sqlite3.Connection, errors: str = "replace") -> Iterator[None]:
    """Decode texts that are no UTF-8 too, as `bytes.decode` does with `errors`, in the block."""
    db.text_factory = lambda data: data.decode("utf-8", errors)
    try:
        yield
    finally:
        db.text_factory = str


def from_turn(user_id: str, position: int, turn: Turn) -> tuple[Any, ...]:
    """Return a complete turn as the values of a new row."""
    assert turn.said_at is not None
    assert turn.stored_at is not None
    return (
        user_id, turn.id, position, turn.session_id, turn.agent_id, turn.role, turn.name, turn.text,
        turn.said_at.isoformat(), microseconds(turn.said_at), turn.stored_at.isoformat(),
        json.dumps(dict(turn.metadata)) if turn.metadata else None,
        " ".join(turn.flags) or None, turn.origin, dump_tags(turn.tags),
    )  # fmt: skip


def to_turn(row: sqlite3.Row) -> Turn:
    """Return the turn of a row. Raises DamagedRow."""
    try:
        return _parse_turn(row)
    except (TypeError, ValueError) as error:
        raise DamagedRow(
            f"turn {row['id']!r} of {row['user_id']!r}", str(error),
            "restore it from a backup, or delete it with `memkit forget`",
        ) from error  # fmt: skip


def to_turn_or_words(row: sqlite3.Row) -> Turn:
    """Return the turn of a row; of a damaged one only its id, its time and its words."""
    try:
        return to_turn(row)
    except DamagedRow:
        text = row["text"]
        words = text if isinstance(text, str) else bytes(text or b"").decode("utf-8", "replace")
        said_at = _EPOCH + timedelta(microseconds=row["said_us"])
        return Turn(id=row["id"], text=words if words.strip() else "?", said_at=said_at)


def _parse_turn(row: sqlite3.Row) -> Turn:
    return Turn(
        id=row["id"], role=cast(Role, row["role"]), name=row["name"], text=row["text"],
        said_at=datetime.fromisoformat(row["said_at"]), session_id=row["session_id"],
        agent_id=row["agent_id"], stored_at=datetime.fromisoformat(row["stored_at"]),
        position=row["position"], metadata=json.loads(row["metadata"] or "{}"),
        flags=tuple((row["flags"] or "").split()), origin=row["origin"],
        tags=load_tags(row["tags"]),
    )  # fmt: skip


def dump_tags(tags: Sequence[str]) -> str | None:
    """Return tags as the value of their column."""
    return json.dumps(list(tags), ensure_ascii=False) if tags else None


def load_tags(value: str | None) -> tuple[str, ...]:
    """Return the tags of a column."""
    return tuple(json.loads(value)) if value else ()


def turn_filter(scope: Scope, window: Window) -> tuple[str, list[Any]]:
    """Return the SQL condition for a scope and a window's ends; the user is always part of it."""
    conditions: Iterable[tuple[str, Any]] = (
        ("turns.user_id = ?", scope.user_id),
        ("turns.agent_id = ?", scope.agent_id),
        ("turns.session_id = ?", scope.session_id),
        ("turns.said_us >= ?", window.since and microseconds(window.since)),
        ("turns.said_us <= ?", window.until and microseconds(window.until)),
        ("turns.position > ?", window.after),
    )
    active = [(sql, value) for sql, value in conditions if value is not None]
    return " AND ".join(sql for sql, _ in active), [value for _, value in active]


def read_turns(fetch: Fetch, scope: Scope, window: Window) -> Iterator[Turn]:
    """Yield the window's turns in the order said, or in the order stored if it has `after`."""
    if window.ids is not None:
        rows: Iterable[sqlite3.Row] = _read_by_id(fetch, scope, window, window.ids)
    elif window.last is not None:
        where, values = turn_filter(scope, window)
        sql = f"SELECT * FROM turns WHERE {where} ORDER BY said_us DESC, position DESC LIMIT ?"
        rows = reversed(fetch(sql, [*values, window.last]))
    else:
        rows = _read_pages(fetch, scope, window)
    return map(to_turn, rows)


def sample_turns(fetch: Fetch, scope: Scope, limit: int) -> list[Turn]:
    """Return at most `limit` turns of the user, in the order stored.

    A new turn takes the place of another one with the probability `limit` / number of turns.
    """
    sql = f"SELECT * FROM turns WHERE user_id = ? ORDER BY {SPREAD} LIMIT ?"
    rows = fetch(sql, (scope.user_id, limit))
    return [to_turn(row) for row in sorted(rows, key=lambda row: row["position"])]


def _read_by_id(
    fetch: Fetch, scope: Scope, window: Window, ids: Iterable[str]
) -> list[sqlite3.Row]:
    where, values = turn_filter(scope, window)
    sql = f"SELECT * FROM turns WHERE {where} AND id IN (SELECT value FROM json_each(?))"
    rows = fetch(f"{sql} ORDER BY said_us, position", [*values, json.dumps(list(ids))])
    return rows if window.last is None else rows[max(len(rows) - window.last, 0) :]


def _read_pages(fetch: Fetch, scope: Scope, window: Window) -> Iterator[sqlite3.Row]:
    """Yield rows page by page; none is skipped or read twice whatever is written meanwhile."""
    columns = ("said_us", "position") if window.after is None else ("position",)
    order = ", ".join(columns)
    beyond = ""
    key: list[int] = []
    while True:
        where, values = turn_filter(scope, window)
        sql = f"SELECT * FROM turns WHERE {where}{beyond} ORDER BY {order} LIMIT ?"
        page = fetch(sql, [*values, *key, _PAGE])
        yield from page
        if len(page) < _PAGE:
            return
        beyond = f" AND ({order}) > ({', '.join('?' * len(columns))})"
        key = [page[-1][column] for column in columns]
        window = replace(window, since=None, after=None)  # the key is the narrower end


# ---- who said how much, and which ids there are

# a bare column beside max() is that of the row with the maximum: sqlite.org/lang_select.html
_ACTIVITY = """SELECT {column}, count(*), max(said_us), said_at FROM turns WHERE {where}
    GROUP BY {column} ORDER BY max(said_us) DESC, {column}"""
_MATCHING_IDS = {
    "turn": "SELECT id FROM turns WHERE {condition}",
    "thought": "SELECT id FROM thoughts WHERE {condition} AND retracted_at IS NULL",
}


def read_users(fetch: Fetch) -> list[Activity]:
    """Return the users, the one with the latest turn first."""
    return _to_activities(fetch(_ACTIVITY.format(column="user_id", where="true"), ()))


def read_sessions(fetch: Fetch, scope: Scope) -> list[Activity]:
    """Return the scope's sessions, the one with the latest turn first."""
    where, values = turn_filter(scope, Window())
    return _to_activities(fetch(_ACTIVITY.format(column="session_id", where=where), values))


def _to_activities(rows: Iterable[sqlite3.Row]) -> list[Activity]:
    return [
        Activity(id=row[0], turns=row[1], last_said_at=datetime.fromisoformat(row[3]))
        for row in rows
    ]


def match_ids(fetch: Fetch, scope: Scope, kind: ItemKind, prefix: str, limit: int) -> list[str]:
    """Return at most `limit` ids of the user that start with `prefix`, in order."""
    condition = "user_id = ?1 AND id >= ?2 AND substr(id, 1, length(?2)) = ?2"
    sql = f"{_MATCHING_IDS[kind].format(condition=condition)} ORDER BY id LIMIT ?3"
    return [row[0] for row in fetch(sql, (scope.user_id, prefix, limit))]
