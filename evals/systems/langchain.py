"""LangChain's in-memory vector store: one document per turn, cosine similarity."""
# ruff: noqa: D102  # the methods are documented in `ThirdPartyMemory`

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.systems.adapter import content
from memkit import Turn
from memkit.errors import MissingExtra
from memkit.protocols import Embedder

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings


class LangChain:
    """`InMemoryVectorStore` as LangChain documents it.

    A document is the whole text of a turn: what exceeds the embedder's window is not searched,
    because splitting is the work of another package.
    """

    def __init__(self, embedder: Embedder) -> None:
        try:
            from langchain_core.vectorstores import InMemoryVectorStore
        except ModuleNotFoundError as error:
            raise MissingExtra(
                'LangChain needs langchain-core: pip install "memkit-llm[langchain]"'
            ) from error
        self._store = InMemoryVectorStore(_adapt_embedder(embedder))

    def remember(self, turns: Sequence[Turn]) -> None:
        ids = [turn.id or "" for turn in turns]
        self._store.add_texts([content(turn) for turn in turns], ids=ids)

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        results = self._store.similarity_search_with_score(text, k=k)
        return [(document.id or "", score) for document, score in results]

    def forget(self, turn_ids: Sequence[str]) -> None:
        self._store.delete(list(turn_ids))

    def stored(self) -> frozenset[str]:
        return frozenset(self._store.store)

    def close(self) -> None:
        self._store.delete(list(self._store.store))


def _adapt_embedder(embedder: Embedder) -> "Embeddings":
    from langchain_core.embeddings import Embeddings

    class MemkitEmbeddings(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float(value) for value in vector] for vector in embedder.embed(texts)]

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    return MemkitEmbeddings()
