"""LangChain's messages: the JSON of `messages_to_dict`, and the table of SQLChatMessageHistory."""

from collections.abc import Iterator, Mapping
from typing import Any

from memkit.errors import InvalidInput
from memkit.importers.documents import read_records
from memkit.importers.files import ExportFile, parse_json
from memkit.importers.foreign import (
    fail,
    leave,
    list_of,
    make_turn,
    object_of,
    short_text,
    text_of,
)  # fmt: skip
from memkit.importers.ids import Repeats, digest, make_id
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions
from memkit.importers.sqlite_files import read_rows
from memkit.text.content import message_text

_ROLES = {
    "human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool",
    "user": "user", "assistant": "assistant", "developer": "system",
}  # fmt: skip
_ROWS = "SELECT id, session_id, message FROM message_store ORDER BY id"


def matches(sample: Sample) -> bool:
    """Return whether a file has messages with "type" and "data", and the role in the data."""
    return {"type", "data"} <= sample.keys and "role" not in sample.keys


def matches_sqlite(sample: Sample) -> bool:
    """Return whether a file has the table of the messages."""
    return "message_store" in sample.tables


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of a list of messages, which is one conversation."""
    session_id, repeats = options.session_id, Repeats()
    for location, record in read_records(export, "message"):
        data = object_of(record, "data")
        key = digest(object_of({"record": record}, "record").get("type"), _words(data))
        if session_id is None and data:
            session_id = make_id("langchain", key)
        own_id = text_of(data, "id")
        id = make_id("langchain", own_id or repeats.number(digest(session_id, key)))
        yield _read_message(record, location, {"id": id, "session_id": session_id})


def read_sqlite(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of all sessions in the order they were added. The table has no times.

    SQLite uses a row's number again after the last rows were deleted, so the id has the words, too.
    """
    del options
    for number, session_id, message in read_rows(export, _ROWS):
        location = f"{export.path}, message_store {number}"
        try:
            record = parse_json(str(message).encode())
        except InvalidInput as error:
            record = error
        session = make_id("langchain", session_id)
        id = make_id("langchain", digest(session, number, str(message)))
        yield _read_message(record, location, {"id": id, "session_id": session})


def _words(data: Mapping[str, Any]) -> str:
    return repr([data.get("content"), data.get("tool_calls"), data.get("name")])


def _read_message(record: object, location: str, fields: dict[str, Any]) -> LocatedTurn:
    if not isinstance(record, Mapping) or not isinstance(record.get("data"), Mapping):
        problem = record if isinstance(record, Exception) else "this is no message of LangChain"
        return fail(location, problem)
    data = record["data"]
    kind = text_of(record, "type").removesuffix("MessageChunk").lower()
    if kind == "remove":
        return leave(location, "message that removes another")
    role = _ROLES.get(text_of(data, "role") if kind == "chat" else kind)
    if role is None and kind != "chat":
        return fail(location, "a message of an unknown type")
    try:
        text = message_text({"content": data.get("content"), "tool_calls": _calls(data)})
    except TypeError as error:
        return fail(location, error)
    name = short_text(data.get("name"))
    return make_turn(location, text, role=role or "assistant", **({"name": name} | fields))


def _calls(data: Mapping[str, Any]) -> list[Any]:
    """Return the calls of tools; messages of older versions have those of OpenAI only."""
    calls = [
        {"name": call.get("name"), "arguments": call.get("args")}
        for call in list_of(data, "tool_calls") if isinstance(call, Mapping)
    ]  # fmt: skip
    return calls or [
        call for call in list_of(object_of(data, "additional_kwargs"), "tool_calls")
        if isinstance(call, Mapping)
    ]  # fmt: skip
