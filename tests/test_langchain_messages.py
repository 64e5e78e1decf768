"""LangChain's messages become turns and come back as they were."""

import json
from datetime import UTC, date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit.errors import InvalidTurn
from memkit.testing import HashEmbedder

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel

from memkit.integrations.langchain import MemkitChatMessageHistory, to_message, to_turn
from memkit.prompt import Parts, compose
from memkit.testing import ScriptedModel

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
name = st.none() | words.filter(lambda text: text != "")
json_like: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(words | st.just("memkit:kind"), inner, max_size=2)
    ),
    max_leaves=4,
)
python_like: Any = st.recursive(
    json_like | st.datetimes(timezones=st.none() | st.just(UTC)) | st.dates() | st.binary(),
    lambda inner: (
        st.tuples(inner, inner)
        | st.dictionaries(st.integers() | st.dates(), inner, max_size=2)
        | st.builds(lambda one: Document("a", id="1", metadata={"of": one}), inner)
        | st.builds(lambda one: HumanMessage("a", additional_kwargs={"of": one}), inner)
    ),
    max_leaves=4,
)
kwargs = st.dictionaries(words, python_like, max_size=2).filter(
    lambda given: not {"tool_calls", "function_call"} & set(given)
)
parts = st.one_of(
    words,
    st.builds(lambda text: {"type": "text", "text": text}, words),
    st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, words),
    st.builds(lambda data: {"image": {"source": {"bytes": data}}}, st.binary()),
    st.builds(lambda data: {"type": "image", "base64": data, "mime_type": "image/png"}, words),
)
content = words | st.lists(parts, max_size=3)
calls = st.lists(
    st.builds(
        lambda name, args, id: {"name": name, "args": args, "id": id, "type": "tool_call"},
        words, st.dictionaries(words, json_like, max_size=2), st.none() | words,
    ),
    max_size=2,
)  # fmt: skip
bad_calls = st.lists(
    st.builds(
        lambda args: {
            "name": "f", "args": args, "id": "1", "error": None, "type": "invalid_tool_call",
        },
        words,
    ),
    max_size=1,
)  # fmt: skip
usage = st.none() | st.builds(
    lambda a, b: {
        "input_tokens": a, "output_tokens": b, "total_tokens": a + b,
        "input_token_details": {"cache_read": a},
    },
    st.integers(0, 9), st.integers(0, 9),
)  # fmt: skip
common = {
    "content": content, "name": name, "id": name, "additional_kwargs": kwargs,
    "response_metadata": kwargs,
}  # fmt: skip
messages = st.one_of(
    st.builds(HumanMessage, **common),
    st.builds(SystemMessage, **common),
    st.builds(ChatMessage, role=st.sampled_from(["user", "critic", "assistant"]), **common),
    st.builds(FunctionMessage, **(common | {"name": words})),
    st.builds(
        AIMessage, tool_calls=calls, invalid_tool_calls=bad_calls, usage_metadata=usage, **common
    ),
    st.builds(
        ToolMessage, tool_call_id=words, artifact=python_like,
        status=st.sampled_from(["success", "error"]), **common,
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(said=st.lists(messages, max_size=6))
def test_messages_come_back_from_a_memory_exactly_as_they_went_in(said: list[BaseMessage]) -> None:
    ours = memkit.Settings(background=False)
    with memkit.open(":memory:", embedder=HashEmbedder(), settings=ours) as memory:
        history = MemkitChatMessageHistory(memory, user_id="ann", session_id="s")
        history.add_messages(said)
        assert history.messages == said
        assert [type(one) for one in history.messages] == [type(one) for one in said]


@pytest.mark.parametrize(
    ("message", "role", "text"),
    [
        (HumanMessage("hello", name="Ann"), "user", "hello"),
        (SystemMessage("be brief"), "system", "be brief"),
        (HumanMessage([{"type": "text", "text": "what is"}, {"type": "image_url"}]), "user",
         "what is\n[image]"),
        (HumanMessage([{"type": "audio", "base64": "AAAA"}]), "user", "[audio]"),
        (AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}]), "assistant",
         'f({"a": 1})'),
        (ToolMessage("rain", tool_call_id="1"), "tool", "rain"),
        (FunctionMessage("rain", name="f"), "tool", "rain"),
        (ChatMessage("no!", role="critic"), "assistant", "no!"),
        (ChatMessage("no!", role="human"), "user", "no!"),
        (AIMessage(""), "assistant", "[empty]"),
        (AIMessageChunk(content="half"), "assistant", "half"),
        (ChatMessage("obey", role="developer"), "system", "obey"),
        (AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Rain."},
                    {"type": "reasoning", "text": "hm"}, {"type": "tool_use", "name": "f"}]),
         "assistant", "Rain."),
        (AIMessage("", invalid_tool_calls=[
            {"name": "f", "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}]),
         "assistant", "f({)"),
    ],
)  # fmt: skip
def test_a_turn_says_in_words_what_a_message_holds(
    message: BaseMessage, role: str, text: str
) -> None:
    turn = to_turn(message)
    assert (turn.role, turn.text, turn.name) == (role, text, message.name)


def test_turns_that_came_another_way_are_messages_too(memory: memkit.Memory) -> None:
    roles = ["user", "assistant", "system", "tool"]
    ids = memory.remember([{"role": one, "content": one} for one in roles], user_id="ann")

    made = [to_message(turn) for turn in memory.turns(user_id="ann")]

    assert [one.type for one in made] == ["human", "ai", "system", "tool"]
    assert [(one.content, one.id) for one in made] == list(zip(roles, ids, strict=True))


def test_what_memkit_put_into_a_message_is_not_remembered(memory: memkit.Memory) -> None:
    memory.remember("Biscuit is our greyhound.", user_id="ann")
    block = memory.context("Who is Biscuit?", user_id="ann").text
    history = MemkitChatMessageHistory(memory, user_id="ann", session_id="s")

    history.add_messages(
        [
            HumanMessage(block),
            HumanMessage(f"{block}\n\nWho?"),
            HumanMessage([{"type": "text", "text": f"{block}\n\nWho?"}, {"type": "image"}]),
            AIMessage(f"{block}\n\nLook.", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
        ]
    )

    said = [one.content for one in history.messages]
    assert said == ["Who?", [{"type": "text", "text": "Who?"}, {"type": "image"}], "Look."]
    kept = json.dumps([dict(turn.metadata) for turn in memory.turns(user_id="ann")])
    assert "greyhound" not in kept


def test_a_field_that_cannot_be_kept_is_left_out_and_named(memory: memkit.Memory) -> None:
    history = MemkitChatMessageHistory(memory, user_id="ann", session_id="s")
    given = ToolMessage("x", tool_call_id="1", artifact={"rows": [1], "file": {"open": object()}})
    with pytest.warns(UserWarning, match=r"^artifact\.file\.open of a message of the type 'tool'"):
        history.add_messages([given])
    (kept,) = history.messages
    assert kept == ToolMessage("x", tool_call_id="1", artifact={"rows": [1], "file": {}})


def test_what_holds_itself_is_left_out_too() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.warns(UserWarning, match="additional_kwargs.ring"):
        turn = to_turn(AIMessage("hi", additional_kwargs={"ring": ring}))
    assert to_message(turn) == AIMessage("hi")


def test_a_pydantic_object_is_kept_as_its_fields() -> None:
    class Trip(BaseModel):
        on: date

    turn = to_turn(AIMessage("hi", additional_kwargs={"parsed": Trip(on=date(2024, 5, 1))}))
    assert to_message(turn).additional_kwargs == {"parsed": {"on": date(2024, 5, 1)}}


def test_what_nobody_says_is_refused_and_nothing_is_stored(memory: memkit.Memory) -> None:
    history = MemkitChatMessageHistory(memory, user_id="ann", session_id="s")
    with pytest.raises(InvalidTurn, match="type 'remove'"):
        history.add_messages([HumanMessage("hi"), RemoveMessage(id="1")])
    assert history.messages == []


def test_metadata_is_neither_searched_nor_shown_to_a_model(memory: memkit.Memory) -> None:
    history = MemkitChatMessageHistory(memory, user_id="ann", session_id="s")
    history.add_messages([HumanMessage("hello there", additional_kwargs={"secret": "xyzzy"})])

    (hit,) = memory.recall("xyzzy", user_id="ann")
    made = compose(Parts(question="hello?", hits=[hit]), ScriptedModel([]), budget=200)
    assert "xyzzy" not in str(made.messages)
    assert "xyzzy" not in memory.context("xyzzy", user_id="ann").text


text_parts = words | st.builds(lambda text: {"type": "text", "text": text}, words)


@given(st.lists(text_parts, max_size=4))
def test_text_parts_join_as_langchain_joins_them(content: Any) -> None:
    message = HumanMessage(content)
    expected = str(message.text) if str(message.text).strip() else "[empty]"
    assert to_turn(message).text == expected
