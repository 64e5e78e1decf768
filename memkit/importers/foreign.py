"""Make turns of the messages of other programs: their fields are checked, bounded and named."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from memkit.errors import InvalidInput
from memkit.importers.source import LocatedTurn
from memkit.records import Turn

_MOST_METADATA = 500  # characters of a text in the metadata
_SECONDS = 1e11  # in the year 5138; larger numbers are milliseconds, which JavaScript counts
_SURROGATES = re.compile("[\ud800-\udfff]")


def make_turn(location: str, text: str, **fields: Any) -> LocatedTurn:
    """Return a turn with the origin "imported", or why its fields are none.

    A field that is None or empty is left out. So is a value of `metadata` that is false, or is
    neither a text, a number nor true.
    """
    text = _SURROGATES.sub("\ufffd", text)
    if not text.strip():
        return LocatedTurn(turn=None, location=location)
    metadata = {
        key: short_text(value) if isinstance(value, str) else value
        for key, value in fields.pop("metadata", {}).items()
        if value and isinstance(value, (str, int))
    }
    fields = {key: value for key, value in fields.items() if value not in (None, "")}
    try:
        turn = Turn(text=text, metadata=metadata, **({"origin": "imported"} | fields))
    except InvalidInput as error:
        return fail(location, error)
    return LocatedTurn(turn=turn, location=location)


def leave(location: str, reason: str) -> LocatedTurn:
    """Return that a message is left out, and why."""
    return LocatedTurn(turn=None, location=location, left=reason)


def fail(location: str, error: object) -> LocatedTurn:
    """Return that a message cannot be read, and why."""
    return LocatedTurn(turn=None, location=location, error=short_text(str(error)))


def short_text(value: object) -> str:
    """Return a text for a name, a title or a place, bounded and without NUL; "" for no text."""
    if not isinstance(value, str):
        return ""
    return _SURROGATES.sub("\ufffd", value.replace("\0", "")).strip()[:_MOST_METADATA]


def text_of(record: Mapping[str, Any], key: str) -> str:
    """Return a text of a JSON object; "" if it has none."""
    value = record.get(key)
    return value if isinstance(value, str) else ""


def list_of(record: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list of a JSON object; empty if it has none."""
    value = record.get(key)
    return value if isinstance(value, list) else []


def object_of(record: object, key: str) -> Mapping[str, Any]:
    """Return an object of a JSON object; empty if it has none."""
    value = record.get(key) if isinstance(record, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def read_time(value: object, timezone: tzinfo | None = UTC) -> datetime | None:
    """Return a time in ISO-8601 or in seconds since 1970; None for anything else.

    `timezone` is that of a time without one; None: this machine's.
    """
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > _SECONDS else value, tz=UTC)
        if isinstance(value, str) and value:
            return set_timezone(datetime.fromisoformat(value), timezone)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def set_timezone(time: datetime, timezone: tzinfo | None) -> datetime:
    """Return a time with a timezone of its own, or else with this one; None: this machine's."""
    if time.tzinfo is not None:
        return time
    return time.astimezone() if timezone is None else time.replace(tzinfo=timezone)
