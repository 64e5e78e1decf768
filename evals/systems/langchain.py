"""LangChain's in-memory vector store: one document a turn, cosine similarity."""

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

    A document is a turn's text, whole: what is beyond the embedder's window is not searched, for
    splitting is another package's work.
    """

    def __init__(self, embedder: Embedder) -> None:
        try:
            from langchain_core.vectorstores import InMemoryVectorStore
        except ModuleNotFoundError as error:
            raise MissingExtra(
                'LangChain needs langchain-core: pip install "memkit-llm[langchain]"'
            ) from error
        self._store = InMemoryVectorStore(_embeddings(embedder))

    def remember(self, turns: Sequence[Turn]) -> None:
        """Add a document for each turn."""
        ids = [turn.id or "" for turn in turns]
        self._store.add_texts([content(turn) for turn in turns], ids=ids)

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        """Search by similarity."""
        found = self._store.similarity_search_with_score(text, k=k)
        return [(document.id or "", score) for document, score in found]

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Delete documents."""
        self._store.delete(list(turn_ids))

    def stored(self) -> frozenset[str]:
        """Return the ids of all documents."""
        return frozenset(self._store.store)

    def close(self) -> None:
        """Drop all documents."""
        self._store.delete(list(self._store.store))


def _embeddings(embedder: Embedder) -> "Embeddings":
    """Return the embedder as LangChain wants one."""
    from langchain_core.embeddings import Embeddings

    class Ours(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float(one) for one in vector] for vector in embedder.embed(texts)]

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    return Ours()
