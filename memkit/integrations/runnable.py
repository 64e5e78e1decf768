"""Any LangChain chat model with a memory, in one line."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.utils import ConfigurableFieldSpec

from memkit.errors import InvalidInput
from memkit.integrations.recalling import Recalling, new_of, scope_of
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.protocols import Counter
from memkit.records import Scope


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

    Who is talking stands in the config: `{"configurable": {"user_id": …, "session_id": …}}`; an
    existing session is taken up where it was left. Before the newest question stands what memory
    has to say to it; the question is remembered before the model is asked, the reply after it,
    also when its stream was cut off. System messages are not remembered.

    What is remembered is the question as the model reads it. If a template writes documents into
    it ("Context: {docs} Question: {question}"), they become the user's words: write them into a
    system message instead. To try a model again, wrap the model and not what has the memory,
    `with_memory(model.with_retry(), memory)`: a question that has no id would be remembered anew.

    Args:
        model: a chat model, or a chain from messages to a message or a text.
        memory: where everything said is kept.
        budget_tokens: most tokens that memory adds to a prompt.
        k: most hits in a prompt.
        history: most of the session's last messages in a prompt. A prompt that has replies in it
            brings its own history, and gets none.
        count: counts a text's tokens, best with the model's tokenizer; the embedder's if left out.
    """
    recalling = Recalling(
        memory=memory, budget_tokens=budget_tokens, k=k, history=history, count=count
    )
    return WithMemory(model, recalling)


class WithMemory(Runnable[LanguageModelInput, Any]):
    """A chat model with a memory; made by `with_memory`."""

    def __init__(self, model: Runnable[LanguageModelInput, Any], recalling: Recalling) -> None:
        self.model, self._recalling = model, recalling

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a config may name."""
        fields = {"user_id": "who is talking", "session_id": "the conversation"}
        return [
            ConfigurableFieldSpec(id=name, annotation=str, description=said, is_shared=True)
            for name, said in fields.items()
        ]

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Answer, and remember both what was asked and what was answered.

        Raises:
            ScopeRequired: the config names no user.
            InvalidInput: the model answered neither a message nor a text; the question is kept.
        """
        config = ensure_config(config)
        prompt, scope = self._ask(input, config)
        reply = self.model.invoke(prompt, config, **kwargs)
        self._keep(reply, scope)
        return reply

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Do what `invoke` does; the memory is asked in a thread."""
        config = ensure_config(config)
        prompt, scope = await asyncio.to_thread(self._ask, input, config)
        reply = await self.model.ainvoke(prompt, config, **kwargs)
        await asyncio.to_thread(self._keep, reply, scope)
        return reply

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Answer piece by piece; what was said until the stream ended is remembered."""
        config = ensure_config(config)
        prompt, scope = self._ask(input, config)
        reply: Any = None
        try:
            for piece in self.model.stream(prompt, config, **kwargs):
                reply = piece if reply is None else reply + piece
                yield piece
        finally:
            self._keep(reply, scope)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Do what `stream` does; the memory is asked in a thread."""
        config = ensure_config(config)
        prompt, scope = await asyncio.to_thread(self._ask, input, config)
        reply: Any = None
        try:
            async for piece in self.model.astream(prompt, config, **kwargs):
                reply = piece if reply is None else reply + piece
                yield piece
        finally:
            await asyncio.to_thread(self._keep, reply, scope)

    def _ask(
        self, said: LanguageModelInput, config: RunnableConfig
    ) -> tuple[list[BaseMessage], Scope]:
        """Return the prompt, and remember what is new in it."""
        scope, messages = scope_of(config), _messages(said)
        prompt = self._recalling.prompt(messages, scope)
        self._recalling.remember(new_of(messages), scope)
        return prompt, scope

    def _keep(self, reply: object, scope: Scope) -> None:
        if isinstance(reply, str):
            reply = AIMessage(reply)
        if isinstance(reply, BaseMessage):
            self._recalling.keep([reply], scope)
        elif reply is not None:
            raise InvalidInput(
                f"a {type(reply).__name__} cannot be remembered: give with_memory the chat model, "
                "and put what parses its reply behind it"
            )


def _messages(said: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(said, PromptValue):
        return said.to_messages()
    if isinstance(said, str):
        return [HumanMessage(said)]
    # what was streamed comes back as chunks
    return [message_chunk_to_message(one) for one in convert_to_messages(said)]
