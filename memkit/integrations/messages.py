"""LangChain's messages as turns and back, without loss.

A turn's text is what was said, as it is searched and shown. All else of a message stands in the
turn's metadata under "langchain", and only what the turn itself does not say.
"""

import json
import warnings
from typing import Any, get_args

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    message_chunk_to_message,
    messages_from_dict,
)

from memkit.errors import InvalidTurn
from memkit.integrations.packing import pack, unpack
from memkit.prompt import strip_memory_block
from memkit.records import Role, Turn

Content = str | list[str | dict[Any, Any]]

KEY = "langchain"
_ROLES: dict[str, Role] = {
    "human": "user", "ai": "assistant", "system": "system", "developer": "system", "tool": "tool",
    "function": "tool",
}  # fmt: skip
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
_EMPTY = "[empty]"  # a turn has words
_SILENT = frozenset(  # parts that are nobody's words, and show nothing
    ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "tool_use", "tool_call",
     "tool_call_chunk", "invalid_tool_call", "function_call", "server_tool_use",
     "server_tool_call", "input_json_delta")
)  # fmt: skip


def to_turn(message: BaseMessage) -> Turn:
    """Return a message as a turn to remember.

    Its text is the message's text; what has none is named: "[image]", "get_weather({…})". A field
    that cannot be kept (an open file as an artifact, say) is left out, and a warning names it.

    Raises:
        InvalidTurn: nothing was said with it (a `RemoveMessage`).
    """
    message, role = message_chunk_to_message(message), role_of(message)
    if role is None:
        raise InvalidTurn(
            f"nothing is said with a message of the type {message.type!r}; pass the messages that "
            "were said"
        )
    content = _without_memory(message.content)
    text, name = (
        words_of(message) or _EMPTY,
        _writable(message.name or "").replace("\0", "") or None,
    )
    rest: dict[str, Any] = {"id": message.id}  # also None: one without an id comes back without
    if content != text:
        rest["content"] = content
    if message.name != name:
        rest["name"] = message.name
    if message.type != _TYPES[role]:
        rest["type"] = message.type
    packed, lost = pack(_own(message) | rest)
    if lost:
        warnings.warn(
            f"{', '.join(lost)} of a message of the type {message.type!r} cannot be remembered: "
            "only JSON, dates, bytes, tuples, documents and messages can",
            stacklevel=2,
        )
    return Turn(text=text, role=role, name=name, metadata={KEY: packed})


def to_message(turn: Turn) -> BaseMessage:
    """Return a turn as a message: the one it came from, or one that says the same."""
    rest = unpack(dict(turn.metadata.get(KEY, {})))
    kind = rest.pop("type", _TYPES[turn.role])
    data = {"content": turn.text, "name": turn.name, "id": turn.id} | rest
    if kind == "tool":  # one that LangChain did not make does not say which call it answers
        data.setdefault("tool_call_id", turn.id)
    (message,) = messages_from_dict([{"type": kind, "data": data}])
    return message


def role_of(message: BaseMessage) -> Role | None:
    """Return who a message is from, as a turn says it; None if nothing is said with it."""
    message = message_chunk_to_message(message)
    if not isinstance(message, ChatMessage):
        return _ROLES.get(message.type)
    # a role of the caller's: a person's only if it says so
    known = next((role for role in get_args(Role) if role == message.role), None)
    return known or _ROLES.get(message.role, "assistant")


def is_question(message: BaseMessage) -> bool:
    """Return whether a person said this, and not LangChain in their name: a summary, say."""
    return role_of(message) == "user" and "lc_source" not in message.additional_kwargs


def is_reply(message: BaseMessage) -> bool:
    """Return whether the model said this; a `ChatMessage` with a role of its own is no reply."""
    own = isinstance(message, ChatMessage) and message.role in ("assistant", "ai")
    return own or isinstance(message, AIMessage)


def calls_tools(turn: Turn) -> bool:
    """Return whether a turn asks for tools: without their results it makes no sense."""
    rest = turn.metadata.get(KEY, {})
    return "tool_calls" in rest or "invalid_tool_calls" in rest


def text_of(content: Content) -> str:
    """Return the words of a message's content; other parts are left out."""
    if isinstance(content, str):
        return content
    words = [part if isinstance(part, str) else _words(part) for part in content]
    return "\n".join(one for one in words if isinstance(one, str) and one.strip())


def words_of(message: BaseMessage) -> str:
    """Return what a message says in words, with names for what it shows and calls; "" if nothing.

    Thinking and what memkit itself put into the message are left out.
    """
    content = _without_memory(message.content)
    shown = [
        f"[{str(part.get('type', 'part')).removesuffix('_url')}]"
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and part.get("type") not in _SILENT and _words(part) is None
    ]
    ai = message if isinstance(message, AIMessage) else AIMessage("")
    called = [f"{call['name']}({_arguments(call['args'])})" for call in ai.tool_calls]
    called += [f"{call['name']}({call['args']})" for call in ai.invalid_tool_calls]
    words = text_of(content)
    if not shown and not called:
        return _writable(words) if words.strip() else ""
    return _writable("\n".join([*([words] if words.strip() else []), *shown, *called]))


def _words(part: dict[Any, Any]) -> str | None:
    text = part.get("text")
    return text if isinstance(text, str) and part.get("type") not in _SILENT else None


def _arguments(given: dict[str, Any]) -> str:
    return json.dumps(given, default=str, skipkeys=True)


def _writable(text: str) -> str:
    """Return text without halves of surrogate pairs, as a model may stream them."""
    return text.encode("utf-8", "replace").decode()


def _own(message: BaseMessage) -> dict[str, Any]:
    """Return the fields that a turn has no place for, as far as they say anything."""
    fields = type(message).model_fields
    given = {name: one for name, one in message if name not in ("content", "name", "type", "id")}
    return {
        name: one
        for name, one in given.items()
        if name not in fields or not _same(one, fields[name].get_default(call_default_factory=True))
    }


def _same(one: object, default: object) -> bool:
    """Return whether a field is as LangChain made it; an array, say, compares to no truth."""
    return type(one) is type(default) and one == default


def _without_memory(content: Content) -> Content:
    """Return content without what memkit put into it: that is not remembered again."""
    if isinstance(content, str):
        return (
            strip_memory_block(content) or content
        )  # `remember` leaves out a message that is nothing else
    return [
        strip_memory_block(part) if isinstance(part, str)
        else part | {"text": strip_memory_block(part["text"])} if isinstance(part.get("text"), str)
        else part
        for part in content
    ]  # fmt: skip
