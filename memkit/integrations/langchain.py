"""LangChain: give any chat model a memory, or use a memory as history, retriever or chat model.

```python
chain = prompt | with_memory(model, memory) | StrOutputParser()
chain.invoke(question, config={"configurable": {"user_id": "ann", "session_id": "monday"}})
```
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

from memkit.errors import InvalidInput, MissingExtra

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.documents import Document
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import (
        AIMessage,
        BaseMessage,
        HumanMessage,
        convert_to_messages,
        message_chunk_to_message,
    )
    from langchain_core.prompt_values import PromptValue
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
    from langchain_core.runnables.utils import ConfigurableFieldSpec
except ModuleNotFoundError as error:
    raise MissingExtra("LangChain is not installed: pip install 'memkit-llm[langchain]'") from error

from pydantic import ConfigDict

from memkit.integrations.chat_model import ChatMemkit
from memkit.integrations.memory_step import MemoryStep, scope_from_config, unanswered_messages
from memkit.integrations.messages import to_message, to_turn
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.protocols import Counter
from memkit.records import Hit, Scope
from memkit.text.role_markers import escape_role_markers, speaker_label

__all__ = [
    "ChatMemkit",
    "MemkitChatMessageHistory",
    "MemkitRetriever",
    "to_message",
    "to_turn",
    "with_memory",
]


def with_memory(
    model: Runnable[LanguageModelInput, Any],
    memory: Memory,
    *,
    budget_tokens: int = DEFAULT_BUDGET,
    k: int = 10,
    history: int = 20,
    count: Counter | None = None,
) -> "WithMemory":
    """Give a LangChain chat model a memory. Bind tools to the model first.

    The config of each call names the user and the session:
    `{"configurable": {"user_id": …, "session_id": …}}`. An existing session is continued. A memory
    block is put in front of the newest question. The question is remembered before the model is
    called, and the reply after it, even if its stream was closed early. System messages are not
    remembered.

    The question is remembered as the model reads it. Write documents into a system message, or they
    are remembered as the user's words. For retries wrap the model and not the result,
    `with_memory(model.with_retry(), memory)`: a question without an id would be remembered at each
    attempt.

    Args:
        model: a chat model, or a chain from messages to a message or a text.
        memory: the memory.
        budget_tokens: most tokens that memory adds to a prompt.
        k: most hits in a prompt.
        history: most messages of the session in a prompt. A prompt that contains replies has its
            own history, and none is added.
        count: counts a text's tokens, best with the model's tokenizer.
    """
    step = MemoryStep(memory=memory, budget_tokens=budget_tokens, k=k, history=history, count=count)
    return WithMemory(model, step)


class WithMemory(Runnable[LanguageModelInput, Any]):
    """A chat model with a memory; returned by `with_memory`."""

    def __init__(self, model: Runnable[LanguageModelInput, Any], step: MemoryStep) -> None:
        self.model, self._step = model, step

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The configurable fields: user and session."""
        fields = {"user_id": "whose memory", "session_id": "the conversation"}
        return [
            ConfigurableFieldSpec(id=name, annotation=str, description=description, is_shared=True)
            for name, description in fields.items()
        ]

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Answer; remember the question and the reply.

        Raises ScopeRequired if the config has no user_id, and InvalidInput if the model returned
        neither a message nor a text; the question is remembered then.
        """
        config = ensure_config(config)
        prompt, scope = self._prepare(input, config)
        reply = self.model.invoke(prompt, config, **kwargs)
        self._remember_reply(reply, scope)
        return reply

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Like `invoke`; the memory runs in a thread."""
        config = ensure_config(config)
        prompt, scope = await asyncio.to_thread(self._prepare, input, config)
        reply = await self.model.ainvoke(prompt, config, **kwargs)
        await asyncio.to_thread(self._remember_reply, reply, scope)
        return reply

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Answer piece by piece; if the stream ends early, the reply so far is remembered."""
        config = ensure_config(config)
        prompt, scope = self._prepare(input, config)
        reply: Any = None
        try:
            for piece in self.model.stream(prompt, config, **kwargs):
                reply = piece if reply is None else reply + piece
                yield piece
        finally:
            self._remember_reply(reply, scope)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Like `stream`; the memory runs in a thread."""
        config = ensure_config(config)
        prompt, scope = await asyncio.to_thread(self._prepare, input, config)
        reply: Any = None
        try:
            async for piece in self.model.astream(prompt, config, **kwargs):
                reply = piece if reply is None else reply + piece
                yield piece
        finally:
            await asyncio.to_thread(self._remember_reply, reply, scope)

    def _prepare(
        self, input: LanguageModelInput, config: RunnableConfig
    ) -> tuple[list[BaseMessage], Scope]:
        """Return the prompt with memory, and remember its new messages."""
        scope, messages = scope_from_config(config), _to_messages(input)
        prompt = self._step.add_memory(messages, scope)
        self._step.remember(unanswered_messages(messages), scope)
        return prompt, scope

    def _remember_reply(self, reply: object, scope: Scope) -> None:
        if isinstance(reply, str):
            reply = AIMessage(reply)
        if isinstance(reply, BaseMessage):
            self._step.remember_replies([reply], scope)
        elif reply is not None:
            raise InvalidInput(
                f"a {type(reply).__name__} cannot be remembered: pass the chat model to "
                "with_memory, and put the parser after it"
            )


def _to_messages(input: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(input, PromptValue):
        return input.to_messages()
    if isinstance(input, str):
        return [HumanMessage(input)]
    # a caller may pass back the chunks of an earlier stream
    return [message_chunk_to_message(message) for message in convert_to_messages(input)]


class MemkitChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session, stored in a memory and recalled in every other session.

    Messages of every kind come back as they were added. `a…` methods run in a thread.
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
        turns = [to_turn(message, self._memory.signer) for message in messages]
        scope = self._scope
        self._memory.remember(turns, user_id=scope.user_id, session_id=scope.session_id)

    def clear(self) -> None:
        """Delete this session's turns and everything derived from them, permanently."""
        scope = self._scope
        turns = self._memory.turns(user_id=scope.user_id, session_id=scope.session_id)
        self._memory.forget(user_id=scope.user_id, turn_ids=[turn.id or "" for turn in turns])


class MemkitRetriever(BaseRetriever):
    """Retrieves turns as documents: the text, with time and speaker in the metadata.

    Role markers in the text are escaped, because a chain puts it into a prompt.

    The fields are the arguments of `Memory.recall`. `invoke` takes them too, for one question:
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
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - the name is LangChain's
        **overrides: Any,
    ) -> list[Document]:
        names = (
            "user_id", "session_id", "agent_id", "k", "as_of", "min_relevance", "without", "kind",
        )  # fmt: skip
        options = {name: getattr(self, name) for name in names} | overrides
        return [_document(hit) for hit in self.memory.recall(query, **options)]


def _document(hit: Hit) -> Document:
    metadata = {
        "turn_ids": list(hit.turn_ids), "said_at": hit.said_at.isoformat(), "role": hit.role,
        "speaker": speaker_label(hit.name, hit.role), "session_id": hit.session_id,
        "kind": hit.kind, "relevance": hit.relevance, "explain": dict(hit.explain),
    }  # fmt: skip
    return Document(
        id=hit.turn_ids[0], page_content=escape_role_markers(hit.text), metadata=metadata
    )
