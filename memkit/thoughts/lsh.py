"""Locality-sensitive hashing: find the few thoughts that are worth comparing.

By meaning: the hash of Think-in-Memory (Liu et al. 2023, Eq. 1), a cross-polytope hash (Andoni et
al. 2015), with several groups of several tables; candidates are then ranked by cosine. By words:
MinHash bands, for near-duplicates.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from memkit.protocols import Integers, Vectors
from memkit.text.words import words

if TYPE_CHECKING:
    from datasketch import MinHash

# Chosen by `python -m evals bench hash` on tuning conversations; evals/results/hash.json has it.
TABLES = 16
PROBES = 6
_GROUPS_PER_ROOT = 4  # groups, over the square root of the number of thoughts
_LEAST_GROUPS = 16
# The centre of n vectors is rounded to 10/n. The mean itself would give away a deleted vector
# as n·mean minus the others. Now that is known to ±5 only, and coordinates are below 1.
_CENTRE_STEP = 10.0
_BATCH = 4096  # vectors hashed at once: bounds the products to 16 MB per 1,000 groups
_BLOCK = 256  # vectors compared at once: their copy fits the processor's cache
_TAIL = 16  # at most one in this many thoughts is unsorted


def argmax_hash(vectors: Vectors, projection: Vectors) -> Integers:
    """Return the group of every vector, shape (n,), from 0 to b - 1: `argmax([xR; -xR])`.

    x are the `vectors`, shape (n, d), of any length; R is the `projection`, shape (d, b/2). The
    second half of the groups are the columns of R with the opposite sign. Of equal coordinates the
    first counts. Source: Liu et al. 2023 (arXiv 2311.08719), Eq. 1.

    >>> argmax_hash(np.float32([[3, 1], [1, 2], [-3, 1]]), np.eye(2, dtype=np.float32)).tolist()
    [0, 1, 2]
    """
    return np.asarray(_coordinates(vectors, projection).argmax(axis=-1))


def _coordinates(vectors: Vectors, projection: Vectors) -> Vectors:
    """Return `[xR; -xR]`, the groups being the last axis."""
    products = vectors @ projection
    return np.concatenate([products, -products], axis=-1)


def sized_for(n: int) -> int:
    """Return how many groups a table has for `n` thoughts: a power of two near 4√n.

    It doubles when the thoughts quadruple. Hashing all of them again whenever
    `sized_for(n) > hash.groups` therefore hashes each at most 7/3 times on average.
    """
    groups = _GROUPS_PER_ROOT * np.sqrt(max(n, 1))
    return int(max(_LEAST_GROUPS, 2 ** round(np.log2(groups))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hash:
    """The parameters of a hash, as a store keeps them. The random matrices follow from them.

    NumPy generates the matrices, and its streams may change between versions: groups are a cache,
    and `tests/test_lsh.py` pins them.
    """

    seed: int
    dimension: int  # d, of the vectors
    groups: int  # b, of every table; even
    tables: int
    probes: int  # groups that a search probes, in every table
    centre: Vectors  # shape (d,), subtracted from every vector before it is hashed

    def __post_init__(self) -> None:
        if self.groups < 2 or self.groups % 2:
            raise ValueError(f"groups must be even and at least 2, got {self.groups}")

    @classmethod
    def literal(cls, *, seed: int, dimension: int, groups: int) -> Self:
        """Return the hash as printed in the paper: one table, one probe, no centre."""
        centre = np.zeros(dimension, dtype=np.float32)
        return cls(seed=seed, dimension=dimension, groups=groups, tables=1, probes=1, centre=centre)

    @classmethod
    def fitted(cls, vectors: Vectors, *, seed: int) -> Self:
        """Return memkit's hash for a store of these vectors, shape (n, d); n may be 0."""
        n, dimension = vectors.shape
        step = _CENTRE_STEP / max(n, 1)
        centre = np.rint(vectors.mean(axis=0) / step) * step if n else np.zeros(dimension)
        return cls(
            seed=seed,
            dimension=dimension,
            groups=sized_for(n),
            tables=TABLES,
            probes=PROBES,
            centre=np.asarray(centre, dtype=np.float32),
        )

    def groups_of(self, vectors: Vectors) -> Integers:
        """Return the group of each vector, shape (n, d), in every table, shape (n, tables).

        Cost: n·d·tables·groups/2 multiply-adds.
        """
        groups = np.empty((len(vectors), self.tables), dtype=np.int64)
        for first in range(0, len(vectors), _BATCH):
            batch = self._centred(vectors[first : first + _BATCH])
            for table, projection in enumerate(self._projections()):
                groups[first : first + _BATCH, table] = argmax_hash(batch, projection)
        return groups

    def probes_of(self, vector: Vectors) -> Integers:
        """Return the groups to probe for neighbours of `vector`, shape (d,): (tables, probes).

        They are the largest coordinates of `[xR; -xR]`, largest first: a neighbour that is not in
        the group of the vector is most likely in the next ones (multiprobe, Andoni et al. 2015).
        """
        left = _coordinates(self._centred(vector), self._projections())
        probes = np.empty((self.tables, self.probes), dtype=np.int64)
        for n in range(self.probes):  # faster than sorting for few probes; ties as in F
            probes[:, n] = left.argmax(axis=1)
            left[np.arange(self.tables), probes[:, n]] = -np.inf
        return probes

    def _centred(self, vectors: Vectors) -> Vectors:
        # Embeddings share a common direction, which does not distinguish them. They are not scaled
        # to unit length again, because the largest coordinate does not depend on the length.
        return vectors - self.centre

    def _projections(self) -> Vectors:
        """Return every R, shape (tables, d, groups/2)."""
        return _random_matrices(self.seed, self.tables, self.dimension, self.groups // 2)


@lru_cache(maxsize=4)  # for a few users; 12 MB for 100,000 thoughts, generated in 50 ms
def _random_matrices(seed: int, tables: int, dimension: int, columns: int) -> Vectors:
    matrices = np.empty((tables, dimension, columns), dtype=np.float32)
    for table in range(tables):
        rng = np.random.default_rng((seed, table))
        rng.standard_normal(out=matrices[table], dtype=np.float32)
    matrices.flags.writeable = False
    return matrices


class Groups:
    """The thoughts in each group of every table, as rows of the array that has their vectors.

    `groups` is their number per table. Memory grows with the largest row, and is 16 bytes per
    thought and table. Not safe to share between threads.
    """

    def __init__(self, *, tables: int, groups: int) -> None:
        self._shape = tables, groups
        self._offsets = groups * np.arange(tables)  # numbers the groups of all tables
        # sorted by group: the rows of group g are members[starts[g]:starts[g + 1]]
        self._members: Integers = np.empty(0, dtype=np.int64)
        self._starts: Integers = np.zeros(tables * groups + 1, dtype=np.int64)
        self._rows: Integers = np.empty(0, dtype=np.int64)
        self._keys: Integers = np.empty((0, tables), dtype=np.int64)
        self._sorted = 0  # number of rows among the members; later rows are scanned
        self._added: list[tuple[Integers, Integers]] = []  # not yet appended to `_rows` and `_keys`
        self._bound = 0

    def add(self, rows: Integers, groups: Integers) -> None:
        """Add rows, shape (n,), to their groups, shape (n, tables)."""
        if not len(rows):
            return
        self._added.append((rows.copy(), groups + self._offsets))
        self._bound = max(self._bound, int(rows.max()) + 1)

    def candidates(self, probes: Integers) -> Integers:
        """Return the rows in any of the groups, shape (tables, probes); ascending, each once."""
        self._settle()
        keys = (probes + self._offsets[:, None]).ravel()
        seen = np.zeros(self._bound, dtype=bool)
        starts, ends = self._starts[keys].tolist(), self._starts[keys + 1].tolist()
        spans = zip(starts, ends, strict=True)
        seen[np.concatenate([self._members[start:end] for start, end in spans])] = True
        probed = np.zeros(len(self._starts), dtype=bool)
        probed[keys] = True
        unsorted = probed[self._keys[self._sorted :]].any(axis=1)
        seen[self._rows[self._sorted :][unsorted]] = True
        return np.flatnonzero(seen)

    def _settle(self) -> None:
        """Append the rows added; sort all rows when too many are not sorted."""
        if self._added:
            rows, keys = zip(*self._added, strict=True)
            self._rows = np.concatenate([self._rows, *rows])
            self._keys = np.concatenate([self._keys, *keys])
            self._added = []
        if len(self._rows) - self._sorted <= max(_BLOCK, self._sorted // _TAIL):
            return
        tables, count = self._shape
        flat = self._keys.ravel().astype(np.min_scalar_type(tables * count))  # 16 bits sort fast
        self._members = np.repeat(self._rows, tables)[flat.argsort(kind="stable")]
        sizes = np.bincount(flat, minlength=tables * count)
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._sorted = len(self._rows)


def nearest(vector: Vectors, vectors: Vectors, rows: Integers, k: int) -> tuple[Integers, Vectors]:
    """Return at most `k` of `rows` nearest to `vector`, and their cosines, nearest first.

    `vector` has the shape (d,), `vectors` (n, d), both unit length. `rows`, shape (m,), are
    ascending; only these are read. Of equal cosines the lower row comes first.
    """
    if len(rows) and not 0 <= rows[0] <= rows[-1] < len(vectors):
        raise ValueError(f"rows {rows[0]} to {rows[-1]} of {len(vectors)} vectors")
    cosines = np.empty(len(rows), dtype=np.float32)
    copied = np.empty((_BLOCK, vectors.shape[1]), dtype=np.float32)
    for first in range(0, len(rows), _BLOCK):
        part = rows[first : first + _BLOCK]
        # mode="clip" lets take() write directly into `out`, which takes a third less time
        block = vectors.take(part, axis=0, out=copied[: len(part)], mode="clip")
        np.dot(block, vector, out=cosines[first : first + _BLOCK])
    if k < len(cosines):  # keep all rows with the k-th cosine, so that ties are cut by row
        kth = np.partition(cosines, len(cosines) - k)[len(cosines) - k] if k else np.inf
        rows, cosines = rows[cosines >= kth], cosines[cosines >= kth]
    order = np.argsort(-cosines, kind="stable")[:k]
    return rows[order], cosines[order]


# ---- near-duplicates by words

_BANDS, _BAND_ROWS = 8, 4  # half of all pairs that share 0.57 of their words share a band
_MINHASH_SEED = 1
_WORDS_VERSION = 2  # of `memkit.text.words.words`: 2 folds accents; raise it when the words change


@lru_cache(maxsize=4096)
def minhash_bands(text: str) -> tuple[int, ...]:
    """Return the MinHash bands of a text's words, each a 63-bit integer.

    Two texts that share a fraction s of their words have a band in common with probability
    1 - (1 - s^4)^8: .97 at s = 0.77, .4 at 0.5. Source: Broder 1997; banding: Leskovec, Rajaraman
    and Ullman, chapter 3.
    """
    sketch = _empty_sketch()
    sketch.update_batch([word.encode() for word in words(text)])
    rows = sketch.hashvalues.reshape(_BANDS, _BAND_ROWS)
    return tuple(
        int.from_bytes(hashlib.blake2b(bytes([n]) + row.tobytes(), digest_size=8).digest()) >> 1
        for n, row in enumerate(rows)
    )


@cache
def minhash_scheme() -> str:
    """Return the name of all that bands depend on; stored bands of another name are worthless.

    datasketch 2 changed its permutations, and with them every hash value.
    """
    library = getattr(_empty_sketch(), "scheme", "legacy")  # datasketch 1 has one, without a name
    return f"{library} {_BANDS}x{_BAND_ROWS} seed {_MINHASH_SEED} words {_WORDS_VERSION}"


def _empty_sketch() -> "MinHash":
    from datasketch import MinHash

    return MinHash(num_perm=_BANDS * _BAND_ROWS, seed=_MINHASH_SEED)
