"""One user's FAISS index: a cache beside the store, never the truth.

Rebuilt from the rows when absent, stale or damaged; otherwise loaded and appended to. A user's
search touches that user's index alone, so a small user pays for a small index.
"""

import json
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from memkit.protocols import Vectors

Ids = NDArray[np.int64]

# Chosen by `python -m evals bench index`: up to here exact search costs less than embedding the
# question does; beyond, inverted lists keep it so. evals/LOG.md has the figures.
FLAT_UP_TO = 20_000
_PROBED = 48  # lists that a search reads, of 2√n: 17 % at 20k vectors, 8 % at 100k
_MAGIC = b"memkit-index-1\n"
_FIXED = struct.Struct("<15sII")  # magic, CRC-32 of all that follows, length of the header


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What an index has taken in; equal to the store's own state when it is fresh."""

    store_id: str
    embedder: str
    user_id: str
    layout: int
    newest: int  # highest chunk row taken in


@contextmanager
def _one_thread() -> Iterator[None]:
    """Search in this thread alone: on busy cores waiting for the others takes far longer."""
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)


class DamagedIndex(Exception):
    """An index file that cannot be used; its content is in the rows anyway."""


class VectorIndex:
    """Cosine search over unit vectors, exact while small, inverted lists when large."""

    def __init__(self, dimension: int, state: State) -> None:
        self.state = state
        self.dimension = dimension
        self.unsaved = 0  # vectors changed since the file was written
        self.mark = 0  # checksum of the newest row's vector, when it was saved
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self._trained_at = 0  # how many vectors the inverted lists were trained on; 0: exact

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def size(self) -> int:
        """Return about how many bytes of memory it takes."""
        return len(self) * (4 * self.dimension + 8)

    @property
    def kind(self) -> str:
        """Say how this index searches: "flat" or "ivf"."""
        return "ivf" if self._trained_at else "flat"

    def ids(self) -> Ids:
        """Return the chunk rows in the index, in no order."""
        if not self._trained_at:
            return np.array(faiss.vector_to_array(self._index.id_map), dtype=np.int64)
        return np.concatenate([ids for ids, _ in self._lists()])

    def vectors(self) -> Vectors:
        """Return the vectors in the order of `ids`, shape (n, dimension)."""
        if not self._trained_at:
            flat = faiss.downcast_index(self._index.index)
            return np.array(flat.reconstruct_n(0, flat.ntotal), dtype=np.float32)
        return np.concatenate([vectors for _, vectors in self._lists()])

    def of(self, ids: Ids) -> Vectors:
        """Return the vectors of these rows, in the order given; only of a flat index."""
        return np.asarray(self._index.reconstruct_batch(ids), dtype=np.float32)

    def _lists(self) -> list[tuple[Ids, Vectors]]:
        """Return what stands in each inverted list."""
        lists = self._index.invlists
        parts = [(np.empty(0, dtype=np.int64), np.empty((0, self.dimension), dtype=np.float32))]
        for n in range(lists.nlist):
            if size := lists.list_size(n):
                ids = faiss.rev_swig_ptr(lists.get_ids(n), size).copy()
                codes = faiss.rev_swig_ptr(lists.get_codes(n), size * lists.code_size).copy()
                parts.append((ids, codes.view(np.float32).reshape(size, -1)))
        return parts

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Append rows; when the size asks for another kind of index, move to it."""
        if not len(ids):
            return
        self._index.add_with_ids(np.ascontiguousarray(vectors), ids)
        self.unsaved += len(ids)
        grown = len(self) > max(FLAT_UP_TO, 4 * self._trained_at)
        if grown:
            self._train()

    def remove(self, ids: Ids) -> None:
        """Take rows out."""
        if len(ids):
            self._index.remove_ids(faiss.IDSelectorBatch(ids))
            self.unsaved += len(ids)

    def search(
        self, vector: Vectors, k: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        """Return up to `k` (row, cosine) pairs, best first, only from `allowed` if given."""
        if not len(self):
            return []
        with _one_thread():
            scores, ids = self._index.search(
                vector.reshape(1, -1), min(k, len(self)), params=self._params(k, allowed)
            )
        return [
            (int(row), float(score))
            for row, score in zip(ids[0], scores[0], strict=True)
            if row >= 0
        ]

    def _params(self, k: int, allowed: Ids | None) -> Any:
        # a filtered search reads every list: the few allowed rows may lie anywhere; and so does one
        # for more rows than may lie in the lists that are probed otherwise
        selector = None if allowed is None else faiss.IDSelectorBatch(allowed)
        if not self._trained_at:
            return None if selector is None else faiss.SearchParameters(sel=selector)
        lists = self._index.nlist
        many = 4 * k * lists > len(self) * _PROBED
        probes = lists if selector is not None or many else min(_PROBED, lists)
        return faiss.SearchParametersIVF(sel=selector, nprobe=probes)

    def _train(self) -> None:
        ids, vectors = self.ids(), self.vectors()
        lists = int(2 * np.sqrt(len(ids)))  # twice as many train four times as long
        quantizer = faiss.IndexFlatIP(self.dimension)
        index = faiss.IndexIVFFlat(quantizer, self.dimension, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # a rule of thumb too, and it warns on stderr
        index.cp.max_points_per_centroid = 64
        index.train(vectors)
        index.add_with_ids(vectors, ids)
        self._index, self._trained_at = index, len(ids)

    def save(self, path: Path) -> None:
        """Write the index to its file, whole or not at all."""
        payload = memoryview(faiss.serialize_index(self._index))
        head = json.dumps(
            asdict(self.state)
            | {"dimension": self.dimension, "trained_at": self._trained_at, "mark": self.mark}
        ).encode()
        fixed = _FIXED.pack(_MAGIC, zlib.crc32(payload, zlib.crc32(head)), len(head))
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            with unfinished.open("wb") as file:
                file.writelines((fixed, head, payload))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        self.unsaved = 0

    @classmethod
    def load(cls, path: Path) -> "VectorIndex":
        """Read an index file, or raise `DamagedIndex` if it is not exactly what was saved."""
        data = memoryview(path.read_bytes())
        if len(data) < _FIXED.size:
            raise DamagedIndex(f"{path} is too short for an index file")
        magic, crc32, length = _FIXED.unpack_from(data)
        content = data[_FIXED.size :]
        if magic != _MAGIC or zlib.crc32(content) != crc32:
            raise DamagedIndex(f"{path} is no index file, or cut off, or changed")
        try:
            header = json.loads(bytes(content[:length]))
            trained_at, mark = header.pop("trained_at"), header.pop("mark")
            loaded = cls(header.pop("dimension"), State(**header))
            payload = np.frombuffer(content[length:], dtype=np.uint8)
            loaded._index = faiss.deserialize_index(payload)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise DamagedIndex(f"{path} was written by another version") from error
        loaded._trained_at, loaded.mark = trained_at, mark
        return loaded
