"""Memory around one chat request. A failure of the memory is a warning and costs no reply."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any
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
from memkit.text.sanitise import one_line, truncate

_log = logging.getLogger("memkit.server")
_MAX_HEADER = 500  # characters of a warning
_MAX_THREADS = 64  # of the memory, for all chat requests, with those that are late
_MAX_WAITING = 1000  # steps that wait for such a thread
_tasks: set[asyncio.Task[None]] = set()  # the event loop holds tasks by weak references only


def _start(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Return a task that goes on if the client leaves."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def finish_late(seconds: float) -> None:
    """Wait for what is still being remembered, before the memory is closed."""
    if _tasks:
        await asyncio.wait(set(_tasks), timeout=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes of one server share."""

    memory: Memory
    backend: ChatBackend | None  # None: only the memory is served
    settings: ServerSettings
    metrics: Metrics
    access: Access
    # apart from the threads of other routes, so that slow ones cannot keep a chat waiting
    limiter: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(_MAX_THREADS)
    )


class Exchange:
    """One request to the model: memory goes in before it, and what was said is remembered.

    The question is remembered while the model works, the reply after it.
    """

    def __init__(
        self, services: Services, caller: Caller, user: str | None, options: MemoryOptions | None
    ) -> None:
        self._services, self._options = services, options or MemoryOptions()
        self._user_id = caller.resolve(user)
        Scope(user_id=self._user_id, session_id=self._options.session_id)  # checks both
        self._read_only = caller.read_only
        self._conversation: Conversation | None = None
        self._question: asyncio.Task[None] | None = None  # remembers what is new
        self._memory_s = self._model_s = 0.0  # by which memory, and the model, delay the answer
        self._asked_at = 0.0
        self._warnings: list[str] = []
        self._announced = 0  # warnings that are in the headers

    def headers(self) -> dict[str, str]:
        """Return what the answer says of memory: session, milliseconds, warnings so far."""
        timing = f"memory;dur={1000 * self._memory_s:.1f}"
        if self._model_s:
            timing += f", model;dur={1000 * self._model_s:.1f}"
        headers = {"Server-Timing": timing}
        if self._conversation is not None:
            headers["X-Memkit-Session"] = quote(self._conversation.session_id, safe="")
        self._announced = len(self._warnings)
        if self._warnings:
            # clients refuse long headers, and with them the reply
            text = truncate(one_line("; ".join(self._warnings)), _MAX_HEADER)
            headers["X-Memkit-Warning"] = text.encode("ascii", "backslashreplace").decode()
        return headers

    def new_warnings(self) -> list[str]:
        """Return the warnings that are not in the headers."""
        return self._warnings[self._announced :]

    async def ask(
        self, backend: ChatBackend, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> ModelAnswer:
        """Send a chat completion with memory to the model."""
        with self._delay():
            messages = await self._recall(body["messages"])
        if self._conversation is not None and not self._read_only:
            work = self._attempt("remember", self._conversation.remember_new)
            self._question = _start(work)
        body = {name: value for name, value in body.items() if name != "memory"}
        self._asked_at = time.perf_counter()
        try:
            answer = await backend.chat({**body, "messages": messages}, headers)
        except MemkitError:
            await self._wait_for_question()
            raise
        self._warnings += answer.warnings
        return answer

    async def _recall(self, messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
        """Return the messages with what memory has for them."""
        memory, user_id, options = self._services.memory, self._user_id, self._options
        recalled: list[ChatMessage] = []

        def recall() -> None:
            self._conversation = Conversation(memory, user_id, messages, options)
            recalled.extend(self._conversation.recall())

        if not options.off:
            await self._attempt("recall", recall)
        return recalled or messages

    async def finish(self, reader: ReplyReader) -> None:
        """Remember the reply, if it is complete, after what it answers."""
        self._model_s = time.perf_counter() - self._asked_at
        self._services.metrics.model_seconds.observe(self._model_s)
        conversation, message = self._conversation, reader.message
        with self._delay():
            await self._wait_for_question()
            if conversation is not None and message is not None and not self._read_only:
                await self._attempt("remember", lambda: conversation.remember_reply(message))

    async def _wait_for_question(self) -> None:
        if self._question is not None:
            await asyncio.shield(self._question)

    async def events(self, answer: ModelAnswer, reader: ReplyReader) -> AsyncGenerator[bytes]:
        """Yield the lines of a streamed reply; remember it before the last one.

        A failure after the beginning is an event of its own: the status has been sent.
        """
        assert answer.lines is not None
        last, finish = b"", None
        try:
            async with aclosing(answer.lines) as lines:
                async for line in lines:
                    if is_done(line):
                        last = line.rstrip() + b"\n\n"
                        break
                    reader.read_line(line)
                    yield line
        except ModelError as error:
            await self._wait_for_question()
            yield event_line({"error": {"message": str(error), "type": "server_error"}})
            return
        finally:  # also if the client has gone: some do after the last word, before "[DONE]"
            if reader.message is not None:
                finish = _start(self.finish(reader))
        await (self.finish(reader) if finish is None else asyncio.shield(finish))
        if warnings := self.new_warnings():
            yield event_line(
                {"object": "chat.completion.chunk", "id": "memkit", "created": int(time.time()),
                 "model": "memkit", "choices": [], "memkit": {"warnings": warnings}}
            )  # fmt: skip
        if last:
            yield last

    @contextmanager
    def _delay(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._memory_s += time.perf_counter() - started

    async def _run(self, work: Callable[[], None], limit: float) -> None:
        """Run work in a thread; raise TimeoutError if it is late, and let it end.

        A late thread counts until its end, so a memory that hangs cannot use up all threads.
        """
        limiter = self._services.limiter
        if limiter.statistics().tasks_waiting >= _MAX_WAITING:
            raise TimeoutError
        task = _start(anyio.to_thread.run_sync(work, limiter=limiter))
        await asyncio.wait({task}, timeout=limit)
        if not task.done():
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise TimeoutError
        task.result()

    async def _attempt(self, step: str, work: Callable[[], None]) -> None:
        """Run a step of the memory in a thread; add a warning if it failed or was slow."""
        metrics, limit = self._services.metrics, self._services.settings.recall_s
        try:
            with metrics.time_memory(step):
                await self._run(work, limit)
            return
        except MemkitError as error:
            reason = str(error)
        except TimeoutError:
            reason = f"it took more than {limit:g} s"
        except Exception:  # noqa: BLE001 - whatever fails in the memory, the reply must not be lost
            _log.exception("memory failed")
            reason = "an internal error; see the server's log"
        metrics.memory_failures.labels(step=step).inc()
        self._warnings.append(f"{step} failed: {reason}")
