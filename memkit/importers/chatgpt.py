"""ChatGPT's data export: conversations.json, or the zip archive with it.

A conversation is a tree of nodes. What counts is the branch that ends in its `current_node`: the
messages that a person sees in ChatGPT.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from memkit.errors import InvalidInput
from memkit.importers.branches import find_branch
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
from memkit.importers.ids import digest, make_id
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions
from memkit.text.content import format_call, placeholder

_LEFT_TYPES = {  # content types that are left out, and why
    "thoughts": "reasoning", "reasoning_recap": "reasoning",
    "tether_quote": "page read by a tool", "tether_browsing_display": "page read by a tool",
    "sonic_webpage": "page read by a tool", "system_error": "error of a tool",
    "model_editable_context": "ChatGPT's own memory",
}  # fmt: skip
_ROLES = {"user": "user", "assistant": "assistant", "tool": "tool"}
# what custom instructions say, between the sentences with which ChatGPT tells the model of them
_QUOTED = re.compile(r"```(.*)```", re.DOTALL)
# "Plant garlic. \ue200cite\ue202turn0search3\ue201": ChatGPT shows a link to a page in its place
_CITATION = re.compile(" ?\ue200(?:file)?cite[^\ue200\ue201]*\ue201")


def matches(sample: Sample) -> bool:
    """Return whether a file has conversations with a "mapping" of nodes."""
    return "mapping" in sample.keys


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of all conversations, and what is left out of them."""
    del options
    for location, record in read_records(export, "conversation"):
        if not isinstance(record, Mapping):
            yield fail(location, _problem(record))
            continue
        yield from _read_conversation(record, location)


def _problem(record: object) -> str:
    return str(record) if isinstance(record, InvalidInput) else "this is no conversation"


def _read_conversation(record: Mapping[str, Any], location: str) -> Iterator[LocatedTurn]:
    nodes = object_of(record, "mapping")
    parents = _find_parents(nodes)
    session_id = _session_id(record)
    title = short_text(record.get("title"))
    if title:
        location = f"{location} ({title})"
    branch = find_branch(parents, text_of(record, "current_node") or None)
    time = read_time(record.get("create_time"))
    for node_id in branch:
        node = nodes.get(node_id)
        message = node.get("message") if isinstance(node, Mapping) else None
        if message is None:
            continue
        where = f"{location}, message {short_text(node_id)}"
        if not isinstance(message, Mapping):
            yield fail(where, "the message is no object")
            continue
        time = read_time(message.get("create_time")) or time
        fields = {"id": node_id, "session_id": session_id, "said_at": time}
        yield _read_message(message, where, title, fields)
    on_branch = set(branch)
    for node_id, node in nodes.items():
        where = f"{location}, message {short_text(node_id)}"
        if not isinstance(node, Mapping):
            yield fail(where, "the node is no object")
        elif node_id not in on_branch and node.get("message"):
            yield leave(where, "not on the current branch: edited, or a reply that was replaced")


