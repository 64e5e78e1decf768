"""Read an export: group its lines by user, and say of each line what cannot be used.

A line that is wrong costs that line and what is drawn from nothing else. Nothing is written here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from memkit.errors import InvalidInput
from memkit.govern.export_format import parse_header, parse_json, parse_line
from memkit.govern.ledger import Anchor
from memkit.portable import StoredItem, StoredThought, StoredTurn, UserState
from memkit.records import Summary
from memkit.thoughts.merging import close

_BOM = b"\xef\xbb\xbf"  # byte-order mark of UTF-8


@dataclass(slots=True)
class UserItems:
    """The usable items of one user. Turns, thoughts and summaries have their line's number."""

    state: UserState | None = None
    turns: list[tuple[int, StoredTurn]] = field(default_factory=list)
    thoughts: list[tuple[int, StoredThought]] = field(default_factory=list)
    summaries: list[tuple[int, Summary]] = field(default_factory=list)

    def add(self, number: int, item: StoredItem) -> None:
        """Add the item of a line."""
        if isinstance(item, UserState):
            self.state = item
        elif isinstance(item, StoredTurn):
            self.turns.append((number, item))
        elif isinstance(item, StoredThought):
            self.thoughts.append((number, item))
        else:
            self.summaries.append((number, item))


@dataclass(slots=True)
class Export:
    """The content of a file, and the problems of its lines by their number."""

    anchor: Anchor | None
    users: dict[str, UserItems] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)


def read_export(lines: Iterable[bytes], user_id: str | None = None) -> Export:
    """Return the items of all users, or of one.

    Raises:
        InvalidInput: the first line is not that of an export.
        NewerExport: a newer memkit wrote it.
    """
    numbered = iter(enumerate(lines, start=1))
    number, first = next(numbered, (1, b""))
    export = Export(anchor=parse_header(first.removeprefix(_BOM)))
    is_whole = False
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            record = parse_json(line)
            is_whole = record.get("type") == "end" and _check_end(record, number)
            if is_whole or user_id not in (None, record.get("user_id", user_id)):
                continue
            owner, item = parse_line(record)
            export.users.setdefault(owner, UserItems()).add(number, item)
        except InvalidInput as error:
            export.problems[number] = str(error)
    if not is_whole:
        export.problems[number + 1] = "the last line is missing: the file was cut off"
    for items in export.users.values():
        export.problems |= dict(_drop_unusable(items))
    return export


def _check_end(record: dict[str, Any], number: int) -> bool:
    if record.get("lines") != number - 1:
        raise InvalidInput(f"the export had {record.get('lines')} lines, and here are {number - 1}")
    return True


def _drop_unusable(items: UserItems) -> Iterator[tuple[int, str]]:
    """Drop what is there twice or lacks its sources; yield the line and why."""
    yield from _drop_repeated_turns(items)
    turn_ids = {item.turn.id for _, item in items.turns}
    items.turns.sort(key=lambda line: line[1].turn.position or 0)
    last = max((item.turn.position or 0 for _, item in items.turns), default=0)
    state = items.state or UserState(turns=last)
    items.state = replace(state, turns=max(state.turns, last))
    yield from _drop_thoughts(items, turn_ids)
    yield from _drop_summaries(items, turn_ids)


def _drop_repeated_turns(items: UserItems) -> Iterator[tuple[int, str]]:
    ids: set[str | None] = set()
    positions: set[int | None] = set()
    lines, items.turns = items.turns, []
    for number, item in lines:
        if item.turn.id in ids or item.turn.position in positions:
            yield number, f"another line has the id or position of turn {item.turn.id!r}"
            continue
        ids.add(item.turn.id)
        positions.add(item.turn.position)
        items.turns.append((number, item))


def _drop_thoughts(items: UserItems, turn_ids: set[str | None]) -> Iterator[tuple[int, str]]:
    """Drop thoughts without a source; open those whose closing thought is missing."""
    usable: dict[str, tuple[int, StoredThought]] = {}
    for number, item in items.thoughts:
        pairs = {
            (source.turn_id, source.start): (source, worded)
            for source, worded in zip(item.thought.sources, item.worded, strict=True)
            if source.turn_id in turn_ids
        }
        if not pairs or item.thought.id in usable:
            yield number, f"no turn of thought {item.thought.id!r} is there, or it is there twice"
            continue
        sources, worded = zip(*pairs.values(), strict=True)
        thought = replace(item.thought, sources=sources)
        usable[thought.id] = number, replace(item, thought=thought, worded=worded)
    items.thoughts = []
    for number, item in usable.values():
        closed_by = item.thought.closed_by
        if closed_by is not None and closed_by not in usable:
            item = replace(item, thought=close(item.thought, None))  # noqa: PLW2901
        items.thoughts.append((number, item))


def _drop_summaries(items: UserItems, turn_ids: set[str | None]) -> Iterator[tuple[int, str]]:
    """Drop summaries of turns, thoughts or earlier summaries that are missing."""
    ids = turn_ids | {
        item.thought.id
        for _, item in items.thoughts
        if item.thought.closed_by is None and item.thought.retracted_at is None
    }
    lines, items.summaries = items.summaries, []
    for number, summary in lines:
        if not ids.issuperset(summary.sources):
            yield number, f"not all sources of summary {summary.id!r} are there"
            continue
        ids.add(summary.id)
        items.summaries.append((number, summary))
