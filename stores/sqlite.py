"""The default store: one SQLite file holds the truth, FAISS files beside it are a cache.

One connection behind a lock serves all threads; several processes may share the file (WAL).
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from memkit.errors import EmbeddingMismatch, StoreReadOnly, TurnConflict
from memkit.protocols import (
    Changes,
    ChunkAge,
    Embedder,
    Fingerprint,
    Match,
    Query,
    Vectors,
    Window,
)
from memkit.records import Role, Scope, Summary, Turn
from stores import check, reembed, schema
from stores.faults import in_our_words
from stores.index import IndexCache, Rows
from stores.vectors import VectorIndex

_BUSY_MS = 30_000
_PAGE = 500  # turns read at a time, so that a long history never stands in memory whole
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Return whole microseconds since 1970, so that times sort across timezones."""
    delta = time - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _token(prefix: str, value: str) -> str:
    return prefix + hashlib.blake2b(value.encode(), digest_size=16).hexdigest()


def _scope_tokens(user_id: str, agent_id: str | None, session_id: str | None) -> list[str]:
    """Return the words that stand for a scope in the full-text index."""
    parts = (("u", user_id), ("a", agent_id), ("s", session_id))
    return [_token(prefix, value) for prefix, value in parts if value is not None]


class SQLiteStore:
    """Keeps one memory in one file, or in RAM for ":memory:".

    Args:
        url: a path, ":memory:" or "sqlite:///PATH".
        fingerprint: the embedder that will be used; None skips the check (for repairs).

    Raises:
        EmbeddingMismatch: the file was embedded with another model.
        StoreError: one of its kinds, if the file cannot be opened.
    """

    def __init__(self, url: str, fingerprint: Fingerprint | None = None) -> None:
        self.url = url.removeprefix("sqlite:///")
        self.path = None if self.url == ":memory:" else Path(self.url)
        self._lock = threading.RLock()
        with in_our_words(self.url):
            self._connection = self._connect()
            try:
                self._open(fingerprint)
            except BaseException:
                self._connection.close()
                raise

    def _connect(self) -> sqlite3.Connection:
        if self.path is not None and self.path.is_dir():
            raise StoreReadOnly(f"{self.url} is a folder; give the path of a file")
        connection = sqlite3.connect(
            self.url, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _open(self, fingerprint: Fingerprint | None) -> None:
        execute = self._connection.execute
        execute("PRAGMA foreign_keys = ON")
        execute("PRAGMA recursive_triggers = ON")
        execute("PRAGMA secure_delete = ON")
        execute("SELECT count(*) FROM sqlite_master")  # reads the header: is it SQLite at all?
        with self._transaction():
            schema.prepare(self._connection, self.url)
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")  # an acknowledged turn survives a power cut
        self.store_id: str = execute("SELECT value FROM meta WHERE key='store_id'").fetchone()[0]
        self.fingerprint = self._agree(fingerprint)
        folder = None if self.path is None else Path(f"{self.path}.index")
        self._cache = IndexCache(folder, self.store_id)

    def _agree(self, given: Fingerprint | None) -> Fingerprint | None:
        """Return the embedder in use; a new memory takes the one given."""
        stored = self._current()
        if stored is None and given is not None:
            with self._transaction():
                self._connection.execute(
                    "INSERT OR IGNORE INTO embedders (model, revision, dimension, current)"
                    " SELECT ?, ?, ?, 1 WHERE NOT EXISTS (SELECT 1 FROM embedders WHERE current)",
                    (given.model, given.revision, given.dimension),
                )
            stored = self._current()
        if stored is not None and given is not None and stored[1] != given:
            raise EmbeddingMismatch(str(stored[1]), str(given), self.url)
        return stored[1] if stored else None

    def _current(self) -> tuple[int, Fingerprint] | None:
        row = self._connection.execute("SELECT * FROM embedders WHERE current").fetchone()
        if row is None:
            return None
        return row["id"], Fingerprint(
            model=row["model"], revision=row["revision"], dimension=row["dimension"]
        )

    def _embedder(self) -> int:
        """Return the number of the embedder in use, if it still is the one opened with."""
        current = self._current()
        if current is None or current[1] != self.fingerprint:
            new = "none" if current is None else str(current[1])
            raise EmbeddingMismatch(new, str(self.fingerprint), self.url)
        return current[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block whole or not at all, alone among all writers of all processes."""
        with self._lock, in_our_words(self.url):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _fetch(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock, in_our_words(self.url):
            return self._connection.execute(sql, values).fetchall()

    # ---- writing

    def write(self, scope: Scope, changes: Changes) -> int:
        """Write all of `changes` or nothing; return the user's turn count afterwards."""
        user = scope.user_id
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO users (user_id) VALUES (?)", (user,))
            new = self._new_turns(user, changes.turns)
            if new:
                self._insert(user, new, changes)
            self._summarise(user, changes.summaries)
            self._set_hidden(user, changes.hide, 1)
            self._set_hidden(user, changes.show, 0)
            db.executemany(
                "UPDATE chunks SET retrieved = max(coalesce(retrieved, 0), ?)"
                " WHERE user_id = ? AND id = ?",
                [(turn, user, chunk) for chunk, turn in changes.retrieved.items()],
            )
            if changes.forget:
                self._forget(user, changes.forget)
            if changes.failure or changes.summaries:
                db.execute(
                    "UPDATE users SET failure = ? WHERE user_id = ?", (changes.failure, user)
                )
            row = db.execute("SELECT turns FROM users WHERE user_id = ?", (user,)).fetchone()
            if changes.forget:
                self._cache.drop(user)
        return int(row[0])

    def _new_turns(self, user: str, turns: Sequence[Turn]) -> dict[str, Turn]:
        """Return the turns not stored yet, by id, or raise `TurnConflict`."""
        ids = json.dumps([turn.id for turn in turns])
        known = dict(
            self._connection.execute(
                "SELECT id, text FROM turns WHERE user_id = ?"
                " AND id IN (SELECT value FROM json_each(?))",
                (user, ids),
            ).fetchall()
        )
        new: dict[str, Turn] = {}
        for turn in turns:
            assert turn.id is not None
            there = known.get(turn.id) or (new[turn.id].text if turn.id in new else None)
            if there is None:
                new[turn.id] = turn
            elif there != turn.text:
                raise TurnConflict(turn.id)
        return new

    def _insert(self, user: str, new: dict[str, Turn], changes: Changes) -> None:
        db = self._connection
        embedder = self._embedder()
        count = db.execute("SELECT turns FROM users WHERE user_id = ?", (user,)).fetchone()[0]
        db.executemany(
            "INSERT INTO turns (user_id, id, position, session_id, agent_id, role, name, text,"
            " said_at, said_us, stored_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [_turn_row(user, count + n, turn) for n, turn in enumerate(new.values(), start=1)],
        )
        db.execute("UPDATE users SET turns = turns + ? WHERE user_id = ?", (len(new), user))
        first = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM chunks").fetchone()[0]
        sequence = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
        first = max(first, sequence[0] + 1 if sequence else 1)  # never reuse a forgotten row
        kept = [(n, chunk) for n, chunk in enumerate(changes.chunks) if chunk.turn_id in new]
        scopes = {
            turn_id: " ".join(_scope_tokens(user, turn.agent_id, turn.session_id))
            for turn_id, turn in new.items()
        }
        db.executemany(
            "INSERT INTO chunks (seq, user_id, id, turn_seq, start, \"end\", text, scope) VALUES"
            " (?, ?, ?, (SELECT seq FROM turns WHERE user_id = ? AND id = ?), ?, ?, ?, ?)",
            [
                (first + m, user, chunk.id, user, chunk.turn_id, chunk.start, chunk.end,
                 chunk.text, scopes[chunk.turn_id])
                for m, (_, chunk) in enumerate(kept)
            ],
        )  # fmt: skip
        if changes.vectors is None:
            raise ValueError("changes with chunks need their vectors")
        vectors = np.ascontiguousarray(changes.vectors, dtype=np.float32)
        db.executemany(
            "INSERT INTO vectors (chunk_seq, embedder, vector) VALUES (?, ?, ?)",
            [(first + m, embedder, vectors[n].tobytes()) for m, (n, _) in enumerate(kept)],
        )

    def _summarise(self, user: str, summaries: Sequence[Summary]) -> None:
        for summary in summaries:
            row = self._connection.execute(
                "INSERT OR IGNORE INTO summaries (user_id, id, level, through, tokens, text,"
                " created_at) VALUES (?,?,?,?,?,?,?) RETURNING seq",
                (user, summary.id, summary.level, summary.through, summary.tokens, summary.text,
                 summary.created_at.isoformat()),
            ).fetchone()  # fmt: skip
            if row is None:
                continue  # another process was first with this version
            self._connection.executemany(
                "INSERT INTO summary_sources VALUES (?, ?, ?)",
                [(row[0], n, source) for n, source in enumerate(summary.sources)],
            )
            self._connection.execute(
                "UPDATE users SET summarised = max(summarised, ?) WHERE user_id = ?",
                (summary.through, user),
            )

    def _set_hidden(self, user: str, chunk_ids: Sequence[str], hidden: int) -> None:
        if not chunk_ids:
            return
        self._connection.execute(
            "UPDATE chunks SET hidden = ? WHERE user_id = ? AND hidden != ?"
            " AND id IN (SELECT value FROM json_each(?))",
            (hidden, user, hidden, json.dumps(list(chunk_ids))),
        )
        self._relayout(user)

    def _relayout(self, user: str) -> None:
        self._connection.execute("UPDATE users SET layout = layout + 1 WHERE user_id = ?", (user,))

    def _forget(self, user: str, turn_ids: Sequence[str]) -> None:
        """Delete turns, what hangs on them, and every summary that took one of them in."""
        ids = json.dumps(list(turn_ids))
        where = "user_id = ? AND id IN (SELECT value FROM json_each(?))"
        earliest = self._connection.execute(
            f"SELECT min(position) FROM turns WHERE {where}", (user, ids)
        ).fetchone()[0]
        if earliest is None:
            return
        self._connection.execute(f"DELETE FROM turns WHERE {where}", (user, ids))
        self._connection.execute(
            "DELETE FROM summaries WHERE user_id = ? AND through >= ?", (user, earliest)
        )
        self._connection.execute(
            "UPDATE users SET summarised = coalesce((SELECT max(through) FROM summaries"
            " WHERE user_id = ?1 AND level = 1), 0) WHERE user_id = ?1",
            (user,),
        )
        self._relayout(user)

    # ---- reading

    def turns(self, scope: Scope, window: Window) -> Iterator[Turn]:
        """Yield the scope's turns in the order they were said, read lazily."""
        where, values = _turn_filter(scope, window)
        if window.last is not None:
            sql = f"SELECT * FROM turns WHERE {where} ORDER BY said_us DESC, position DESC LIMIT ?"
            yield from map(_turn, reversed(self._fetch(sql, [*values, window.last])))
            return
        # keyset pages: no lock is held between them, and nothing is skipped or read twice
        order = "position, 0" if window.after is not None else "said_us, position"
        key: tuple[int, int] = (-(2**62), 0)
        while True:
            page = self._fetch(
                f"SELECT * FROM turns WHERE {where} AND ({order}) > (?, ?)"
                f" ORDER BY {order.removesuffix(', 0')} LIMIT ?",
                [*values, *key, _PAGE],
            )
            yield from map(_turn, page)
            if len(page) < _PAGE:
                return
            last = page[-1]
            by_position = window.after is not None
            key = (last["position"], 0) if by_position else (last["said_us"], last["position"])

    def chunks(self, scope: Scope) -> list[ChunkAge]:
        """Return the ages of all chunks of the scope, hidden ones too."""
        where, values = _turn_filter(scope, Window())
        rows = self._fetch(
            "SELECT c.id, turns.position, c.retrieved, c.hidden FROM chunks c"
            f" JOIN turns ON turns.seq = c.turn_seq WHERE {where} ORDER BY c.seq",
            values,
        )
        return [
            ChunkAge(id=row[0], position=row[1], retrieved=row[2], hidden=bool(row[3]))
            for row in rows
        ]

    def summaries(self, scope: Scope, level: int) -> Iterator[Summary]:
        """Yield the user's summaries of this level, newest first."""
        before = 2**62
        while rows := self._fetch(
            "SELECT * FROM summaries WHERE user_id = ? AND level = ? AND seq < ?"
            " ORDER BY seq DESC LIMIT 1",
            (scope.user_id, level, before),
        ):
            row = rows[0]
            before = row["seq"]
            sources = self._fetch(
                "SELECT source_id FROM summary_sources WHERE summary_seq = ? ORDER BY n", (before,)
            )
            yield Summary(
                id=row["id"], text=row["text"], level=cast(Literal[1, 2], row["level"]),
                through=row["through"], tokens=row["tokens"],
                sources=tuple(source[0] for source in sources),
                created_at=datetime.fromisoformat(row["created_at"]),
            )  # fmt: skip

    def search(self, scope: Scope, query: Query) -> list[Match]:
        """Return at most `query.k` matches inside the scope, best first."""
        if query.k <= 0:
            return []
        with self._lock, in_our_words(self.url):
            if query.vector is not None:
                found = self._nearest(scope, query, query.vector)
            else:
                found = self._matching(scope, query)
            return self._matches(scope, found)

    def _nearest(self, scope: Scope, query: Query, vector: Vectors) -> list[tuple[int, float]]:
        narrowed = scope.agent_id or scope.session_id or query.until
        allowed = self._allowed(scope, query) if narrowed else None
        if allowed is not None and not len(allowed):
            return []
        return self._fresh_index(scope.user_id).search(vector, query.k, allowed)

    def _allowed(self, scope: Scope, query: Query) -> NDArray[np.int64]:
        where, values = _turn_filter(scope, Window(until=query.until))
        rows = self._connection.execute(
            "SELECT c.seq FROM turns JOIN chunks c ON c.turn_seq = turns.seq"
            f" WHERE {where} AND c.hidden = 0",
            values,
        )
        return np.fromiter((row[0] for row in rows), dtype=np.int64)

    def _fresh_index(self, user: str) -> VectorIndex:
        rows = Rows(self._connection, user, self._embedder(), str(self.fingerprint))
        return self._cache.fresh(rows)

    def _matching(self, scope: Scope, query: Query) -> list[tuple[int, float]]:
        words = " OR ".join('"' + word.replace('"', '""') + '"' for word in query.words)
        if not words:
            return []
        tokens = _scope_tokens(scope.user_id, scope.agent_id, scope.session_id)
        match = f"scope : ({' AND '.join(tokens)}) AND text : ({words})"
        if query.until is None:
            rows = self._connection.execute(
                "SELECT rowid, -rank FROM searchable_fts WHERE searchable_fts MATCH ?"
                " AND rank MATCH 'bm25(1.0, 0.0)' ORDER BY rank LIMIT ?",
                (match, query.k),
            )
        else:
            rows = self._connection.execute(
                "SELECT f.rowid, -bm25(searchable_fts, 1.0, 0.0) AS score FROM searchable_fts f"
                " JOIN chunks c ON c.seq = f.rowid JOIN turns t ON t.seq = c.turn_seq"
                " WHERE searchable_fts MATCH ? AND t.said_us <= ? ORDER BY score DESC LIMIT ?",
                (match, microseconds(query.until), query.k),
            )
        return [(row[0], row[1]) for row in rows]

    def _matches(self, scope: Scope, found: list[tuple[int, float]]) -> list[Match]:
        where, values = _turn_filter(scope, Window())
        rows = self._connection.execute(
            'SELECT turns.*, c.seq AS c_seq, c.id AS c_id, c.start, c."end", c.text AS c_text'
            " FROM chunks c JOIN turns ON turns.seq = c.turn_seq"
            f" WHERE {where} AND c.seq IN (SELECT value FROM json_each(?))",
            [*values, json.dumps([seq for seq, _ in found])],
        )
        by_seq = {row["c_seq"]: row for row in rows}
        return [
            Match(
                chunk_id=row["c_id"], score=score, turn=_turn(row), start=row["start"],
                end=row["end"], searched=row["c_text"],
            )
            for seq, score in found
            if (row := by_seq.get(seq)) is not None
        ]  # fmt: skip

    # ---- upkeep

    def stats(self, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, hidden chunks, summaries, users and bytes."""
        return check.stats(self._fetch, self.path, user_id)

    def check(self) -> list[str]:
        """Return one sentence per fault found: rows, full text and index that disagree."""
        with self._lock, in_our_words(self.url):
            users = self._connection.execute("SELECT user_id FROM users").fetchall()
            faults = check.faults(self._connection)
            if self.fingerprint is not None:
                for (user,) in users:
                    faults += check.index_faults(self._connection, user, self._fresh_index(user))
            return faults

    def pending(self) -> list[str]:
        """Return the users whose Compact Memory is behind their turns."""
        rows = self._fetch(
            "SELECT user_id FROM users WHERE summarised <"
            " (SELECT max(position) FROM turns WHERE turns.user_id = users.user_id)"
        )
        return [row[0] for row in rows]

    def reembed(self, embedder: Embedder, progress: Callable[[int, int], None]) -> int:
        """Embed every chunk anew and switch over at the end; return how many. Resumable."""
        count = reembed.run(self._transaction, embedder, progress)
        self.fingerprint = embedder.fingerprint
        return count

    def close(self) -> None:
        """Save the indexes that changed and release the file; closing twice is fine."""
        with self._lock:
            self._cache.save()
            self._connection.close()


def _turn_row(user: str, position: int, turn: Turn) -> tuple[Any, ...]:
    assert turn.said_at is not None
    assert turn.stored_at is not None
    return (
        user, turn.id, position, turn.session_id, turn.agent_id, turn.role, turn.name, turn.text,
        turn.said_at.isoformat(), microseconds(turn.said_at), turn.stored_at.isoformat(),
    )  # fmt: skip


def _turn(row: sqlite3.Row) -> Turn:
    return Turn(
        id=row["id"], role=cast(Role, row["role"]), name=row["name"], text=row["text"],
        said_at=datetime.fromisoformat(row["said_at"]), session_id=row["session_id"],
        agent_id=row["agent_id"], stored_at=datetime.fromisoformat(row["stored_at"]),
        position=row["position"],
    )  # fmt: skip


def _turn_filter(scope: Scope, window: Window) -> tuple[str, list[Any]]:
    """Return the SQL condition for a scope and a window; the user is always in it."""
    conditions: Iterable[tuple[str, Any]] = (
        ("turns.user_id = ?", scope.user_id),
        ("turns.agent_id = ?", scope.agent_id),
        ("turns.session_id = ?", scope.session_id),
        ("turns.said_us >= ?", window.since and microseconds(window.since)),
        ("turns.said_us <= ?", window.until and microseconds(window.until)),
        ("turns.position > ?", window.after),
        (
            "turns.id IN (SELECT value FROM json_each(?))",
            None if window.ids is None else json.dumps(list(window.ids)),
        ),
    )
    given = [(sql, value) for sql, value in conditions if value is not None]
    return " AND ".join(sql for sql, _ in given), [value for _, value in given]
