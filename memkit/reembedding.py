"""Move a memory to another embedder."""

from collections.abc import Callable

from memkit import embedders
from memkit.background.maintenance import Settings
from memkit.govern.keys import Key
from memkit.govern.reembedding import bundled_embedder, reembed_gated
from memkit.opening import Location, open_store
from memkit.protocols import Embedder


def reembed(
    url: Location,
    embedder: str | Embedder,
    progress: Callable[[int, int], None] = lambda _, __: None,
    *,
    current: str | Embedder | None = None,
    settings: Settings | None = None,
    key: Key | None = None,
) -> int:
    """Move the memory at `url` to another embedder; return how many chunks were embedded.

    Searches use the old vectors until the end. An interrupted run resumes where it stopped. The
    gate compares what the memory answers before and after; for that it needs the `current` embedder
    if it is not a bundled one. `settings.gate` and `settings.policy` count. An encrypted
    memory needs its `key`.

    Raises:
        WrongKey: the memory is encrypted, and `key` is missing or another one.
        StepRefused: too few probes are answered with the new vectors; the old ones stay.
    """
    settings = settings or Settings()
    new = embedders.resolve_embedder(embedder)
    store = open_store(url, None, key)
    try:
        if not settings.gate:
            return store.reembed(new, progress)
        old = embedders.resolve_embedder(current) if current else bundled_embedder(store)
        return reembed_gated(store, new, progress, policy=settings.load_policy(), current=old)
    finally:
        store.close()
