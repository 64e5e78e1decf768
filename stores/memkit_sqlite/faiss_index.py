"""One user's FAISS index: a cache of the vectors in the rows.

It is rebuilt from the rows when it is missing, stale or damaged; otherwise loaded and appended to.
A search reads only the index of its user, so the cost does not depend on other users.
"""

import json
import os
import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Vectors
from memkit.retrieval.ties import EQUAL

Ids = NDArray[np.int64]

# Chosen by `python -m evals bench index`: up to this size exact search costs less than embedding
# the question; beyond it, inverted lists keep it that way. evals/LOG.md has the figures.
FLAT_UP_TO = 20_000
_PROBED = 48  # lists that a search probes, of 2√n: 17 % at 20k vectors, 8 % at 100k
_MAGIC = b"memkit-index-1\n"
_BLOCK = 2**20  # bytes read at a time
_FIXED = struct.Struct("<15sII")  # magic, CRC-32 of the remainder, length of the header


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Which rows an index contains; equal to the state of the rows when it is up to date."""

    store_id: str
    embedder: str
    user_id: str
    layout: int
    newest: int  # highest key (`seq`) of a chunk


class DamagedIndex(Exception):
    """An index file cannot be used; the index is rebuilt from the rows."""


def _checksum(file: BinaryIO) -> int:
    """Return the CRC-32 of the remainder of a file."""
    crc32 = 0
    while block := file.read(_BLOCK):
        crc32 = zlib.crc32(block, crc32)
    return crc32


def _pairs(ids: Ids, scores: Vectors) -> Iterator[tuple[int, float]]:
    return zip(ids.tolist(), scores.tolist(), strict=True)


class VectorIndex:
    """Cosine search over unit vectors: exact while small, inverted lists when large."""

    def __init__(self, dimension: int, state: State) -> None:
        self.state = state
        self.dimension = dimension
        self.unsaved = 0  # vectors changed since the file was written
        self.checksum = 0  # of the newest chunk's vector, when the index was saved
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self._trained_at = 0  # vectors the inverted lists were trained on; 0: exact search
        self._has_old_centroids = False  # a centroid may equal a vector that was removed

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def size(self) -> int:
        """Return the approximate size in bytes."""
        return len(self) * (4 * self.dimension + 8)

    @property
    def kind(self) -> str:
        """Return the kind of search: "flat" (exact) or "ivf" (inverted lists)."""
        return "ivf" if self._trained_at else "flat"

    def ids(self) -> Ids:
        """Return the keys of the chunks in the index, in any order."""
        if not self._trained_at:
            return np.array(faiss.vector_to_array(self._index.id_map), dtype=np.int64)
        lists = self._index.invlists
        sizes = map(lists.list_size, range(lists.nlist))
        parts = [  # of an empty list rev_swig_ptr returns floats
            faiss.rev_swig_ptr(lists.get_ids(n), size) for n, size in enumerate(sizes) if size
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def vectors(self) -> Vectors:
        """Return the vectors in the order of `ids`, shape (n, dimension)."""
        if not self._trained_at:
            flat = faiss.downcast_index(self._index.index)
            return np.array(flat.reconstruct_n(0, flat.ntotal), dtype=np.float32)
        return np.concatenate([vectors for _, vectors in self._lists()])

    def of(self, ids: Ids) -> Vectors:
        """Return the vectors of these chunks, in the same order, shape (m, dimension)."""
        return np.asarray(self._index.reconstruct_batch(ids), dtype=np.float32)

    def _lists(self) -> list[tuple[Ids, Vectors]]:
        """Return the keys and vectors of each inverted list."""
        lists = self._index.invlists
        parts = [(np.empty(0, dtype=np.int64), np.empty((0, self.dimension), dtype=np.float32))]
        for n in range(lists.nlist):
            if size := lists.list_size(n):
                ids = faiss.rev_swig_ptr(lists.get_ids(n), size).copy()
                codes = faiss.rev_swig_ptr(lists.get_codes(n), size * lists.code_size).copy()
                parts.append((ids, codes.view(np.float32).reshape(size, -1)))
        return parts

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Append chunks; switch to inverted lists, or retrain them, when the index has grown."""
        if not len(ids):
            return
        self._index.add_with_ids(np.ascontiguousarray(vectors), ids)
        self.unsaved += len(ids)
        if len(self) > max(FLAT_UP_TO, 4 * self._trained_at):
            self._train()

    def remove(self, ids: Ids) -> None:
        """Remove chunks that are in the index; of inverted lists only those with one are read."""
        if len(ids):
            selector = faiss.IDSelectorArray if self._trained_at else faiss.IDSelectorBatch
            self._index.remove_ids(selector(ids))
            self.unsaved += len(ids)
            self._has_old_centroids = bool(self._trained_at)

    def search(
        self, vector: Vectors, k: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        """Return the `k` nearest (key, cosine) pairs, best first, only from `allowed` if given.

        All that are as near as the k-th are included, because FAISS keeps any of them.
        """
        if not len(self):
            return []
        query = vector.reshape(1, -1)
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # on busy cores, waiting for other threads takes far longer
        try:
            # one more than `k`, to see whether the k-th has equals
            params = self._params(k, allowed)
            scores, ids = self._index.search(query, min(k + 1, len(self)), params=params)
            pairs = [(seq, score) for seq, score in _pairs(ids[0], scores[0]) if seq >= 0]
            if len(pairs) <= k:
                return pairs
            if (least := pairs[k - 1][1] - EQUAL) > pairs[k][1]:
                return pairs[:k]
            _, scores, ids = self._index.range_search(query, least, params=params)
        finally:
            faiss.omp_set_num_threads(threads)
        return sorted(_pairs(ids, scores), key=lambda pair: -pair[1])

    def _params(self, k: int, allowed: Ids | None) -> Any:
        # A filtered search probes every list, because the few allowed chunks may be in any of them.
        # So does a search for more chunks than the usual number of lists may contain.
        selector = None if allowed is None else faiss.IDSelectorBatch(allowed)
        if not self._trained_at:
            return None if selector is None else faiss.SearchParameters(sel=selector)
        lists = self._index.nlist
        many = 4 * k * lists > len(self) * _PROBED
        probes = lists if selector is not None or many else min(_PROBED, lists)
        return faiss.SearchParametersIVF(sel=selector, nprobe=probes)

    def _train(self) -> None:
        ids, vectors = self.ids(), self.vectors()
        if not len(ids):
            self.__init__(self.dimension, self.state)  # type: ignore[misc]
            return
        lists = int(2 * np.sqrt(len(ids)))  # twice as many would take four times as long to train
        quantizer = faiss.IndexFlatIP(self.dimension)
        index = faiss.IndexIVFFlat(quantizer, self.dimension, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # the default prints a warning on stderr
        index.cp.max_points_per_centroid = 64
        index.train(vectors)
        index.add_with_ids(vectors, ids)
        self._use_lists(index, len(ids))
        self._has_old_centroids = False

    def _use_lists(self, index: Any, trained_at: int) -> None:
        # knows the list of every vector, so that one can be read and removed without a search
        index.set_direct_map_type(faiss.DirectMap.Hashtable)
        self._index, self._trained_at = index, trained_at

    def save(self, path: Path) -> None:
        """Write the index to its file, whole or not at all."""
        if self._has_old_centroids:
            self._train()
        payload = memoryview(faiss.serialize_index(self._index))
        own = {
            "dimension": self.dimension, "trained_at": self._trained_at, "mark": self.checksum,
        }  # fmt: skip
        head = json.dumps(asdict(self.state) | own).encode()
        fixed = _FIXED.pack(_MAGIC, zlib.crc32(payload, zlib.crc32(head)), len(head))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.writelines((fixed, head, payload))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        self.unsaved = 0

    @staticmethod
    def read_state(path: Path) -> State | None:
        """Return the state of an index file without reading the index; None if it has none."""
        try:
            with path.open("rb") as file:
                magic, _, length = _FIXED.unpack(file.read(_FIXED.size))
                header = json.loads(file.read(length)) if magic == _MAGIC else {}
            return State(**{name: header[name] for name in State.__slots__})
        except (OSError, ValueError, KeyError, struct.error):
            return None

    @classmethod
    def load(cls, path: Path) -> "VectorIndex":
        """Read an index file, or raise `DamagedIndex` if it is not exactly what was saved."""
        with path.open("rb") as file:
            fixed = file.read(_FIXED.size)
            if len(fixed) < _FIXED.size:
                raise DamagedIndex(f"{path} is too short for an index file")
            magic, crc32, length = _FIXED.unpack(fixed)
            if magic != _MAGIC or _checksum(file) != crc32:
                raise DamagedIndex(f"{path} is not an index file, or is truncated or changed")
            file.seek(_FIXED.size)
            try:
                header = json.loads(file.read(length))
                trained_at, checksum = header.pop("trained_at"), header.pop("mark")
                loaded = cls(header.pop("dimension"), State(**header))
                # in pieces, because as a whole it would be in memory three times
                index = faiss.read_index(faiss.PyCallbackIOReader(file.read, _BLOCK))
            except (ValueError, KeyError, TypeError, RuntimeError) as error:
                raise DamagedIndex(f"{path} was written by another version") from error
        loaded._index, loaded.checksum = index, checksum
        if trained_at:
            loaded._use_lists(index, trained_at)
        return loaded
