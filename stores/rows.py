"""Turns as SQLite rows and back, and scopes as SQL conditions."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast

from memkit.protocols import Window
from memkit.records import Role, Scope, Turn

Fetch = Callable[[str, Sequence[Any]], list[sqlite3.Row]]

_PAGE = 500  # turns read at a time, so that a long history never stands in memory whole
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


def from_turn(user: str, position: int, turn: Turn) -> tuple[Any, ...]:
    """Return a complete turn as the values of a new row."""
    assert turn.said_at is not None
    assert turn.stored_at is not None
    return (
        user, turn.id, position, turn.session_id, turn.agent_id, turn.role, turn.name, turn.text,
        turn.said_at.isoformat(), microseconds(turn.said_at), turn.stored_at.isoformat(),
    )  # fmt: skip


def to_turn(row: sqlite3.Row) -> Turn:
    """Return a row as the turn it was."""
    return Turn(
        id=row["id"], role=cast(Role, row["role"]), name=row["name"], text=row["text"],
        said_at=datetime.fromisoformat(row["said_at"]), session_id=row["session_id"],
        agent_id=row["agent_id"], stored_at=datetime.fromisoformat(row["stored_at"]),
        position=row["position"],
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
