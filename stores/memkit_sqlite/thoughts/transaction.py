"""A user's thoughts while a transaction changes them: what a new one has to be compared with."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from memkit.protocols import Integers, Vectors
from memkit.records import Scope, Thought
from memkit.thoughts.near_duplicates import bands
from memkit_sqlite.thoughts.lsh_index import HashedThoughts
from memkit_sqlite.thoughts.rows import to_thought

_BARE = "SELECT t.*, '[]' AS sources, '[]' AS conflicts"  # what hangs on a thought is left out
_COMPARED = 8  # nearest thoughts that a new one is compared with


@dataclass(slots=True)
class ThoughtTransaction:
    """A user's thoughts while a transaction changes them."""

    db: sqlite3.Connection
    user: str
    read: Callable[[], HashedThoughts]  # once, and before anything is written
    new: list[tuple[int, Vectors]] = field(default_factory=list)  # rows not in `hashed` yet
    _hashed: HashedThoughts | None = None

    @property
    def hashed(self) -> HashedThoughts:
        """Return the user's thoughts as they were before the transaction."""
        self._hashed = self._hashed or self.read()
        return self._hashed

    @property
    def scope(self) -> Scope:
        """Return all that is the user's."""
        return Scope(user_id=self.user)

    def fetch(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return all rows of one query."""
        return self.db.execute(sql, values).fetchall()

    def of_slot(self, slot: str) -> list[Thought]:
        """Return a slot's thoughts in the order they were recorded, without their sources."""
        found = self.fetch(
            f"{_BARE} FROM thoughts t WHERE t.user_id = ? AND t.slot = ?"
            " AND t.retracted_at IS NULL ORDER BY t.seq",
            (self.user, slot),
        )
        return [to_thought(row) for row in found]

    def like(self, thought: Thought, vector: Vectors) -> list[tuple[Thought, float]]:
        """Return open thoughts that share a group or a band with this one, nearest first."""
        cosines = dict(self.hashed.nearest(vector, _COMPARED))
        cosines |= self.hashed.cosines(self._banded(thought.text), vector)
        cosines |= {row: float(other @ vector) for row, other in self.new}
        nearest = sorted(self._joinable(cosines), key=lambda row: -cosines[row])[:_COMPARED]
        rows = self.fetch(
            f"{_BARE} FROM json_each(?) AS wanted CROSS JOIN thoughts t ON t.seq = wanted.value",
            (json.dumps(nearest),),
        )
        known = {row["seq"]: to_thought(row) for row in rows}
        return [(known[row], cosines[row]) for row in nearest]

    def _banded(self, text: str) -> Integers:
        sql = "SELECT thought_seq FROM thought_bands WHERE user_id = ? AND band = ?"
        found = [row[0] for band in bands(text) for row in self.fetch(sql, (self.user, band))]
        return np.array(sorted(set(found)), dtype=np.int64)

    def _joinable(self, rows: Iterable[int]) -> list[int]:
        """Return which of these rows hold, and have no slot that says what they belong to."""
        sql = (
            "SELECT seq FROM thoughts WHERE seq IN (SELECT value FROM json_each(?))"
            " AND slot IS NULL AND closed_by IS NULL AND retracted_at IS NULL"
        )
        return [row[0] for row in self.fetch(sql, (json.dumps(list(rows)),))]

    def concluded(self, turns: Sequence[str]) -> list[tuple[Thought, Vectors]]:
        """Return what was drawn from these turns before, once for each place it comes from.

        What is closed or was taken back is among it.
        """
        found = self.fetch(
            'SELECT t.*, json_array(json_array(turns.id, s.start, s."end")) AS sources,'
            " '[]' AS conflicts, v.vector FROM json_each(?) AS wanted"
            " CROSS JOIN turns ON turns.user_id = ? AND turns.id = wanted.value"
            " CROSS JOIN thought_sources s ON s.turn_seq = turns.seq"
            " CROSS JOIN thoughts t ON t.seq = s.thought_seq"
            " CROSS JOIN thought_vectors v ON v.thought_seq = t.seq AND v.embedder = ?",
            (json.dumps(list(turns)), self.user, self.hashed.embedder),
        )
        return [(to_thought(row), np.frombuffer(row["vector"], np.float32)) for row in found]
