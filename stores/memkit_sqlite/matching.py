"""Which of a user's turns match a filter: a cache in memory that follows the rows.

The first search with a filter reads the columns that it names of all the user's turns; later ones
read only new turns.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np

from memkit.filters import Filter
from memkit.protocols import Integers
from memkit_sqlite.turns import lenient_text, load_tags, read_layout

_READERS: Mapping[str, Callable[[Any], object]] = {
    "metadata": lambda value: json.loads(value or "{}"),
    "tags": load_tags,
    "said_at": datetime.fromisoformat,
    "stored_at": datetime.fromisoformat,
}  # of columns that are not what the turn's attribute is


class MatchingTurns:
    """The positions of a user's turns that match one filter, ascending."""

    def __init__(self, where: Filter) -> None:
        self._where = where
        self._layout, self._last = 0, 0  # of the rows, and the last position that was read
        self.positions: Integers = np.empty(0, dtype=np.int64)

    @property
    def size(self) -> int:
        """Return the approximate size in bytes."""
        return self.positions.nbytes

    def refresh(self, db: sqlite3.Connection, user_id: str) -> None:
        """Read the turns stored since, or all of them if others were changed or deleted."""
        layout = read_layout(db, user_id)
        if layout != self._layout:
            self._layout, self._last, self.positions = layout, 0, self.positions[:0]
        with lenient_text(db):  # one damaged row must not end every search
            new = self._read(db, user_id)
        if new:
            self.positions = np.concatenate([self.positions, np.array(new, dtype=np.int64)])

    def _read(self, db: sqlite3.Connection, user_id: str) -> list[int]:
        """Return the matching positions after the last one that was read."""
        names = sorted(self._where.attributes)
        rows = db.execute(
            f"SELECT position, {', '.join(names)} FROM turns WHERE user_id = ? AND position > ?"
            " ORDER BY position",
            (user_id, self._last),
        )
        known: dict[tuple[object, ...], bool] = {}  # many turns have equal values
        matching: list[int] = []
        for position, *values in rows:
            key = tuple(values)
            if key not in known:
                known[key] = self._matches(dict(zip(names, values, strict=True)))
            if known[key]:
                matching.append(position)
            self._last = position
        return matching

    def _matches(self, values: Mapping[str, Any]) -> bool:
        turn: Any = SimpleNamespace(**values)
        try:
            for name in _READERS.keys() & values.keys():
                setattr(turn, name, _READERS[name](values[name]))
            return self._where.matches(turn)
        except (TypeError, ValueError):  # a damaged row, which `doctor` names, is no hit
            return False
