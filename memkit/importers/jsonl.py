"""JSON lines, one message each: what `memkit export --messages` writes."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput
from memkit.importers.files import BOM, ExportFile, find_export, open_file, parse_json, split_lines
from memkit.importers.ids import Repeats, digest
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions, TurnSource
from memkit.ingest import to_turn
from memkit.records import Turn

_KEYS = (
    "role", "content", "name", "timestamp", "id", "session_id", "agent_id", "user_id", "metadata",
    "origin", "tags",
)  # fmt: skip


def to_line(turn: Turn, *, user_id: str) -> dict[str, Any]:
    """Return a turn as the JSON object that `read_lines` reads."""
    assert turn.said_at is not None
    values = (
        turn.role, turn.text, turn.name, turn.said_at.isoformat(), turn.id, turn.session_id,
        turn.agent_id, user_id, dict(turn.metadata) or None, turn.origin,
        list(turn.tags) or None,
    )  # fmt: skip
    return {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}


def matches(sample: Sample) -> bool:
    """Return whether a file may be JSON lines: it begins with an object, or is empty."""
    return sample.is_object() or (not sample.first and not sample.tables)


def read_lines(path: Path, *, user_id: str, session_id: str | None = None) -> TurnSource:
    """Open a file of JSON lines, one turn each, as `memkit export` writes them.

    A line is a message dict as `Memory.remember` takes it. A turn without an id gets one from its
    speaker, text, time and conversation; of several equal ones, from their order. So the file can
    be imported again after it has grown. `session_id` is the session of lines without one.

    Raises InvalidInput if the file cannot be read. A line that is invalid, or of another user, is a
    `LocatedTurn` with an error.
    """
    export = find_export(path)
    turns = read(export, ReadOptions(user_id=user_id, session_id=session_id))
    return TurnSource(
        turns=turns, total=export.size, position=lambda: export.position, format="jsonl"
    )


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of a file, in its order."""
    former_prefix = _hash_file(export.path)
    repeats = Repeats()
    with export.open() as file:
        for n, line in enumerate(split_lines(file), start=1):
            if not line.strip():
                continue
            location = f"{export.path}, line {n}"
            try:
                turn = _parse_line(line, options)
            except InvalidInput as error:
                yield LocatedTurn(turn=None, location=location, error=str(error))
                continue
            former_id = None
            if turn is not None and turn.id is None:
                former_id = f"{former_prefix}:{n}"
                turn = _identify(turn, repeats)
            yield LocatedTurn(turn=turn, location=location, former_id=former_id)


def _hash_file(path: Path) -> str:
    whole = hashlib.sha256()
    with open_file(path) as file:
        while data := file.read(2**20):
            whole.update(data)
    return whole.hexdigest()[:16]


def _parse_line(line: bytes, options: ReadOptions) -> Turn | None:
    record = parse_json(line.removeprefix(BOM))
    if not isinstance(record, dict):
        raise InvalidInput(f"a line must be one JSON object, not a {type(record).__name__}")
    owner = record.pop("user_id", None)
    if owner is not None and owner != options.user_id:
        raise InvalidInput(
            f"this turn is {owner!r}'s and the import is for {options.user_id!r}; pass the right "
            "user, or remove user_id from the lines"
        )
    turn = to_turn(record)
    if turn is None or turn.session_id is not None:
        return turn
    return replace(turn, session_id=options.session_id)


def _identify(turn: Turn, repeats: Repeats) -> Turn:
    """Return a turn with an id that stays the same while lines are added around it."""
    said_at = turn.said_at and turn.said_at.isoformat()
    values = (turn.role, turn.name, turn.text, said_at, turn.session_id, turn.agent_id)
    return replace(turn, id=repeats.number(digest(*values)))
