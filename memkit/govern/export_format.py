"""The format of an export: one JSON object per line, described in docs/reference/export.md.

The first line names the format, its version and the state of the ledger. Then come the items of one
user after the other. The last line has the number of lines before it, so that a file that was cut
off is recognised.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, TypeVar, cast, get_args

from memkit.errors import InvalidInput, NewerExport
from memkit.govern.ledger import Anchor
from memkit.portable import (
    ChunkState,
    QueueState,
    StoredItem,
    StoredThought,
    StoredTurn,
    UserState,
)
from memkit.records import (
    ROLES,
    ClaimKind,
    Origin,
    Role,
    Scope,
    Source,
    Summary,
    Thought,
    Turn,
    check_utf8,
    zoned,
)
from memkit.text.sanitise import UNSAFE

FORMAT, VERSION = "memkit export", 2  # 2: tags and former wordings of turns
_Value = TypeVar("_Value")
_THOUGHT_TEXTS = ("id", "text", "said_by")
_THOUGHT_LABELS = ("head", "relation", "tail", "slot", "closed_by")
_THOUGHT_TIMES = ("said_at", "repeated_at", "valid_from", "recorded_at")
_THOUGHT_ENDS = ("valid_to", "closed_at", "retracted_at")


# ---- out


def header(anchor: Anchor | None) -> dict[str, Any]:
    """Return the first line, with the end of the ledger at the time of the export."""
    ledger = None if anchor is None else {"seq": anchor.seq, "hash": anchor.hash}
    return _compact({"format": FORMAT, "version": VERSION, "ledger": ledger})


def footer(lines: int) -> dict[str, Any]:
    """Return the last line, after this many lines."""
    return {"type": "end", "lines": lines}


def to_json(line: Mapping[str, Any]) -> bytes:
    """Return a line as UTF-8, with its newline. Control characters are escaped."""
    text = json.dumps(line, ensure_ascii=False)
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode() + b"\n"


def to_line(user_id: str, item: StoredItem) -> dict[str, Any]:
    """Return an item as a JSON object without the fields that have no value."""
    if isinstance(item, UserState):
        name, fields = "user", _from_state(item)
    elif isinstance(item, StoredTurn):
        name, fields = "turn", _from_turn(item)
    elif isinstance(item, StoredThought):
        name, fields = "thought", _from_thought(item)
    else:
        name, fields = "summary", _from_summary(item)
    return {"type": name, "user_id": user_id} | _compact(fields)


def _from_state(state: UserState) -> dict[str, Any]:
    return {
        "turns": state.turns, "summarised": state.summarised, "rejected": state.rejected,
        "failure": state.failure,
    }  # fmt: skip


def _from_turn(item: StoredTurn) -> dict[str, Any]:
    turn, queue = item.turn, item.queue
    return {
        "id": turn.id, "position": turn.position, "role": turn.role, "name": turn.name,
        "content": turn.text, "timestamp": _iso(turn.said_at), "stored_at": _iso(turn.stored_at),
        "session_id": turn.session_id, "agent_id": turn.agent_id,
        "metadata": dict(turn.metadata) or None, "tags": list(turn.tags) or None,
        "flags": list(turn.flags) or None,
        "origin": turn.origin,
        "former": [
            {"content": former.text, "stored_at": _iso(former.stored_at)} for former in item.former
        ] or None,
        "thinking": queue and _compact({
            "attempts": queue.attempts, "again_at": _iso(queue.again_at),
            "parked": queue.parked or None, "failure": queue.failure,
        }),
        "chunks": {
            chunk_id: _compact({"hidden": state.hidden or None, "retrieved": state.retrieved})
            for chunk_id, state in item.chunks.items()
        } or None,
    }  # fmt: skip


def _from_thought(item: StoredThought) -> dict[str, Any]:
    thought = item.thought
    sources = [
        {"turn_id": source.turn_id, "start": source.start, "end": source.end, "worded": worded}
        for source, worded in zip(thought.sources, item.worded, strict=True)
    ]
    return {
        "id": thought.id, "text": thought.text, "kind": thought.kind,
        **{name: getattr(thought, name) for name in ("head", "relation", "tail", "slot")},
        "said_by": thought.said_by, "role": thought.role, "sources": sources,
        **{name: _iso(getattr(thought, name)) for name in (*_THOUGHT_TIMES, *_THOUGHT_ENDS)},
        "closed_by": thought.closed_by, "doubted_by": list(item.doubted_by) or None,
    }  # fmt: skip


def _from_summary(summary: Summary) -> dict[str, Any]:
    return {
        "id": summary.id, "level": summary.level, "text": summary.text, "tokens": summary.tokens,
        "through": summary.through, "sources": list(summary.sources),
        "created_at": _iso(summary.created_at),
    }  # fmt: skip


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _compact(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


# ---- in


def parse_json(data: bytes) -> dict[str, Any]:
    """Read one line. Raises InvalidInput."""
    try:
        record = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"byte {error.start + 1} is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON: {error}") from error
    if not isinstance(record, dict):
        raise InvalidInput(f"a line must be one JSON object, not a {type(record).__name__}")
    return record


def is_header(data: bytes) -> bool:
    """Return whether a line begins an export, of whatever version."""
    try:
        return parse_json(data).get("format") == FORMAT
    except InvalidInput:
        return False


def parse_header(data: bytes) -> Anchor | None:
    """Return the anchor of the first line, if it has one.

    Raises:
        InvalidInput: it is not the first line of an export.
        NewerExport: it was written by a newer memkit.
    """
    record = parse_json(data)
    if record.get("format") != FORMAT:
        raise InvalidInput(f'this is no export: its first line has no "format": "{FORMAT}"')
    if _get(record, "version", int) > VERSION:
        raise NewerExport(record["version"], VERSION)
    if record.get("ledger") is None:
        return None
    ledger = _get(record, "ledger", dict)
    return Anchor(seq=_get(ledger, "seq", int), hash=_get_text(ledger, "hash"))


def parse_line(record: Mapping[str, Any]) -> tuple[str, StoredItem]:
    """Return the user and the item of a line after the first. Raises InvalidInput."""
    kind = _get(record, "type", str)
    if kind not in _PARSERS:
        raise InvalidInput(f"unknown type {kind!r}; types are {', '.join(_PARSERS)} and end")
    user_id = _get(record, "user_id", str)
    Scope(user_id=user_id)  # checks it
    return user_id, _PARSERS[kind](record)


def _to_state(record: Mapping[str, Any]) -> UserState:
    return UserState(
        turns=_get_count(record, "turns"), summarised=_get_count(record, "summarised"),
        rejected=_get_count(record, "rejected"), failure=_maybe(record, "failure", _get_text),
    )  # fmt: skip


def _to_turn(record: Mapping[str, Any]) -> StoredTurn:
    names = ("name", "session_id", "agent_id")
    turn = Turn(
        id=_get_text(record, "id"), text=_get_text(record, "content"),
        role=cast(Role, _get(record, "role", str)), position=_get_count(record, "position", 1),
        said_at=_get_time(record, "timestamp"), stored_at=_get_time(record, "stored_at"),
        metadata=_get(record, "metadata", dict, {}), tags=_get_texts(record, "tags"),
        flags=_get_flags(record),
        origin=cast(Origin | None, _maybe(record, "origin", _get_text)),
        **{name: _maybe(record, name, _get_text) for name in names},
    )  # fmt: skip
    chunks = _get(record, "chunks", dict, {})
    return StoredTurn(
        turn=turn,
        queue=_to_queue(_get(record, "thinking", dict)) if "thinking" in record else None,
        chunks={chunk_id: _to_chunk_state(chunks, chunk_id) for chunk_id in chunks},
        former=[_to_former(turn, former) for former in _get(record, "former", list, [])],
    )


def _to_former(turn: Turn, record: object) -> Turn:
    if not isinstance(record, dict):
        raise InvalidInput(f"a former wording must be a JSON object, got {record!r}")
    stored_at = _get_time(record, "stored_at")
    return replace(turn, text=_get_text(record, "content"), stored_at=stored_at)


def _get_flags(record: Mapping[str, Any]) -> tuple[str, ...]:
    flags = _get(record, "flags", list, [])
    if not all(isinstance(flag, str) and flag.split() == [flag] for flag in flags):
        raise InvalidInput(f"flags must be a list of words, got {flags!r}")
    return tuple(flags)


def _to_queue(record: Mapping[str, Any]) -> QueueState:
    return QueueState(
        attempts=_get_count(record, "attempts"), parked=_get(record, "parked", bool, False),
        again_at=_maybe(record, "again_at", _get_time),
        failure=_maybe(record, "failure", _get_text),
    )  # fmt: skip


def _to_chunk_state(chunks: Mapping[str, Any], chunk_id: str) -> ChunkState:
    record = _get(chunks, chunk_id, dict)
    return ChunkState(
        hidden=_get(record, "hidden", bool, False),
        retrieved=_maybe(record, "retrieved", _get_count),
    )


def _to_thought(record: Mapping[str, Any]) -> StoredThought:
    kind, role = _get(record, "kind", str), _get(record, "role", str)
    if kind not in get_args(ClaimKind) or role not in ROLES:
        raise InvalidInput(f"unknown kind or role of a thought: {kind!r}, {role!r}")
    sources = _get(record, "sources", list)
    fields: dict[str, Any] = {name: _get_words(record, name) for name in _THOUGHT_TEXTS}
    fields |= {name: _maybe(record, name, _get_text) for name in _THOUGHT_LABELS}
    fields |= {name: _get_time(record, name) for name in _THOUGHT_TIMES}
    fields |= {name: _maybe(record, name, _get_time) for name in _THOUGHT_ENDS}
    thought = Thought(
        kind=cast(ClaimKind, kind), role=cast(Role, role),
        sources=tuple(map(_to_source, sources)), **fields,
    )  # fmt: skip
    return StoredThought(
        thought=thought,
        worded=tuple(_get(source, "worded", bool) for source in sources),
        doubted_by=_get_texts(record, "doubted_by"),
    )


def _to_source(record: object) -> Source:
    if not isinstance(record, dict):
        raise InvalidInput(f"a source must be a JSON object, got {record!r}")
    return Source(
        turn_id=_get_text(record, "turn_id"), start=_get_count(record, "start"),
        end=_get_count(record, "end"),
    )  # fmt: skip


def _to_summary(record: Mapping[str, Any]) -> Summary:
    level = _get(record, "level", int)
    if level not in (1, 2):
        raise InvalidInput(f"the level of a summary is 1 or 2, got {level}")
    return Summary(
        id=_get_words(record, "id"), text=_get_words(record, "text"),
        level=cast(Literal[1, 2], level), tokens=_get_count(record, "tokens"),
        through=_get_count(record, "through"), sources=_get_texts(record, "sources"),
        created_at=_get_time(record, "created_at"),
    )  # fmt: skip


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], StoredItem]] = {
    "user": _to_state, "turn": _to_turn, "thought": _to_thought, "summary": _to_summary,
}  # fmt: skip


# ---- fields of a line


def _get(
    record: Mapping[str, Any], name: str, kind: type[_Value], default: _Value | None = None
) -> _Value:
    """Return a field of this type; without a `default` it is required."""
    value = record.get(name, default)
    # bool is a subclass of int
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InvalidInput(f"{name} must be of type {kind.__name__}, got {value!r}")
    return value


def _maybe(
    record: Mapping[str, Any], name: str, get: Callable[[Mapping[str, Any], str], _Value]
) -> _Value | None:
    return get(record, name) if record.get(name) is not None else None


def _get_count(record: Mapping[str, Any], name: str, least: int = 0) -> int:
    value = _get(record, name, int)
    if not least <= value < 2**62:
        raise InvalidInput(f"{name} must be at least {least}, got {value}")
    return value


def _get_text(record: Mapping[str, Any], name: str) -> str:
    return check_utf8(_get(record, name, str), name)


def _get_words(record: Mapping[str, Any], name: str) -> str:
    text = _get_text(record, name)
    if not text.strip():
        raise InvalidInput(f"{name} is empty")
    return text


def _get_texts(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts: Sequence[object] = _get(record, name, list, [])
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInput(f"{name} must be a list of strings, got {texts!r}")
    return tuple(check_utf8(str(text), name) for text in texts)


def _get_time(record: Mapping[str, Any], name: str) -> datetime:
    text = _get(record, name, str)
    try:
        return zoned(datetime.fromisoformat(text), name)
    except ValueError as error:
        raise InvalidInput(f"{name} {text!r} is not an ISO-8601 time with a timezone") from error
