"""A user's thoughts by their hash: groups are stored with the vectors and cached.

The rows hold every thought's groups, so opening a memory hashes nothing. When the thoughts have
outgrown their groups, all of them are hashed again into more groups, centred on their mean.
"""

import sqlite3
import zlib

import numpy as np

from memkit.protocols import Integers, Vectors
from memkit.thoughts.lsh import Groups, Hash, nearest, sized_for
from memkit_sqlite.turns import read_layout

_NEW_THOUGHTS = (
    "SELECT t.seq, v.vector, v.groups FROM thoughts t JOIN thought_vectors v"
    " ON v.thought_seq = t.seq WHERE t.user_id = ? AND t.seq > ? AND v.embedder = ? ORDER BY t.seq"
)


class LSHIndex:
    """The thoughts of one user by their hash, as of one state of the rows.

    A thought's row is its index into the arrays; its key (`seq`) is that of its SQLite row.
    """

    def __init__(self, embedder: int, dimension: int) -> None:
        self.embedder, self.dimension = embedder, dimension
        self._clear((0, None))

    def _clear(self, version: tuple[int, tuple[object, ...] | None]) -> None:
        self._version = version  # the user's layout and the stored hash
        self._hash: Hash | None = None
        self._seqs = np.empty(0, dtype=np.int64)
        self._vectors = np.empty((0, self.dimension), dtype=np.float32)
        self._groups: Groups | None = None

    @property
    def size(self) -> int:
        """Return the approximate size in bytes."""
        return self._vectors.nbytes + 200 * len(self._seqs)

    def refresh(self, db: sqlite3.Connection, user_id: str) -> None:
        """Read the thoughts added since, or all of them if any were removed or hashed again."""
        stored = self._read_hash(db, user_id)
        version = read_layout(db, user_id), None if stored is None else tuple(stored)
        if version != self._version:
            self._clear(version)
        if stored is not None and self._hash is None:
            self._hash = self._to_hash(stored)
            self._groups = Groups(tables=self._hash.tables, groups=self._hash.groups)
        newest = int(self._seqs[-1]) if len(self._seqs) else 0
        added = db.execute(_NEW_THOUGHTS, (user_id, newest, self.embedder)).fetchall()
        if added:
            first = len(self._seqs)
            self._seqs = np.append(self._seqs, [row[0] for row in added])
            vectors = np.frombuffer(b"".join(row[1] for row in added), dtype=np.float32)
            self._vectors = np.concatenate([self._vectors, vectors.reshape(len(added), -1)])
            if self._groups is not None:
                groups = np.frombuffer(b"".join(row[2] for row in added), dtype=np.int32)
                rows = np.arange(first, len(self._seqs))
                self._groups.add(rows, groups.reshape(len(added), -1).astype(np.int64))

    def _read_hash(self, db: sqlite3.Connection, user_id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = db.execute(
            "SELECT seed, groups, tables, probes, centre FROM hashes WHERE user_id = ?"
            " AND embedder = ?",
            (user_id, self.embedder),
        ).fetchone()
        return row

    def _to_hash(self, row: sqlite3.Row) -> Hash:
        return Hash(
            seed=row["seed"], dimension=self.dimension, groups=row["groups"],
            tables=row["tables"], probes=row["probes"],
            centre=np.frombuffer(row["centre"], dtype=np.float32),
        )  # fmt: skip

    def nearest(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        """Return the keys and cosines of at most `k` thoughts, nearest first.

        Compares all thoughts if there are at most `k` or no hash is stored, as of an embedder that
        is not the current one; otherwise those in the probed groups.
        """
        candidates = np.arange(len(self._seqs))
        if len(candidates) > k and self._hash is not None and self._groups is not None:
            candidates = self._groups.candidates(self._hash.probes_of(vector))
        rows, cosines = nearest(vector, self._vectors, candidates, k)
        return list(zip(self._seqs[rows].tolist(), cosines.tolist(), strict=True))

    def cosines(self, seqs: Integers, vector: Vectors) -> list[tuple[int, float]]:
        """Return the keys that are in the index, of those given, and their cosines."""
        if not len(self._seqs) or not len(seqs):
            return []
        rows = np.minimum(np.searchsorted(self._seqs, seqs), len(self._seqs) - 1)
        rows = rows[self._seqs[rows] == seqs]
        cosines = self._vectors[rows] @ vector
        return list(zip(self._seqs[rows].tolist(), cosines.tolist(), strict=True))

    def groups_of(self, vector: Vectors) -> bytes | None:
        """Return a new thought's groups as stored, or None before the first `grow`."""
        return None if self._hash is None else _to_bytes(self._hash.groups_of(vector[None]))

    def grow(self, db: sqlite3.Connection, user_id: str) -> None:
        """Hash the user's thoughts again if they have outgrown their groups."""
        sql = "SELECT count(*) FROM thoughts WHERE user_id = ?"
        count = db.execute(sql, (user_id,)).fetchone()[0]
        if self._hash is not None and sized_for(count) <= self._hash.groups:
            return
        rows = self._read_vectors(db, user_id)
        hash = Hash.fitted(self._to_vectors(rows), seed=zlib.crc32(user_id.encode()))
        db.execute(
            "INSERT OR REPLACE INTO hashes (user_id, embedder, seed, groups, tables, probes,"
            " centre) VALUES (?1, ?2, ?3, ?4, ?5, ?6, seal(?1, ?7))",
            (user_id, self.embedder, hash.seed, hash.groups, hash.tables, hash.probes,
             hash.centre.tobytes()),
        )  # fmt: skip
        self._write_groups(db, user_id, rows, hash)

    def regroup(self, db: sqlite3.Connection, user_id: str) -> None:
        """Compute the groups of the user's thoughts that have none, by the stored hash."""
        rows = [row for row in self._read_vectors(db, user_id) if row[2] is None]
        stored = self._read_hash(db, user_id)
        if rows and stored is None:
            self.grow(db, user_id)
        elif rows and stored is not None:
            self._write_groups(db, user_id, rows, self._to_hash(stored))

    def _read_vectors(self, db: sqlite3.Connection, user_id: str) -> list[sqlite3.Row]:
        return db.execute(_NEW_THOUGHTS, (user_id, 0, self.embedder)).fetchall()

    def _write_groups(
        self, db: sqlite3.Connection, user_id: str, rows: list[sqlite3.Row], hash: Hash
    ) -> None:
        groups = hash.groups_of(self._to_vectors(rows))
        db.executemany(
            "UPDATE thought_vectors SET groups = seal(?, ?) WHERE thought_seq = ? AND embedder = ?",
            [
                (user_id, _to_bytes(its_groups), row[0], self.embedder)
                for row, its_groups in zip(rows, groups, strict=True)
            ],
        )

    def _to_vectors(self, rows: list[sqlite3.Row]) -> Vectors:
        data = b"".join(row[1] for row in rows)
        return np.frombuffer(data, dtype=np.float32).reshape(len(rows), self.dimension)


def _to_bytes(groups: Integers) -> bytes:
    return groups.astype(np.int32).tobytes()
