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
from memkit.integrations.messages import text_of
from memkit.integrations.recalling import new_of
from memkit.records import Usage

_PATIENCE_S = 600.0  # for the reply before


class ChatMemkit(BaseChatModel):
    """A `memkit.Chat` wherever LangChain takes a chat model; it remembers what is said.

    One user's session, as the chat was made for. The chat keeps the session's history itself: of
    the messages it is given, those behind the last reply are the question, and the ones before
    are left to its memory. A system message stands in for the chat's own, for one reply. Replies
    are made one at a time, asynchronous ones whether they are read or not: read any other stream
    to its end, or close it.

    Args:
        chat: the chat.
        model: what traces call it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    chat: Chat
    model: str = "memkit"
    _turn: Any = PrivateAttr(default_factory=threading.Lock)
    # asynchronous replies wait here: in the loop's own threads they would keep out what they
    # wait for
    _line: Any = PrivateAttr(
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
            raise InvalidInput("memkit.Chat calls no tools; give with_memory a model that does")
        messages = [message_chunk_to_message(one) for one in messages]
        question = _question(messages)
        system = "\n\n".join(text_of(one.content) for one in messages if one.type == "system")
        with self._alone(system):
            with closing(self.chat.stream(question, stop=stop or ())) as pieces:
                for piece in pieces:
                    chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                    if run_manager:
                        run_manager.on_llm_new_token(piece, chunk=chunk)
                    yield chunk
            used = self.chat.report.usage if self.chat.report else None
            yield ChatGenerationChunk(message=self._last(used))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        loop, left = asyncio.get_running_loop(), threading.Event()
        chunks: asyncio.Queue[ChatGenerationChunk | None] = asyncio.Queue()

        def hand_over(chunk: ChatGenerationChunk | None) -> None:
            if not left.is_set():
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)

        def read() -> None:
            try:
                with closing(self._stream(messages, stop, **kwargs)) as stream:
                    for chunk in stream:
                        hand_over(chunk)
                        if left.is_set():
                            return
            finally:
                hand_over(None)

        snapshot = self._line.submit(copy_context().run, read)
        try:
            while (chunk := await chunks.get()) is not None:
                if run_manager and chunk.text:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
            await asyncio.wrap_future(snapshot)  # raises what went wrong
        finally:
            left.set()
            snapshot.cancel()  # if its turn has not come

    @contextmanager
    def _alone(self, system: str) -> Iterator[None]:
        """Have the chat for oneself, and this system text in it."""
        if not self._turn.acquire(timeout=_PATIENCE_S):
            raise ModelError("another reply of this chat is open; read it to its end, or close it")
        before = self.chat.system
        try:
            self.chat.system = system or before
            yield
        finally:
            self.chat.system = before
            self._turn.release()

    def _last(self, usage: Usage | None) -> AIMessageChunk:
        """Return the end of a reply: nothing more is said, who said it, and what it cost."""
        cost = _cost(usage) if usage else None
        return AIMessageChunk(
            content="",
            usage_metadata=cost,
            response_metadata={"model_name": self.model},
            chunk_position="last",
        )


def _question(messages: Sequence[BaseMessage]) -> str:
    """Return the words of what is asked, or say what the chat cannot take."""
    asked = [one for one in new_of(messages) if one.type != "system"]
    for one in asked:
        if one.type != "human":
            raise InvalidInput(
                f"memkit.Chat takes words, and not a {one.type} message such as {one.content!r:.60}"
            )
        for part in one.content if isinstance(one.content, list) else ():
            if isinstance(part, dict) and not isinstance(part.get("text"), str):
                raise InvalidInput(
                    f"memkit.Chat takes words, and not a part of the type {part.get('type')!r}; "
                    "give with_memory a model that does"
                )
    if not asked:
        raise InvalidInput("there is nothing to answer: the last message must be a human's")
    return "\n\n".join(text_of(one.content) for one in asked)


def _cost(usage: Usage) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.new_tokens,
        total_tokens=usage.prompt_tokens + usage.new_tokens,
        input_token_details={"cache_read": usage.reused_tokens},
    )
