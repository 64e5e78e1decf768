"""The messages and items of OpenAI's APIs: chat completions, responses, agents."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from memkit.importers.foreign import fail, leave, make_turn, object_of, short_text, text_of
from memkit.importers.source import LocatedTurn
from memkit.text.content import format_call, message_text

_ROLES = {
    "user": "user", "assistant": "assistant", "system": "system", "tool": "tool",
    "developer": "system", "function": "tool",
}  # fmt: skip


def read_item(item: object, location: str, fields: dict[str, Any]) -> LocatedTurn:
    """Return the turn of a message, of a call of a function, or of its result.

    `fields` are those of the turn that the item does not have.
    """
    if not isinstance(item, Mapping):
        problem = item if isinstance(item, Exception) else "the message is no object"
        return fail(location, problem)
    kind = text_of(item, "type") or "message"
    if kind not in _KINDS:
        return leave(location, "reasoning" if kind == "reasoning" else "activity of a tool")
    try:
        role, text = _KINDS[kind](item)
    except TypeError as error:
        return fail(location, error)
    if role is None:
        return fail(location, "the message has no role that is known")
    return make_turn(location, text, role=role, **({"name": _name(item, kind)} | fields))


def _read_message(item: Mapping[str, Any]) -> tuple[str | None, str]:
    text = message_text(item) or text_of(object_of(item, "audio"), "transcript")
    return _ROLES.get(text_of(item, "role")), text


def _read_call(item: Mapping[str, Any]) -> tuple[str | None, str]:
    return "assistant", format_call(short_text(item.get("name")), item.get("arguments", {}))


def _read_output(item: Mapping[str, Any]) -> tuple[str | None, str]:
    output = item.get("output")
    content = output if isinstance(output, (str, list)) else json.dumps(output)
    return "tool", message_text({"content": content})


def _name(item: Mapping[str, Any], kind: str) -> str:
    return short_text(item.get("name")) if kind == "message" else ""


_KINDS: dict[str, Callable[[Mapping[str, Any]], tuple[str | None, str]]] = {
    "message": _read_message, "function_call": _read_call, "function_call_output": _read_output,
}  # fmt: skip
