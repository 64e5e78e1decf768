"""mem0's arguments to memkit's records, and memkit's records to mem0's dicts."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from memkit.errors import InvalidInput, NaiveDatetime, ScopeRequired
from memkit.ingest import parse_time
from memkit.records import Scope, Thought, Turn

Item = dict[str, Any]

KEY = "mem0"  # of a turn's metadata: what mem0 knows of a memory and a turn has no field for
IDS = ("user_id", "agent_id", "run_id")
FIELDS = ("id", "memory", "hash", "metadata", "score", "created_at", "updated_at")
_IDENTITY = {*IDS, "actor_id"}


def to_scope(ids: Mapping[str, Any]) -> Scope:
    """Return the scope of mem0's ids: a run is a session.

    Without a user_id the agent, or else the run, has a memory of its own. The ids have no spaces,
    so its name in memkit, "agent NAME" or "run NAME", is no user's.
    """
    user, agent, run = (_check_id(name, ids.get(name)) for name in IDS)
    owner = user or (f"agent {agent}" if agent else f"run {run}" if run else None)
    if owner is None:
        raise ScopeRequired(
            "at least one of user_id, agent_id and run_id is required; pass it to add and "
            'delete_all, and in the filters of search and get_all: filters={"user_id": "ann"}'
        )
    return Scope(user_id=owner, agent_id=agent, session_id=run)


def _check_id(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    if not text or text == "*" or any(character.isspace() for character in text):
        raise ScopeRequired(f"{name} must be an id without spaces, and of one owner, got {value!r}")
    return text


def check_top_k(top_k: object, other: Mapping[str, Any]) -> int | None:
    """Return the number of results, None for all; `other` are arguments that have no name.

    Raises InvalidInput for ids of a scope among these, which belong into the filters.
    """
    if ids := sorted(set(IDS) & set(other)):
        raise InvalidInput(f"pass {ids[0]} in the filters: filters={{{ids[0]!r}: …}}")
    if unknown := sorted(set(other) - {"limit"}):
        raise InvalidInput(f"unknown argument {', '.join(unknown)}; see help(Memory)")
    top_k = other.get("limit", top_k)
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 0):
        raise InvalidInput(f"top_k must be an integer of at least 0, got {top_k!r}")
    return top_k


def check_unused(**arguments: object) -> None:
    """Raise InvalidInput for arguments that memkit has no use for."""
    if used := [name for name, value in arguments.items() if value is not None]:
        raise InvalidInput(
            f"memkit does not support {', '.join(used)}; date a memory with "
            'metadata={"created_at": …}, and choose what is believed with '
            "memkit.open(thinker=…)"
        )


def metadata_fields(
    metadata: Mapping[str, Any] | None, expiration_date: object, *, infer: bool
) -> dict[str, Any]:
    """Return the fields of a message dict that hold a memory's metadata and its time."""
    checked = check_metadata(metadata)
    created_at = checked.pop("created_at", None)
    note: dict[str, Any] = {"infer": True} if infer else {}
    if expiration_date is not None:
        note["expiration_date"] = parse_day(expiration_date)
    fields: dict[str, Any] = {"metadata": checked | {KEY: note}}
    if created_at is not None:
        time = parse_time(created_at)
        assert time is not None
        fields["timestamp"] = time if time.tzinfo else time.replace(tzinfo=UTC)
    return fields


def check_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return metadata as a dict; raise InvalidInput for keys that say whose a memory is."""
    if not isinstance(metadata or {}, Mapping):
        raise InvalidInput(f"metadata must be a dict, got {metadata!r}")
    checked = dict(metadata or {})
    if taken := sorted((_IDENTITY | {KEY}) & set(checked)):
        raise InvalidInput(f"metadata cannot have the key {', '.join(taken)}; pass ids to add")
    return checked


def parse_day(day: object) -> str:
    """Return a date as YYYY-MM-DD."""
    if isinstance(day, date):
        return (day.date() if isinstance(day, datetime) else day).isoformat()
    try:
        return date.fromisoformat(str(day)).isoformat()
    except ValueError as error:
        raise NaiveDatetime(f"expiration_date must be a date YYYY-MM-DD, got {day!r}") from error


def is_expired(item: Item, now: datetime) -> bool:
    """Return whether the expiration date of a memory is over, in UTC."""
    day = item.get("expiration_date")
    return day is not None and date.fromisoformat(day) < now.astimezone(UTC).date()


def note_of(turn: Turn) -> dict[str, Any]:
    """Return what this module stored in a turn's metadata."""
    return dict(turn.metadata.get(KEY) or {})


