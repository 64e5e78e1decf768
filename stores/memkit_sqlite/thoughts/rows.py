"""Thoughts as SQLite rows: the queue for reflection, what a scope sees, and the rows of a write."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from memkit.protocols import QueuedTurn, ReflectionResult, Vectors, Window
from memkit.records import Scope, Source, Thought, Turn
from memkit_sqlite.ledger import kind_of_change
from memkit_sqlite.thoughts import bands
from memkit_sqlite.thoughts.columns import to_columns, to_thought
from memkit_sqlite.thoughts.damage import read_or_requeue
from memkit_sqlite.thoughts.lsh_index import LSHIndex
from memkit_sqlite.turns import (
    Fetch,
    change_layout,
    checked_vectors,
    microseconds,
    to_turn,
    to_turn_or_words,
    turn_filter,
)

_PAGE = 500

# A thought with its sources and conflicts as JSON. CROSS JOIN fixes the join order: SQLite's
# planner would start with all turns of the user.
_SOURCES = """(SELECT json_group_array(json_array(id, start, "end")) FROM
    (SELECT turns.id, s.start, s."end" FROM thought_sources s
     CROSS JOIN turns ON turns.seq = s.turn_seq
     WHERE s.thought_seq = t.seq AND {inside} ORDER BY turns.said_us, turns.position, s.start))"""
_COLUMNS = """SELECT t.*, {sources} AS sources,
    (SELECT json_group_array(id) FROM
        (SELECT o.id FROM conflicts c CROSS JOIN thoughts o ON o.seq = c.newer_seq
         WHERE c.older_seq = t.seq
         UNION ALL SELECT o.id FROM conflicts c CROSS JOIN thoughts o ON o.seq = c.older_seq
         WHERE c.newer_seq = t.seq)
    ) AS conflicts,
    (SELECT json_group_array(json_array(id, start, said_at, text)) FROM
        (SELECT DISTINCT turns.id, s.start, turns.said_at, unseal(o.text) AS text FROM conflicts c
         CROSS JOIN thoughts o ON o.seq = c.newer_seq AND o.retracted_at IS NULL
         CROSS JOIN thought_sources s ON s.thought_seq = o.seq
         CROSS JOIN turns ON turns.seq = s.turn_seq
         WHERE c.older_seq = t.seq AND {seen} ORDER BY turns.said_us, turns.position)
    ) AS later
    FROM thoughts t"""

# A scope sees a thought through the turns it was drawn from, and of these only its own.
_VISIBLE = """{columns}
    WHERE {user} = ? AND t.retracted_at IS NULL AND EXISTS (
        SELECT 1 FROM thought_sources s CROSS JOIN turns ON turns.seq = s.turn_seq
        WHERE s.thought_seq = t.seq AND {seen})"""

_NEXT = """SELECT turns.*, q.attempts FROM thinking q CROSS JOIN turns ON turns.seq = q.turn_seq
    WHERE q.user_id = ? AND q.again_us <= ? ORDER BY q.attempts, q.turn_seq LIMIT ?"""
_END_OF_TIME_US = 2**62


# ---- the queue of turns for reflection; a trigger queues a turn when it is stored


def next_batch(fetch: Fetch, scope: Scope, limit: int, now: datetime | None) -> list[QueuedTurn]:
    """Return the next turns of one session; a turn that failed before is returned alone."""
    due_us = _END_OF_TIME_US if now is None else microseconds(now)
    batch: list[QueuedTurn] = []
    for row in fetch(_NEXT, (scope.user_id, due_us, limit)):
        queued = QueuedTurn(turn=to_turn(row), attempts=row["attempts"])
        if batch and (queued.attempts or queued.turn.session_id != batch[0].turn.session_id):
            break
        batch.append(queued)
        if queued.attempts:
            break
    return batch


def record_failure(db: sqlite3.Connection, user_id: str, reflection: ReflectionResult) -> None:
    """Count a failed attempt, with its reason and the time of the next one.

    Nothing is counted if a turn was deleted meanwhile: the reason may quote it.
    """
    if not _is_unchanged(db, user_id, reflection.read):
        return
    again_us = None if reflection.again_at is None else microseconds(reflection.again_at)
    db.executemany(
        "UPDATE thinking SET attempts = attempts + 1, again_us = ?,"
        " failure = seal(user_id, ?) WHERE turn_seq ="
        " (SELECT seq FROM turns WHERE user_id = ? AND id = ?)",
        [(again_us, reflection.failure, user_id, turn_id) for turn_id in reflection.turns],
    )


def erase_failures(db: sqlite3.Connection, user_id: str) -> None:
    """Delete the reasons of failed work: they may quote any turn that was read for it."""
    db.execute(
        "UPDATE thinking SET failure = seal(user_id, ?) WHERE user_id = ? AND failure IS NOT NULL",
        ("the reason was deleted with a forgotten turn", user_id),
    )
    db.execute("UPDATE users SET failure = NULL WHERE user_id = ?", (user_id,))


def _is_unchanged(db: sqlite3.Connection, user_id: str, turns: Iterable[Turn]) -> bool:
    """Return whether all of these turns are stored as they were read."""
    sql = "SELECT * FROM turns WHERE user_id = ? AND id = ?"
    rows = ((turn, db.execute(sql, (user_id, turn.id)).fetchone()) for turn in turns)
    return all(row is not None and to_turn(row) == turn for turn, row in rows)


def unpark(db: sqlite3.Connection, user_id: str) -> None:
    """Make the turns that failed too often due again."""
    db.execute(
        "UPDATE thinking SET attempts = 0, again_us = 0 WHERE user_id = ? AND again_us IS NULL",
        (user_id,),
    )


# ---- what a scope sees


def _select(
    fetch: Fetch, scope: Scope, condition: str, values: Sequence[Any], until: datetime | None = None
) -> list[sqlite3.Row]:
    """Return the rows of the thoughts that the scope sees, from turns said by `until`."""
    inside, scope_values = turn_filter(scope, Window(until=until))
    partial = scope.session_id is not None or scope.agent_id is not None
    # a session or an agent does not see words that were said elsewhere
    seen = f"{inside} AND s.worded = 1" if partial else inside
    # the unary plus disables the index on user_id, which is slower where the rows are known
    user = "+t.user_id" if "t.seq IN" in condition else "t.user_id"
    columns = _COLUMNS.format(sources=_SOURCES.format(inside=inside), seen=seen)
    sql = _VISIBLE.format(columns=columns, user=user, seen=seen)
    return fetch(
        f"{sql} {condition}", [*scope_values, *scope_values, scope.user_id, *scope_values, *values]
    )


def read_open(fetch: Fetch, scope: Scope, at: datetime | None) -> Iterator[Thought]:
    """Yield the thoughts that hold now, or that held at `at` as far as is known now."""
    condition = "AND t.kind != 'denial' AND t.closed_by IS NULL"
    values: list[Any] = []
    if at is not None:
        condition = (
            "AND t.kind != 'denial' AND t.valid_from_us <= ?"
            " AND (t.valid_to_us IS NULL OR t.valid_to_us > ?)"
        )
        values = [microseconds(at)] * 2
    condition += f" AND t.seq > ? ORDER BY t.seq LIMIT {_PAGE}"
    last_seq = 0
    while True:
        page = _select(fetch, scope, condition, [*values, last_seq])
        yield from map(to_thought, page)
        if len(page) < _PAGE:
            return
        last_seq = page[-1]["seq"]


def read_history(fetch: Fetch, scope: Scope, thought_id: str) -> list[Thought]:
    """Return a thought with all that it closed or that closed it, oldest first."""
    linked = """AND t.id IN (WITH RECURSIVE linked (id) AS (SELECT ?
        UNION SELECT o.id FROM linked JOIN thoughts o ON o.user_id = ? AND o.closed_by = linked.id
        UNION SELECT o.closed_by FROM linked JOIN thoughts o ON o.user_id = ?
            AND o.id = linked.id AND o.closed_by IS NOT NULL)
        SELECT id FROM linked) ORDER BY t.said_us, t.seq"""
    rows = _select(fetch, scope, linked, [thought_id, scope.user_id, scope.user_id])
    return [to_thought(row) for row in rows]


def read_conflicts(fetch: Fetch, scope: Scope) -> list[tuple[Thought, Thought]]:
    """Return open thoughts that may contradict each other, the older first."""
    pairs = fetch(
        "SELECT o.seq, n.seq FROM conflicts c JOIN thoughts o ON o.seq = c.older_seq"
        " JOIN thoughts n ON n.seq = c.newer_seq WHERE o.user_id = ?"
        " AND o.closed_by IS NULL AND n.closed_by IS NULL ORDER BY o.seq, n.seq LIMIT ?",
        (scope.user_id, _PAGE),
    )
    visible = read_by_seq(fetch, scope, {seq for pair in pairs for seq in pair})
    return [
        (visible[older], visible[newer])
        for older, newer in pairs
        if older in visible and newer in visible
    ]


def read_superseded(fetch: Fetch, scope: Scope, limit: int) -> list[tuple[Thought, Thought]]:
    """Return the last superseded thoughts, each with the one that closed it, if that holds."""
    pairs = fetch(
        "SELECT o.seq, n.seq FROM thoughts o CROSS JOIN thoughts n ON n.user_id = o.user_id"
        " AND n.id = o.closed_by AND n.closed_by IS NULL AND n.kind != 'denial'"
        " WHERE o.user_id = ? AND o.closed_by IS NOT NULL ORDER BY o.seq DESC LIMIT ?",
        (scope.user_id, limit),
    )
    visible = read_by_seq(fetch, scope, {seq for pair in pairs for seq in pair})
    return [
        (visible[older], visible[newer])
        for older, newer in pairs
        if older in visible and newer in visible
    ]


def read_ended(fetch: Fetch, scope: Scope, limit: int) -> list[tuple[str, str]]:
    """Return the texts of the last thoughts that do not hold, with those that closed them."""
    rows = fetch(
        "SELECT o.text, n.text FROM thoughts o LEFT JOIN thoughts n ON n.user_id = o.user_id"
        " AND n.id = o.closed_by WHERE o.user_id = ?"
        " AND (o.closed_by IS NOT NULL OR o.retracted_at IS NOT NULL) ORDER BY o.seq DESC LIMIT ?",
        (scope.user_id, limit),
    )
    return [(older, newer or "") for older, newer in rows]


def count_derived(fetch: Fetch, scope: Scope, turn_ids: Sequence[str]) -> int:
    """Return how many thoughts come from any of these turns."""
    sql = (
        "SELECT count(DISTINCT s.thought_seq) FROM json_each(?) AS ids CROSS JOIN turns t"
        " ON t.user_id = ? AND t.id = ids.value"
        " CROSS JOIN thought_sources s ON s.turn_seq = t.seq"
    )
    return int(fetch(sql, (json.dumps(list(turn_ids)), scope.user_id))[0][0])


def read_by_seq(
    fetch: Fetch, scope: Scope, seqs: Iterable[int], until: datetime | None = None
) -> dict[int, Thought]:
    """Return the thoughts with these keys that the scope sees, by key."""
    rows = _select_said_by(fetch, scope, "t.seq", list(seqs), until)
    return {row["seq"]: to_thought(row, until) for row in rows}


def read_by_id(
    fetch: Fetch, scope: Scope, thought_id: str, until: datetime | None
) -> Thought | None:
    """Return the thought with this id, if the scope sees it."""
    rows = _select_said_by(fetch, scope, "t.id", [thought_id], until)
    return to_thought(rows[0], until) if rows else None


def _select_said_by(
    fetch: Fetch, scope: Scope, column: str, keys: Sequence[Any], until: datetime | None
) -> list[sqlite3.Row]:
    latest = 2**62 if until is None else microseconds(until)
    condition = (
        f"AND {column} IN (SELECT value FROM json_each(?)) AND t.said_us <= ? ORDER BY t.seq"
    )
    return _select(fetch, scope, condition, [json.dumps(keys), latest], until)


# ---- the rows of a write transaction


class SQLiteThoughtRows:
    """One user's thoughts inside a write transaction; a `memkit.thoughts.rows.ThoughtRows`.

    `open_index` returns the LSH index of the thoughts before the transaction. It is called before
    the first thought is written, and only if thoughts are added.
    """

    def __init__(
        self, db: sqlite3.Connection, user_id: str, open_index: Callable[[], LSHIndex]
    ) -> None:
        self._db, self._user_id, self._open_index = db, user_id, open_index
        self._inserted: list[tuple[int, Vectors]] = []  # keys and vectors not in the index yet
        # what was done, for the ledger and for receipts
        self.counts: Counter[str] = Counter()
        self.changed: dict[str, None] = {}  # ids, in order
        self.deleted: list[tuple[Thought, bytes]] = []  # with their vectors

    @cached_property
    def _index(self) -> LSHIndex:
        return self._open_index()

    def take(self, reflection: ReflectionResult) -> bool:
        """Remove the reflection's turns from the queue and count its rejected claims."""
        sql = (
            "SELECT q.turn_seq FROM thinking q JOIN turns ON turns.seq = q.turn_seq"
            " WHERE turns.user_id = ? AND turns.id = ?"
        )
        keys = [(self._user_id, turn_id) for turn_id in reflection.turns]
        queued = [self._db.execute(sql, key).fetchone() for key in keys]
        if None in queued or not _is_unchanged(self._db, self._user_id, reflection.read):
            return False  # a turn was deleted in the meantime, or another process was first
        self._db.executemany("DELETE FROM thinking WHERE turn_seq = ?", queued)
        self._db.execute(
            "UPDATE users SET rejected = rejected + ? WHERE user_id = ?",
            (reflection.rejected, self._user_id),
        )
        if reflection.thoughts:
            checked_vectors(
                reflection.vectors, (len(reflection.thoughts), self._index.dimension), "thought"
            )
        return True

    def find(
        self,
        *,
        ids: Sequence[str] = (),
        turn_ids: Sequence[str] = (),
        closed_by: Sequence[str] = (),
    ) -> list[Thought]:
        """Return the thoughts that meet the one given condition, in the order recorded."""
        values: list[object]
        if turn_ids:
            # the unary plus disables the index on user_id: the keys are known
            condition = """+t.user_id = ? AND t.seq IN (
                SELECT s.thought_seq FROM json_each(?) AS ids
                CROSS JOIN turns ON turns.user_id = ? AND turns.id = ids.value
                CROSS JOIN thought_sources s ON s.turn_seq = turns.seq)"""
            values = [self._user_id, json.dumps(list(turn_ids)), self._user_id]
        else:
            column, keys = ("t.id", ids) if ids else ("t.closed_by", closed_by)
            condition = f"t.user_id = ? AND {column} IN (SELECT value FROM json_each(?))"
            values = [self._user_id, json.dumps(list(keys))]
        rows = self._select(f"WHERE {condition} ORDER BY t.seq", values)
        return list(read_or_requeue(self._db, rows))

    def carriers(self) -> list[Thought]:
        """Return the thoughts whose words no source has."""
        rows = self._select(
            "WHERE t.user_id = ? AND NOT EXISTS (SELECT 1 FROM thought_sources s"
            " WHERE s.thought_seq = t.seq AND s.worded = 1) ORDER BY t.seq",
            [self._user_id],
        )
        return list(read_or_requeue(self._db, rows))

    def turns(self, ids: Sequence[str]) -> list[Turn]:
        """Return the stored turns with these ids, in any order."""
        rows = self._db.execute(
            "SELECT turns.* FROM json_each(?) AS ids"
            " CROSS JOIN turns ON turns.user_id = ? AND turns.id = ids.value",
            (json.dumps(list(ids)), self._user_id),
        )
        return [to_turn_or_words(row) for row in rows]

    def nearest(self, text: str, vector: Vectors, k: int) -> list[tuple[Thought, float]]:
        """Return at most `k` open thoughts and their cosines, nearest first."""
        bands.refresh(self._db)
        cosines = dict(self._index.nearest(vector, k))
        sql = "SELECT thought_seq FROM thought_bands WHERE user_id = ? AND band = ?"
        keys = [(self._user_id, band) for band in bands.bands_of(self._db, self._user_id, text)]
        sharing_a_band = {row[0] for key in keys for row in self._db.execute(sql, key)}
        seqs = np.array(sorted(sharing_a_band), dtype=np.int64)
        cosines |= self._index.cosines(seqs, vector)
        cosines |= {seq: float(inserted @ vector) for seq, inserted in self._inserted}
        open_seqs = self._db.execute(
            "SELECT seq FROM thoughts WHERE seq IN (SELECT value FROM json_each(?))"
            " AND closed_by IS NULL AND retracted_at IS NULL",
            (json.dumps(list(cosines)),),
        ).fetchall()
        best = sorted((seq for (seq,) in open_seqs), key=lambda seq: -cosines[seq])[:k]
        rows = self._select("WHERE t.seq IN (SELECT value FROM json_each(?))", [json.dumps(best)])
        thoughts = {row["seq"]: to_thought(row) for row in rows}
        return [(thoughts[seq], cosines[seq]) for seq in best]

    def sources(self, ids: Sequence[str]) -> dict[str, list[tuple[Source, Turn]]]:
        """Return the sources of these thoughts with their turns, in the order said, by id."""
        rows = self._db.execute(
            'SELECT ids.value AS thought_id, s.start, s."end", turns.* FROM json_each(?) AS ids'
            " CROSS JOIN thoughts t ON t.user_id = ? AND t.id = ids.value"
            " CROSS JOIN thought_sources s ON s.thought_seq = t.seq"
            " CROSS JOIN turns ON turns.seq = s.turn_seq"
            " ORDER BY turns.said_us, turns.position, s.start",
            (json.dumps(list(ids)), self._user_id),
        )
        sources: dict[str, list[tuple[Source, Turn]]] = {id: [] for id in ids}
        for row in rows:
            source = Source(turn_id=row["id"], start=row["start"], end=row["end"])
            sources[row["thought_id"]].append((source, to_turn_or_words(row)))
        return sources

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the unit vectors of these thoughts, shape (n, d), in the same order."""
        if not ids:
            return np.empty((0, self._index.dimension), dtype=np.float32)
        rows = self._db.execute(
            "SELECT v.vector FROM json_each(?) AS ids"
            " CROSS JOIN thoughts t ON t.user_id = ? AND t.id = ids.value"
            " CROSS JOIN thought_vectors v ON v.thought_seq = t.seq AND v.embedder = ?"
            " ORDER BY ids.key",
            (json.dumps(list(ids)), self._user_id, self._index.embedder),
        )
        data = b"".join(row[0] for row in rows)
        return np.frombuffer(data, dtype=np.float32).reshape(len(ids), -1)

    def insert(self, thought: Thought, vector: Vectors) -> None:
        """Insert a thought with its sources and its conflicts."""
        self.counts["inserted"] += 1
        self.changed[thought.id] = None
        columns = to_columns(self._user_id, thought)
        names, marks = ", ".join(columns), ", ".join(map(_parameter, columns))
        row = self._db.execute(
            f"INSERT INTO thoughts ({names}) VALUES ({marks}) RETURNING seq", columns
        ).fetchone()
        seq = int(row[0])
        self._db.execute(
            "INSERT INTO thought_vectors (thought_seq, embedder, vector, groups)"
            " VALUES (?1, ?2, seal(?3, ?4), seal(?3, ?5))",
            (
                seq,
                self._index.embedder,
                self._user_id,
                vector.tobytes(),
                self._index.groups_of(vector),
            ),
        )
        bands.insert(self._db, self._user_id, seq, thought.text)
        self._insert_sources(seq, thought.sources, verbatim=True)
        self._insert_conflicts(seq, thought, thought.conflicts)
        self._inserted.append((seq, vector))

    def update(
        self,
        before: Thought,
        after: Thought,
        *,
        vector: Vectors | None = None,
        verbatim: bool = False,
    ) -> None:
        """Write the differences between two versions of one thought."""
        old, new = (to_columns(self._user_id, thought) for thought in (before, after))
        changed = [name for name in new if new[name] != old[name]]
        if changed:
            assignments = ", ".join(f"{name} = {_parameter(name)}" for name in changed)
            self._db.execute(
                f"UPDATE thoughts SET {assignments} WHERE user_id = :user_id AND id = :id",
                new,
            )
        self.counts[kind_of_change(before, after)] += 1
        self.changed[after.id] = None
        old_links, new_links = (before.sources, before.conflicts), (after.sources, after.conflicts)
        if vector is None and old_links == new_links:
            return
        sql = "SELECT seq FROM thoughts WHERE user_id = ? AND id = ?"
        seq = int(self._db.execute(sql, (self._user_id, after.id)).fetchone()[0])
        if vector is not None:
            self._reindex(seq, after, vector)
        lost = set(before.sources) - set(after.sources)
        self._db.executemany(
            "DELETE FROM thought_sources WHERE thought_seq = ? AND start = ?"
            " AND turn_seq = (SELECT seq FROM turns WHERE user_id = ? AND id = ?)",
            [(seq, source.start, self._user_id, source.turn_id) for source in lost],
        )
        gained = set(after.sources) - set(before.sources)
        self._insert_sources(seq, gained, verbatim=verbatim)
        self._db.executemany(
            "DELETE FROM conflicts WHERE ?1 IN (older_seq, newer_seq)"
            " AND (SELECT seq FROM thoughts WHERE user_id = ?2 AND id = ?3)"
            " IN (older_seq, newer_seq)",
            [(seq, self._user_id, rival) for rival in set(before.conflicts) - set(after.conflicts)],
        )
        new_rivals = set(after.conflicts) - set(before.conflicts)
        self._insert_conflicts(seq, after, new_rivals)

    def delete(self, ids: Sequence[str], *, requeue: Sequence[str]) -> None:
        """Delete thoughts, and queue the turns `requeue` for reflection again."""
        self._db.execute(
            "INSERT OR IGNORE INTO thinking (turn_seq, user_id) SELECT turns.seq, ?1"
            " FROM json_each(?2) AS ids"
            " CROSS JOIN turns ON turns.user_id = ?1 AND turns.id = ids.value",
            (self._user_id, json.dumps(list(requeue))),
        )
        self.counts["deleted"] += len(ids)
        self.changed |= dict.fromkeys(ids)
        self.deleted += [
            (thought, self._read_vector(thought.id)) for thought in self.find(ids=ids) if ids
        ]
        self._db.executemany(
            "DELETE FROM thoughts WHERE user_id = ? AND id = ?",
            [(self._user_id, thought_id) for thought_id in ids],
        )

    def grow_index(self) -> None:
        """Rebuild the LSH index with more groups if the inserted thoughts outgrew it."""
        if self._inserted:
            self._index.grow(self._db, self._user_id)

    # ---- helpers

    def _read_vector(self, thought_id: str) -> bytes:
        row = self._db.execute(
            "SELECT v.vector FROM thoughts t JOIN thought_vectors v ON v.thought_seq = t.seq"
            " WHERE t.user_id = ? AND t.id = ?",
            (self._user_id, thought_id),
        ).fetchone()
        return bytes(row[0]) if row else b""

    def _select(self, condition: str, values: Sequence[object]) -> list[sqlite3.Row]:
        sql = _COLUMNS.format(sources="'[]'", seen="0")
        return self._db.execute(f"{sql} {condition}", values).fetchall()

    def _reindex(self, seq: int, thought: Thought, vector: Vectors) -> None:
        """Replace a thought's vector, groups and bands by those of its new text."""
        key = (seq, self._index.embedder)
        self._db.execute(
            "UPDATE thought_vectors SET vector = seal(?1, ?2), groups = seal(?1, ?3)"
            " WHERE thought_seq = ?4 AND embedder = ?5",
            (self._user_id, vector.tobytes(), self._index.groups_of(vector), *key),
        )
        # those of another embedder are of the old text; they are computed again
        self._db.execute("DELETE FROM thought_vectors WHERE thought_seq = ? AND embedder != ?", key)
        self._db.execute("UPDATE thought_sources SET worded = 0 WHERE thought_seq = ?", (seq,))
        bands.replace(self._db, self._user_id, seq, thought.text)
        change_layout(self._db, self._user_id)

    def _insert_sources(self, seq: int, sources: Iterable[Source], *, verbatim: bool) -> None:
        self._db.executemany(
            'INSERT OR IGNORE INTO thought_sources (thought_seq, turn_seq, start, "end", worded)'
            " SELECT ?, seq, ?, ?, ? FROM turns WHERE user_id = ? AND id = ?",
            [
                (seq, source.start, source.end, verbatim, self._user_id, source.turn_id)
                for source in sources
            ],
        )

    def _insert_conflicts(self, seq: int, thought: Thought, rivals: Iterable[str]) -> None:
        """Link a thought with its rivals; of each pair, the thought said earlier is the older."""
        self._db.executemany(
            "INSERT OR IGNORE INTO conflicts SELECT iif(earlier, seq, ?1), iif(earlier, ?1, seq)"
            " FROM (SELECT seq, said_us < ?2 AS earlier FROM thoughts"
            " WHERE user_id = ?3 AND id = ?4)",
            [(seq, microseconds(thought.said_at), self._user_id, rival) for rival in rivals],
        )


_SEALED = frozenset(("text", "head", "relation", "tail", "slot", "said_by"))  # columns with words


def _parameter(column: str) -> str:
    """Return the SQL of a column's new value."""
    return f"seal(:user_id, :{column})" if column in _SEALED else f":{column}"
