"""Memory around one chat request. A failure of the memory is a warning and costs no reply."""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import anyio

from memkit.errors import MemkitError, ModelError
from memkit.memory import Memory
from memkit.records import Scope
from memkit.server.access import Access, Caller
from memkit.server.backend import ChatBackend, ModelAnswer, ReplyReader, event_line, is_done
from memkit.server.conversation import ChatMessage, Conversation
from memkit.server.metrics import Metrics
from memkit.server.schemas import MemoryOptions
from memkit.server.settings import ServerSettings
from memkit.text.sanitise import one_line

_Result = TypeVar("_Result")
_log = logging.getLogger("memkit.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes of one server share."""

    memory: Memory
    backend: ChatBackend | None  # None: only the memory is served
    settings: ServerSettings
    metrics: Metrics
    access: Access


class Exchange:
    """One request to the model: memory goes in before it, and what was said is kept after it."""

    def __init__(
        self, services: Services, caller: Caller, user: str | None, options: MemoryOptions | None
    ) -> None:
        self._services, self._options = services, options or MemoryOptions()
        self._user_id = caller.resolve(user)
        Scope(user_id=self._user_id, session_id=self._options.session_id)  # checks both
        self._read_only = caller.read_only
        self._conversation: Conversation | None = None
        self._memory_s = self._model_s = 0.0
        self._asked_at = 0.0
        self.warnings: list[str] = []

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says of memory: session, time in milliseconds, warnings."""
        timing = f"memory;dur={1000 * self._memory_s:.1f}"
        if self._model_s:
            timing += f", model;dur={1000 * self._model_s:.1f}"
        headers = {"Server-Timing": timing}
        if self._conversation is not None:
            headers["X-Memkit-Session"] = quote(self._conversation.session_id, safe="")
        if self.warnings:
            text = one_line("; ".join(self.warnings))
            headers["X-Memkit-Warning"] = text.encode("ascii", "backslashreplace").decode()
        return headers

    async def ask(
        self, backend: ChatBackend, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> ModelAnswer:
        """Send a chat completion with memory to the model."""
        messages = await self._begin(body["messages"])
        body = {name: value for name, value in body.items() if name != "memory"}
        self._asked_at = time.perf_counter()
        answer = await backend.chat({**body, "messages": messages}, headers)
        self.warnings += answer.warnings
        return answer

    async def _begin(self, messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
        """Return the messages with what memory has for them; remember what is new in them."""
        if self._options.off:
            return messages
        memory, user_id, options = self._services.memory, self._user_id, self._options

        def recall() -> list[ChatMessage]:
            self._conversation = Conversation(memory, user_id, messages, options)
            return self._conversation.recall()

        recalled = await self._attempt("recall", recall)
        if self._conversation is not None and not self._read_only:
            await self._attempt("remember", self._conversation.remember_new)
        return messages if recalled is None else recalled

    async def finish(self, reader: ReplyReader) -> None:
        """Remember the reply, if it is complete."""
        self._model_s = time.perf_counter() - self._asked_at
        self._services.metrics.model_seconds.observe(self._model_s)
        conversation, message = self._conversation, reader.message
        if conversation is not None and message is not None and not self._read_only:
            await self._attempt("remember", lambda: conversation.remember_reply(message))

    async def events(self, answer: ModelAnswer, reader: ReplyReader) -> AsyncGenerator[bytes]:
        """Yield the lines of a streamed reply; remember it before the last one.

        A failure after the beginning is an event of its own: the status has been sent.
        """
        assert answer.lines is not None
        last = b""
        try:
            async with aclosing(answer.lines) as lines:
                async for line in lines:
                    if is_done(line):
                        last = line.rstrip() + b"\n\n"
                        break
                    reader.read_line(line)
                    yield line
        except ModelError as error:
            yield event_line({"error": {"message": str(error), "type": "server_error"}})
            return
        known = len(self.warnings)
        await self.finish(reader)
        if self.warnings[known:]:  # the headers have gone
            yield event_line(
                {"object": "chat.completion.chunk", "id": "memkit", "created": int(time.time()),
                 "model": "memkit", "choices": [], "memkit": {"warnings": self.warnings[known:]}}
            )  # fmt: skip
        if last:
            yield last

    async def _attempt(self, step: str, work: Callable[[], _Result]) -> _Result | None:
        """Run a step of the memory in a thread; None, and a warning, if it failed or was slow."""
        metrics, started = self._services.metrics, time.perf_counter()
        limit = self._services.settings.recall_s
        try:
            with metrics.time_memory(step), anyio.fail_after(limit):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        except MemkitError as error:
            reason = str(error)
        except TimeoutError:
            reason = f"it took more than {limit:g} s"
        except Exception:  # noqa: BLE001 - whatever fails in the memory, the reply must not be lost
            _log.exception("memory failed")
            reason = "an internal error; see the server's log"
        finally:
            self._memory_s += time.perf_counter() - started
        metrics.memory_failures.labels(step=step).inc()
        self.warnings.append(f"{step} failed: {reason}")
        return None
