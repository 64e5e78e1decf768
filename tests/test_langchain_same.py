"""The same dialogue leaves the same in a memory, whatever it is talked through."""

# ruff: noqa: F811 - fixtures are imported

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import (  # noqa: F401 - some are fixtures
    Request,
    Server,
    _no_settings_of_this_machine,
    server,
)

import memkit
from memkit.models.openai import OpenAIModel
from memkit.testing import HashEmbedder, ScriptedModel

pytest.importorskip("langchain_core")
pytest.importorskip("openai")

from conftest import NOON
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import HumanMessage

from memkit.integrations.langchain import ChatMemkit, with_memory

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Dialogue = list[tuple[str, str]]  # 15 questions and replies: 30 turns
Talk = Callable[[Dialogue, memkit.Memory, Server], None]

places = st.sampled_from(["Oslo", "Rome", "Bergen"])
things = st.sampled_from(["bees", "jazz", "tea", "a greyhound called Biscuit"])
questions = st.one_of(
    places.map("I live in {} now.".format),
    things.map("I like {}.".format),
    places.map("What is the weather in {}?".format),
    st.just("My sister works at a bakery.\nShe moved there in May."),
)
replies = things.map("You told me of {}, I remember.".format) | st.just("Good to know!")
dialogues = st.lists(st.tuples(questions, replies), min_size=15, max_size=15)


def through_chat(dialogue: Dialogue, memory: memkit.Memory, _: Server) -> None:
    model = ScriptedModel([reply for _, reply in dialogue])
    chat = memkit.Chat(model, None, memory, user_id="ann", session_id="s1")
    for question, _reply in dialogue:
        chat.reply(question)


def through_an_endpoint(dialogue: Dialogue, memory: memkit.Memory, server: Server) -> None:
    coming = iter([reply for _, reply in dialogue])

    def answer(request: Request) -> None:
        reply = next(coming)
        request.say(reply[:4], reply[4:])

    server.answer = answer
    model = OpenAIModel("tiny", base_url=server.url, timeout_s=5)
    chat = memkit.Chat(model, None, memory, user_id="ann", session_id="s1")
    for question, _reply in dialogue:
        chat.reply(question)


def through_a_chain(dialogue: Dialogue, memory: memkit.Memory, _: Server) -> None:
    chain = with_memory(GenericFakeChatModel(messages=iter([one for _, one in dialogue])), memory)
    config: Any = {"configurable": {"user_id": "ann", "session_id": "s1"}}
    for n, (question, _reply) in enumerate(dialogue):
        if n % 2:
            chain.invoke(question, config)
        else:
            assert list(chain.stream([HumanMessage(question)], config))


def through_the_chat_model(dialogue: Dialogue, memory: memkit.Memory, _: Server) -> None:
    chat = memkit.Chat(
        ScriptedModel([one for _, one in dialogue]), None, memory, user_id="ann", session_id="s1"
    )
    for question, _reply in dialogue:
        ChatMemkit(chat=chat).invoke(question)


def what_is_left(talk: Talk, dialogue: Dialogue, server: Server) -> list[Any]:
    ours = memkit.Settings(background=False)
    with memkit.open(
        ":memory:", embedder=HashEmbedder(), settings=ours, clock=lambda: NOON
    ) as memory:
        talk(dialogue, memory, server)
        memory.think(user_id="ann")
        turns = list(memory.turns(user_id="ann"))
        summary = memory.summary(user_id="ann")
        assert len(turns) == 30
        assert summary is not None
        assert memory.doctor() == []
        thoughts = memory.thoughts(user_id="ann")
        return [
            [(one.role, one.text, one.name, one.session_id, one.position) for one in turns],
            [
                (one.text, one.valid_from, one.valid_to, one.support, one.said_by)
                for one in thoughts
            ],
            (summary.text, summary.through, summary.tokens),
        ]


@settings(max_examples=2)
@given(dialogue=dialogues)
def test_thirty_turns_leave_the_same_turns_thoughts_and_summary(
    dialogue: Dialogue, server: Server
) -> None:
    wanted = what_is_left(through_chat, dialogue, server)
    assert wanted[1] or not any("I l" in question for question, _ in dialogue)
    for talk in (through_an_endpoint, through_a_chain, through_the_chat_model):
        assert what_is_left(talk, dialogue, server) == wanted
