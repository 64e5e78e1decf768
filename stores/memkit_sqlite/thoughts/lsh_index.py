"""A user's thoughts in the groups of the hash: persisted beside the vectors, and kept in memory.

The rows hold each thought's groups, so that opening a memory hashes nothing. When the thoughts have
outgrown their groups, all are hashed anew into more of them, centred on what is there by then.
"""

import sqlite3
import zlib

import numpy as np

from memkit.protocols import Integers, Vectors
from memkit.thoughts.lsh import Groups, Hash, nearest, sized_for
from memkit_sqlite.turns import layout_of

_ROWS = (
    "SELECT t.seq, v.vector, v.groups FROM thoughts t JOIN thought_vectors v"
    " ON v.thought_seq = t.seq WHERE t.user_id = ? AND t.seq > ? AND v.embedder = ? ORDER BY t.seq"
)


class HashedThoughts:
    """What a user's thoughts are found by, as one state of the rows has it."""

    def __init__(self, embedder: int, dimension: int) -> None:
        self.embedder, self.dimension = embedder, dimension
        self._start((0, None))

    def _start(self, state: tuple[int, tuple[object, ...] | None]) -> None:
        self._state = state
        self._hash: Hash | None = None
        self._seqs = np.empty(0, dtype=np.int64)
        self._vectors = np.empty((0, self.dimension), dtype=np.float32)
        self._groups: Groups | None = None

    @property
    def size(self) -> int:
        """Return about how many bytes of memory it takes."""
        return self._vectors.nbytes + 200 * len(self._seqs)

    def refresh(self, db: sqlite3.Connection, user: str) -> None:
        """Take in what the rows have more; or all, if any are gone or were hashed anew."""
        stored = db.execute(
            "SELECT seed, groups, tables, probes, centre FROM hashes WHERE user_id = ?"
            " AND embedder = ?",
            (user, self.embedder),
        ).fetchone()
        state = layout_of(db, user), None if stored is None else tuple(stored)
        if state != self._state:
            self._start(state)
        if stored is None:
            return
        if self._hash is None or self._groups is None:
            self._hash = self._read(stored)
            self._groups = Groups(tables=self._hash.tables, groups=self._hash.groups)
        newest = int(self._seqs[-1]) if len(self._seqs) else 0
        found = db.execute(_ROWS, (user, newest, self.embedder)).fetchall()
        if found:
            known = len(self._seqs)
            self._seqs = np.append(self._seqs, [row[0] for row in found])
            vectors = np.frombuffer(b"".join(row[1] for row in found), dtype=np.float32)
            self._vectors = np.concatenate([self._vectors, vectors.reshape(len(found), -1)])
            groups = np.frombuffer(b"".join(row[2] for row in found), dtype=np.int32)
            rows = np.arange(known, len(self._seqs))
            self._groups.add(rows, groups.reshape(len(found), -1).astype(np.int64))

    def _read(self, stored: sqlite3.Row) -> Hash:
        return Hash(
            seed=stored["seed"], dimension=self.dimension, groups=stored["groups"],
            tables=stored["tables"], probes=stored["probes"],
            centre=np.frombuffer(stored["centre"], dtype=np.float32),
        )  # fmt: skip

    def nearest(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        """Return at most `k` thoughts' rows and cosines, nearest first, by the hash's probes.

        All of them if there are no more.
        """
        if self._hash is None or self._groups is None:
            return []
        candidates = np.arange(len(self._seqs))
        if len(candidates) > k:
            candidates = self._groups.candidates(self._hash.probes_of(vector))
        rows, cosines = nearest(vector, self._vectors, candidates, k)
        return list(zip(self._seqs[rows].tolist(), cosines.tolist(), strict=True))

    def cosines(self, seqs: Integers, vector: Vectors) -> list[tuple[int, float]]:
        """Return these thoughts' cosines with `vector`, of those that are known."""
        if not len(self._seqs) or not len(seqs):
            return []
        rows = np.minimum(np.searchsorted(self._seqs, seqs), len(self._seqs) - 1)
        rows = rows[self._seqs[rows] == seqs]
        cosines = self._vectors[rows] @ vector
        return list(zip(self._seqs[rows].tolist(), cosines.tolist(), strict=True))

    def groups_of(self, vector: Vectors) -> bytes | None:
        """Return a new thought's groups as they are persisted; None: it is hashed in `grow`."""
        return None if self._hash is None else _packed(self._hash.groups_of(vector[None]))

    def grow(self, db: sqlite3.Connection, user: str) -> None:
        """Hash the user's thoughts anew if they have outgrown their groups."""
        count = db.execute("SELECT count(*) FROM thoughts WHERE user_id = ?", (user,)).fetchone()[0]
        if self._hash is not None and sized_for(count) <= self._hash.groups:
            return
        found = db.execute(_ROWS, (user, 0, self.embedder)).fetchall()
        vectors = np.frombuffer(b"".join(row[1] for row in found), dtype=np.float32)
        vectors = vectors.reshape(len(found), self.dimension)
        hash = Hash.fitted(vectors, seed=zlib.crc32(user.encode()))
        groups = hash.groups_of(vectors)
        db.execute(
            "INSERT OR REPLACE INTO hashes (user_id, embedder, seed, groups, tables, probes,"
            " centre) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (user, self.embedder, hash.seed, hash.groups, hash.tables, hash.probes,
             hash.centre.tobytes()),
        )  # fmt: skip
        db.executemany(
            "UPDATE thought_vectors SET groups = ? WHERE thought_seq = ? AND embedder = ?",
            [(_packed(own), row[0], self.embedder) for row, own in zip(found, groups, strict=True)],
        )


def _packed(groups: Integers) -> bytes:
    return groups.astype(np.int32).tobytes()
