"""Claude's data export: conversations.json, or the zip archive with it."""

from collections.abc import Iterator, Mapping
from typing import Any

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
from memkit.text.content import message_text

_ROLES = {"human": "user", "assistant": "assistant"}
_SILENT = ("token_budget", "flag")  # types of blocks that nobody says


def matches(sample: Sample) -> bool:
    """Return whether a file has conversations with "chat_messages"."""
    return "chat_messages" in sample.keys


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of all conversations, and what is left out of them."""
    del options
    for location, record in read_records(export, "conversation"):
        if isinstance(record, Mapping):
            yield from _read_conversation(record, location)
        else:
            problem = record if isinstance(record, Exception) else "this is no conversation"
            yield fail(location, problem)


def _read_conversation(record: Mapping[str, Any], location: str) -> Iterator[LocatedTurn]:
    title = short_text(record.get("name"))
    if title:
        location = f"{location} ({title})"
    id = text_of(record, "uuid") or digest(record.get("name"), record.get("created_at"))
    fields = {
        "session_id": make_id("claude", id),
        "metadata": {"title": title, "model": record.get("model")},
    }
    messages = list_of(record, "chat_messages")
    branch = _find_branch(record, messages)
    for n, message in enumerate(messages, start=1):
        where = f"{location}, message {n}"
        if not isinstance(message, Mapping):
            yield fail(where, "the message is no object")
        elif branch is not None and (id := text_of(message, "uuid")) and id not in branch:
            yield leave(where, "not on the current branch: edited, or a reply that was replaced")
        else:
            time = read_time(message.get("created_at")) or read_time(record.get("created_at"))
            yield from _read_message(message, where, fields | {"said_at": time})


def _find_branch(record: Mapping[str, Any], messages: list[Any]) -> set[str] | None:
    """Return the ids of the messages of the current branch; None: there is only one."""
    parents = {
        id: text_of(message, "parent_message_uuid") or None
        for message in messages
        if isinstance(message, Mapping) and (id := text_of(message, "uuid"))
    }
    if not any(parents.values()):
        return None
    root, before = next(iter(parents.values())), None  # the first message's parent is no message
    for id, parent in parents.items():
        if parent not in parents and parent != root:
            parents[id] = before  # the parent cannot be read
        before = id
    return set(find_branch(parents, text_of(record, "current_leaf_message_uuid") or None))


def _read_message(
    message: Mapping[str, Any], location: str, fields: dict[str, Any]
) -> Iterator[LocatedTurn]:
    role = _ROLES.get(text_of(message, "sender"))
    if role is None:
        yield leave(location, "unknown sender")
        return
    blocks = [
        block for block in list_of(message, "content")
        if isinstance(block, Mapping) and block.get("type") not in _SILENT
    ]  # fmt: skip
    spoken = [block for block in blocks if block.get("type") != "tool_result"]
    words = (role, text_of(message, "created_at"), text_of(message, "text"))
    id = text_of(message, "uuid") or digest(fields["session_id"], *words)
    fields = fields | {"id": make_id("claude", id)}
    try:
        text = message_text({"content": spoken}) if blocks else text_of(message, "text")
        results = [
            message_text({"content": [block]}) for block in blocks if block not in spoken
        ]  # fmt: skip
    except TypeError as error:
        yield fail(location, error)
        return
    lines = [text, *(f"[file: {name}]" for name in _file_names(message))]
    yield make_turn(location, "\n".join(filter(str.strip, lines)), role=role, **fields)
    yield from _read_results(results, location, fields)
    yield from _read_attachments(message, location, fields)


def _read_results(
    results: list[str], location: str, fields: dict[str, Any]
) -> Iterator[LocatedTurn]:
    """Yield what tools answered, which is in the message of the assistant."""
    for n, text in enumerate(results, start=1):
        id = f"{fields['id']}#result{n}"
        yield make_turn(f"{location}, result {n}", text, role="tool", **(fields | {"id": id}))


def _read_attachments(
    message: Mapping[str, Any], location: str, fields: dict[str, Any]
) -> Iterator[LocatedTurn]:
    """Yield the text of attached files: words that the user did not write."""
    for n, attachment in enumerate(list_of(message, "attachments"), start=1):
        name = short_text(object_of({"file": attachment}, "file").get("file_name"))
        own = {
            "id": f"{fields['id']}#attachment{n}", "origin": "pasted",
            "metadata": fields["metadata"] | {"file": name},
        }  # fmt: skip
        text = text_of(object_of({"file": attachment}, "file"), "extracted_content")
        yield make_turn(f"{location}, attachment {n}", text, role="user", **(fields | own))


def _file_names(message: Mapping[str, Any]) -> Iterator[str]:
    for key in ("attachments", "files"):
        for file in list_of(message, key):
            if isinstance(file, Mapping) and (name := short_text(file.get("file_name"))):
                yield name
