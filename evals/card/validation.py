"""Turn a table of a TOML file into a dataclass, or say which key is wrong."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from memkit.errors import InvalidInput

Table = TypeVar("Table")


def validate(kind: type[Table], values: object, where: str) -> Table:
    """Return the dataclass with these values, or raise an error that names the wrong key."""
    if not isinstance(values, Mapping):
        raise InvalidInput(f"{where} is no table")
    keys = [part.name for part in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(keys)):
        raise InvalidInput(f"{where} has no key {unknown[0]!r}; there are {', '.join(keys)}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        cause = first.get("ctx", {}).get("error")  # raised by the dataclass itself
        wrong = cause or f"{key}: {first['msg']}, got {first['input']!r}"
        raise InvalidInput(f"{where}: {wrong}") from error
