"""Thoughts as rows and back, and which of them a scope sees."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from memkit.protocols import Window
from memkit.records import Role, Scope, Source, Thought
from memkit.thoughts.merging import closed
from memkit_sqlite.turns import Fetch, microseconds, turn_filter

_PAGE = 500

# a scope sees a thought by the turns it comes from, and of these only its own
# CROSS JOIN keeps the order: SQLite would begin with all turns of the user
_SELECT = """SELECT t.*,
    (SELECT json_group_array(json_array(id, start, "end")) FROM
        (SELECT turns.id, s.start, s."end" FROM thought_sources s
         CROSS JOIN turns ON turns.seq = s.turn_seq
         WHERE s.thought_seq = t.seq AND {inside} ORDER BY turns.said_us, turns.position, s.start)
    ) AS sources,
    (SELECT json_group_array(id) FROM
        (SELECT o.id FROM conflicts c CROSS JOIN thoughts o ON o.seq = c.newer_seq
         WHERE c.older_seq = t.seq
         UNION ALL SELECT o.id FROM conflicts c CROSS JOIN thoughts o ON o.seq = c.older_seq
         WHERE c.newer_seq = t.seq)
    ) AS conflicts
    FROM thoughts t
    WHERE {user} = ? AND t.retracted_at IS NULL AND EXISTS (
        SELECT 1 FROM thought_sources s CROSS JOIN turns ON turns.seq = s.turn_seq
        WHERE s.thought_seq = t.seq AND {seen})"""


def select(
    fetch: Fetch, scope: Scope, condition: str, values: Sequence[Any], until: datetime | None = None
) -> list[sqlite3.Row]:
    """Return the rows of thoughts that the scope sees, as said by `until`."""
    inside, own = turn_filter(scope, Window(until=until))
    part = scope.session_id is not None or scope.agent_id is not None
    # a part sees no words that were said outside of it
    seen = f"{inside} AND s.worded = 1" if part else inside
    # a plus keeps SQLite from going through all of a user's thoughts where their rows are known
    user = "+t.user_id" if "t.seq IN" in condition else "t.user_id"
    sql = _SELECT.format(inside=inside, seen=seen, user=user)
    return fetch(f"{sql} {condition}", [*own, scope.user_id, *own, *values])


def holding(fetch: Fetch, scope: Scope, at: datetime | None) -> Iterator[Thought]:
    """Yield the thoughts that hold, or held at that time as far as is known now."""
    condition = "AND t.closed_by IS NULL"
    values: list[Any] = []
    if at is not None:
        condition = "AND t.valid_from_us <= ? AND (t.valid_to_us IS NULL OR t.valid_to_us > ?)"
        values = [microseconds(at)] * 2
    condition += f" AND t.seq > ? ORDER BY t.seq LIMIT {_PAGE}"
    after = 0
    while True:
        page = select(fetch, scope, condition, [*values, after])
        yield from map(to_thought, page)
        if len(page) < _PAGE:
            return
        after = page[-1]["seq"]


def history(fetch: Fetch, scope: Scope, thought_id: str) -> list[Thought]:
    """Return the thoughts that are linked with one by having closed each other, oldest first."""
    linked = """AND t.id IN (WITH RECURSIVE linked (id) AS (SELECT ?
        UNION SELECT o.id FROM linked JOIN thoughts o ON o.user_id = ? AND o.closed_by = linked.id
        UNION SELECT o.closed_by FROM linked JOIN thoughts o ON o.user_id = ?
            AND o.id = linked.id AND o.closed_by IS NOT NULL)
        SELECT id FROM linked) ORDER BY t.said_us, t.seq"""
    found = select(fetch, scope, linked, [thought_id, scope.user_id, scope.user_id])
    return [to_thought(row) for row in found]


def conflicts(fetch: Fetch, scope: Scope) -> list[tuple[Thought, Thought]]:
    """Return open thoughts that may contradict each other, the older first."""
    pairs = fetch(
        "SELECT o.seq, n.seq FROM conflicts c JOIN thoughts o ON o.seq = c.older_seq"
        " JOIN thoughts n ON n.seq = c.newer_seq WHERE o.user_id = ?"
        " AND o.closed_by IS NULL AND n.closed_by IS NULL ORDER BY o.seq, n.seq LIMIT ?",
        (scope.user_id, _PAGE),
    )
    known = of_rows(fetch, scope, {seq for pair in pairs for seq in pair})
    return [(known[old], known[new]) for old, new in pairs if old in known and new in known]


def count_derived(fetch: Fetch, scope: Scope, turn_ids: Sequence[str]) -> int:
    """Return how many thoughts come from any of these turns."""
    sql = (
        "SELECT count(DISTINCT s.thought_seq) FROM json_each(?) AS wanted CROSS JOIN turns t"
        " ON t.user_id = ? AND t.id = wanted.value"
        " CROSS JOIN thought_sources s ON s.turn_seq = t.seq"
    )
    return int(fetch(sql, (json.dumps(list(turn_ids)), scope.user_id))[0][0])


def of_rows(
    fetch: Fetch, scope: Scope, rows: Iterable[int], until: datetime | None = None
) -> dict[int, Thought]:
    """Return the thoughts of these rows that the scope sees, by row."""
    wanted = json.dumps(list(rows))
    found = _believed(fetch, scope, "t.seq IN (SELECT value FROM json_each(?))", wanted, until)
    return {row["seq"]: to_thought(row, until) for row in found}


def of_ids(
    fetch: Fetch, scope: Scope, ids: Sequence[str], until: datetime | None = None
) -> list[Thought]:
    """Return the thoughts of these ids that the scope sees, in the order recorded."""
    wanted = json.dumps(ids)
    found = _believed(fetch, scope, "t.id IN (SELECT value FROM json_each(?))", wanted, until)
    return [to_thought(row, until) for row in found]


def _believed(
    fetch: Fetch, scope: Scope, condition: str, wanted: str, until: datetime | None
) -> list[sqlite3.Row]:
    latest = 2**62 if until is None else microseconds(until)
    condition = f"AND {condition} AND t.said_us <= ? ORDER BY t.seq"
    return select(fetch, scope, condition, [wanted, latest], until)


def to_thought(row: sqlite3.Row, until: datetime | None = None) -> Thought:
    """Return a row as the thought it is, or as it was known `until` then."""
    thought = Thought(
        id=row["id"], text=row["text"], head=row["head"], relation=row["relation"],
        tail=row["tail"], slot=row["slot"], said_by=row["said_by"], role=cast(Role, row["role"]),
        said_at=datetime.fromisoformat(row["said_at"]),
        repeated_at=datetime.fromisoformat(row["repeated_at"]),
        valid_from=datetime.fromisoformat(row["valid_from"]),
        valid_to=_time(row["valid_to"]), closed_at=_time(row["closed_at"]),
        closed_by=row["closed_by"], recorded_at=_time(row["recorded_at"]),
        retracted_at=_time(row["retracted_at"]),
        sources=tuple(
            Source(turn_id=turn, start=start, end=end)
            for turn, start, end in json.loads(row["sources"])
        ),
        conflicts=tuple(json.loads(row["conflicts"])),
    )  # fmt: skip
    if until is None or thought.closed_at is None or thought.closed_at <= until:
        return thought
    return closed(thought, None)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def from_thought(user: str, thought: Thought) -> dict[str, Any]:
    """Return a thought as the values of its row, by column."""
    assert thought.recorded_at is not None
    return {
        "user_id": user, "id": thought.id, "text": thought.text, "head": thought.head,
        "relation": thought.relation, "tail": thought.tail, "slot": thought.slot,
        "said_by": thought.said_by, "role": thought.role,
        "said_at": thought.said_at.isoformat(), "said_us": microseconds(thought.said_at),
        "repeated_at": thought.repeated_at.isoformat(),
        "recorded_at": thought.recorded_at.isoformat(),
        **validity(thought),
    }  # fmt: skip


def validity(thought: Thought) -> dict[str, Any]:
    """Return when a thought holds as the values of its row's columns."""
    to, closed = thought.valid_to, thought.closed_at
    return {
        "valid_from": thought.valid_from.isoformat(),
        "valid_from_us": microseconds(thought.valid_from),
        "valid_to": to and to.isoformat(), "valid_to_us": to and microseconds(to),
        "closed_at": closed and closed.isoformat(), "closed_us": closed and microseconds(closed),
        "closed_by": thought.closed_by,
    }  # fmt: skip
