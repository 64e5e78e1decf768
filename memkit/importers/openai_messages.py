"""Lists of OpenAI's messages: one conversation, or many as {"messages": […]}."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from memkit.importers.documents import read_records
from memkit.importers.files import ExportFile
from memkit.importers.foreign import fail, list_of, read_time, text_of
from memkit.importers.ids import Repeats, digest, make_id
from memkit.importers.openai_items import read_item
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions

_SESSION_KEYS = ("session_id", "conversation_id", "thread_id", "id")
_TIME_KEYS = ("timestamp", "created_at", "created", "create_time")


def matches(sample: Sample) -> bool:
    """Return whether a file is a list of messages, or has objects with "messages"."""
    is_list = sample.is_list() and "role" in sample.keys
    return is_list or "messages" in sample.keys


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of all conversations.

    A conversation or a message without an id gets one from its words: a conversation from its first
    message. So the same list can be imported again when it has grown.
    """
    sessions, repeats = Repeats(), Repeats()
    session_id = options.session_id  # of messages that are in no conversation
    for location, record in read_records(export, "message"):
        if isinstance(record, Mapping) and "messages" in record:
            messages = list_of(record, "messages")
            own_session = _session_id(record, messages, sessions, options)
            for n, message in enumerate(messages, start=1):
                where = f"{location}, message {n}"
                yield _read_message(message, where, own_session, record, repeats)
        elif isinstance(record, Mapping):
            if session_id is None:
                session_id = make_id("openai", sessions.number(_key(record)))
            yield _read_message(record, location, session_id, {}, repeats)
        else:
            problem = record if isinstance(record, Exception) else "this is no message"
            yield fail(location, problem)


def _session_id(
    record: Mapping[str, Any], messages: list[Any], sessions: Repeats, options: ReadOptions
) -> str:
    for key in _SESSION_KEYS:
        if id := text_of(record, key):
            return make_id("openai", id)
    first = next((item for item in messages if isinstance(item, Mapping)), {})
    return options.session_id or make_id("openai", sessions.number(_key(first)))


def _read_message(
    message: object, location: str, session_id: str, record: Mapping[str, Any], repeats: Repeats
) -> LocatedTurn:
    item = message if isinstance(message, Mapping) else {}
    own_id = text_of(item, "id")
    id = make_id("openai", session_id, own_id) if own_id else repeats.number(_key(item, session_id))
    fields = {
        "id": id, "session_id": session_id, "said_at": _time(item) or _time(record),
        "metadata": {"model": item.get("model") or record.get("model")},
    }  # fmt: skip
    return read_item(message, location, fields)


def _time(record: Mapping[str, Any]) -> object:
    times = (read_time(record.get(key)) for key in _TIME_KEYS)
    return next((time for time in times if time is not None), None)


def _key(message: Mapping[str, Any], *session: str) -> str:
    words = {key: message[key] for key in sorted(message) if key != "id"}
    return digest(*session, json.dumps(words, sort_keys=True))
