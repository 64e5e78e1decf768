"""LangChain's messages as turns and back, without loss.

A turn's text is what was said, as it is searched and shown. All else of a message stands in the
turn's metadata under "langchain", and only what the turn itself does not say.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    message_chunk_to_message,
    messages_from_dict,
)

from memkit.errors import InvalidTurn
from memkit.prompt import strip
from memkit.records import Role, Turn

KEY = "langchain"
_ROLES: dict[str, Role] = {
    "human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool",
    "chat": "assistant",
}  # fmt: skip
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
_EMPTY = "[empty]"  # a turn has words


def to_turn(message: BaseMessage) -> Turn:
    """Return a message as a turn to remember.

    Its text is the message's text; what has none is named: "[image]", "get_weather({…})".

    Raises:
        InvalidTurn: nothing was said with it (a `RemoveMessage`), or it holds what JSON cannot.
    """
    message = message_chunk_to_message(message)
    if message.type not in _ROLES:
        raise InvalidTurn(
            f"nothing is said with a message of the type {message.type!r}; pass the messages that "
            "were said"
        )
    content = _without_memory(message.content)
    text, name = _text(message, content), (message.name or "").replace("\0", "") or None
    rest = message.model_dump(exclude={"content", "name", "type"}, exclude_defaults=True)
    rest["id"] = message.id  # also None: one without an id comes back without
    if content != text:
        rest["content"] = content
    if message.name != name:
        rest["name"] = message.name
    if message.type != _TYPES[_role(message)]:
        rest["type"] = message.type
    return Turn(text=text, role=_role(message), name=name, metadata={KEY: rest})


def to_message(turn: Turn) -> BaseMessage:
    """Return a turn as a message: the one it came from, or one that says the same."""
    rest = dict(turn.metadata.get(KEY, {}))
    kind = rest.pop("type", _TYPES[turn.role])
    data = {"content": turn.text, "name": turn.name, "id": turn.id} | rest
    if kind == "tool":  # one that LangChain did not make does not say which call it answers
        data.setdefault("tool_call_id", turn.id)
    (message,) = messages_from_dict([{"type": kind, "data": data}])
    return message


def plain(turns: Iterable[Turn]) -> list[BaseMessage]:
    """Return what people and models said in words, for a prompt: a name stands before them."""
    said = [turn for turn in turns if turn.role in ("user", "assistant")]
    named = [replace(one, text=f"{one.name}: {one.text}" if one.name else one.text) for one in said]
    return [to_message(replace(one, name=None, metadata={})) for one in named]


def text_of(content: str | list[str | dict[Any, Any]]) -> str:
    """Return the words of a message's content; other parts are left out."""
    if isinstance(content, str):
        return content
    words = [part if isinstance(part, str) else part.get("text") for part in content]
    return "\n".join(one for one in words if isinstance(one, str) and one.strip())


def _role(message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage):  # a role of the caller's: a person's only if it says so
        known = next((role for role in get_args(Role) if role == message.role), None)
        return known or _ROLES.get(message.role, "assistant")
    return _ROLES[message.type]


def _text(message: BaseMessage, content: str | list[str | dict[Any, Any]]) -> str:
    """Return what a message says in words, with names for what it shows and calls."""
    shown = [
        f"[{str(part.get('type', 'part')).removesuffix('_url')}]"
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and not isinstance(part.get("text"), str)
    ]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    called = [f"{call['name']}({json.dumps(call['args'], default=str)})" for call in calls]
    words = text_of(content)
    if not shown and not called and words.strip():
        return words
    return "\n".join([*([words] if words.strip() else []), *shown, *called]) or _EMPTY


def _without_memory(
    content: str | list[str | dict[Any, Any]],
) -> str | list[str | dict[Any, Any]]:
    """Return content without what memkit put into it: that is not remembered again."""
    if isinstance(content, str):
        return strip(content) or content  # `remember` leaves out a message that is nothing else
    return [
        strip(part) if isinstance(part, str)
        else part | {"text": strip(part["text"])} if isinstance(part.get("text"), str)
        else part
        for part in content
    ]  # fmt: skip
