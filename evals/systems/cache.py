"""A cache of vectors on disk by text, so that a second run embeds nothing.

Not safe to share between threads; several processes may use one file.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from sqlite_utils import Database

from memkit.errors import InvalidInput
from memkit.models.bundled import default_cache
from memkit.protocols import Embedder, Fingerprint, Vectors

FILE = "vectors.db"
_BATCH = 512  # texts that are embedded and then written at once: an interruption loses no more
_KEYS_PER_QUERY = 500  # some builds of SQLite take no more than 999


def default_folder() -> Path:
    """Return the default folder of the cached vectors."""
    return default_cache() / "evals"


class CachedEmbedder:
    """An embedder that calls `inner` only for texts that are new, in this run and all before.

    Args:
        inner: embeds new texts.
        folder: holds the SQLite file, made if absent.
    """

    def __init__(self, inner: Embedder, folder: Path) -> None:
        self.embedded = 0  # texts that `inner` embedded
        self._inner, self._use_cache = inner, True
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

    def __enter__(self) -> "CachedEmbedder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    @property
    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the inner embedder."""
        return self._inner.fingerprint

    def count(self, text: str) -> int:
        """Return how many tokens `inner` counts."""
        return self._inner.count(text)

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return the spans that `inner` would."""
        return self._inner.split(text, header=header)

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
        keys = [self._key(text) for text in texts]
        vectors = self._look_up(keys)
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        vectors |= self._embed(new, lambda _: None)
        return np.stack([vectors[key] for key in keys])

    def prepare(
        self, texts: Iterable[str], progress: Callable[[int, int], object] = lambda *_: None
    ) -> None:
        """Embed the new texts, similar lengths together; `progress` gets (done, total)."""
        by_key = {self._key(text): text for text in texts}
        cached = {key for (key,) in self._select("key", list(by_key))}
        new = {key: text for key, text in by_key.items() if key not in cached}
        progress(0, len(new))
        self._embed(new, lambda done: progress(done, len(new)), keep=False)

    def _embed(
        self, new: dict[bytes, str], progress: Callable[[int], object], *, keep: bool = True
    ) -> dict[bytes, Vectors]:
        """Embed these texts and store their vectors; return them unless `keep` is off."""
        shortest_first = sorted(new, key=lambda key: len(new[key]))  # little padding in a batch
        embedded: dict[bytes, Vectors] = {}
        for first in range(0, len(shortest_first), _BATCH):
            keys = shortest_first[first : first + _BATCH]
            vectors = self._inner.embed([new[key] for key in keys])
            self.embedded += len(keys)
            rows = zip(keys, vectors, strict=True)
            self._db.table("vectors").insert_all(
                [{"key": key, "vector": vector.tobytes()} for key, vector in rows], replace=True
            )
            if keep:
                embedded |= dict(zip(keys, vectors, strict=True))
            progress(first + len(keys))
        return embedded

    def _key(self, text: str) -> bytes:
        fingerprint = self.fingerprint
        parts = (fingerprint.model, fingerprint.revision, str(fingerprint.dimension), text)
        return hashlib.sha256("\0".join(parts).encode()).digest()

    def _look_up(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        rows = self._select("key, vector", list(dict.fromkeys(keys)))
        return {key: np.frombuffer(vector, dtype=np.float32) for key, vector in rows}

    def _select(self, columns: str, keys: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
        """Yield rows of these keys except vectors of a wrong size, which are embedded again."""
        size = 4 * self.fingerprint.dimension  # bytes of float32
        for first in range(0, len(keys), _KEYS_PER_QUERY):
            some = list(keys[first : first + _KEYS_PER_QUERY])
            marks = ",".join("?" * len(some))
            yield from self._db.execute(
                f"select {columns} from vectors where key in ({marks}) and length(vector) = ?",
                [*some, size],
            )
