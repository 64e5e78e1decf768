"""The OpenAI Agents SDK: a memory as the session of an agent.

```python
session = MemkitSession(memory, user_id="ann", session_id="monday")
await Runner.run(agent, "I keep bees.", session=session)
```
"""

import asyncio
import json
from typing import Any

from memkit.errors import InvalidInput, MissingExtra

try:
    from agents.items import TResponseInputItem
    from agents.memory import SessionSettings
except ModuleNotFoundError as error:
    raise MissingExtra(
        "the OpenAI Agents SDK is not installed: pip install 'memkit-llm[openai-agents]'"
    ) from error

from memkit.integrations.recall_block import recall_block
from memkit.integrations.session_items import Item, SessionItems, without_blocks
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.records import Role, Scope
from memkit.text.content import format_call, message_text

_ROLES: dict[str, Role] = {
    "user": "user", "assistant": "assistant", "system": "system", "developer": "system",
    "tool": "tool",
}  # fmt: skip


class MemkitSession:
    """A session of the Agents SDK whose items are remembered, verbatim and in order.

    Items of every kind come back as they were added: messages, calls of tools and their results,
    reasoning. The words of messages can be recalled in other sessions of the same user, in chats
    too. The memory runs in threads. A cancelled call does not stop its thread: items are stored all
    or not at all.

    Args:
        memory: the memory; several sessions may share it.
        user_id: whose memory.
        session_id: the conversation. The same id of another user is another conversation.
        agent_id: the part of the memory that belongs to one agent, if there are several.
    """

    def __init__(
        self, memory: Memory, *, user_id: str, session_id: str, agent_id: str | None = None
    ) -> None:
        self.session_id = session_id
        self.session_settings: SessionSettings | None = None
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        self._items = SessionItems(memory, scope, "openai_agents")

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the items, oldest first; `limit` is how many of the newest."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        return await asyncio.to_thread(self._items.items, limit)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Remember items in one transaction. Raises InvalidInput for what is no JSON data."""
        await asyncio.to_thread(self._add, items)

    async def pop_item(self) -> TResponseInputItem | None:
        """Delete the newest item, with all that is derived from it, and return it."""
        return await asyncio.to_thread(self._items.pop)

    async def clear_session(self) -> None:
        """Delete all items of this session, with all that is derived from them."""
        await asyncio.to_thread(self._items.clear)

    async def recall(self, question: str, *, budget_tokens: int = DEFAULT_BUDGET) -> str:
        """Return a quoted memory block from the user's other sessions, for an agent's instructions.

        The session does not remember the block if it comes back in an item.
        """
        return await asyncio.to_thread(self._recall, question, budget_tokens)

    def _recall(self, question: str, budget_tokens: int) -> str:
        shown = [turn.id or "" for turn in self._items.turns()]
        return recall_block(
            self._items.memory, question, user_id=self._items.scope.user_id, without=shown,
            budget_tokens=budget_tokens,
        )  # fmt: skip

    def _add(self, items: list[TResponseInputItem]) -> None:
        self._items.add([_to_item(item, self._items.memory) for item in items])


def _to_item(item: Any, memory: Memory) -> Item:
    try:
        data = without_blocks(json.loads(json.dumps(item)), memory.signer)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"an item must be JSON data ({error}); see to_input_list()") from error
    kind = data.get("type") or "message"
    if kind == "message":
        return Item(text=message_text(data), role=_ROLES.get(data.get("role"), "user"), data=data)
    if kind.endswith("_output"):
        text = message_text({"content": _output(data.get("output"))})
        return Item(text=text, role="tool", data=data)
    if "name" in data and "arguments" in data:
        return Item(text=format_call(data["name"], data["arguments"]), role="assistant", data=data)
    return Item(text=f"[{kind}]", role="assistant", data=data)


def _output(output: Any) -> Any:
    return output if isinstance(output, (str, list)) else json.dumps(output, ensure_ascii=False)
