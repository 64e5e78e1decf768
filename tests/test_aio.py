"""A memory for async code: every method, the same signatures, and what a cancelled call leaves."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import memkit
from memkit import Chat, aio
from memkit.errors import InvalidInput, StoreClosed
from memkit.memory import Memory
from memkit.testing import HashEmbedder, open_memory

Test = Callable[[], Coroutine[Any, Any, None]]


def run(test: Test) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def public(cls: type) -> set[str]:
    functions = inspect.getmembers(cls, inspect.isfunction)
    return {name for name, _ in functions if not name.startswith("_")}


@pytest.mark.parametrize(
    ("wrapper", "cls", "left_out"),
    [
        (aio.AsyncMemory, Memory, set()),
        (aio.AsyncChat, Chat, {"on_forget", "on_update"}),
    ],
)
def test_every_method_is_there_with_the_same_signature_and_docstring(
    wrapper: type, cls: type, left_out: set[str]
) -> None:
    names = public(cls) - left_out
    assert names <= public(wrapper)
    for name in names - {"close"}:
        method, wrapped = getattr(wrapper, name), getattr(cls, name)
        assert inspect.signature(method) == inspect.signature(wrapped)
        assert method.__doc__ == wrapped.__doc__
        assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    assert inspect.signature(aio.open) == inspect.signature(memkit.open)


def test_turns_are_remembered_recalled_and_streamed(tmp_path: Path) -> None:
    async def test() -> None:
        async with aio.open(tmp_path / "ann.db", embedder=HashEmbedder()) as memory:
            ids = await memory.remember([f"tea {n}" for n in range(250)], user_id="ann")
            hits = await memory.recall("tea 7", user_id="ann", k=1)
            assert [hit.text for hit in hits] == ["tea 7"]
            assert [turn.id async for turn in memory.turns(user_id="ann")] == ids
            with pytest.raises(InvalidInput):
                await memory.recall("", user_id="ann")
        with pytest.raises(StoreClosed, match="open it again"):
            await memory.users()

    run(test)


def test_many_calls_at_once_use_few_threads() -> None:
    names = set()

    class Embedder(HashEmbedder):
        def embed(self, texts: Any) -> Any:
            names.add(threading.current_thread().name)
            return super().embed(texts)

    async def test() -> None:
        async with aio.AsyncMemory(open_memory(embedder=Embedder()), threads=3) as memory:
            calls = (memory.remember(f"tea {n}", user_id=f"user{n % 4}") for n in range(40))
            await asyncio.gather(*calls)
            assert sum([(await memory.stats())["turns"]]) == 40
        assert len(names) <= 3
        assert threading.current_thread().name not in names

    run(test)


def test_a_cancelled_call_that_has_begun_is_finished_and_one_that_waits_never_begins() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Embedder(HashEmbedder):
        def embed(self, texts: Any) -> Any:
            begun.set()
            go_on.wait(30)
            return super().embed(texts)

    async def test() -> None:
        async with aio.AsyncMemory(open_memory(embedder=Embedder()), threads=1) as memory:
            first = asyncio.create_task(memory.remember(["tea", "milk"], user_id="ann"))
            await asyncio.to_thread(begun.wait, 30)
            second = asyncio.create_task(memory.remember("jazz", user_id="ann"))
            await asyncio.sleep(0)
            for task in (first, second):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            go_on.set()
            texts = [turn.text async for turn in memory.turns(user_id="ann")]
            assert texts == ["tea", "milk"]  # all of the first call, and nothing of the second

    run(test)


def test_closing_waits_for_calls_that_have_begun(tmp_path: Path) -> None:
    async def test() -> None:
        memory = aio.AsyncMemory(open_memory(str(tmp_path / "ann.db")))
        task = asyncio.create_task(memory.remember("tea", user_id="ann"))
        await asyncio.sleep(0)
        await memory.close()
        assert len(await task) == 1
        await memory.close()

    run(test)
    with open_memory(str(tmp_path / "ann.db")) as memory:
        assert [turn.text for turn in memory.turns(user_id="ann")] == ["tea"]


def test_a_chat_streams_and_a_stream_that_is_left_is_closed() -> None:
    def model(messages: Any) -> Any:  # noqa: ARG001
        yield from ["It ", "is ", "four."]

    async def test() -> None:
        async with aio.AsyncMemory(open_memory()) as memory:
            chat = Chat(model, memory=memory.wrapped, user_id="ann")
            async with aio.AsyncChat(chat) as talk:
                assert [piece async for piece in talk.stream("What is 2 + 2?")] == [
                    "It ", "is ", "four.",
                ]  # fmt: skip
                stream = talk.stream("And again?")
                assert await anext(stream) == "It "
                await stream.aclose()
                assert await talk.reply("Once more?") == "It is four."
            texts = [turn.text async for turn in memory.turns(user_id="ann")]
            assert texts == [
                "What is 2 + 2?", "It is four.", "And again?", "It", "Once more?", "It is four.",
            ]  # fmt: skip

    run(test)


def test_a_thread_has_the_context_of_its_caller() -> None:
    variable = ContextVar("variable", default="none")
    seen = []

    class Embedder(HashEmbedder):
        def embed(self, texts: Any) -> Any:
            seen.append(variable.get())
            return super().embed(texts)

    async def test() -> None:
        async with aio.AsyncMemory(open_memory(embedder=Embedder())) as memory:
            variable.set("request 7")
            await memory.remember("tea", user_id="ann")

    run(test)
    assert seen == ["request 7"]
