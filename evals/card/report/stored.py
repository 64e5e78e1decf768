"""The card as JSON: the same order every time, and back again."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from evals.card.records import Card
from evals.metrics.catalogue import METRICS
from memkit.errors import InvalidInput

DIGITS = 6  # after the point; what lies below differs between processors


def dumps(card: Card) -> str:
    """Return the card as JSON: fields in their order, one item of a list on each line.

    Floats are rounded to 6 digits after the point.

    Raises:
        InvalidInput: a number is not finite, or a value is not JSON; says which.
    """
    parts = []
    for part in fields(Card):
        value = getattr(card, part.name)
        lines = _lines(part.name, value)
        parts.append(f"{json.dumps(part.name)}: {lines}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def load(path: Path) -> Card:
    """Read a card that `write` wrote.

    Raises:
        InvalidInput: there is no such file, or it is not a card; says where it goes wrong.
    """
    from pydantic import ValidationError

    try:
        card: Card = _adapter().validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} does not exist; `python -m evals card` writes one") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a card.json") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidInput(
            f"{path} is not a card: {where}: {first['msg']}; write it anew with "
            "`python -m evals card`"
        ) from error
    curves = tuple(replace(one, points=tuple(one.points)) for one in card.curves)
    lists: dict[str, Any] = {name: tuple(getattr(card, name)) for name in _lists()}
    return replace(card, **(lists | {"curves": curves}))


def without_run(card: Card) -> Card:
    """Return what must be equal when a run is repeated: without stamp, disclosure and costs.

    The disclosure goes too: what it says beyond the rest of the card it takes from the stamp.
    """
    cost = {one.metric for one in card.figures if one.layer == "cost"}
    cost |= {name for name, metric in METRICS.items() if metric.layer == "cost"}
    return replace(
        card,
        stamp={},
        disclosure={},
        figures=tuple(one for one in card.figures if one.metric not in cost),
        curves=tuple(
            one for one in card.curves if one.name != "cost-quality" and one.metric not in cost
        ),
        compared=tuple(one for one in card.compared if one.metric not in cost),
        records=tuple(replace(one, costs={}) for one in card.records),
    )


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Card)


def _lists() -> tuple[str, ...]:
    plain = ("name", "config", "stamp", "disclosure")
    return tuple(part.name for part in fields(Card) if part.name not in plain)


def _lines(name: str, value: Any) -> str:
    if name not in _lists():
        return _json(name, value)
    items = (one if isinstance(one, Mapping) else asdict(one) for one in value)
    lines = [_json(f"{name}[{i}]", one) for i, one in enumerate(items)]
    return "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"


def _json(where: str, value: Any) -> str:
    try:
        return json.dumps(_rounded(where, value), ensure_ascii=False)
    except TypeError as error:
        raise InvalidInput(f"{where} of the card cannot be written as JSON: {error}") from error


def _rounded(where: str, value: Any) -> Any:
    """Return `value` with floats rounded and never a negative zero."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{where} of the card is {value}: leave out what has no value")
        return round(float(value), DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: _rounded(f"{where}.{key}", one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(where, one) for one in value]
    return value
