"""Convert LangChain's messages to turns and back, without loss.

A turn's text is what was said; it is searched and shown. Whatever else a message has is in the
turn's metadata under "langchain", except what the turn's own fields say.
"""

import warnings
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, get_args

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_chunk_to_message,
    messages_from_dict,
)
from pydantic import BaseModel

from memkit._moved import serve_old_names
from memkit.errors import InvalidTurn
from memkit.prompt import BlockSigner, strip_memory_block
from memkit.records import Role, Turn
from memkit.text.content import SILENT, format_call, part_text, placeholder

Content = str | list[str | dict[Any, Any]]

KEY = "langchain"
_ROLES: dict[str, Role] = {
    "human": "user", "ai": "assistant", "system": "system", "developer": "system", "tool": "tool",
    "function": "tool",
}  # fmt: skip
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
_EMPTY = "[empty]"  # the text of a message without text; a turn's text cannot be empty


def to_turn(message: BaseMessage, signer: BlockSigner | None = None) -> Turn:
    """Convert a message to a turn that can be remembered.

    The turn's text is the message's text, with placeholders for what is not text: "[image]",
    "get_weather({…})". Memory blocks that `signer` signed (`memory.signer`) are left out. A field
    that JSON cannot hold is left out, and a warning names it. Raises InvalidTurn if the message
    says nothing (a `RemoveMessage`).
    """
    message, role = message_chunk_to_message(message), role_of(message)
    if role is None:
        raise InvalidTurn(
            f"a message of the type {message.type!r} says nothing that could be remembered; leave "
            "it out"
        )
    content = _without_memory(message.content, signer)
    text = spoken_text(message, signer) or _EMPTY
    name = _replace_surrogates(message.name or "").replace("\0", "") or None
    fields: dict[str, Any] = {"id": message.id}  # None too: a message without id comes back so
    if content != text:
        fields["content"] = content
    if message.name != name:
        fields["name"] = message.name
    if message.type != _TYPES[role]:
        fields["type"] = message.type
    metadata, lost = serialise(_other_fields(message) | fields)
    if lost:
        warnings.warn(
            f"{', '.join(lost)} of a message of the type {message.type!r} cannot be remembered: "
            "only JSON, dates, bytes, tuples, documents and messages can",
            stacklevel=2,
        )
    return Turn(text=text, role=role, name=name, metadata={KEY: metadata})


def to_message(turn: Turn) -> BaseMessage:
    """Convert a turn to the message it was made from, or to one with the same role and text.

    The latter also, with a warning, if its metadata under "langchain" is none of LangChain's: it
    may come from an import.
    """
    try:
        return _restore(turn, deserialise(dict(turn.metadata.get(KEY, {}))))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        warnings.warn(
            f"turn {turn.id!r} comes back with its text only: its metadata under {KEY!r} is no "
            f"message of LangChain's ({type(error).__name__})",
            stacklevel=2,
        )
        return _restore(turn, {})


def _restore(turn: Turn, fields: dict[str, Any]) -> BaseMessage:
    kind = fields.pop("type", _TYPES[turn.role])
    data = {"content": turn.text, "name": turn.name, "id": turn.id} | fields
    if kind == "tool":  # required, and a turn that LangChain did not make has none
        data.setdefault("tool_call_id", turn.id)
    (message,) = messages_from_dict([{"type": kind, "data": data}])
    return message


def role_of(message: BaseMessage) -> Role | None:
    """Return the role of a message's sender; None for a message that says nothing."""
    message = message_chunk_to_message(message)
    if not isinstance(message, ChatMessage):
        return _ROLES.get(message.type)
    # a ChatMessage may have any role; only "user" and "human" are a person's
    role = next((role for role in get_args(Role) if role == message.role), None)
    return role or _ROLES.get(message.role, "assistant")


def is_question(message: BaseMessage) -> bool:
    """Return whether a person sent a message, and not LangChain in their name (a summary)."""
    return role_of(message) == "user" and "lc_source" not in message.additional_kwargs


def is_reply(message: BaseMessage) -> bool:
    """Return whether the model sent a message; a `ChatMessage` with a custom role is no reply."""
    if isinstance(message, ChatMessage):
        return message.role in ("assistant", "ai")
    return isinstance(message, AIMessage)


def calls_tools(turn: Turn) -> bool:
    """Return whether a turn calls tools, which makes no sense without their results."""
    fields = turn.metadata.get(KEY, {})
    return "tool_calls" in fields or "invalid_tool_calls" in fields


