"""What a chain with a memory shows its model: whose words, in which roles, and how much."""

from typing import Any

import pytest

import memkit
from memkit import Turn

pytest.importorskip("langchain_core")

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableLambda
from scripted_langchain import Scripted, of, said, scripted

from memkit.integrations.langchain import with_memory


def shown(model: Scripted) -> list[tuple[str, Any]]:
    return [(one.type, one.content) for one in model.prompts[-1]]


def test_a_question_without_a_reply_stands_with_the_next_one(memory: memkit.Memory) -> None:
    def fail(_: object) -> str:
        raise RuntimeError("no model")

    with pytest.raises(RuntimeError):
        with_memory(RunnableLambda(fail), memory).invoke("My dog is ill.", of("ann"))
    model = scripted("Oh!")
    with_memory(model, memory).invoke("Did you hear?", of("ann"))
    assert shown(model) == [("human", "My dog is ill.\n\nDid you hear?")]


def test_calls_of_tools_are_not_shown_as_words(memory: memkit.Memory) -> None:
    call = AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "1"}])
    model = scripted(call, "It rains.", "Bye.")
    chain = with_memory(model, memory)
    messages: list[BaseMessage] = [HumanMessage("Rain?")]
    messages += [chain.invoke(messages, of("ann")), ToolMessage("rain", tool_call_id="1")]
    chain.invoke(messages, of("ann"))
    chain.invoke("Thanks.", of("ann"))

    assert shown(model)[:2] == [("human", "Rain?"), ("ai", "It rains.")]
    assert [kind for kind, _ in shown(model)] == ["human", "ai", "human"]


@pytest.mark.parametrize(
    "reply", [AIMessageChunk(content="one"), ChatMessage("one", role="assistant")]
)
def test_a_reply_of_any_kind_is_the_callers_own_history(
    memory: memkit.Memory, reply: BaseMessage
) -> None:
    model = scripted("one", "two")
    chain = with_memory(model, memory)
    chain.invoke("first", of("ann"))
    chain.invoke([HumanMessage("first"), reply, HumanMessage("second")], of("ann"))

    assert [content for _, content in shown(model)] == ["first", "one", "second"]
    assert [text for _, text in said(memory)] == ["first", "one", "second", "two"]


def test_a_message_with_an_image_that_the_prompt_holds_is_not_recalled(
    memory: memkit.Memory,
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    first = HumanMessage([{"type": "text", "text": "Is this Biscuit our dog?"}, image])
    model = scripted("Yes.", "Yes.")
    chain = with_memory(model, memory)
    chain.invoke([first], of("ann"))
    chain.invoke([first, AIMessage("Yes."), HumanMessage("Is Biscuit our dog?")], of("ann"))
    assert shown(model)[-1] == ("human", "Is Biscuit our dog?")


def test_a_summary_in_somebodys_name_is_no_question(memory: memkit.Memory) -> None:
    memory.remember("Biscuit is our dog.", user_id="ann", session_id="s0")
    model = scripted("ok")
    summary = HumanMessage("Biscuit, in short.", additional_kwargs={"lc_source": "summarization"})
    with_memory(model, memory).invoke([HumanMessage("Who is Biscuit?"), summary], of("ann"))
    assert "memkit-memory" in shown(model)[0][1]
    assert shown(model)[1] == ("human", "Biscuit, in short.")


def test_summaries_and_thoughts_stand_before_what_was_said(memory: memkit.Memory) -> None:
    memory.remember(Turn(text="I live in Oslo.", name="Ann", session_id="s0"), user_id="ann")
    memory.think(user_id="ann")
    model = scripted("ok")
    with_memory(model, memory).invoke("Ann lives in Oslo, or not?", of("ann"))
    lines = str(shown(model)[0][1]).splitlines()
    assert [line.split(" ")[1] for line in lines if line.startswith("> ")][1:] == [
        "Lately:", "[since", "[1",
    ]  # fmt: skip


@pytest.mark.parametrize(("history", "least"), [(0, "last"), (2, "n3"), (4, "n2"), (99, "n0")])
def test_no_more_of_a_session_is_shown_than_asked_for(
    memory: memkit.Memory, history: int, least: str
) -> None:
    model = scripted(*["ok"] * 5)
    chain = with_memory(model, memory, history=history, k=1)
    for n in range(4):
        chain.invoke(f"n{n}", of("ann"))
    chain.invoke("last", of("ann"))
    assert str(shown(model)[0][1]).endswith(least)
    assert len(shown(model)) == min(history, 8) + 1


def test_no_more_is_recalled_than_asked_for(memory: memkit.Memory) -> None:
    memory.remember([f"Bees {n}" for n in range(9)], user_id="ann", session_id="s0")
    model = scripted("ok", "ok")
    for k in (1, 3):
        with_memory(model, memory, k=k).invoke("Bees?", of("ann", f"k{k}"))
        assert str(shown(model)[-1][1]).count(": Bees") == k


def test_the_callers_count_decides_what_fits(memory: memkit.Memory) -> None:
    memory.remember("Biscuit is our dog.", user_id="ann", session_id="s0")
    model = scripted("ok", "ok")
    for session, length in (("few", 1), ("many", 9999)):
        chain = with_memory(model, memory, count=lambda _, length=length: length)  # type: ignore[misc]
        chain.invoke("Who is Biscuit?", of("ann", session))
        assert ("memkit-memory" in str(shown(model))) == (session == "few")
