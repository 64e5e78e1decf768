"""SillyTavern's chats: JSON lines, the first of which describes the chat."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
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
    set_timezone,
    short_text,
    text_of,
)  # fmt: skip
from memkit.importers.ids import Repeats, digest, make_id
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions

# "2023-6-3 @14h 05m 12s 345ms", "2023-06-03@14h05m12s"
_PACKED_TIME = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})\s*@(\d{1,2})h\s*(\d{1,2})m\s*(\d{1,2})s.*")
_WRITTEN_TIME = "%B %d, %Y %I:%M%p"  # June 3, 2023 2:05pm


@dataclass(slots=True)
class _Chat:
    """What the first line says, and the messages of one moment that were read."""

    session_id: str
    title: str
    repeats: Repeats = field(default_factory=Repeats)


def matches(sample: Sample) -> bool:
    """Return whether the first line describes a chat."""
    is_chat = "chat_metadata" in sample.keys or {"user_name", "character_name"} <= sample.keys
    return sample.is_object() and is_chat


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of a chat. Of several replies the one that is shown is taken."""
    chat: _Chat | None = None
    for location, record in read_records(export, "message"):
        if not isinstance(record, Mapping):
            problem = record if isinstance(record, Exception) else "the message is no object"
            yield fail(location, problem)
        elif chat is None:
            session_id = options.session_id or _session_id(record)
            chat = _Chat(session_id, short_text(record.get("character_name")))
        elif record.get("is_system"):
            yield leave(location, "hidden message, or one of the system")
        else:
            yield _read_message(record, location, chat, options.timezone)
            for _ in list_of(record, "swipes")[1:]:
                yield leave(location, "reply that is not shown")


def _session_id(header: Mapping[str, Any]) -> str:
    id = text_of(object_of(header, "chat_metadata"), "integrity")
    names = (header.get("user_name"), header.get("character_name"), header.get("create_date"))
    return make_id("sillytavern", id or digest(*map(str, names)))


def _read_message(
    record: Mapping[str, Any], location: str, chat: _Chat, timezone: tzinfo | None
) -> LocatedTurn:
    name, date = short_text(record.get("name")), record.get("send_date")
    is_user = bool(record.get("is_user"))
    extra = object_of(record, "extra")
    key = digest(chat.session_id, is_user, name, str(date))
    return make_turn(
        location, text_of(record, "mes") or _shown_reply(record),
        role="user" if is_user else "assistant", name=None if is_user else name,
        id=make_id("sillytavern", chat.repeats.number(key)), session_id=chat.session_id,
        said_at=_read_date(date, timezone),
        metadata={
            "title": chat.title, "model": extra.get("model"), "persona": name if is_user else None,
        },
    )  # fmt: skip


def _shown_reply(record: Mapping[str, Any]) -> str:
    replies, shown = list_of(record, "swipes"), record.get("swipe_id")
    if not isinstance(shown, int) or not 0 <= shown < len(replies):
        return ""
    return text_of({"reply": replies[shown]}, "reply")


def _read_date(value: object, timezone: tzinfo | None) -> datetime | None:
    """Return the time of a message, which each version writes in another way."""
    if isinstance(value, (int, float)):
        return read_time(value / 1000)  # milliseconds
    if not isinstance(value, str):
        return None
    if value.isdigit():
        return read_time(int(value[:16]) / 1000)
    try:
        if match := _PACKED_TIME.fullmatch(value):
            year, month, day, hour, minute, second = map(int, match.groups())
            time = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - set below
            return set_timezone(time, timezone)
        return read_time(value, timezone) or set_timezone(
            datetime.strptime(value, _WRITTEN_TIME),  # noqa: DTZ007 - set by `set_timezone`
            timezone,
        )
    except (ValueError, OverflowError):
        return None
