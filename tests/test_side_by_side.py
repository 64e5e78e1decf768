"""What many users of one model promise each other: nobody waits for a reader, nothing mixes."""

# ruff: noqa: F811 - fixtures are imported

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import NOON
from openai_server import (  # noqa: F401 - some are fixtures
    Request,
    Server,
    _no_settings_of_this_machine,
    server,
)
from test_families import LOUD, ask
from test_families import user as asking

import memkit
from memkit.models.function import FunctionModel
from memkit.models.huggingface import HuggingFaceModel
from memkit.models.openai import OpenAIModel
from memkit.testing import HashEmbedder

pytest.importorskip("langchain_core")
pytest.importorskip("openai")

from memkit.integrations.langchain import ChatMemkit

Tiny = Callable[..., Any]
Key = tuple[str, str]

SESSIONS: list[Key] = [(f"user{n % 5}", f"session{n}") for n in range(20)]
ASKED = re.compile(r"The bees of (user\d) in (session\d+), number (\d)")


class Noting:
    """A model that says what it was asked by whom, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: dict[Key, str] = dict.fromkeys(SESSIONS, "")

    def __call__(self, messages: list[dict[str, str]]) -> str:
        user, session, n = ASKED.findall(messages[-1]["content"])[-1]
        self.shown[user, session] += str(messages)
        return noted(user, session, n)


def noted(user: str, session: str, n: object) -> str:
    return f"Noted, {user} in {session}, {n}."


def questions(user: str, session: str) -> list[str]:
    return [f"The bees of {user} in {session}, number {n}" for n in range(3)]


def texts(memory: memkit.Memory, user: str, session: str = "main") -> list[str]:
    return [turn.text for turn in memory.turns(user_id=user, session_id=session)]


def assert_nothing_is_mixed(memory: memkit.Memory, shown: dict[Key, str]) -> None:
    for user, session in SESSIONS:
        assert set(re.findall(r"user\d", shown[user, session])) == {user}
        assert texts(memory, user, session) == [
            text
            for n, question in enumerate(questions(user, session))
            for text in (question, noted(user, session, n))
        ]
    other = {one for key in SESSIONS for one in re.findall(r"session\d+", shown[key]) if one != key}
    assert len(other) > 1  # what a user said elsewhere is shown


def talk_in_threads(model: Any, memory: memkit.Memory) -> None:
    def talk(key: Key) -> None:
        chat = memkit.Chat(model, memory=memory, user_id=key[0], session_id=key[1])
        for n, question in enumerate(questions(*key)):
            assert chat.reply(question) == noted(*key, n)
            assert chat.report is not None
            assert question in str(chat.report.prompt.messages)
            assert chat.report.usage.prompt_tokens == model.count(chat.report.prompt.messages)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(talk, SESSIONS))


def test_twenty_sessions_of_five_users_on_one_function_mix_nothing(memory: memkit.Memory) -> None:
    noting = Noting()
    talk_in_threads(FunctionModel(noting), memory)
    assert_nothing_is_mixed(memory, noting.shown)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_twenty_sessions_of_five_users_on_one_server_mix_nothing(
    memory: memkit.Memory, server: Server
) -> None:
    noting = Noting()

    def answer(request: Request) -> None:
        request.say(*re.findall(r"\S+\s*", noting(request.asked["messages"])))

    server.answer = answer
    talk_in_threads(OpenAIModel("tiny", base_url=server.url, timeout_s=5), memory)
    assert_nothing_is_mixed(memory, noting.shown)


def test_twenty_sessions_of_five_users_in_one_event_loop_mix_nothing(
    memory: memkit.Memory,
) -> None:
    noting = Noting()

    async def talk(key: Key) -> None:
        chat = memkit.Chat(noting, memory=memory, user_id=key[0], session_id=key[1])
        for n, question in enumerate(questions(*key)):
            assert await read(ChatMemkit(chat=chat), question) == noted(*key, n)

    in_a_loop(*(talk(key) for key in SESSIONS))
    assert_nothing_is_mixed(memory, noting.shown)


def test_a_thread_sees_what_the_reply_cost_that_it_read() -> None:
    model = FunctionModel(lambda messages: messages[0]["content"], count=len)
    list(model.stream(asking("one"), max_new_tokens=9))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(list, model.stream(asking("three"), max_new_tokens=9)).result()
        there = pool.submit(lambda: model.usage).result()
    assert model.usage is not None
    assert there is not None
    assert (model.usage.new_tokens, there.new_tokens) == (3, 5)


# ---- one event loop


async def read(model: ChatMemkit, question: str) -> str:
    return "".join([str(chunk.content) async for chunk in model.astream(question)])


def in_a_loop(*together: Any) -> list[Any]:
    async def run() -> list[Any]:
        few = ThreadPoolExecutor(2)  # whoever waited in one of these would keep out the others
        asyncio.get_running_loop().set_default_executor(few)
        return await asyncio.wait_for(asyncio.gather(*together), 30)

    return asyncio.run(run())


def words(messages: list[dict[str, str]]) -> Iterator[str]:
    yield from ("You ", "asked: ", messages[-1]["content"].rpartition("\n")[2])


def test_many_streams_of_one_chat_at_once_all_end_and_each_is_its_own(
    memory: memkit.Memory,
) -> None:
    model = ChatMemkit(chat=memkit.Chat(words, memory=memory, user_id="ann"))
    asked = [f"question {n}" for n in range(20)]
    assert in_a_loop(*(read(model, one) for one in asked)) == [f"You asked: {one}" for one in asked]
    said = texts(memory, "ann")
    assert sorted(said[::2]) == sorted(asked)
    assert said[1::2] == [f"You asked: {one}" for one in said[::2]]


def test_a_cancelled_stream_stops_and_one_that_waited_was_never_asked(
    memory: memkit.Memory,
) -> None:
    go_on = threading.Event()

    def answer(_: list[dict[str, str]]) -> Iterator[str]:
        yield "one "
        assert go_on.wait(30)
        yield from ("two ", "three")

    async def run() -> None:
        model = ChatMemkit(chat=memkit.Chat(answer, memory=memory, user_id="ann"))
        stream: Any = model.astream("first")
        assert (await anext(stream)).content == "one "
        waiting = asyncio.create_task(model.ainvoke("second"))
        for _ in range(20):
            await asyncio.sleep(0)
        waiting.cancel()
        await stream.aclose()
        go_on.set()
        assert (await model.ainvoke("third")).content == "one two three"

    in_a_loop(run())
    first, heard, *then = texts(memory, "ann")
    assert (first, then) == ("first", ["third", "one two three"])
    assert heard in ("one", "one two")  # it may have been on its way to the next word


def test_what_goes_wrong_is_raised_in_the_loop(memory: memkit.Memory) -> None:
    model = ChatMemkit(chat=memkit.Chat(lambda _: str(1 / 0), memory=memory, user_id="ann"))
    for call in (model.ainvoke("hello"), read(model, "hello")):
        with pytest.raises(ZeroDivisionError):
            in_a_loop(call)


# ---- one transformers model


def chats(model: Any, memory: memkit.Memory) -> list[memkit.Chat]:
    return [
        memkit.Chat(model, memory=memory, user_id=f"user{n}", max_new_tokens=8) for n in range(12)
    ]


def test_twelve_users_of_one_model_are_answered_as_if_alone_while_one_does_not_read(
    tiny: Tiny, tokenizer: Any, memory: memkit.Memory
) -> None:
    model = HuggingFaceModel(tiny("Llama", **LOUD), tokenizer)
    quiet = memkit.Settings(background=False)
    with memkit.open(
        ":memory:", embedder=HashEmbedder(), settings=quiet, clock=lambda: NOON
    ) as apart:
        alone = [
            [chat.reply(f"{n} {m}") for m in range(2)] for n, chat in enumerate(chats(model, apart))
        ]

    async def talk(n: int, chat: ChatMemkit) -> list[str]:
        if n % 2:
            return [str((await chat.ainvoke(f"{n} {m}")).content) for m in range(2)]
        return [await read(chat, f"{n} {m}") for m in range(2)]

    async def run() -> list[list[str]]:
        first, *others = [ChatMemkit(chat=chat) for chat in together]
        paused: Any = first.astream("0 0")
        begun = str((await anext(paused)).content)
        said = await asyncio.gather(*(talk(n, chat) for n, chat in enumerate(others, 1)))
        end = "".join([str(chunk.content) async for chunk in paused])
        return [[begun + end, await read(first, "0 1")], *said]

    together = chats(model, memory)
    assert in_a_loop(run()) == [alone]
    for n, chat in enumerate(together):
        asked = [text for m in range(2) for text in (f"{n} {m}", alone[n][m].strip())]
        assert texts(memory, f"user{n}") == [one for one in asked if one]
        assert chat.report is not None
        assert chat.report.usage.prompt_tokens == chat.report.prompt.tokens


def test_a_reply_that_nobody_reads_keeps_no_other_waiting(tiny: Tiny, tokenizer: Any) -> None:
    model = HuggingFaceModel(tiny("Llama", **LOUD), tokenizer)
    hello, bye = ask(model, asking("hello")), ask(model, asking("bye"))
    open_ = model.stream(asking("hello"), max_new_tokens=12)
    begun = next(open_)
    assert ask(model, asking("bye")) == bye
    assert model.replies([asking("bye")], max_new_tokens=12) == [bye]
    assert begun + "".join(open_) == hello
    assert ask(model, asking("bye")) == bye