def _find_parents(nodes: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the parent of each node; if it is damaged, the node that has this one as a child."""
    parents: dict[str, str | None] = {}
    for id in nodes:
        parents[id] = text_of(object_of(nodes, id), "parent") or None
    for id in nodes:
        node = object_of(nodes, id)
        for child in list_of(node, "children"):
            if isinstance(child, str) and parents.get(child) not in nodes:
                parents[child] = id
    return parents


def _session_id(record: Mapping[str, Any]) -> str:
    id = text_of(record, "conversation_id") or text_of(record, "id")
    return make_id("chatgpt", id or digest(record.get("title"), record.get("create_time")))


def _read_message(
    message: Mapping[str, Any], location: str, title: str, fields: dict[str, Any]
) -> LocatedTurn:
    author, content = object_of(message, "author"), object_of(message, "content")
    metadata, kind = object_of(message, "metadata"), content.get("content_type")
    if kind == "user_editable_context":
        return _read_instructions(content, metadata, location, fields["said_at"])
    if reason := _reason_to_leave(message, kind):
        return leave(location, reason)
    role = _ROLES.get(text_of(author, "role"))
    if role is None:
        return leave(location, "unknown role")
    extra = {
        "title": title, "model": metadata.get("model_slug") if role == "assistant" else None,
        "recipient": _recipient(message),
    }  # fmt: skip
    own = {
        "id": make_id("chatgpt", text_of(message, "id") or fields["id"]), "role": role,
        "name": short_text(author.get("name")), "metadata": extra,
    }  # fmt: skip
    return make_turn(location, _message_text(message, content), **(fields | own))


def _reason_to_leave(message: Mapping[str, Any], kind: object) -> str | None:
    metadata = object_of(message, "metadata")
    if isinstance(kind, str) and kind in _LEFT_TYPES:
        return _LEFT_TYPES[kind]
    if metadata.get("is_visually_hidden_from_conversation") is True or message.get("weight") == 0:
        return "hidden message"
    if message.get("channel") == "analysis":
        return "reasoning"
    if text_of(object_of(message, "author"), "role") == "system":
        return "system message"
    return None


def _read_instructions(
    content: Mapping[str, Any], metadata: Mapping[str, Any], location: str, time: datetime | None
) -> LocatedTurn:
    """Return the custom instructions: what the user wrote of themselves.

    Every conversation has a copy of them. The id is that of the text, so equal ones are one turn.
    """
    words = object_of(metadata, "user_context_message_data")
    texts = [
        text_of(words, "about_user_message") or _unquote(text_of(content, "user_profile")),
        text_of(words, "about_model_message") or _unquote(text_of(content, "user_instructions")),
    ]
    text = "\n".join(text.strip() for text in texts if text.strip())
    return make_turn(
        location, text, id=make_id("chatgpt", "instructions", digest(text)), role="user",
        said_at=time, metadata={"title": "Custom instructions"},
    )  # fmt: skip


def _unquote(text: str) -> str:
    match = _QUOTED.search(text)
    return match[1] if match else text


def _recipient(message: Mapping[str, Any]) -> str:
    """Return the tool that a message calls; "" if it is for everybody."""
    recipient = text_of(message, "recipient")
    return "" if recipient == "all" else recipient


def _message_text(message: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    lines = [text_of(content, "text"), *_part_lines(list_of(content, "parts"))]
    lines += [f"[file: {name}]" for name in _file_names(object_of(message, "metadata"))]
    text = "\n".join(line for line in lines if line.strip())
    text = _CITATION.sub("", text)
    recipient = _recipient(message)
    is_call = recipient and text_of(object_of(message, "author"), "role") == "assistant"
    if is_call and recipient.startswith("canmore."):
        return _canvas_text(text)
    return format_call(recipient, text) if is_call and text else text


def _part_lines(parts: list[Any]) -> Iterator[str]:
    """Yield the text of each part; an audio that is written out is its text only."""
    kinds = [text_of(part, "content_type") for part in parts if isinstance(part, Mapping)]
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            yield part["text"]
        elif isinstance(part, Mapping):
            kind = text_of(part, "content_type").removesuffix("_asset_pointer") or "part"
            kind = "audio" if kind.endswith("audio_video") else kind
            if kind != "audio" or "audio_transcription" not in kinds:
                yield placeholder({"type": kind})


def _file_names(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of attached files that are no pictures, which are parts already."""
    for file in _objects(metadata, "attachments"):
        kind = text_of(file, "mime_type") or text_of(file, "mimeType")
        if not kind.startswith("image/") and (name := short_text(file.get("name"))):
            yield name


def _canvas_text(call: str) -> str:
    """Return the name and the words of a canvas document, or of the changes to it."""
    try:
        arguments = json.loads(call)
    except (ValueError, RecursionError):
        return call
    if not isinstance(arguments, Mapping):
        return call
    lines = [text_of(arguments, "name"), text_of(arguments, "content")]
    lines += [text_of(update, "replacement") for update in _objects(arguments, "updates")]
    lines += [text_of(comment, "comment") for comment in _objects(arguments, "comments")]
    return "\n".join(line for line in lines if line.strip()) or call


def _objects(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [item for item in list_of(record, key) if isinstance(item, Mapping)]
