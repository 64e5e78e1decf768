"""A memory for async code: every method of `Memory` and `Chat`, run in a few threads.

    import memkit.aio

    async with memkit.aio.open("ann.db") as memory:
        hits = await memory.recall("Where do I live?", user_id="ann")

There is one synchronous core. Each method here calls the one of the same name in a thread. A call
that is cancelled before its thread has begun does nothing. One that has begun is finished by its
thread, so that nothing is written by half; its result is dropped.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import copy_context
from functools import partial, wraps
from itertools import islice
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from memkit.chat import Chat
from memkit.entry import open as open_memory
from memkit.errors import InvalidInput, StoreClosed
from memkit.memory import Memory

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_THREADS = 8  # reads of one memory wait for each other, so more would not be faster
_PAGE = 100  # turns that a thread reads at a time


class _Threads:
    """A bounded pool of threads for the calls of one object."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise InvalidInput(f"threads must be at least 1, got {most}")
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="memkit-aio")
        self._is_closed = False

    def submit(self, call: Callable[[], R]) -> "Future[R]":
        """Run a call in a thread, with the context variables of the caller."""
        if self._is_closed:
            raise StoreClosed("this memory was closed; open it again")
        return self._pool.submit(copy_context().run, call)

    async def run(self, call: Callable[[], R]) -> R:
        """Return the result of a call that runs in a thread."""
        return await asyncio.wrap_future(self.submit(call))

    async def close(self, finish: Callable[[], object]) -> None:
        """Wait for all calls, and then call `finish`; goes on if the caller is cancelled."""
        self._is_closed = True

        def close() -> None:
            self._pool.shutdown()
            finish()

        await _finish(close)


async def _finish(call: Callable[[], object]) -> None:
    """Run a call in a thread outside the pool, to its end even if the caller is cancelled."""
    await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(call)))


def _call(
    method: Callable[Concatenate[T, P], R],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """Return the async method that calls `method` of the wrapped object."""

    @wraps(method)
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        threads: _Threads = self._threads
        return await threads.run(partial(method, self.wrapped, *args, **kwargs))

    return call


def _stream(
    method: Callable[Concatenate[T, P], Iterator[R]], page: int
) -> Callable[Concatenate[Any, P], AsyncGenerator[R]]:
    """Return the async generator of what `method` yields, read `page` items at a time."""

    @wraps(method)
    async def stream(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R]:
        threads: _Threads = self._threads
        iterator = await threads.run(partial(method, self.wrapped, *args, **kwargs))
        step: Future[list[R]] | None = None
        try:
            while True:
                step = threads.submit(lambda: list(islice(iterator, page)))
                items = await asyncio.wrap_future(step)
                for item in items:
                    yield item
                if len(items) < page:
                    return
        finally:
            await _finish(partial(_close, iterator, step))

    return stream


def _close(iterator: Iterator[R], step: "Future[list[R]] | None") -> None:
    """End a generator, after the step that a cancelled caller no longer waits for."""
    if step is not None:
        wait([step])
    if close := getattr(iterator, "close", None):
        close()


class AsyncMemory:
    """A `Memory` for async code; see there for what the methods do.

    `wrapped` is the memory. `threads` is how many calls run at once; others wait.
    """

    def __init__(self, memory: Memory, *, threads: int = _THREADS) -> None:
        self.wrapped, self._threads = memory, _Threads(threads)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the calls that have begun, and close the memory."""
        await self._threads.close(self.wrapped.close)

    apply_retention = _call(Memory.apply_retention)
    backup = _call(Memory.backup)
    checkpoint = _call(Memory.checkpoint)
    context = _call(Memory.context)
    correct = _call(Memory.correct)
    doctor = _call(Memory.doctor)
    export = _call(Memory.export)
    flush = _call(Memory.flush)
    forget = _call(Memory.forget)
    history = _call(Memory.history)
    import_ = _call(Memory.import_)
    on = _call(Memory.on)
    recall = _call(Memory.recall)
    remember = _call(Memory.remember)
    restore = _call(Memory.restore)
    retention = _call(Memory.retention)
    retract = _call(Memory.retract)
    rollback = _call(Memory.rollback)
    sessions = _call(Memory.sessions)
    set_retention = _call(Memory.set_retention)
    sign = _call(Memory.sign)
    stats = _call(Memory.stats)
    summaries = _call(Memory.summaries)
    summary = _call(Memory.summary)
    think = _call(Memory.think)
    thoughts = _call(Memory.thoughts)
    turns = _stream(Memory.turns, _PAGE)
    update = _call(Memory.update)
    users = _call(Memory.users)
    wordings = _call(Memory.wordings)


class AsyncChat:
    """A `Chat` for async code; see there for what the methods do.

    `wrapped` is the chat, whose memory stays open when this is closed. Making a chat may load a
    model: `AsyncChat(await asyncio.to_thread(memkit.Chat, model, memory=memory.wrapped, …))`.
    """

    def __init__(self, chat: Chat) -> None:
        self.wrapped, self._threads = chat, _Threads(2)  # `undo` while it replies

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the calls that have begun."""
        await self._threads.close(lambda: None)

    reply = _call(Chat.reply)
    stream = _stream(Chat.stream, 1)
    undo = _call(Chat.undo)


def _opening(
    function: Callable[P, Memory],
) -> Callable[P, AbstractAsyncContextManager[AsyncMemory]]:
    """Return the async context manager of the memory that `function` opens."""

    @wraps(function)
    @asynccontextmanager
    async def opening(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[AsyncMemory]:
        task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
        try:
            memory = await asyncio.shield(task)
        except asyncio.CancelledError:
            (await task).close()
            raise
        async with AsyncMemory(memory) as opened:
            yield opened

    return opening


open = _opening(open_memory)  # memkit.open, to be used with `async with`
