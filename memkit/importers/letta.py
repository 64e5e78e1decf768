"""Letta's agent files (.af): the messages of agents, and the blocks of their core memory.

Their ids number the messages of one file, so they are not stable; ids are made of the words.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from memkit.importers.documents import read_records
from memkit.importers.files import ExportFile
from memkit.importers.foreign import (
    fail,
    leave,
    list_of,
    make_turn,
    object_of,
    read_time,
    short_text,
    text_of,
)  # fmt: skip
from memkit.importers.ids import Repeats, digest, make_id
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions
from memkit.text.content import message_text

_EVENTS = ("heartbeat", "login", "system_alert", "function_error")
_ABOUT_THE_USER = "human"  # the label of the block with what the agent knows about the user


def matches(sample: Sample) -> bool:
    """Return whether a file has agents and blocks, or the older "core_memory"."""
    return sample.is_object() and (
        {"agents", "blocks"} <= sample.keys or "core_memory" in sample.keys
    )


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield a turn for each block of core memory, and the turns of all agents."""
    for location, record in read_records(export, "agent"):
        if not isinstance(record, Mapping):
            yield fail(location, record if isinstance(record, Exception) else "no agent file")
            continue
        agents = list_of(record, "agents") or [record]
        names = [short_text(object_of({"agent": agent}, "agent").get("name")) for agent in agents]
        blocks = list_of(record, "blocks") or list_of(record, "core_memory")
        yield from _read_blocks(blocks, location, names[0] or "agent", options)
        for name, agent in zip(names, agents, strict=True):
            where = f"{location}, agent {name}"
            if isinstance(agent, Mapping):
                yield from _read_messages(list_of(agent, "messages"), where, name, options)
            else:
                yield fail(where, "the agent is no object")


def _read_blocks(
    blocks: list[Any], location: str, agent: str, options: ReadOptions
) -> Iterator[LocatedTurn]:
    repeats = Repeats()  # agents of one file may have blocks of one label
    for block in blocks:
        if not isinstance(block, Mapping):
            yield fail(location, "the block is no object")
            continue
        label = short_text(block.get("label"))
        time = block.get("updated_at") or block.get("created_at")
        yield make_turn(
            f"{location}, block {label}", text_of(block, "value"),
            role="user" if label == _ABOUT_THE_USER else "system",
            id=make_id("letta", "block", repeats.number(digest(agent, label))),
            said_at=read_time(time, options.timezone), metadata={"block": label},
        )  # fmt: skip


def _read_messages(
    messages: list[Any], location: str, agent: str, options: ReadOptions
) -> Iterator[LocatedTurn]:
    repeats = Repeats()
    for n, message in enumerate(messages, start=1):
        where = f"{location}, message {n}"
        if not isinstance(message, Mapping):
            yield fail(where, "the message is no object")
            continue
        text, reason = _words_of(message)
        if reason:
            yield leave(where, reason)
            continue
        role = text_of(message, "role")
        created_at = text_of(message, "created_at")
        key = digest(agent, role, created_at, text)
        yield make_turn(
            where, text, role={"user": "user", "tool": "tool"}.get(role, "assistant"),
            id=make_id("letta", repeats.number(key)), session_id=make_id("letta", agent),
            said_at=read_time(created_at, options.timezone),
            metadata={"model": message.get("model")},
        )  # fmt: skip


def _words_of(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return what a message says, and why it is left out if it is.

    Older agents speak by calling `send_message`, and think in the text beside the call; what a user
    or a tool says is packed in JSON.
    """
    role = text_of(message, "role")
    if role not in {"user", "assistant", "tool"}:
        return "", "system message"
    calls = [call for call in list_of(message, "tool_calls") if isinstance(call, Mapping)]
    if (spoken := _spoken(calls)) is not None:
        return spoken, None
    try:
        text = message_text({"content": message.get("content"), "tool_calls": calls})
    except TypeError:
        return "", "message that cannot be read"
    packed = _unpack(text) if role in {"user", "tool"} else {}
    if packed.get("type") in _EVENTS:
        return "", "event of Letta"
    text = text_of(packed, "message") or text
    return ("", "result without words") if role == "tool" and text == "None" else (text, None)


def _spoken(calls: list[Mapping[str, Any]]) -> str | None:
    functions = [object_of(call, "function") for call in calls]
    messages = [
        text_of(_unpack(text_of(function, "arguments")), "message")
        for function in functions if function.get("name") == "send_message"
    ]  # fmt: skip
    return "\n".join(filter(str.strip, messages)) if messages else None


def _unpack(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}
