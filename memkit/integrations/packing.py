"""A message's fields as JSON holds them, and back: dates, bytes, tuples, documents and messages.

What JSON lacks is written with its kind beside it. Of a kind that is not listed here, a pydantic
object is written as its fields, and comes back as a dict; anything else is left out and named.
No class is ever looked up by a name that stands in the data.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel

_KIND, _VALUE = "memkit:kind", "value"
_OBJECTS: tuple[type[BaseModel], ...] = (
    Document, AIMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage,
)  # fmt: skip
_PACK: dict[type[Any], Callable[[Any], Any]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    bytes: lambda value: b64encode(value).decode(),
    tuple: list,
    dict: lambda value: [list(item) for item in value.items()],  # keys that are not strings
    **dict.fromkeys(_OBJECTS, dict),
}
_UNPACK: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "bytes": b64decode,
    "tuple": tuple,
    "dict": dict,
    **{one.__name__: one.model_validate for one in _OBJECTS},
}


def pack(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return fields as JSON holds them, and the names of those left out: it cannot hold them."""
    lost: list[str] = []
    return _fields(fields, "", lost), lost


def unpack(value: Any) -> Any:
    """Return what was packed."""
    if isinstance(value, list):
        return [unpack(one) for one in value]
    if not isinstance(value, dict):
        return value
    if _KIND in value:
        return _UNPACK[value[_KIND]](unpack(value[_VALUE]))
    return {name: unpack(one) for name, one in value.items()}


def _fields(fields: Mapping[str, Any], path: str, lost: list[str]) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            packed[name] = _packed(value, f"{path}{name}.", lost)
        except (TypeError, RecursionError):
            lost.append(f"{path}{name}")
    return packed


def _packed(value: Any, path: str, lost: list[str]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_packed(one, path, lost) for one in value]
    kind = type(value)
    if isinstance(value, dict) and _KIND not in value and all(isinstance(k, str) for k in value):
        return _fields(value, path, lost)
    if kind in _PACK:
        return {_KIND: kind.__name__, _VALUE: _packed(_PACK[kind](value), path, lost)}
    if isinstance(value, BaseModel):
        return _fields(dict(value), path, lost)
    raise TypeError(f"JSON cannot hold a {kind.__name__}")
