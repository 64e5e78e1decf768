"""mem0's filters: which memories a search or a list may return."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from memkit.errors import InvalidInput

_MAX_DEPTH = 20  # of AND, OR and NOT inside one another
_LOGIC = ("AND", "OR", "NOT")


def _is_in(values: list[Any], operand: Any) -> bool:
    return any(value in operand for value in values)


def _contains(values: list[Any], operand: Any) -> bool:
    """Return whether a text contains a text, or a list has an element that does."""
    return any(isinstance(value, str) and operand in value for value in values)


def _contains_any_case(values: list[Any], operand: Any) -> bool:
    return _contains([str(value).casefold() for value in values], operand.casefold())


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[list[Any], Any], bool]:
    """Return a comparison that is False for values of another type than the operand's."""

    def matches(values: list[Any], operand: Any) -> bool:
        kind = str if isinstance(operand, str) else (int, float)
        return any(isinstance(value, kind) and compare(value, operand) for value in values)

    return matches


# by name: what it does to the values of a key, and which operands it takes
_OPERATORS: dict[str, tuple[Callable[[list[Any], Any], bool], type | tuple[type, ...]]] = {
    "eq": (lambda values, operand: operand in values, object),
    "ne": (lambda values, operand: operand not in values, object),
    "in": (_is_in, (list, tuple)),
    "nin": (lambda values, operand: not _is_in(values, operand), (list, tuple)),
    "gt": (_comparison(operator.gt), (int, float, str)),
    "gte": (_comparison(operator.ge), (int, float, str)),
    "lt": (_comparison(operator.lt), (int, float, str)),
    "lte": (_comparison(operator.le), (int, float, str)),
    "contains": (_contains, str),
    "icontains": (_contains_any_case, str),
}


def check_filters(filters: object, depth: int = 0) -> None:
    """Raise InvalidInput for an unknown operator, or an operand that it cannot take."""
    if not isinstance(filters, Mapping):
        raise InvalidInput(f'filters must be a dict such as {{"user_id": "ann"}}, got {filters!r}')
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"filters are nested more than {_MAX_DEPTH} deep; write them flatter")
    for key, condition in filters.items():
        if key in _LOGIC:
            if not isinstance(condition, list) or not condition:
                raise InvalidInput(f"{key} needs a list of filters, got {condition!r}")
            for part in condition:
                check_filters(part, depth + 1)
        elif isinstance(condition, Mapping):
            for name, operand in condition.items():
                _check_operator(key, name, operand)


def _check_operator(key: str, name: str, operand: object) -> None:
    if name not in _OPERATORS:
        raise InvalidInput(
            f"unknown operator {name!r} for {key!r}; operators are {', '.join(_OPERATORS)}"
        )
    if not isinstance(operand, _OPERATORS[name][1]):
        raise InvalidInput(f"the operator {name!r} of {key!r} cannot take {operand!r}")


def matches(fields: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    """Return whether a memory's fields meet all filters.

    A key that the memory lacks meets "ne" and "nin" only. A list meets a condition if one of its
    elements does.
    """
    return all(_meets(fields, key, condition) for key, condition in filters.items())


def _meets(fields: Mapping[str, Any], key: str, condition: Any) -> bool:
    if key == "AND":
        return all(matches(fields, part) for part in condition)
    if key == "OR":
        return any(matches(fields, part) for part in condition)
    if key == "NOT":
        return not any(matches(fields, part) for part in condition)
    value = fields.get(key)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if isinstance(condition, Mapping):
        return all(_OPERATORS[name][0](values, operand) for name, operand in condition.items())
    if condition == "*":
        return bool(values)
    return _is_in(values, condition) if isinstance(condition, list) else condition in values
