"""Microsoft's Agent Framework: a memory as a context provider of agents.

```python
agent = Agent(client, context_providers=[MemkitContextProvider(memory, user_id="ann")])
await agent.run("Where do I live?", session=agent.create_session())
```
"""

import asyncio
from typing import Any

from memkit.errors import MissingExtra, ScopeRequired

try:
    from agent_framework import AgentSession, ContextProvider, Message, SessionContext
except ModuleNotFoundError as error:
    raise MissingExtra(
        "the Agent Framework is not installed: pip install 'memkit-llm[agent-framework]'"
    ) from error

from memkit.integrations.recall_block import recall_block
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.protocols import Window
from memkit.records import Role, Scope, Turn

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}


class MemkitContextProvider(ContextProvider):  # type: ignore[misc]  # the package has no types here
    """Gives an agent what the user said in other sessions, and remembers what is said in this one.

    Before a run a memory block is added to the context; after it the user's messages and the
    agent's answers are remembered. Calls of tools and the context of other providers are not. A run
    that fails is not remembered. The memory runs in threads; a cancelled call does not stop its
    thread, and messages are stored all or not at all.

    Args:
        memory: the memory.
        user_id: whose memory; without it each session says so: session.state["user_id"] = "ann".
        budget_tokens: most tokens of the memory block.
        source_id: the name of this provider in the framework.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        user_id: str | None = None,
        budget_tokens: int = DEFAULT_BUDGET,
        source_id: str = "memkit",
    ) -> None:
        super().__init__(source_id)
        self._memory, self._user_id, self._budget_tokens = memory, user_id, budget_tokens

    async def before_run(
        self,
        *,
        agent: Any,  # noqa: ARG002 - the names are the framework's
        session: AgentSession,
        context: SessionContext,
        state: dict[str, Any],  # noqa: ARG002
    ) -> None:
        """Add the memory block for the user's newest messages. Raises ScopeRequired."""
        scope = self._scope(session)
        question = "\n".join(
            message.text for message in context.input_messages if message.role == "user"
        )
        block = await asyncio.to_thread(self._recall, question, scope)
        if block:
            context.extend_messages(self, [Message("user", [block])])

    async def after_run(
        self,
        *,
        agent: Any,  # noqa: ARG002
        session: AgentSession,
        context: SessionContext,
        state: dict[str, Any],  # noqa: ARG002
    ) -> None:
        """Remember the user's messages and the answers to them."""
        answers = context.response.messages if context.response else []
        await asyncio.to_thread(
            self._remember, [*context.input_messages, *answers], self._scope(session)
        )

    def _scope(self, session: AgentSession) -> Scope:
        user_id = self._user_id or session.state.get("user_id")
        if user_id is None:
            raise ScopeRequired(
                'nobody says whose memory it is; set session.state["user_id"] = "ann", or pass '
                "user_id to MemkitContextProvider"
            )
        return Scope(user_id=user_id, session_id=session.session_id)

    def _recall(self, question: str, scope: Scope) -> str:
        shown = self._memory.store.turns(scope, Window())  # the session has these itself
        return recall_block(
            self._memory, question, user_id=scope.user_id,
            without=[turn.id or "" for turn in shown], budget_tokens=self._budget_tokens,
        )  # fmt: skip

    def _remember(self, messages: list[Message], scope: Scope) -> None:
        turns = [
            Turn(text=message.text, role=_ROLES[message.role], name=message.author_name or None)
            for message in messages
            if message.role in _ROLES and message.text.strip()
        ]
        if turns:
            self._memory.remember(turns, user_id=scope.user_id, session_id=scope.session_id)
