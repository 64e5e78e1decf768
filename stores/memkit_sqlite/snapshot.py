"""One state of what is searchable inside a scope. The scope is part of every question."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np

from memkit.errors import StoreClosed
from memkit.protocols import Integers, Match, RecalledThought, Timeline, Vectors, Window
from memkit.records import Scope, Thought
from memkit.text.words import pairs
from memkit_sqlite.cache import IndexCache, Rows
from memkit_sqlite.thoughts.lsh_index import HashedThoughts
from memkit_sqlite.thoughts.rows import of_ids, of_rows
from memkit_sqlite.timeline import ScopeView
from memkit_sqlite.turns import integers, scope_tokens, to_turn, turn_filter

_HAVING = "SELECT group_concat(rowid) FROM searchable_fts WHERE searchable_fts MATCH ?"


class SQLiteSnapshot:
    """A `memkit.protocols.Reading`; its rows and its index are those of one open snapshot."""

    def __init__(
        self, db: sqlite3.Connection, scope: Scope, part: ScopeView, *, until: datetime | None,
        cache: IndexCache, rows: Callable[[], Rows], hashed: Callable[[], HashedThoughts],
    ) -> None:  # fmt: skip
        self._db, self._scope, self._until, self._cache = db, scope, until, cache
        self._part: ScopeView | None = part
        self._rows, self._hashed = rows, hashed  # ask which embedder is in use: only for vectors

    def end(self) -> None:
        """Let go of the snapshot; nothing can be read afterwards."""
        self._part = None

    @property
    def _open(self) -> ScopeView:
        if self._part is None:
            raise StoreClosed("this reading is over; read inside the block that it was given to")
        return self._part

    @property
    def timeline(self) -> Timeline:
        """Return all of them in order; the arrays are shared, and read-only for that."""
        return self._open.timeline

    def nearest(self, vector: Vectors, k: int) -> tuple[Integers, Vectors]:
        """Return at most `k` places and their cosines with `vector`, shape (d,), nearest first."""
        part = self._open
        found: list[tuple[int, float]] = []
        if k > 0 and len(part.rows):
            index = self._cache.fresh(self._rows())
            found = index.search(vector, k, None if part.whole else part.rows)
        rows = np.array([row for row, _ in found], dtype=np.int64)
        cosines = np.array([cosine for _, cosine in found], dtype=np.float32)
        places = part.places(rows)
        return places[places >= 0], cosines[places >= 0]

    def postings(self, word: str) -> Integers:
        """Return the places that have `word`, a form of it, or it in their date; ascending."""
        part, scope = self._open, self._scope
        tokens = " AND ".join(scope_tokens(scope.user_id, scope.agent_id, scope.session_id))
        match = f"scope : ({tokens}) AND {{text said}} : ({_phrase(word)})"
        rows = integers(self._db.execute(_HAVING, (match,)).fetchone()[0])
        places = part.places(rows)
        return np.sort(places[places >= 0])

    def vectors(self, places: Integers) -> Vectors:
        """Return the unit vectors of these places, shape (n, d)."""
        rows = self._rows()
        wanted = self._open.rows[places]
        index = self._cache.fresh(rows)
        return index.of(wanted) if index.kind == "flat" else rows.of(wanted)

    def matches(self, places: Integers) -> list[Match]:
        """Return these places with their turns, in the order given."""
        wanted = self._open.rows[places].tolist()
        where, values = turn_filter(self._scope, Window())
        found = self._db.execute(
            'SELECT turns.*, c.seq AS c_seq, c.id AS c_id, c.start, c."end"'
            " FROM json_each(?) AS wanted CROSS JOIN chunks c ON c.seq = wanted.value"
            f" CROSS JOIN turns ON turns.seq = c.turn_seq WHERE {where}",
            [json.dumps(list(dict.fromkeys(wanted))), *values],
        )
        matches = {
            row["c_seq"]: Match(
                chunk_id=row["c_id"], turn=to_turn(row), start=row["start"], end=row["end"]
            )
            for row in found
        }
        return [matches[row] for row in wanted]

    def thoughts(self, vector: Vectors, k: int) -> list[RecalledThought]:
        """Return at most `k` thoughts near `vector`, nearest first, with what replaced each."""
        hashed = self._hashed()
        depth = k
        while True:
            near = hashed.nearest(vector, depth)
            known = of_rows(self._fetch, self._scope, [seq for seq, _ in near], self._until)
            if len(known) >= k or len(near) < depth:
                break
            depth *= 4  # many nearer ones are of other sessions, or were said later
        found = [(known[seq], cosine) for seq, cosine in near if seq in known][:k]
        now = [self._now(thought) for thought, _ in found]
        places = self._places([thought for thought, _ in found] + [one for one in now if one])
        nowhere = np.empty(0, dtype=np.int64)
        return [
            RecalledThought(
                thought=thought, cosine=cosine, places=places.get(thought.id, nowhere),
                now=held, now_places=places.get(held.id, nowhere) if held else nowhere,
            )
            for (thought, cosine), held in zip(found, now, strict=True)
        ]  # fmt: skip

    def _now(self, thought: Thought) -> Thought | None:
        """Return what holds in a thought's place; None: what closed it is outside the scope."""
        while thought.closed_by is not None:
            found = of_ids(self._fetch, self._scope, [thought.closed_by], self._until)
            if not found:
                return None
            thought = found[0]
        return thought

    def _fetch(self, sql: str, values: Sequence[object]) -> list[sqlite3.Row]:
        return self._db.execute(sql, values).fetchall()

    def _places(self, thoughts: Sequence[Thought]) -> dict[str, Integers]:
        """Return where each thought's sources stand, by its id."""
        wanted = {
            (thought.id, one.turn_id, one.start) for thought in thoughts for one in thought.sources
        }
        found = self._fetch(
            "SELECT wanted.value ->> 0, c.seq FROM json_each(?) AS wanted"
            " CROSS JOIN turns t ON t.user_id = ? AND t.id = wanted.value ->> 1"
            " CROSS JOIN chunks c ON c.turn_seq = t.seq AND c.hidden = 0"
            ' AND wanted.value ->> 2 >= c.start AND wanted.value ->> 2 < c."end"',
            (json.dumps(sorted(wanted)), self._scope.user_id),
        )
        rows = np.array([row[1] for row in found], dtype=np.int64)
        places: dict[str, list[int]] = {}
        for (thought, _), place in zip(found, self._open.places(rows).tolist(), strict=True):
            if place >= 0:
                places.setdefault(thought, []).append(place)
        return {thought: np.unique(own) for thought, own in places.items()}


def _phrase(word: str) -> str:
    """Return `word` as an FTS5 string, in which only a quote and NUL mean anything.

    What is written without spaces stands in the index as pairs of characters; a single character
    is the beginning of some.
    """
    split = pairs(word)
    if split and len(split) == len(word):
        word = " ".join(split[:-1] or split)
    quoted = '"' + word.replace('"', '""').replace("\0", " ") + '"'
    return f"{quoted} *" if len(split) == len(word) == 1 else quoted
