"""Filters: which turns a `where` means, in the shapes that mem0's filters have.

    {"tag": "work"}                                    a bare value means equal
    {"tag": ["work", "travel"]}                        a list: equal to any of these
    {"said_at": {"gte": "2027-01-01T00:00:00Z"}}       operators; several must all hold
    {"OR": [{"role": "user"}, {"NOT": {"metadata.score": {"lt": 3}}}]}

`recall`, `context`, `turns`, `forget` and rules of retention read the same language. A key is a
field of a turn or a key of its metadata. "metadata.role" is the metadata's key "role".
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from memkit.errors import InvalidInput, NaiveDatetime
from memkit.records import ORIGINS, ROLES, Turn, zoned

Where = Mapping[str, Any]
_Values = Sequence[Any]  # of one key of a turn; none if it lacks the key
_Test = Callable[[Any], bool]

_METADATA = "metadata."  # before a key of the metadata that has the name of a field
_MOST_DEPTH, _MOST_CONDITIONS, _MOST_CHARACTERS = 8, 100, 100_000
_GROUPS = ("AND", "OR", "NOT")
_OPERATORS = (
    "eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "icontains", "exists",
)  # fmt: skip
_TEXTS = {"role": ROLES, "origin": ORIGINS, "name": (), "session_id": (), "agent_id": ()}
_TIMES = ("said_at", "stored_at")
# likely mistakes, which must be no key of the metadata that no turn has
_MISTAKES = {
    "tags": "tag", "session": "session_id", "agent": "agent_id", "speaker": "name",
    "timestamp": "said_at", "created_at": "stored_at", "run_id": "session_id",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A `where` that was checked. Equal ones are equal, and can be keys of a cache."""

    text: str  # the conditions as JSON, in one order
    attributes: frozenset[str]  # of a `Turn`, all that `matches` reads
    _test: _Test = field(compare=False, repr=False)

    def matches(self, turn: Turn) -> bool:
        """Return whether a turn, or an object with these `attributes`, meets the conditions.

        It never raises: a value of another type than the one it is compared with does not match.
        """
        return self._test(turn)

    def select(self, turns: Iterable[Turn], last: int | None = None) -> Iterator[Turn]:
        """Yield the turns that match; only the `last` ones, if that is given."""
        matching = filter(self.matches, turns)
        return matching if last is None else iter(deque(matching, maxlen=max(last, 0)))


def parse_filter(where: Where) -> Filter:
    """Return the filter of a `where`.

    Raises:
        InvalidInput: it is empty, too large, or has an unknown operator or a value that the
            operator cannot use; the message names the key.
        NaiveDatetime: a time has no timezone.
    """
    try:
        text = json.dumps(where, sort_keys=True, default=_time_to_json)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"where must be JSON data, with times as datetimes: {error}") from error
    if len(text) > _MOST_CHARACTERS:
        raise InvalidInput(
            f"where has {len(text):,} characters as JSON; at most {_MOST_CHARACTERS:,} are allowed"
        )
    parser = _Parser()
    test = parser.parse(where, depth=1)
    return Filter(text=text, attributes=frozenset(parser.attributes), _test=test)


