"""`memkit.Chat` as a LangChain chat model."""

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import copy_context
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, PrivateAttr

from memkit.chat import Chat
from memkit.errors import InvalidInput, ModelError
from memkit.integrations.memory_step import unanswered_messages
from memkit.integrations.messages import content_text
from memkit.records import Usage

_TIMEOUT_S = 600.0  # to wait for the reply before


class ChatMemkit(BaseChatModel):
    """A `memkit.Chat` wherever LangChain takes a chat model; it remembers what is said.

    It serves the user and the session of the chat. The chat has the session's history already: the
    messages after the last reply are the question, and earlier messages are ignored. A system
    message replaces the chat's system text for one reply. The chat makes one reply at a time. An
    asynchronous reply is generated even if nobody reads it; read a synchronous stream to its end,
    or close it. `model` is the name in traces.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    chat: Chat
    model: str = "memkit"
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    # asynchronous replies have a thread of their own: in the event loop's shared threads, replies
    # that wait for the lock would block the reply that holds it
    _executor: Any = PrivateAttr(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="memkit-chat")
    )

    @property
    def _llm_type(self) -> str:
        return "memkit"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = self._astream(messages, stop, run_manager, **kwargs)
        return generate_from_stream(iter([chunk async for chunk in chunks]))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk]:
        if kwargs.get("tools"):
            raise InvalidInput(
                "memkit.Chat cannot call tools; use with_memory and a model that can"
            )
        messages = [message_chunk_to_message(message) for message in messages]
        question = _question(messages)
        system = "\n\n".join(
            content_text(message.content) for message in messages if message.type == "system"
        )
        with self._exclusive(system):
            with closing(self.chat.stream(question, stop=stop or ())) as pieces:
                for piece in pieces:
                    chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                    if run_manager:
                        run_manager.on_llm_new_token(piece, chunk=chunk)
                    yield chunk
            usage = self.chat.report.usage if self.chat.report else None
            last = AIMessageChunk(
                content="",
                usage_metadata=_usage_metadata(usage) if usage else None,
                response_metadata={"model_name": self.model},
                chunk_position="last",
            )
            yield ChatGenerationChunk(message=last)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        loop, abandoned = asyncio.get_running_loop(), threading.Event()
        chunks: asyncio.Queue[ChatGenerationChunk | None] = asyncio.Queue()

        def put(chunk: ChatGenerationChunk | None) -> None:
            if not abandoned.is_set():
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)

        def produce() -> None:
            try:
                with closing(self._stream(messages, stop, **kwargs)) as stream:
                    for chunk in stream:
                        put(chunk)
                        if abandoned.is_set():
                            return
            finally:
                put(None)

        producer = self._executor.submit(copy_context().run, produce)
        try:
            while (chunk := await chunks.get()) is not None:
                if run_manager and chunk.text:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
            await asyncio.wrap_future(producer)  # raises the producer's error
        finally:
            abandoned.set()
            producer.cancel()  # no effect once it runs

    @contextmanager
    def _exclusive(self, system: str) -> Iterator[None]:
        """Hold the chat's lock for the block, with this system text if there is one."""
        if not self._lock.acquire(timeout=_TIMEOUT_S):
            raise ModelError(
                f"another reply of this chat is still open after {_TIMEOUT_S:.0f} s; read it to "
                "its end, or close it"
            )
        before = self.chat.system
        try:
            self.chat.system = system or before
            yield
        finally:
            self.chat.system = before
            self._lock.release()


def _question(messages: Sequence[BaseMessage]) -> str:
    question = [message for message in unanswered_messages(messages) if message.type != "system"]
    for message in question:
        if message.type != "human":
            raise InvalidInput(
                f"memkit.Chat takes human messages, got a {message.type} message: "
                f"{message.content!r:.60}"
            )
        for part in message.content if isinstance(message.content, list) else ():
            if isinstance(part, dict) and not isinstance(part.get("text"), str):
                raise InvalidInput(
                    f"memkit.Chat takes text, got a part of the type {part.get('type')!r}; use "
                    "with_memory and a model that takes it"
                )
    if not question:
        raise InvalidInput("there is nothing to answer: the last message must be a human's")
    return "\n\n".join(content_text(message.content) for message in question)


def _usage_metadata(usage: Usage) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.new_tokens,
        total_tokens=usage.prompt_tokens + usage.new_tokens,
        input_token_details={"cache_read": usage.reused_tokens},
    )
