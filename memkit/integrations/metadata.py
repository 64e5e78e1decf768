"""Serialise a message's fields as JSON, for the metadata of a turn, and read them back.

Dates, bytes, tuples, documents and messages are written with their type's name. Other pydantic
objects are written as their fields and come back as dicts; a field of any other type is left out
and named. Deserialising never imports or looks up a class that the data names.
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

_TYPE, _VALUE = "memkit:kind", "value"
_MODELS: tuple[type[BaseModel], ...] = (
    Document, AIMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage,
)  # fmt: skip
_TO_JSON: dict[type[Any], Callable[[Any], Any]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    bytes: lambda value: b64encode(value).decode(),
    tuple: list,
    dict: lambda value: [list(item) for item in value.items()],  # keys that are not strings
    **dict.fromkeys(_MODELS, dict),
}
_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "bytes": b64decode,
    "tuple": tuple,
    "dict": dict,
    **{model.__name__: model.model_validate for model in _MODELS},
}


def serialise(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return fields as JSON holds them, and the names of the fields it cannot hold."""
    lost: list[str] = []
    return _serialise_fields(fields, "", lost), lost


def deserialise(value: Any) -> Any:
    """Return what was serialised."""
    if isinstance(value, list):
        return [deserialise(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TYPE in value:
        return _FROM_JSON[value[_TYPE]](deserialise(value[_VALUE]))
    return {name: deserialise(item) for name, item in value.items()}


def _serialise_fields(fields: Mapping[str, Any], path: str, lost: list[str]) -> dict[str, Any]:
    serialised: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            serialised[name] = _serialise_value(value, f"{path}{name}.", lost)
        except (TypeError, RecursionError):
            lost.append(f"{path}{name}")
    return serialised


def _serialise_value(value: Any, path: str, lost: list[str]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_serialise_value(item, path, lost) for item in value]
    kind = type(value)
    if isinstance(value, dict) and _TYPE not in value and all(isinstance(k, str) for k in value):
        return _serialise_fields(value, path, lost)
    if kind in _TO_JSON:
        return {_TYPE: kind.__name__, _VALUE: _serialise_value(_TO_JSON[kind](value), path, lost)}
    if isinstance(value, BaseModel):
        return _serialise_fields(dict(value), path, lost)
    raise TypeError(f"JSON cannot hold a {kind.__name__}")