def equal_to(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `where` for turns whose metadata has exactly these values."""
    return {f"{_METADATA}{key}": {"eq": value} for key, value in metadata.items()}


def _time_to_json(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return value.isoformat()


class _Parser:
    """Turns conditions into tests of a turn, and notes which attributes these read."""

    def __init__(self) -> None:
        self.attributes: set[str] = set()
        self._conditions = 0

    def parse(self, where: object, depth: int) -> _Test:
        """Return the test of a mapping; all of its entries must hold."""
        if not isinstance(where, Mapping):
            raise InvalidInput(f"where must be a mapping of keys to values, got {where!r:.200}")
        if not where:
            raise InvalidInput("where is empty; leave it out if there are no conditions")
        if depth > _MOST_DEPTH:
            raise InvalidInput(f"where is nested more than {_MOST_DEPTH} deep")
        tests = [self._parse_entry(key, value, depth) for key, value in where.items()]
        return tests[0] if len(tests) == 1 else lambda turn: all(test(turn) for test in tests)

    def _parse_entry(self, key: object, value: object, depth: int) -> _Test:
        if not isinstance(key, str):
            raise InvalidInput(f"a key of where must be a string, got {key!r}")
        if key in _GROUPS:
            return self._parse_group(key, value, depth)
        if key == "user_id":
            raise InvalidInput("where has no user_id; pass it as the argument user_id")
        if key in _MISTAKES:
            raise InvalidInput(
                f"where has no key {key!r}; use {_MISTAKES[key]!r} for that field of a turn, or "
                f'"{_METADATA}{key}" for a key of its metadata'
            )
        read = self._reader(key)
        tests = [self._parse_condition(key, *item) for item in _operators(key, value)]
        return lambda turn: all(test(values) for values in [read(turn)] for test in tests)

    def _parse_group(self, group: str, value: object, depth: int) -> _Test:
        parts = [value] if isinstance(value, Mapping) else value
        if not isinstance(parts, (list, tuple)) or not parts:
            raise InvalidInput(f"{group} must have a list of conditions, got {value!r:.200}")
        tests = [self.parse(part, depth + 1) for part in parts]
        if group == "AND":
            return lambda turn: all(test(turn) for test in tests)
        if group == "OR":
            return lambda turn: any(test(turn) for test in tests)
        return lambda turn: not any(test(turn) for test in tests)

    def _reader(self, key: str) -> Callable[[Any], _Values]:
        """Return what reads the values of a key from a turn."""
        if key == "tag":
            self.attributes |= {"tags", "metadata"}
            # before there were tags, `where={"tag": …}` meant this key of the metadata
            return lambda turn: (*turn.tags, *_in_metadata(turn, "tag"))
        if key in _TEXTS or key in _TIMES:
            self.attributes.add(key)
            return lambda turn: () if getattr(turn, key) is None else (getattr(turn, key),)
        self.attributes.add("metadata")
        name = key.removeprefix(_METADATA)
        return lambda turn: _in_metadata(turn, name)

    def _parse_condition(self, key: str, operator: str, operand: Any) -> Callable[[_Values], bool]:
        """Return the test of one operator on the values of a key."""
        self._conditions += 1
        if self._conditions > _MOST_CONDITIONS:
            raise InvalidInput(f"where has more than {_MOST_CONDITIONS} conditions")
        if operator == "exists":
            if not isinstance(operand, bool):
                raise InvalidInput(f'"exists" of {key!r} must be true or false, got {operand!r}')
            return lambda values: bool(values) is operand
        if operator in ("in", "nin"):
            if not isinstance(operand, (list, tuple)) or not operand:
                raise InvalidInput(f"{operator!r} of {key!r} must be a list, got {operand!r:.200}")
            operand = [_checked(key, operator, value) for value in operand]
        else:
            operand = _checked(key, operator, operand)
        compare = _COMPARISONS[operator]
        if operator in ("ne", "nin"):
            return lambda values: not any(compare(value, operand) for value in values)
        return lambda values: any(compare(value, operand) for value in values)


def _operators(key: str, value: object) -> list[tuple[str, Any]]:
    """Return the operators of a key with their operands; a bare value means "eq" or "in"."""
    if not isinstance(value, Mapping):
        return [("in" if isinstance(value, (list, tuple)) else "eq", value)]
    if not value:
        raise InvalidInput(f"{key!r} has no operator; there are {', '.join(_OPERATORS)}")
    for operator in value:
        if operator not in _OPERATORS:
            raise InvalidInput(
                f"unknown operator {operator!r} of {key!r}; there are {', '.join(_OPERATORS)}"
            )
    return list(value.items())


def _checked(key: str, operator: str, operand: Any) -> Any:
    """Return an operand as it is compared with the values of a key."""
    if key in _TIMES:
        if operator in ("contains", "icontains"):
            raise InvalidInput(f"{operator!r} is for texts and lists, and {key!r} is a time")
        return _to_time(key, operand)
    if operator == "icontains" and not isinstance(operand, str):
        raise InvalidInput(f'"icontains" of {key!r} must be a string, got {operand!r:.200}')
    if key in _TEXTS:
        if not isinstance(operand, str):
            raise InvalidInput(
                f"{key!r} is compared with a string, got {operand!r:.200}; "
                'for turns without one use {"exists": false}'
            )
        if _TEXTS[key] and operator in ("eq", "ne", "in", "nin") and operand not in _TEXTS[key]:
            raise InvalidInput(f"no {key} is {operand!r}; there are {', '.join(_TEXTS[key])}")
        return operand.casefold() if operator == "icontains" else operand
    operand = _to_json_data(key, operand)
    if operator in ("gt", "gte", "lt", "lte") and _kind(operand) not in ("number", "str"):
        raise InvalidInput(
            f"{operator!r} of {key!r} must be a number or a string, got {operand!r:.200}"
        )
    return operand.casefold() if operator == "icontains" else operand


def _to_time(key: str, operand: object) -> datetime:
    if isinstance(operand, datetime):
        return zoned(operand, key)
    try:
        return zoned(datetime.fromisoformat(str(operand)), key)
    except NaiveDatetime:
        raise
    except ValueError as error:
        raise InvalidInput(
            f"{key!r} is compared with a datetime or an ISO-8601 string, got {operand!r:.200}"
        ) from error


def _to_json_data(key: str, operand: object) -> Any:
    """Return an operand as it would come back from the metadata of a stored turn."""
    try:
        return json.loads(json.dumps(operand))
    except TypeError as error:
        raise InvalidInput(
            f"{key!r} is compared with JSON data, got {operand!r:.200}; the times of a turn are "
            f"{' and '.join(_TIMES)}"
        ) from error


def _in_metadata(turn: Any, key: str) -> _Values:
    return (turn.metadata[key],) if key in turn.metadata else ()


# ---- one value of a turn, and an operand


def _kind(value: object) -> str:
    """Return what a value can be compared with: True is no number, and 1 equals 1.0."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, datetime):
        return "time"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def _is_equal(value: Any, operand: Any) -> bool:
    return _kind(value) == _kind(operand) and bool(value == operand)


def _is_any(value: Any, operands: Sequence[Any]) -> bool:
    return any(_is_equal(value, operand) for operand in operands)


def _contains(value: Any, operand: Any) -> bool:
    """Return whether a text has this part, or a list this item."""
    if isinstance(value, (list, tuple)):
        return _is_any(operand, value)
    return isinstance(value, str) and isinstance(operand, str) and operand in value


def _contains_folded(value: Any, operand: str) -> bool:
    """Return the same without regard to case; `operand` is case-folded."""
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, str) and item.casefold() == operand for item in value)
    return isinstance(value, str) and operand in value.casefold()


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, operand: _kind(value) == _kind(operand) and compare(value, operand)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": _is_equal,
    "ne": _is_equal,  # of which it is the opposite
    "in": _is_any,
    "nin": _is_any,
    "contains": _contains,
    "icontains": _contains_folded,
    "gt": _ordered(lambda value, operand: value > operand),
    "gte": _ordered(lambda value, operand: value >= operand),
    "lt": _ordered(lambda value, operand: value < operand),
    "lte": _ordered(lambda value, operand: value <= operand),
}
