"""The ledger as rows: one event per write batch, in the batch's transaction."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from memkit.govern.ledger import digest, seal
from memkit.protocols import WriteBatch
from memkit.records import Event, Thought

_PAGE = 1000
_COLUMNS = "seq, at, kind, user, source, policy, counts, items, hash"

# the secret, the version of the policy, and the last event
_END = """SELECT m.value, coalesce((SELECT value FROM meta WHERE key = 'policy_version'), 0),
    coalesce(l.seq, 0), coalesce(l.hash, '') FROM meta m
    LEFT JOIN (SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1) l
    WHERE m.key = 'store_id'"""
# what a batch changes, in the order in which it gives the event its kind
_KINDS = (
    ("refused", "refused"), ("summaries", "summary"), ("scores", "admitted"),
    ("forget", "forget"), ("reflection", "think"), ("turns", "remember"), ("updates", "update"),
    ("retract", "retract"), ("resolved_conflicts", "judge"), ("hide", "prune"),
    ("show", "restore"),
)  # fmt: skip


def append(
    db: sqlite3.Connection,
    kind: str,
    *,
    user_id: str | None = None,
    source: str = "caller",
    counts: Mapping[str, int],
    scores: Mapping[str, int] | None = None,
    ids: Iterable[str] = (),
) -> str:
    """Add an event to the end of the chain, inside the caller's transaction; return its hash."""
    store_id, policy, last, previous = db.execute(_END).fetchone()
    secret = store_id.encode()
    event = Event(
        seq=last + 1,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        kind=kind,
        user="" if user_id is None else digest(secret, user_id),
        source=source,
        policy=int(policy),
        counts={name: count for name, count in counts.items() if count} | dict(scores or {}),
        items="".join(digest(secret, item) for item in ids),
        hash="",
    )
    event = replace(event, hash=seal(event, previous))
    db.execute(
        f"INSERT INTO ledger ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (event.seq, event.at, event.kind, event.user, event.source, event.policy,
         json.dumps(event.counts), event.items, event.hash),
    )  # fmt: skip
    return event.hash


def append_batch(
    db: sqlite3.Connection,
    user_id: str,
    batch: WriteBatch,
    counts: Mapping[str, int],
    ids: Iterable[str],
) -> str | None:
    """Add the event of a write batch, if it changed anything; return its hash."""
    if not any(counts.values()) and not batch.scores:
        return None
    kind = next(kind for part, kind in _KINDS if getattr(batch, part))
    if kind == "think" and batch.turns:
        kind = "correct"
    return append(
        db, kind, user_id=user_id, source=batch.source, counts=counts, scores=batch.scores, ids=ids
    )


def read_head(db: sqlite3.Connection) -> str:
    """Return the hash of the newest event."""
    return str(db.execute(_END).fetchone()[3])


def read(db: sqlite3.Connection) -> Iterator[Event]:
    """Yield all events in order."""
    last = -(2**62)
    while True:
        page = db.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (last, _PAGE)
        ).fetchall()
        yield from map(_to_event, page)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def read_last(db: sqlite3.Connection) -> Event:
    """Return the newest event; there is always one."""
    sql = f"SELECT {_COLUMNS} FROM ledger ORDER BY seq DESC LIMIT 1"
    return _to_event(db.execute(sql).fetchone())


def _to_event(row: sqlite3.Row) -> Event:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Event(**values | {"counts": _parse_counts(values["counts"])})


def _parse_counts(text: str) -> dict[str, int]:
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError):
        return {}  # it was changed, so the hash differs


def kind_of_change(before: Thought, after: Thought) -> str:
    """Return what an update does to a thought, in one word."""
    if after.retracted_at != before.retracted_at:
        return "retracted"
    if after.closed_by != before.closed_by:
        return "superseded" if after.closed_by else "reopened"
    if after.conflicts != before.conflicts:
        return "doubted" if len(after.conflicts) > len(before.conflicts) else "settled"
    return "merged"
