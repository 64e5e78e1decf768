"""mem0 with `infer=False`: every turn stored as it is, vectors in a Qdrant in RAM, no model.

It runs as `pip install mem0ai` leaves it. Its optional parts, spaCy and fastembed, would download
models at their first use and change the ranking where they happen to be installed, so the adapter
hides them.
"""
# ruff: noqa: D102  # the methods without a docstring are documented in `ThirdPartyMemory`

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

_OPTIONAL = ("fastembed", "spacy")  # modules that mem0 uses where they are installed
_ALL = 10**9  # more than any memory holds; mem0 lists 20 by default


class Mem0:
    """mem0's `Memory`, in RAM: on disk it writes twice per turn and ranks the same.

    A memory is the whole text of a turn: what exceeds the embedder's window is not searched.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._vectors = _EmbedderAdapter(embedder)
        self._ids: dict[str, str] = {}  # turn id -> mem0's own
        with _without_optional_parts():
            self._memory: Any = _make_memory(self._vectors)

    def remember(self, turns: Sequence[Turn]) -> None:
        new = [turn for turn in turns if turn.id not in self._ids]
        self._vectors.prepare([content(turn) for turn in new])
        with _without_optional_parts():
            for turn in new:
                # mem0 silently drops messages of any other role
                role = "assistant" if turn.role == "assistant" else "user"
                added = self._memory.add(
                    [{"role": role, "content": content(turn)}],
                    user_id=USER, metadata={"turn": turn.id}, infer=False,
                )  # fmt: skip
                self._ids[turn.id or ""] = added["results"][0]["id"]

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        """Search without a threshold, so that every candidate is ranked."""
        if not self._ids:
            return []
        with _without_optional_parts():
            answer = self._memory.search(text, top_k=k, filters={"user_id": USER}, threshold=0.0)
        return [(hit["metadata"]["turn"], float(hit["score"])) for hit in answer["results"]]

    def forget(self, turn_ids: Sequence[str]) -> None:
        with _without_optional_parts():
            for turn_id in turn_ids:
                if turn_id in self._ids:
                    self._memory.delete(self._ids.pop(turn_id))

    def stored(self) -> frozenset[str]:
        memories = self._memory.get_all(filters={"user_id": USER}, top_k=_ALL)["results"]
        return frozenset(memory["metadata"]["turn"] for memory in memories)

    def close(self) -> None:
        self._memory.close()
        self._memory.vector_store.client.close()  # mem0 does not close it


def _make_memory(vectors: "_EmbedderAdapter") -> Any:
    mem0 = _import_memory_class()
    from qdrant_client import QdrantClient

    unused = {"config": {"api_key": "unused"}}  # mem0 creates OpenAI clients in any case
    store = {"client": QdrantClient(":memory:"), "embedding_model_dims": vectors.dimension}
    with warnings.catch_warnings():  # of an index of users, which a store in RAM lacks
        warnings.simplefilter("ignore", UserWarning)
        memory = mem0.from_config(
            {
                "vector_store": {"provider": "qdrant", "config": store},
                "history_db_path": ":memory:",
                "embedder": unused,
                "llm": unused,
            }
        )
    failure = ModelError("mem0 called a language model, though infer=False needs none")
    memory.llm = mock.Mock(**{"generate_response.side_effect": failure})
    memory.embedding_model = vectors
    return memory


def _import_memory_class() -> Any:
    """Return mem0's `Memory`, imported without telemetry and without files in the home folder."""
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
    logging.getLogger("mem0").setLevel(logging.ERROR)  # mem0 warns of each missing part
    return Memory


@contextmanager
def _without_optional_parts() -> Iterator[None]:
    before = {name: sys.modules[name] for name in _OPTIONAL if name in sys.modules}
    sys.modules.update(dict.fromkeys(_OPTIONAL))  # type: ignore[arg-type]  # None: not importable
    try:
        yield
    finally:
        for name in _OPTIONAL:
            del sys.modules[name]
        sys.modules.update(before)


class _EmbedderAdapter:
    def __init__(self, embedder: Embedder) -> None:
        self.dimension = embedder.fingerprint.dimension
        self._embedder = embedder
        self._prepared: dict[str, list[float]] = {}

    def prepare(self, texts: Sequence[str]) -> None:
        self._prepared = dict(zip(texts, self._embed(texts), strict=True))

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:  # noqa: ARG002
        return self._prepared[text] if text in self._prepared else self._embed([text])[0]

    def embed_batch(self, texts: Sequence[str], memory_action: str = "add") -> list[list[float]]:
        return [self.embed(text, memory_action) for text in texts]

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(value) for value in vector] for vector in self._embedder.embed(texts)]
