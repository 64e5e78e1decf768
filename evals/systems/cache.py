"""A cache of vectors on disk by text, so that a second run embeds nothing.

Not safe to share between threads; several processes may use one file.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
from sqlite_utils import Database

from memkit.errors import InvalidInput
from memkit.models.bundled import default_cache
from memkit.protocols import Embedder, Vectors

FILE = "vectors.db"
_BATCH = 512  # texts that are embedded and then written at once: an interruption loses no more
_KEYS_PER_QUERY = 500  # some builds of SQLite take no more than 999


def default_folder() -> Path:
    """Return the default folder of the cached vectors."""
    return default_cache() / "evals"


class CachedEmbedder(AbstractContextManager["CachedEmbedder"]):
    """An embedder that calls `inner` only for texts that are new, in this run and all before.

    A context manager: leaving it releases the file.

    Args:
        inner: embeds new texts.
        folder: holds the SQLite file, made if absent.
    """

    def __init__(self, inner: Embedder, folder: Path) -> None:
        self.embedded = 0  # texts that `inner` embedded
        self._use_cache = True
        self.fingerprint = inner.fingerprint
        self.count, self.split, self._inner = inner.count, inner.split, inner
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"vectors cannot be kept in {folder}: {error.strerror}; name another --cache"
            ) from error
        self._db = Database(folder / FILE)
        self._db.enable_wal()
        self._db.table("vectors").create(
            {"key": bytes, "vector": bytes}, pk="key", if_not_exists=True
        )

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def bypass(self) -> Iterator[None]:
        """Bypass the cache inside the block, to time the inner embedder."""
        self._use_cache = False
        try:
            yield
        finally:
            self._use_cache = True

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, shape (n, d); only new texts cost more than a look-up."""
        if not texts or not self._use_cache:
            return self._inner.embed(texts)
        by_key = {self._key(text): text for text in texts}
        vectors = {
            key: np.frombuffer(vector, dtype=np.float32)
            for key, vector in self._select("key, vector", by_key)
        }
        for batch in self._embed(by_key, vectors):
            vectors |= batch
        return np.stack([vectors[self._key(text)] for text in texts])

    def prepare(
        self, texts: Iterable[str], progress: Callable[[int, int], object] = lambda *_: None
    ) -> None:
        """Embed the new texts, similar lengths together; `progress` gets (done, total)."""
        by_key = {self._key(text): text for text in texts}
        cached = {key for (key,) in self._select("key", by_key)}
        done, total = 0, len(by_key) - len(cached)
        progress(done, total)
        for batch in self._embed(by_key, cached):
            done += len(batch)
            progress(done, total)

    def _embed(
        self, by_key: Mapping[bytes, str], cached: Collection[bytes]
    ) -> Iterator[dict[bytes, Vectors]]:
        """Embed the texts that are not cached, in batches, and yield each when it is stored."""
        new = [key for key in by_key if key not in cached]
        new.sort(key=lambda key: len(by_key[key]))  # shortest first: little padding in a batch
        for first in range(0, len(new), _BATCH):
            keys = new[first : first + _BATCH]
            vectors = self._inner.embed([by_key[key] for key in keys])
            self.embedded += len(keys)
            batch = dict(zip(keys, vectors, strict=True))
            self._db.table("vectors").insert_all(
                [{"key": key, "vector": vector.tobytes()} for key, vector in batch.items()],
                replace=True,
            )
            yield batch

    def _key(self, text: str) -> bytes:
        fingerprint = self.fingerprint
        parts = (fingerprint.model, fingerprint.revision, str(fingerprint.dimension), text)
        return hashlib.sha256("\0".join(parts).encode()).digest()

    def _select(self, columns: str, keys: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
        """Yield rows of these keys except vectors of a wrong size, which are embedded again."""
        size = 4 * self.fingerprint.dimension  # bytes of float32
        all_keys = list(keys)
        for first in range(0, len(all_keys), _KEYS_PER_QUERY):
            some = all_keys[first : first + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            yield from self._db.execute(
                f"select {columns} from vectors where key in ({marks}) and length(vector) = ?",
                [*some, size],
            )
