"""A memory as the middleware of LangChain's agents."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import memkit
from memkit.errors import ScopeRequired

pytest.importorskip("langgraph")
pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, SummarizationMiddleware, hook_config
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from scripted_langchain import Scripted, said, scripted

from memkit.integrations.middleware import MemkitMiddleware


@tool
def weather(city: str) -> str:
    """Return the weather."""
    return f"rain in {city}"


def replies() -> Iterator[AIMessage]:
    yield AIMessage("Noted.")
    yield AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Oslo"}, "id": "1"}])
    yield AIMessage("It rains in Oslo.")
    yield AIMessage("You are welcome.")


TALK = [("s1", "I live in Oslo."), ("s2", "How is the weather where I live?"), ("s2", "Thanks.")]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_remembers_across_threads(memory: memkit.Memory, asynchronous: bool) -> None:
    model = Scripted(messages=replies())
    agent = create_agent(
        model, [weather], middleware=[MemkitMiddleware(memory)], checkpointer=InMemorySaver()
    )
    for thread, text in TALK:
        given: Any = {"messages": [HumanMessage(text)]}
        config: Any = {"configurable": {"user_id": "ann", "thread_id": thread}}
        state = (
            asyncio.run(agent.ainvoke(given, config)) if asynchronous
            else agent.invoke(given, config)
        )  # fmt: skip

    second, third = model.prompts[1], model.prompts[2]
    assert "> [1 May 2024] User: I live in Oslo." in second[-1].content
    assert "I live in Oslo." in third[0].content
    assert "memkit-memory" not in str(state)
    assert [(turn.session_id, turn.text) for turn in memory.turns(user_id="ann")] == [
        ("s1", "I live in Oslo."), ("s1", "Noted."),
        ("s2", "How is the weather where I live?"), ("s2", "It rains in Oslo."),
        ("s2", "Thanks."), ("s2", "You are welcome."),
    ]  # fmt: skip


def test_an_agent_without_a_user_is_refused(memory: memkit.Memory) -> None:
    agent = create_agent(Scripted(messages=replies()), [], middleware=[MemkitMiddleware(memory)])
    with pytest.raises(ScopeRequired, match="user_id"):
        agent.invoke({"messages": [HumanMessage("hi")]})


ANN: RunnableConfig = {"configurable": {"user_id": "ann", "thread_id": "s1"}}
LIMITED: RunnableConfig = {**ANN, "recursion_limit": 8}


def asking(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


def calls() -> Iterator[AIMessage]:
    n = 0
    while True:
        n += 1
        yield AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "x"}, "id": str(n)}])


def test_another_middlewares_summary_is_not_the_users_word(memory: memkit.Memory) -> None:
    summaries = scripted(*["Ann is a spy."] * 9)
    short = SummarizationMiddleware(model=summaries, trigger=("messages", 4), keep=("messages", 1))
    model = scripted("one", "two", "three")
    agent = create_agent(
        model, [], middleware=[short, MemkitMiddleware(memory)], checkpointer=InMemorySaver()
    )
    for question in ("q1", "q2", "q3"):
        agent.invoke(asking(question), ANN)

    assert "Ann is a spy." in str(model.prompts[-1])
    assert [text for _, text in said(memory)] == ["q1", "one", "q2", "two", "q3", "three"]


def test_the_question_of_a_run_that_is_given_up_is_kept_once(memory: memkit.Memory) -> None:
    ours, saver = MemkitMiddleware(memory), InMemorySaver()
    endless = create_agent(
        Scripted(messages=calls()), [weather], middleware=[ours], checkpointer=saver
    )
    with pytest.raises(GraphRecursionError):
        endless.invoke(asking("I moved to Oslo."), LIMITED)
    assert said(memory) == [("user", "I moved to Oslo.")]

    agent = create_agent(scripted("Fine."), [weather], middleware=[ours], checkpointer=saver)
    agent.invoke(asking("Well?"), ANN)
    assert [text for _, text in said(memory)] == ["I moved to Oslo.", "Well?", "Fine."]


def test_a_question_that_is_still_in_the_thread_is_not_remembered_again(
    memory: memkit.Memory,
) -> None:
    ours, saver = MemkitMiddleware(memory), InMemorySaver()
    failing = create_agent(scripted(), [], middleware=[ours], checkpointer=saver)
    with pytest.raises(RuntimeError):
        failing.invoke(asking("I moved to Oslo."), ANN)
    agent = create_agent(scripted("Fine."), [], middleware=[ours], checkpointer=saver)
    agent.invoke(asking("Well?"), ANN)
    assert [text for _, text in said(memory)] == ["I moved to Oslo.", "Well?", "Fine."]


def test_a_stream_that_is_closed_keeps_the_question(memory: memkit.Memory) -> None:
    agent = create_agent(scripted("Hi there."), [], middleware=[MemkitMiddleware(memory)])
    stream: Any = agent.stream(asking("I live in Rome."), ANN, stream_mode="messages")
    next(stream)
    stream.close()
    assert said(memory) == [("user", "I live in Rome.")]


def test_a_question_that_no_model_was_asked_is_kept(memory: memkit.Memory) -> None:
    class Closed(AgentMiddleware):
        @hook_config(can_jump_to=["end"])
        def before_model(self, state: Any, runtime: Any) -> dict[str, Any]:  # noqa: ARG002
            return {"jump_to": "end", "messages": [AIMessage("We are closed.")]}

    agent = create_agent(scripted(), [], middleware=[MemkitMiddleware(memory), Closed()])
    agent.invoke(asking("Hello?"), ANN)
    assert said(memory) == [("user", "Hello?"), ("assistant", "We are closed.")]


def test_all_that_the_user_said_in_a_row_is_remembered(memory: memkit.Memory) -> None:
    agent = create_agent(scripted("Hi."), [], middleware=[MemkitMiddleware(memory)])
    earlier: list[BaseMessage] = [HumanMessage("a"), AIMessage("b")]
    messages: Any = [*earlier, HumanMessage("I live in Rome."), HumanMessage("And you?")]
    agent.invoke({"messages": messages}, ANN)
    assert [text for _, text in said(memory)] == ["I live in Rome.", "And you?", "Hi."]


def test_an_asynchronous_agent_does_not_wait_for_its_memory(memory: memkit.Memory) -> None:
    asked_in: list[threading.Thread] = []
    embed = memory.embedder.embed

    def watched(texts: Any) -> Any:
        asked_in.append(threading.current_thread())
        return embed(texts)

    memory.embedder.embed = watched  # type: ignore[method-assign]
    agent = create_agent(scripted("Hi."), [], middleware=[MemkitMiddleware(memory)])
    asyncio.run(agent.ainvoke(asking("I live in Rome."), ANN))
    assert len(asked_in) == 3  # what is recalled to the question, the question, and the reply
    assert threading.main_thread() not in asked_in
