"""Telegram Desktop's export in JSON: result.json of one chat, or of all."""

from collections.abc import Iterator, Mapping
from typing import Any

from memkit.errors import InvalidInput
from memkit.importers.files import ExportFile
from memkit.importers.foreign import (
    fail,
    leave,
    list_of,
    make_turn,
    read_time,
    short_text,
    text_of,
)
from memkit.importers.ids import digest, make_id
from memkit.importers.json_stream import InvalidValue, JsonStream
from memkit.importers.people import People
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions

_MOST_NESTED = 3  # the chats of a whole export are in a list in an object in an object
_HEADER = ("name", "type", "id")  # of a chat; they come before its messages
_NO_WORDS = ("photo", "file", "media_type", "location_information", "contact_information", "poll")

Header = dict[str, object]


def matches(sample: Sample) -> bool:
    """Return whether a file is a chat with name, type and id, or has chats."""
    is_chat = {"messages", "name", "type", "id"} <= sample.keys
    return sample.is_object() and (is_chat or "chats" in sample.keys)


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of all chats.

    Raises:
        InvalidInput: nobody has the name of the user.
    """
    people = People(options.me)
    for member in export.members or (None,):
        with export.peek(member) as file:
            for _, _, message in _read_chats(JsonStream(file), {}, 0):
                if isinstance(message, Mapping) and message.get("type") == "message":
                    people.add(_sender(message))
    if note := people.check(export.path):
        export.notes.append(note)
    for location, file in export.files():
        for header, n, message in _read_chats(JsonStream(file), {}, 0):
            name = short_text(header.get("name"))
            where = f"{location}, {name or 'chat'}, message {n}"
            yield _read_message(message, where, header, people, options)


def _read_chats(
    stream: JsonStream, header: Header, depth: int
) -> Iterator[tuple[Header, int, object]]:
    """Yield the header of a chat, the number of a message, and the message or its error."""
    try:
        for key in stream.members():
            start = stream.peek()
            if key == "messages" and start == "[":
                yield from _read_list(stream, header)
            elif key in {"chats", "left_chats"} and start == "{" and depth < _MOST_NESTED:
                yield from _read_chats(stream, {}, depth + 1)
            elif key == "list" and start == "[" and depth < _MOST_NESTED:
                for _ in stream.elements():
                    if stream.peek() == "{":
                        yield from _read_chats(stream, {}, depth + 1)
                    else:
                        stream.skip()
            elif key in _HEADER and start not in {"{", "["}:
                header[key] = stream.value()
            else:
                stream.skip()
    except InvalidInput as error:
        if depth:
            raise
        yield header, 0, InvalidInput(f"{error}; what follows in the file was not read")


def _read_list(stream: JsonStream, header: Header) -> Iterator[tuple[Header, int, object]]:
    for n in stream.elements():
        try:
            yield header, n, stream.value()
        except InvalidValue as error:
            yield header, n, error


def _read_message(
    message: object, location: str, header: Header, people: People, options: ReadOptions
) -> LocatedTurn:
    if not isinstance(message, Mapping):
        problem = message if isinstance(message, Exception) else "the message is no object"
        return fail(location, problem)
    if message.get("type") != "message":
        return leave(location, "service message")
    text = _message_text(message)
    has_media = any(message.get(key) for key in _NO_WORDS)
    if not text.strip() and has_media:
        return leave(location, "media without words")
    forwarded = short_text(message.get("forwarded_from"))
    is_forwarded = "forwarded_from" in message or "forwarded_from_id" in message
    chat = make_id("telegram", header.get("id") or header.get("name") or "chat")
    reply = message.get("reply_to_message_id")
    time = _read_seconds(message.get("date_unixtime")) or text_of(message, "date")
    return make_turn(
        location, f"{_file_line(message)}{text}" if text.strip() else "", role="user",
        id=make_id(chat, message.get("id") or digest(_sender(message), str(time), text)),
        session_id=chat,
        name=people.name_of(_sender(message)), said_at=read_time(time, options.timezone),
        origin="pasted" if is_forwarded else "imported",
        metadata={
            "title": short_text(header.get("name")), "forwarded_from": forwarded,
            "reply_to": make_id(chat, reply) if reply else None,
            "edited": message.get("edited"),
        },
    )  # fmt: skip


def _sender(message: Mapping[str, Any]) -> str:
    """Return who sent a message; a deleted account has no name, only an id."""
    return short_text(message.get("from")) or short_text(message.get("from_id")) or "unknown"


def _message_text(message: Mapping[str, Any]) -> str:
    """Return the text of a message, which is a string or a list of strings and entities."""
    if isinstance(message.get("text"), str):
        return text_of(message, "text")
    parts = list_of(message, "text") or list_of(message, "text_entities")
    return "".join(
        part if isinstance(part, str) else text_of(part, "text")
        for part in parts
        if isinstance(part, (str, Mapping))
    )


def _file_line(message: Mapping[str, Any]) -> str:
    """Return the line before the caption of a picture or a file; "" if there is none."""
    if message.get("photo"):
        return "[photo]\n"
    kind = short_text(message.get("media_type")) or ("file" if message.get("file") else "")
    return f"[{kind.replace('_', ' ')}]\n" if kind else ""


def _read_seconds(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, (str, int)) else None
    except ValueError:
        return None
