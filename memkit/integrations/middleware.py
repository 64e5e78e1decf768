"""A memory as middleware of LangChain's agents.

```python
agent = create_agent(model, tools, middleware=[MemkitMiddleware(memory)])
agent.invoke({"messages": […]}, config={"configurable": {"user_id": "ann", "thread_id": "s1"}})
```
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from memkit.errors import MissingExtra

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState
    from langchain.agents.middleware.types import ModelRequest, ModelResponse
    from langgraph.runtime import Runtime
except ModuleNotFoundError as error:
    raise MissingExtra(
        "LangChain's agents are not installed: pip install 'langchain>=1'"
    ) from error

from langchain_core.messages import BaseMessage
from langchain_core.runnables import ensure_config

from memkit.integrations.memory_step import MemoryStep, scope_from_config, unanswered_messages
from memkit.integrations.messages import is_question, is_reply
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.protocols import Counter


class MemkitMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives an agent a memory of all its conversations with a user.

    Each call of the model gets a memory block in front of the newest question; the agent's state
    does not change. The user's messages are remembered before the model is called, the agent's
    answer when the run ends. Tool calls and their results are not remembered; a checkpointer
    stores those.

    The config of each run names the user and the session:
    `{"configurable": {"user_id": …, "thread_id": …}}`. The arguments are those of `with_memory`.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        budget_tokens: int = DEFAULT_BUDGET,
        k: int = 10,
        count: Counter | None = None,
    ) -> None:
        super().__init__()
        self._step = MemoryStep(
            memory=memory, budget_tokens=budget_tokens, k=k, history=0, count=count
        )

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Call the model with a memory block, and remember the newest question."""
        return handler(self._add_memory(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Like `wrap_model_call`; the memory runs in a thread."""
        return await handler(await asyncio.to_thread(self._add_memory, request))

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:  # noqa: ARG002
        """Remember the answer of this run, and the question if no model was called."""
        self._step.remember_replies(
            _dialogue(state["messages"]), scope_from_config(ensure_config())
        )

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Like `after_agent`, in a thread."""
        await asyncio.to_thread(self.after_agent, state, runtime)

    def _add_memory(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """Return the request with a memory block; the question is remembered after recall."""
        scope = scope_from_config(ensure_config())
        messages: list[Any] = self._step.add_memory(request.messages, scope)
        new = unanswered_messages(request.state["messages"])
        self._step.remember([message for message in new if is_question(message)], scope)
        return request.override(messages=messages)


def _dialogue(messages: list[Any]) -> list[BaseMessage]:
    """Return the dialogue from this run's first question on, without tool calls."""
    questions = [n for n, message in enumerate(messages) if is_question(message)]
    first = questions[-1] if questions else 0
    while first and is_question(messages[first - 1]):
        first -= 1
    return [
        message
        for message in messages[first:]
        if is_question(message) or (is_reply(message) and not getattr(message, "tool_calls", None))
    ]
