"""The entry point: open a memory with what it needs."""

from collections.abc import Callable
from datetime import datetime

from memkit import embedders
from memkit.background.maintenance import Settings
from memkit.govern.keys import Key
from memkit.govern.privacy import Action, Privacy
from memkit.memory import Memory
from memkit.opening import Location, open_store, utc_now
from memkit.protocols import Embedder, Judge, Summariser, Thinker


def open(
    url: Location,
    *,
    embedder: str | Embedder | None = None,
    summariser: Summariser | None = None,
    thinker: Thinker | None = None,
    judge: Judge | None = None,
    settings: Settings | None = None,
    privacy: Privacy | Action | None = None,
    key: Key | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Memory:
    """Open a memory, or create a new one. Loads no model.

    Args:
        url: a path (`str` or `Path`), ":memory:", "sqlite:///PATH" or another store's URL.
        embedder: a sentence-transformers id or path, or any `Embedder`; the default is the bundled
            all-MiniLM-L6-v2. "static" is a table for very small machines, see `StaticEmbedder`.
        summariser: writes the Compact Memory; the default is extractive and needs no model.
        thinker: draws thoughts from turns; the default is a small trained network.
        judge: decides whether later words contradict a doubted thought; without one it stays so.
        settings: see `Settings`.
        privacy: what happens to secrets and personal data: "off", "flag" (the default: stored, and
            `Turn.flags` names their kinds), "redact", "block", or a `Privacy` for single kinds.
        key: encrypts words and vectors: a passphrase, 32 random bytes or a `KeyStore`.
        clock: the time of turns without a time of their own.

    Raises:
        WrongKey: the memory is encrypted, and `key` is missing or another one.
        EmbeddingMismatch: the memory was embedded with another model.
        StoreError: one of its kinds, if the file cannot be used.
    """
    resolved = embedders.resolve_embedder(embedder)
    return Memory(
        open_store(url, resolved.fingerprint, key), resolved, summariser=summariser,
        thinker=thinker, judge=judge, settings=settings, privacy=privacy, clock=clock,
    )  # fmt: skip
