"""mem0 with `infer=False`: every turn kept as it is, vectors in a Qdrant in RAM, no model asked.

It runs as `pip install mem0ai` leaves it. Its optional parts, spaCy and fastembed, would download
models at their first use and change the ranking where they happen to be installed; they are taken
for absent.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from evals import USER
from evals.systems.adapter import content
from memkit import Turn
from memkit.errors import InvalidInput, MissingExtra, ModelError
from memkit.protocols import Embedder

_OPTIONAL = ("fastembed", "spacy")
_ALL = 10**9


class Mem0:
    """mem0's `Memory`, in RAM: on disk it waits for the disk twice a turn and ranks the same.

    A memory is a turn's text, whole: what is beyond the embedder's window is not searched.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._vectors = _Vectors(embedder)
        self._ids: dict[str, str] = {}  # turn id -> mem0's own
        with _alone():
            self._memory: Any = _made(self._vectors)

    def remember(self, turns: Sequence[Turn]) -> None:
        """Add each turn as it is."""
        new = [turn for turn in turns if turn.id not in self._ids]
        self._vectors.prepare([content(turn) for turn in new])
        with _alone():
            for turn in new:
                # it leaves out messages of any other role without a word
                role = "assistant" if turn.role == "assistant" else "user"
                added = self._memory.add(
                    [{"role": role, "content": content(turn)}],
                    user_id=USER, metadata={"turn": turn.id}, infer=False,
                )  # fmt: skip
                self._ids[turn.id or ""] = added["results"][0]["id"]

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        """Search without a threshold: what it finds at all is ranked."""
        if not self._ids:
            return []
        with _alone():
            answer = self._memory.search(text, top_k=k, filters={"user_id": USER}, threshold=0.0)
        found = answer["results"]
        return [(one["metadata"]["turn"], float(one["score"])) for one in found]

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Delete memories, one by one."""
        with _alone():
            for turn_id in turn_ids:
                if turn_id in self._ids:
                    self._memory.delete(self._ids.pop(turn_id))

    def stored(self) -> frozenset[str]:
        """Return the ids of all memories that it lists."""
        found = self._memory.get_all(filters={"user_id": USER}, top_k=_ALL)["results"]
        return frozenset(one["metadata"]["turn"] for one in found)

    def close(self) -> None:
        """Close it and its vector store."""
        self._memory.close()
        self._memory.vector_store.client.close()  # it does not do that itself


def _made(vectors: "_Vectors") -> Any:
    """Return a mem0 that keeps all in RAM, embeds with ours and asks no model."""
    mem0 = _imported()
    from qdrant_client import QdrantClient

    unused = {"config": {"api_key": "unused"}}  # it makes clients of OpenAI's whatever is wanted
    store = {"client": QdrantClient(":memory:"), "embedding_model_dims": vectors.dimension}
    with warnings.catch_warnings():  # of an index of users, which a store in RAM does without
        warnings.simplefilter("ignore", UserWarning)
        memory = mem0.from_config(
            {
                "vector_store": {"provider": "qdrant", "config": store},
                "history_db_path": ":memory:",
                "embedder": unused,
                "llm": unused,
            }
        )
    memory.embedding_model, memory.llm = vectors, _NoModel()
    return memory


def _imported() -> Any:
    """Return mem0's `Memory`, imported so that it neither reports nor writes into the home folder.

    Raises:
        MissingExtra: it is not installed.
        InvalidInput: somebody imported it before with telemetry on.
    """
    with (
        TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"MEM0_TELEMETRY": "False", "MEM0_DIR": folder}),
    ):
        try:
            from mem0 import Memory
            from mem0.memory.telemetry import MEM0_TELEMETRY
        except ModuleNotFoundError as error:
            raise MissingExtra('mem0 needs mem0ai: pip install "memkit-llm[mem0]"') from error
    if MEM0_TELEMETRY:
        raise InvalidInput(
            "mem0 was imported before with its telemetry on; set MEM0_TELEMETRY=False"
        )
    logging.getLogger("mem0").setLevel(logging.ERROR)  # it warns of each part that is not there
    return Memory


@contextmanager
def _alone() -> Iterator[None]:
    """Let imports of the optional parts fail inside the block."""
    before = {name: sys.modules[name] for name in _OPTIONAL if name in sys.modules}
    sys.modules.update(dict.fromkeys(_OPTIONAL))  # type: ignore[arg-type]  # None: not importable
    try:
        yield
    finally:
        for name in _OPTIONAL:
            del sys.modules[name]
        sys.modules.update(before)


class _Vectors:
    """Our embedder as mem0 calls one; what is about to be added is embedded in one call."""

    def __init__(self, embedder: Embedder) -> None:
        self.dimension = embedder.fingerprint.dimension
        self._embedder = embedder
        self._ready: dict[str, list[float]] = {}

    def prepare(self, texts: Sequence[str]) -> None:
        """Embed texts that will be asked for."""
        self._ready = dict(zip(texts, self._embed(texts), strict=True))

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:  # noqa: ARG002
        """Return a text's vector."""
        return self._ready[text] if text in self._ready else self._embed([text])[0]

    def embed_batch(self, texts: Sequence[str], memory_action: str = "add") -> list[list[float]]:
        """Return the vectors of several texts."""
        return [self.embed(text, memory_action) for text in texts]

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(one) for one in vector] for vector in self._embedder.embed(texts)]


class _NoModel:
    """Stands where mem0 wants a language model: with `infer=False` it is never asked."""

    def generate_response(self, *_: object, **__: object) -> str:
        raise ModelError("mem0 asked for a language model; with infer=False it must not")
