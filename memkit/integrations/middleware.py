"""LangChain's agents: a memory as middleware.

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

from memkit.integrations.messages import is_question, is_reply
from memkit.integrations.recalling import Recalling, new_of, scope_of
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.protocols import Counter


class MemkitMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives an agent a memory of all its conversations with a user.

    Before each call of the model, what memory has to say stands before the newest question; the
    agent's state stays as it is. What the user says is remembered before the model is asked, what
    the agent says when it has ended, without the calls of tools in between: a checkpointer keeps
    those.

    Who is talking stands in the config: `{"configurable": {"user_id": …, "thread_id": …}}`.

    Args:
        memory: where everything said is kept.
        budget_tokens: most tokens that memory adds to a prompt.
        k: most hits in a prompt.
        count: counts a text's tokens, best with the model's tokenizer; the embedder's if left out.
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
        self._recalling = Recalling(
            memory=memory, budget_tokens=budget_tokens, k=k, history=0, count=count
        )

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the model with memory's words before the newest question, and remember that."""
        return handler(self._recalled(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Do what `wrap_model_call` does; the memory is asked in a thread."""
        return await handler(await asyncio.to_thread(self._recalled, request))

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:  # noqa: ARG002
        """Remember what was answered in this run, and what was asked if no model was."""
        self._recalling.keep(_said(state["messages"]), scope_of(ensure_config()))

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Do what `after_agent` does, in a thread."""
        await asyncio.to_thread(self.after_agent, state, runtime)

    def _recalled(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """Return the request with memory's words, and only then remember what is asked in it."""
        scope = scope_of(ensure_config())
        messages: list[Any] = self._recalling.prompt(request.messages, scope)
        asked = [one for one in new_of(request.state["messages"]) if is_question(one)]
        self._recalling.remember(asked, scope)
        return request.override(messages=messages)


def _said(messages: list[Any]) -> list[BaseMessage]:
    """Return what user and agent said in this run: from the newest questions on."""
    asked = [n for n, one in enumerate(messages) if is_question(one)]
    first = asked[-1] if asked else 0
    while first and is_question(messages[first - 1]):
        first -= 1
    return [
        one
        for one in messages[first:]
        if is_question(one) or (is_reply(one) and not getattr(one, "tool_calls", None))
    ]