def is_memory(turn: Turn) -> bool:
    """Return whether a turn was added as a memory: it is no source of thoughts, nor of a chat."""
    return KEY in turn.metadata and not note_of(turn).get("infer")


def memory_id(turn: Turn) -> str:
    """Return the id of the memory that a turn is the current version of."""
    return str(note_of(turn).get("id") or turn.id)


def turn_item(turn: Turn, user_id: str) -> Item:
    """Return a turn as a memory."""
    assert turn.said_at is not None
    note, updated_at = note_of(turn), _iso(turn.said_at)
    item = _item(memory_id(turn), turn.text, [turn], note.get("created_at", updated_at), updated_at)
    return item | _owners(turn, user_id) | _speaker(turn.role, turn.name)


def thought_item(thought_id: str, thought: Thought, sources: Sequence[Turn], scope: Scope) -> Item:
    """Return a thought as a memory, with the metadata of its sources, newer values first."""
    times = (_iso(thought.said_at), _iso(thought.repeated_at))
    item = _item(thought_id, thought.text, sources, *times)
    owner = next(turn for turn in sources if is_in_scope(turn, scope))
    return item | _owners(owner, scope.user_id) | {"attributed_to": thought.role}


def is_in_scope(turn: Turn, scope: Scope) -> bool:
    """Return whether a user's turn belongs to the run and the agent of a scope."""
    return scope.session_id in (None, turn.session_id) and scope.agent_id in (None, turn.agent_id)


def _item(item_id: str, text: str, turns: Sequence[Turn], created_at: str, updated_at: str) -> Item:
    metadata = {key: value for turn in turns for key, value in turn.metadata.items()}
    metadata.pop(KEY, None)
    expiry = [day for turn in turns if (day := note_of(turn).get("expiration_date"))]
    item: Item = {
        "id": item_id,
        "memory": text,
        "hash": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "metadata": metadata or None,
        "created_at": created_at,
        "updated_at": updated_at,
    }
    return item | ({"expiration_date": max(expiry)} if expiry else {})


def _owners(turn: Turn, user_id: str) -> Item:
    ids = {"user_id": None if " " in user_id else user_id, "agent_id": turn.agent_id,
           "run_id": turn.session_id}  # fmt: skip
    return {name: value for name, value in ids.items() if value is not None}


def _speaker(role: str, name: str | None) -> Item:
    return {"role": role} | ({"actor_id": name} if name else {})


def _iso(time: datetime) -> str:
    try:
        return time.astimezone(UTC).isoformat()
    except OverflowError:  # stored by an earlier version: its day in UTC has no year
        return time.isoformat()


def change(item: Item, event: str) -> Item:
    """Return a new memory as `add` returns it."""
    return {"id": item["id"], "memory": item["memory"], "event": event}


def speaker_of(turn: Turn) -> Item:
    """Return who said a turn, as `add` returns it."""
    return {"actor_id": turn.name, "role": turn.role}


def turn_history(turn: Turn) -> list[Item]:
    """Return the changes of a memory that is a turn; texts that were replaced are gone."""
    assert turn.said_at is not None
    note = note_of(turn)
    created_at = note.get("created_at", _iso(turn.said_at))
    times = [created_at, *note.get("updates", [])]
    texts = [None] * (len(times) - 1) + [turn.text]
    return _history(memory_id(turn), created_at, list(zip(times, texts, strict=True)), turn)


def thought_history(thought_id: str, versions: Sequence[Thought]) -> list[Item]:
    """Return the changes of a memory that is a thought: what it replaced and what replaced it."""
    changes = [(_iso(thought.said_at), thought.text) for thought in versions]
    return _history(thought_id, changes[0][0], changes, None)


def _history(
    item_id: str,
    created_at: str,
    changes: Iterable[tuple[str, str | None]],
    turn: Turn | None,
) -> list[Item]:
    rows: list[Item] = []
    for n, (updated_at, text) in enumerate(changes):
        rows.append({
            "id": f"{item_id}:{n}", "memory_id": item_id,
            "old_memory": rows[-1]["new_memory"] if rows else None, "new_memory": text,
            "event": "UPDATE" if rows else "ADD", "created_at": created_at,
            "updated_at": updated_at, "is_deleted": False,
            "actor_id": turn.name if turn else None, "role": turn.role if turn else None,
        })  # fmt: skip
    return rows
