"""LangChain's own suites for retrievers and chat models, and what ours adds to a chat model."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest

import memkit
from memkit.errors import InvalidInput
from memkit.testing import HashEmbedder, ScriptedModel

pytest.importorskip("langchain_tests")

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
)
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import ChatModelIntegrationTests, RetrieversIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from memkit.integrations.langchain import ChatMemkit, MemkitRetriever


def opened() -> memkit.Memory:
    ours = memkit.Settings(background=False)
    return memkit.open(":memory:", embedder=HashEmbedder(), settings=ours)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def benchmark() -> Callable[[Callable[[], None]], None]:
    """Run what the suite would time, once."""
    return lambda run: run()


@pytest.fixture
def vcr() -> None:
    """Nothing is recorded: nothing leaves this machine."""


@pytest.mark.anyio
class TestRetriever(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return MemkitRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        memory = opened()
        memory.remember([f"The bees made {n} jars of honey." for n in range(5)], user_id="ann")
        return {"memory": memory, "user_id": "ann"}

    @property
    def retriever_query_example(self) -> str:
        return "How much honey did the bees make?"


def chat(*replies: str, **options: Any) -> memkit.Chat:
    model = ScriptedModel(cycle(replies))  # type: ignore[arg-type]
    return memkit.Chat(model, None, opened(), user_id="ann", **options)


class OurChat:
    """What both suites are told: memkit.Chat takes words and calls no tools."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatMemkit

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"chat": chat("I am well, and what about you?")}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False


class TestChatModelUnit(OurChat, ChatModelUnitTests): ...


@pytest.mark.anyio
class TestChatModel(OurChat, ChatModelIntegrationTests): ...


# ---- what the chat model adds


@pytest.fixture
def chat_model() -> Iterator[ChatMemkit]:
    chat_model = ChatMemkit(chat=chat("one two three"))
    yield chat_model
    chat_model.chat.memory.close()


def test_a_chat_model_remembers(chat_model: ChatMemkit) -> None:
    chat_model.invoke("I live in Oslo.")
    chat_model.invoke("And now?")
    turns = list(chat_model.chat.memory.turns(user_id="ann"))
    assert [turn.role for turn in turns] == ["user", "assistant"] * 2
    assert turns[0].text == "I live in Oslo."


def test_only_what_nobody_replied_to_is_asked(chat_model: ChatMemkit) -> None:
    chat_model.invoke(
        [HumanMessage("old"), AIMessage("older"), HumanMessage("a"), HumanMessage("b")]
    )
    assert next(chat_model.chat.memory.turns(user_id="ann")).text == "a\n\nb"


def test_chunks_are_the_messages_they_are_pieces_of(chat_model: ChatMemkit) -> None:
    usual = [
        SystemMessageChunk(content="Rhyme."),
        HumanMessageChunk(content="old"),
        AIMessageChunk(content="older"),
    ]
    chat_model.invoke([*usual, HumanMessage(["a", {"type": "text", "text": "b"}])])
    assert next(chat_model.chat.memory.turns(user_id="ann")).text == "ab"
    model: Any = chat_model.chat.model
    assert model.prompts[0][0]["content"] == "Rhyme."


def test_a_system_message_counts_for_one_reply(chat_model: ChatMemkit) -> None:
    usual = chat_model.chat.system
    chat_model.invoke([SystemMessage("Rhyme."), HumanMessage("hi")])
    chat_model.invoke("hi")
    model: Any = chat_model.chat.model
    assert [prompt[0]["content"] for prompt in model.prompts] == ["Rhyme.", usual]


def test_a_reply_says_what_it_cost(chat_model: ChatMemkit) -> None:
    reply = chat_model.invoke("hi")
    assert isinstance(reply, AIMessage)
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 3
    assert reply.usage_metadata["total_tokens"] == reply.usage_metadata["input_tokens"] + 3


def test_stop_strings_end_a_reply(chat_model: ChatMemkit) -> None:
    assert chat_model.invoke("hi", stop=["two"]).content == "one "
    assert [turn.text for turn in chat_model.chat.memory.turns(user_id="ann")] == ["hi", "one"]


def test_a_stream_comes_in_pieces_and_makes_room_when_it_is_closed(chat_model: ChatMemkit) -> None:
    stream: Any = chat_model.stream("hi")
    first = next(stream)
    assert isinstance(first, AIMessageChunk)
    assert first.content == "one "
    stream.close()
    assert chat_model.invoke("again").content == "one two three"
    assert asyncio.run(chat_model.ainvoke("and again")).content == "one two three"


def test_replies_to_many_are_made_one_at_a_time(chat_model: ChatMemkit) -> None:
    questions = [f"question {n}" for n in range(8)]
    chat_model.batch(questions)  # type: ignore[arg-type]
    turns = list(chat_model.chat.memory.turns(user_id="ann"))
    assert [turn.role for turn in turns] == ["user", "assistant"] * 8
    assert {turn.text for turn in turns if turn.role == "user"} == set(questions)
    assert threading.active_count() < 50


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [HumanMessage("hi"), AIMessage("hello")],
        [HumanMessage("hi"), AIMessage("x"), ToolMessage("y", tool_call_id="1")],
        [HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])],
        [HumanMessage(["Who is this?", {"type": "image_url", "image_url": {"url": "data:,"}}])],
        [HumanMessage("hi"), AIMessageChunk(content="hello")],
    ],
)
def test_what_the_chat_cannot_answer_is_refused(chat_model: ChatMemkit, messages: Any) -> None:
    with pytest.raises(InvalidInput):
        chat_model.invoke(messages)
    with pytest.raises(InvalidInput, match="cannot call tools"):
        chat_model.invoke("hi", tools=[{}])
    assert list(chat_model.chat.memory.turns(user_id="ann")) == []
