"""LlamaIndex: a memory for chat engines and agents.

```python
memory = MemkitMemory(memory=memkit.open("ann.db"), user_id="ann", session_id="monday")
agent = FunctionAgent(llm=llm, tools=tools)
await agent.run("Where do I live?", memory=memory)
```
"""

from typing import Any

from memkit.errors import InvalidInput, MissingExtra

try:
    from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
    from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
    from llama_index.core.memory.types import BaseMemory
except ModuleNotFoundError as error:
    raise MissingExtra(
        "LlamaIndex is not installed: pip install 'memkit-llm[llama-index]'"
    ) from error

from memkit.integrations.recall_block import recall_block
from memkit.integrations.session_items import Item, SessionItems, without_blocks
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.records import Role, Scope
from memkit.text.content import message_text

_ROLES: dict[str, Role] = {
    "user": "user", "assistant": "assistant", "chatbot": "assistant", "model": "assistant",
    "system": "system", "developer": "system", "tool": "tool", "function": "tool",
}  # fmt: skip


class MemkitMemory(BaseMemory):  # type: ignore[misc]  # the package has no types here
    """The messages of one session, and what the user said in others where it helps.

    `get` returns the session's newest messages, with a memory block in front of the newest
    question; the block is never stored. Messages come back as they were put. `a…` methods run in a
    thread.

    Args:
        memory: the memory; many sessions may share it.
        user_id: whose memory.
        session_id: the conversation. The same id of another user is another conversation.
        history: most messages of the session that `get` returns.
        budget_tokens: most tokens of the memory block.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    memory: Memory = Field(exclude=True)
    user_id: str
    session_id: str
    history: int = 40
    budget_tokens: int = DEFAULT_BUDGET
    _items: SessionItems = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        scope = Scope(user_id=self.user_id, session_id=self.session_id)
        self._items = SessionItems(self.memory, scope, "llama_index")

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows this class."""
        return "MemkitMemory"

    @classmethod
    def from_defaults(cls, **kwargs: Any) -> "MemkitMemory":
        """Return a memory; the arguments are those of the class."""
        return cls(**kwargs)

    def get(
        self,
        input: str | None = None,
        initial_token_count: int = 0,  # noqa: ARG002 - chat engines pass it
    ) -> list[ChatMessage]:
        """Return the session's newest messages, with a memory block for the newest question.

        The question is the last message if the user sent it, or else `input`.
        `initial_token_count`, the tokens of the rest of a prompt, changes nothing: `history` and
        `budget_tokens` are the limits.
        """
        turns = self._items.turns(self.history)
        messages = [ChatMessage.model_validate(turn.metadata["llama_index"]) for turn in turns]
        last = messages[-1] if messages and messages[-1].role == MessageRole.USER else None
        block = recall_block(
            self.memory, (last.content or "") if last else (input or ""), user_id=self.user_id,
            without=[turn.id or "" for turn in turns], budget_tokens=self.budget_tokens,
        )  # fmt: skip
        if not block:
            return messages
        if last is None:
            return [*messages, ChatMessage(role=MessageRole.USER, content=block)]
        blocks = [TextBlock(text=f"{block}\n\n"), *last.blocks]
        return [*messages[:-1], last.model_copy(update={"blocks": blocks})]

    def get_all(self) -> list[ChatMessage]:
        """Return all messages of the session, as they were put."""
        return [ChatMessage.model_validate(data) for data in self._items.items()]

    def put(self, message: ChatMessage) -> None:
        """Remember a message."""
        self.put_messages([message])

    def put_messages(self, messages: list[ChatMessage]) -> None:
        """Remember messages, all of them or none."""
        self._items.add([self._to_item(message) for message in messages])

    def set(self, messages: list[ChatMessage]) -> None:
        """Make these the session's messages; those that no longer belong to it are forgotten."""
        self._items.replace([self._to_item(message) for message in messages])

    def reset(self) -> None:
        """Forget the session, with all that is derived from it."""
        self._items.clear()

    def _to_item(self, message: ChatMessage) -> Item:
        try:
            dump = message.model_dump(mode="json")
        except ValueError as error:
            raise InvalidInput(f"a message must be JSON data: {error}") from error
        data = without_blocks(dump, self.memory.signer)
        pairs = zip(dump["blocks"], data["blocks"], strict=True)
        # a piece that was nothing but a memory block is no part of the message
        data["blocks"] = [new for old, new in pairs if new == old or new.get("text")]
        parts = [{"type": part["block_type"], **part} for part in data["blocks"]]
        text = message_text({"content": parts, "tool_calls": _calls(data)})
        return Item(text=text, role=_ROLES.get(data["role"], "user"), data=data)


def _calls(data: dict[str, Any]) -> list[Any]:
    """Return the calls of tools in OpenAI's form, which most models of LlamaIndex use."""
    calls = data.get("additional_kwargs", {}).get("tool_calls")
    return [call for call in calls if "function" in call] if isinstance(calls, list) else []
