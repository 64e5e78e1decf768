"""One consistent state of a scope's searchable chunks. Every query includes the scope."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property

import numpy as np

from memkit.errors import StoreClosed
from memkit.filters import Filter
from memkit.protocols import (
    Integers,
    Mask,
    RecalledThought,
    RetrievedChunk,
    Timeline,
    Vectors,
    Window,
)
from memkit.records import Scope, Thought
from memkit.retrieval.ties import best_first
from memkit_sqlite import postings
from memkit_sqlite.cache import IndexCache, VectorRows
from memkit_sqlite.faiss_index import VectorIndex
from memkit_sqlite.thoughts import rows as thought_rows
from memkit_sqlite.thoughts.lsh_index import LSHIndex
from memkit_sqlite.timeline import ScopeView
from memkit_sqlite.turns import to_turn, turn_filter


class SQLiteSnapshot:
    """A `memkit.protocols.Snapshot` over one open read transaction.

    `view` has the scope's chunks; thoughts are as they were known at `until`; `where` limits what
    is near. The user's vectors and LSH index are opened only if needed: it checks that the memory
    still has its embedder.
    """

    def __init__(
        self, db: sqlite3.Connection, scope: Scope, view: ScopeView, *, until: datetime | None,
        where: Filter | None, cache: IndexCache, open_vectors: Callable[[], VectorRows],
        open_lsh_index: Callable[[], LSHIndex],
    ) -> None:  # fmt: skip
        self._db, self._scope, self._until, self._cache = db, scope, until, cache
        self._where = where
        self._view: ScopeView | None = view
        self._open_vectors, self._open_lsh_index = open_vectors, open_lsh_index

    def end(self) -> None:
        """Close the snapshot; nothing can be read afterwards."""
        self._view = None

    @property
    def _open_view(self) -> ScopeView:
        if self._view is None:
            raise StoreClosed(
                "this snapshot is closed; read from it inside the block of `with store.snapshot()`"
            )
        return self._view

    @cached_property
    def _index(self) -> VectorIndex:
        return self._cache.fresh(self._open_vectors())

    @cached_property
    def _term_keys(self) -> postings.TermKeys:
        return postings.term_keys(self._db, self._scope.user_id)

    @property
    def timeline(self) -> Timeline:
        """Return all chunks of the scope in order; the arrays are shared and read-only."""
        return self._open_view.timeline

    @cached_property
    def _positions(self) -> Integers | None:
        """The positions of the user's turns that match `where`, ascending."""
        if self._where is None:
            return None
        return self._cache.matching(self._db, self._scope.user_id, self._where)

    @cached_property
    def matching(self) -> Mask | None:
        """Return which rows match the snapshot's filter, shape (n,); None: there is no filter."""
        if self._positions is None:
            return None
        return np.isin(self._open_view.timeline.turns, self._positions, kind="table")

    def nearest(self, vector: Vectors, k: int) -> tuple[Integers, Vectors]:
        """Return at most `k` matching rows and their cosines with `vector`, shape (d,).

        The nearest comes first; of equally near rows the newest.
        """
        view = self._open_view
        hits: list[tuple[int, float]] = []
        seqs = view.seqs if self.matching is None else view.seqs[self.matching]
        if k > 0 and len(seqs):
            is_whole = view.whole and len(seqs) == len(view.seqs)
            hits = self._index.search(vector, k, None if is_whole else seqs)
        rows = view.rows_of(np.array([seq for seq, _ in hits], dtype=np.int64))
        cosines = np.array([cosine for _, cosine in hits], dtype=np.float32)
        rows, cosines = rows[rows >= 0], cosines[rows >= 0]
        best = best_first(cosines, view.timeline, rows, k)
        return rows[best], cosines[best]

    def postings(self, word: str) -> Integers:
        """Return the rows that contain `word` or a form of it in text or date, ascending."""
        rows = self._open_view.rows_of(postings.find(self._db, self._term_keys.phrase(word)))
        return np.sort(rows[rows >= 0])

    def vectors(self, rows: Integers) -> Vectors:
        """Return the unit vectors of these rows, shape (n, d)."""
        return self._index.of(self._open_view.seqs[rows])

    def chunks(self, rows: Integers) -> list[RetrievedChunk]:
        """Return the chunks of these rows with their turns, in the same order."""
        seqs = self._open_view.seqs[rows].tolist()
        where, values = turn_filter(self._scope, Window())
        chunk_rows = self._db.execute(
            'SELECT turns.*, c.seq AS c_seq, c.id AS c_id, c.start, c."end"'
            " FROM json_each(?) AS seqs CROSS JOIN chunks c ON c.seq = seqs.value"
            f" CROSS JOIN turns ON turns.seq = c.turn_seq WHERE {where}",
            [json.dumps(list(dict.fromkeys(seqs))), *values],
        )
        by_seq = {
            row["c_seq"]: RetrievedChunk(
                chunk_id=row["c_id"], turn=to_turn(row), start=row["start"], end=row["end"]
            )
            for row in chunk_rows
        }
        return [by_seq[seq] for seq in seqs]

    def thoughts(self, vector: Vectors, k: int) -> list[RecalledThought]:
        """Return at most `k` thoughts near `vector`, nearest first, including closed ones.

        With a filter these are the thoughts of which every source matches it.
        """
        index = self._open_lsh_index()
        depth = k
        while True:
            hits = index.nearest(vector, depth)
            seqs = self._only_matching([seq for seq, _ in hits])
            visible = thought_rows.read_by_seq(self._fetch, self._scope, seqs, self._until)
            if len(visible) >= k or len(hits) < depth:
                break
            depth *= 4  # many nearer ones are from other sessions, or were said later
        nearest = [(visible[seq], cosine) for seq, cosine in hits if seq in visible][:k]
        current = [self._current(thought) for thought, _ in nearest]
        rows = self._rows_of_sources(
            [thought for thought, _ in nearest] + [thought for thought in current if thought]
        )
        none = np.empty(0, dtype=np.int64)
        return [
            RecalledThought(
                thought=thought, cosine=cosine, rows=rows.get(thought.id, none), current=holding,
                current_rows=rows.get(holding.id, none) if holding else none,
            )
            for (thought, cosine), holding in zip(nearest, current, strict=True)
        ]  # fmt: skip

    def _current(self, thought: Thought) -> Thought | None:
        """Return the thought that holds in place of this one, None if it is out of scope."""
        while thought.closed_by is not None:
            closer = thought_rows.read_by_id(
                self._fetch, self._scope, thought.closed_by, self._until
            )
            if closer is None or not self._matches(closer):
                return None
            thought = closer
        return thought

    def _matches(self, thought: Thought) -> bool:
        sql = "SELECT seq FROM thoughts WHERE user_id = ? AND id = ?"
        seqs = [row[0] for row in self._fetch(sql, (self._scope.user_id, thought.id))]
        return bool(self._only_matching(seqs))

    def _only_matching(self, seqs: list[int]) -> list[int]:
        """Return the keys of the thoughts of which every source matches the filter."""
        if self._positions is None:
            return seqs
        sources = self._fetch(
            "SELECT s.thought_seq, turns.position FROM json_each(?) AS seqs"
            " CROSS JOIN thought_sources s ON s.thought_seq = seqs.value"
            " CROSS JOIN turns ON turns.seq = s.turn_seq",
            (json.dumps(seqs),),
        )
        positions = np.array([row[1] for row in sources], dtype=np.int64)
        matches = np.isin(positions, self._positions)
        others = {row[0] for row, match in zip(sources, matches, strict=True) if not match}
        return [seq for seq in seqs if seq not in others]

    def _rows_of_sources(self, thoughts: Sequence[Thought]) -> dict[str, Integers]:
        """Return the timeline rows of the chunks each thought was drawn from, by its id."""
        sources = {
            (thought.id, source.turn_id, source.start)
            for thought in thoughts
            for source in thought.sources
        }
        found = self._fetch(
            "SELECT source.value ->> 0, c.seq FROM json_each(?) AS source"
            " CROSS JOIN turns t ON t.user_id = ? AND t.id = source.value ->> 1"
            " CROSS JOIN chunks c ON c.turn_seq = t.seq AND c.hidden = 0"
            ' AND source.value ->> 2 >= c.start AND source.value ->> 2 < c."end"',
            (json.dumps(sorted(sources)), self._scope.user_id),
        )
        seqs = np.array([row[1] for row in found], dtype=np.int64)
        rows: dict[str, list[int]] = {}
        for (thought_id, _), row in zip(found, self._open_view.rows_of(seqs).tolist(), strict=True):
            if row >= 0:
                rows.setdefault(thought_id, []).append(row)
        return {thought_id: np.unique(its_rows) for thought_id, its_rows in rows.items()}

    def _fetch(self, sql: str, values: Sequence[object]) -> list[sqlite3.Row]:
        return self._db.execute(sql, values).fetchall()
