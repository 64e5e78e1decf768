"""Turns as SQLite rows and back, and scopes as SQL conditions."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast

import numpy as np

from memkit.protocols import Integers, Window
from memkit.records import Role, Scope, Turn
from memkit.text.words import pairs

Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]

_PAGE = 500  # turns read at a time, so that a long history never stands in memory whole
_RUN = re.compile(r"\w+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Return whole microseconds since 1970, so that times sort across timezones."""
    delta = time - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def scope_tokens(user_id: str, agent_id: str | None, session_id: str | None) -> list[str]:
    """Return the words that stand for a scope in the full-text index."""
    parts = (("u", user_id), ("a", agent_id), ("s", session_id))
    return [
        prefix + hashlib.blake2b(value.encode(), digest_size=16).hexdigest()
        for prefix, value in parts
        if value is not None
    ]


def integers(column: str | None) -> Integers:
    """Return what SQLite's group_concat made of a column of integers: quicker than many rows."""
    return np.fromstring(column or "", dtype=np.int64, sep=",")


def beside(text: str, said: str) -> str:
    """Return what full text finds a chunk by beside its own words, which begin and end at spaces.

    That is its date and, of what is written without spaces, the pairs and the words that stand
    right beside: "iPhone" in "我用iPhone手机".
    """
    mixed = [run for run in _RUN.findall(text) if 0 < len(pairs(run)) < len(run)]
    spaced = "".join(" " if pairs(character) else character for character in " ".join(mixed))
    return " ".join([said, *pairs(text), *spaced.split()])


def layout_of(db: sqlite3.Connection, user_id: str) -> int:
    """Return what changes when rows leave a user's searchable ones, or come back; 0: no user."""
    row = db.execute("SELECT layout FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return row[0] if row else 0


def freshness(db: sqlite3.Connection, user_id: str) -> tuple[int, int]:
    """Return a user's layout and newest searchable chunk row: what is as new has all. Quick."""
    newest = db.execute(
        "SELECT max(seq) FROM chunks WHERE user_id = ? AND hidden = 0", (user_id,)
    ).fetchone()
    return layout_of(db, user_id), newest[0] or 0


def from_turn(user: str, position: int, turn: Turn) -> tuple[Any, ...]:
    """Return a complete turn as the values of a new row."""
    assert turn.said_at is not None
    assert turn.stored_at is not None
    return (
        user, turn.id, position, turn.session_id, turn.agent_id, turn.role, turn.name, turn.text,
        turn.said_at.isoformat(), microseconds(turn.said_at), turn.stored_at.isoformat(),
        json.dumps(dict(turn.metadata)) if turn.metadata else None,
    )  # fmt: skip


def to_turn(row: sqlite3.Row) -> Turn:
    """Return a row as the turn it was."""
    return Turn(
        id=row["id"], role=cast(Role, row["role"]), name=row["name"], text=row["text"],
        said_at=datetime.fromisoformat(row["said_at"]), session_id=row["session_id"],
        agent_id=row["agent_id"], stored_at=datetime.fromisoformat(row["stored_at"]),
        position=row["position"], metadata=json.loads(row["metadata"] or "{}"),
    )  # fmt: skip


def turn_filter(scope: Scope, window: Window) -> tuple[str, list[Any]]:
    """Return the SQL condition for a scope and a window's ends; the user is always in it."""
    conditions: Iterable[tuple[str, Any]] = (
        ("turns.user_id = ?", scope.user_id),
        ("turns.agent_id = ?", scope.agent_id),
        ("turns.session_id = ?", scope.session_id),
        ("turns.said_us >= ?", window.since and microseconds(window.since)),
        ("turns.said_us <= ?", window.until and microseconds(window.until)),
        ("turns.position > ?", window.after),
    )
    given = [(sql, value) for sql, value in conditions if value is not None]
    return " AND ".join(sql for sql, _ in given), [value for _, value in given]


def turns(fetch: Fetch, scope: Scope, window: Window) -> Iterator[Turn]:
    """Yield the window's turns, in the order said, or as stored if the window has `after`."""
    if window.ids is not None:
        rows: Iterable[sqlite3.Row] = _named(fetch, scope, window, window.ids)
    elif window.last is not None:
        where, values = turn_filter(scope, window)
        sql = f"SELECT * FROM turns WHERE {where} ORDER BY said_us DESC, position DESC LIMIT ?"
        rows = reversed(fetch(sql, [*values, window.last]))
    else:
        rows = (
            _as_stored(fetch, scope, window)
            if window.after is not None
            else _as_said(fetch, scope, window)
        )
    return map(to_turn, rows)


def _named(fetch: Fetch, scope: Scope, window: Window, ids: Iterable[str]) -> list[sqlite3.Row]:
    where, values = turn_filter(scope, window)
    found: list[sqlite3.Row] = []
    waiting = iter(dict.fromkeys(ids))
    while part := list(islice(waiting, _PAGE)):
        marks = ", ".join("?" * len(part))
        found += fetch(f"SELECT * FROM turns WHERE {where} AND id IN ({marks})", [*values, *part])
    found.sort(key=lambda row: (row["said_us"], row["position"]))
    return found if window.last is None else found[max(len(found) - window.last, 0) :]


# Both read page by page from a key on: no lock is held between pages, and whatever others write
# meanwhile, nothing is skipped or read twice.


def _as_stored(fetch: Fetch, scope: Scope, window: Window) -> Iterator[sqlite3.Row]:
    while True:
        where, values = turn_filter(scope, window)
        sql = f"SELECT * FROM turns WHERE {where} ORDER BY position LIMIT ?"
        page = fetch(sql, [*values, _PAGE])
        yield from page
        if len(page) < _PAGE:
            return
        window = replace(window, after=page[-1]["position"])


def _as_said(fetch: Fetch, scope: Scope, window: Window) -> Iterator[sqlite3.Row]:
    beyond = ""
    key: tuple[int, ...] = ()
    while True:
        where, values = turn_filter(scope, window)
        sql = f"SELECT * FROM turns WHERE {where}{beyond} ORDER BY said_us, position LIMIT ?"
        page = fetch(sql, [*values, *key, _PAGE])
        yield from page
        if len(page) < _PAGE:
            return
        beyond = " AND (said_us, position) > (?, ?)"
        key = page[-1]["said_us"], page[-1]["position"]
        window = replace(window, since=None)  # the key is the narrower end
