"""A thought as the values of its row's columns, and back."""

import json
import sqlite3
from datetime import datetime
from typing import Any, cast

from memkit.errors import DamagedRow
from memkit.records import ClaimKind, Quote, Role, Source, Thought
from memkit.thoughts.merging import close
from memkit_sqlite.turns import microseconds


def to_thought(row: sqlite3.Row, until: datetime | None = None) -> Thought:
    """Return the thought of a row, as it was known at `until`. Raises DamagedRow."""
    try:
        thought = _parse_thought(row)
    except (TypeError, ValueError) as error:
        raise DamagedRow(
            f"thought {row['id']!r} of {row['user_id']!r}", str(error),
            "restore a backup, or delete the thought with the turns it was drawn from",
        ) from error  # fmt: skip
    if until is None or thought.closed_at is None or thought.closed_at <= until:
        return thought
    return close(thought, None)


def _parse_thought(row: sqlite3.Row) -> Thought:
    return Thought(
        id=row["id"], text=row["text"], head=row["head"], relation=row["relation"],
        tail=row["tail"], slot=row["slot"], kind=cast(ClaimKind, row["kind"]),
        said_by=row["said_by"], role=cast(Role, row["role"]),
        said_at=datetime.fromisoformat(row["said_at"]),
        repeated_at=datetime.fromisoformat(row["repeated_at"]),
        valid_from=datetime.fromisoformat(row["valid_from"]),
        valid_to=_to_time(row["valid_to"]), closed_at=_to_time(row["closed_at"]),
        closed_by=row["closed_by"], recorded_at=_to_time(row["recorded_at"]),
        retracted_at=_to_time(row["retracted_at"]),
        sources=tuple(
            Source(turn_id=turn, start=start, end=end)
            for turn, start, end in json.loads(row["sources"])
        ),
        conflicts=tuple(json.loads(row["conflicts"])),
        later=tuple(
            Quote(
                turn_id=turn, start=start, said_at=datetime.fromisoformat(said_at), text=text
            )
            for turn, start, said_at, text in json.loads(row["later"])
        ),
    )  # fmt: skip


def _to_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def to_columns(user_id: str, thought: Thought) -> dict[str, Any]:
    """Return the values of a thought's row by column. A time has a text and an integer column."""
    assert thought.recorded_at is not None
    valid_to, closed_at, retracted_at = thought.valid_to, thought.closed_at, thought.retracted_at
    return {
        "user_id": user_id, "id": thought.id, "text": thought.text, "head": thought.head,
        "relation": thought.relation, "tail": thought.tail, "slot": thought.slot,
        "kind": thought.kind, "said_by": thought.said_by, "role": thought.role,
        "said_at": thought.said_at.isoformat(), "said_us": microseconds(thought.said_at),
        "repeated_at": thought.repeated_at.isoformat(),
        "recorded_at": thought.recorded_at.isoformat(),
        "retracted_at": retracted_at and retracted_at.isoformat(),
        "valid_from": thought.valid_from.isoformat(),
        "valid_from_us": microseconds(thought.valid_from),
        "valid_to": valid_to and valid_to.isoformat(),
        "valid_to_us": valid_to and microseconds(valid_to),
        "closed_at": closed_at and closed_at.isoformat(),
        "closed_us": closed_at and microseconds(closed_at),
        "closed_by": thought.closed_by,
    }  # fmt: skip
