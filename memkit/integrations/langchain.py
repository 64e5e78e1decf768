"""LangChain: a chat model that remembers in one line, a history, a retriever, a chat model.

```python
chain = prompt | with_memory(model, memory) | StrOutputParser()
chain.invoke(question, config={"configurable": {"user_id": "ann", "session_id": "monday"}})
```
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from memkit.errors import MissingExtra

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.documents import Document
    from langchain_core.messages import BaseMessage
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as error:
    raise MissingExtra("LangChain is not installed: pip install 'memkit-llm[langchain]'") from error

from pydantic import ConfigDict

from memkit.integrations.chat_model import ChatMemkit
from memkit.integrations.messages import to_message, to_turn
from memkit.integrations.runnable import with_memory
from memkit.memory import Memory
from memkit.records import Hit, Scope

__all__ = [
    "ChatMemkit",
    "MemkitChatMessageHistory",
    "MemkitRetriever",
    "to_message",
    "to_turn",
    "with_memory",
]


class MemkitChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session, kept by a memory and found by it from every other session.

    Every kind of message comes back as it was given. `a…` methods run in a thread.

    Args:
        memory: where they are kept.
        user_id: whose.
        session_id: the conversation.
    """

    def __init__(self, memory: Memory, *, user_id: str, session_id: str) -> None:
        super().__init__()
        self._memory = memory
        self._scope = Scope(user_id=user_id, session_id=session_id)

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The messages in the order they were said."""
        scope = self._scope
        turns = self._memory.turns(user_id=scope.user_id, session_id=scope.session_id)
        return [to_message(turn) for turn in turns]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Remember messages, all of them or none."""
        self._memory.remember(
            [to_turn(message) for message in messages],
            user_id=self._scope.user_id,
            session_id=self._scope.session_id,
        )

    def clear(self) -> None:
        """Forget this session: its turns and all that was derived from them, for good.

        The user's other sessions stay.
        """
        scope = self._scope
        turns = self._memory.turns(user_id=scope.user_id, session_id=scope.session_id)
        self._memory.forget(user_id=scope.user_id, turn_ids=[turn.id or "" for turn in turns])


class MemkitRetriever(BaseRetriever):
    """Finds what was said, as documents: the words, and in the metadata when and by whom.

    Arguments are those of `Memory.recall`; each can be given to `invoke` as well, for one question:
    `retriever.invoke("Where does she live?", k=3)`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    memory: Memory
    user_id: str
    session_id: str | None = None
    agent_id: str | None = None
    k: int = 10
    as_of: datetime | None = None
    min_relevance: float | Literal["auto"] = 0.0
    without: tuple[str, ...] = ()
    kind: Literal["turn", "thought"] = "turn"

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's name for it
        **chosen: Any,
    ) -> list[Document]:
        names = (
            "user_id", "session_id", "agent_id", "k", "as_of", "min_relevance", "without", "kind",
        )  # fmt: skip
        options = {name: getattr(self, name) for name in names} | chosen
        return [_document(hit) for hit in self.memory.recall(query, **options)]


def _document(hit: Hit) -> Document:
    metadata = {
        "turn_ids": list(hit.turn_ids),
        "said_at": hit.said_at.isoformat(),
        "role": hit.role,
        "speaker": hit.speaker,
        "session_id": hit.session_id,
        "kind": hit.kind,
        "relevance": hit.relevance,
        "explain": dict(hit.explain),
    }
    return Document(id=hit.turn_ids[0], page_content=hit.text, metadata=metadata)
