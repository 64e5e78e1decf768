"""mem0's memories: what `get_all` returns, or an export with the same objects.

A memory is a sentence that a model wrote about the user. It becomes a turn of the user that says
so: its origin is "imported".
"""

from collections.abc import Iterator, Mapping
from typing import Any

from memkit.importers.documents import read_records
from memkit.importers.files import ExportFile
from memkit.importers.foreign import (
    fail,
    leave,
    make_turn,
    object_of,
    read_time,
    short_text,
    text_of,
)  # fmt: skip
from memkit.importers.ids import digest, make_id
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions

_LISTS = ("results", "memories")


def matches(sample: Sample) -> bool:
    """Return whether a file is a list of memories, or an object with one."""
    is_list = sample.is_list() and "memory" in sample.keys
    return is_list or (sample.is_object() and bool(sample.lists & set(_LISTS)))


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield a turn for each memory of the user: of `me` in mem0, or else of the same user id."""
    user = options.me or options.user_id
    strangers: dict[str, None] = {}
    for location, record in read_records(export, "memory", _LISTS):
        if not isinstance(record, Mapping):
            problem = record if isinstance(record, Exception) else "the memory is no object"
            yield fail(location, problem)
            continue
        owner = short_text(record.get("user_id"))
        if owner and owner != user:
            strangers[owner] = None
            yield leave(location, "memory of another user")
        else:
            yield _read_memory(record, location, options)
    if strangers:
        names = ", ".join(list(strangers)[:5])
        export.notes.append(f"users in mem0: {names}; pass --me NAME to say which of them it is")


def _read_memory(record: Mapping[str, Any], location: str, options: ReadOptions) -> LocatedTurn:
    text = text_of(record, "memory")
    time = read_time(record.get("updated_at"), options.timezone) or read_time(
        record.get("created_at"), options.timezone
    )
    extra = object_of(record, "metadata")
    own = {key: value for key, value in extra.items() if isinstance(key, str)}
    return make_turn(
        location, text, role="user", said_at=time,
        id=make_id("mem0", text_of(record, "id") or digest(text)),
        session_id=_prefixed(record, "run_id"), agent_id=short_text(record.get("agent_id")),
        metadata=own | {"memory_of": "mem0"},
    )  # fmt: skip


def _prefixed(record: Mapping[str, Any], key: str) -> str | None:
    id = short_text(record.get(key))
    return make_id("mem0", id) if id else None