def content_text(content: Content) -> str:
    """Return the text of a message's content, without its other parts, joined as LangChain does."""
    if isinstance(content, str):
        return content
    texts = [part if isinstance(part, str) else part_text(part) for part in content]
    return "".join(filter(None, texts))


def spoken_text(message: BaseMessage, signer: BlockSigner | None = None) -> str:
    """Return a message's text with placeholders for what it shows and calls; "" if nothing.

    Reasoning and memory blocks that `signer` signed are left out.
    """
    content = _without_memory(message.content, signer)
    lines = [
        placeholder(part)
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and part.get("type") not in SILENT and part_text(part) is None
    ]
    if isinstance(message, AIMessage):
        lines += [
            format_call(call["name"], call["args"])
            for call in [*message.tool_calls, *message.invalid_tool_calls]
        ]
    text = content_text(content)
    if text.strip():
        lines = [text, *lines]
    return _replace_surrogates("\n".join(lines))


def _replace_surrogates(text: str) -> str:
    """Return text with "?" for halves of surrogate pairs, which some models stream."""
    return text.encode("utf-8", "replace").decode()


def _other_fields(message: BaseMessage) -> dict[str, Any]:
    """Return the fields that a turn has no place for and that differ from their defaults."""
    fields = type(message).model_fields.items()
    defaults = {name: field.get_default(call_default_factory=True) for name, field in fields}
    return {
        name: value
        for name, value in message
        if name not in ("content", "name", "type", "id")
        # the types first: comparing an array, say, gives an array and not a truth value
        and (type(value), value) != (type(defaults.get(name, ...)), defaults.get(name, ...))
    }


def _without_memory(content: Content, signer: BlockSigner | None) -> Content:
    """Return content without memory blocks, which are not remembered again."""
    if isinstance(content, str):
        # `remember` drops a message that is only a block
        return strip_memory_block(content, signer) or content
    return [
        strip_memory_block(part, signer) if isinstance(part, str)
        else part | {"text": strip_memory_block(part["text"], signer)}
        if isinstance(part.get("text"), str)
        else part
        for part in content
    ]  # fmt: skip


# ---- a message's fields as JSON
#
# Dates, bytes, tuples, documents and messages are written with their type's name. Other pydantic
# objects are written as their fields and come back as dicts; a field of any other type is left out
# and named. Deserialising never imports or looks up a class that the data names.

_TYPE_KEY, _VALUE_KEY = "memkit:kind", "value"
_MODELS: tuple[type[BaseModel], ...] = (
    Document, AIMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage,
)  # fmt: skip
_TO_JSON: dict[type[Any], Callable[[Any], Any]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    bytes: lambda value: b64encode(value).decode(),
    tuple: list,
    dict: lambda value: [list(item) for item in value.items()],  # keys that are not strings
    **dict.fromkeys(_MODELS, dict),
}
_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "bytes": b64decode,
    "tuple": tuple,
    "dict": dict,
    **{model.__name__: model.model_validate for model in _MODELS},
}


def serialise(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return fields as JSON holds them, and the names of the fields it cannot hold."""
    lost: list[str] = []
    return _serialise_fields(fields, "", lost), lost


def deserialise(value: Any) -> Any:
    """Return what was serialised."""
    if isinstance(value, list):
        return [deserialise(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TYPE_KEY in value:
        return _FROM_JSON[value[_TYPE_KEY]](deserialise(value[_VALUE_KEY]))
    return {name: deserialise(item) for name, item in value.items()}


def _serialise_fields(fields: Mapping[str, Any], path: str, lost: list[str]) -> dict[str, Any]:
    serialised: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            serialised[name] = _serialise_value(value, f"{path}{name}.", lost)
        except (TypeError, RecursionError):
            lost.append(f"{path}{name}")
    return serialised


def _serialise_value(value: Any, path: str, lost: list[str]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_serialise_value(item, path, lost) for item in value]
    kind = type(value)
    if (
        isinstance(value, dict)
        and _TYPE_KEY not in value
        and all(isinstance(k, str) for k in value)
    ):
        return _serialise_fields(value, path, lost)
    if kind in _TO_JSON:
        return {
            _TYPE_KEY: kind.__name__,
            _VALUE_KEY: _serialise_value(_TO_JSON[kind](value), path, lost),
        }
    if isinstance(value, BaseModel):
        return _serialise_fields(dict(value), path, lost)
    raise TypeError(f"JSON cannot hold a {kind.__name__}")


serve_old_names(__name__)
