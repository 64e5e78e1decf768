"""Promises of the reader of large JSON: any value, in bounded memory, and past what is broken."""

import json
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.bench.importing import write_export
from memkit.errors import InvalidInput
from memkit.importers import ReadOptions, json_stream, read_file
from memkit.importers.json_stream import InvalidValue, JsonStream

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=20,
)


def elements(data: bytes) -> list[Any]:
    stream = JsonStream(BytesIO(data))
    return [stream.value() for _ in stream.elements()]


@pytest.fixture(params=[1, 7, 2**16])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(json_stream, "_CHUNK", request.param)
    return int(request.param)


@pytest.mark.usefixtures("chunk")
@settings(max_examples=40, deadline=None)
@given(
    value=st.lists(values, max_size=5), indent=st.none() | st.integers(0, 2), ascii=st.booleans()
)
def test_every_list_is_read_as_json_reads_it(
    value: list[Any], indent: int | None, ascii: bool
) -> None:
    assert elements(json.dumps(value, indent=indent, ensure_ascii=ascii).encode()) == value


@pytest.mark.usefixtures("chunk")
@settings(max_examples=40, deadline=None)
@given(value=st.dictionaries(st.text(max_size=8), values, max_size=5))
def test_the_keys_of_an_object_come_with_values_read_or_skipped(value: dict[str, Any]) -> None:
    data = json.dumps(value).encode()
    stream = JsonStream(BytesIO(data))
    assert {key: stream.value() for key in stream.members()} == value
    stream = JsonStream(BytesIO(data))
    keys = []
    for key in stream.members():
        keys.append(key)
        stream.skip()
    assert keys == list(value)


@pytest.mark.usefixtures("chunk")
def test_a_broken_value_costs_itself_only() -> None:
    stream = JsonStream(BytesIO(b'[{"a": tru}, [1,], "\xff", {"b": 1}, "\\x", 2 ]'))
    read: list[Any] = []
    for _ in stream.elements():
        try:
            read.append(stream.value())
        except InvalidValue:
            read.append("broken")
    assert read == ["broken", "broken", "broken", {"b": 1}, "broken", 2]


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    "data", [b"", b"[", b"[1", b"[1 2]", b'[{"a": "b', b'["a', b"{}", b'[{"a": "\\', b"[nul", b"[}"]
)
def test_a_file_that_is_no_list_is_refused_with_the_place(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not JSON at byte"):
        elements(data)


def test_a_value_that_is_too_long_costs_itself_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MOST_VALUE", 200_000)
    long = json.dumps({"a": ["x" * 1000] * 1000, "b": "y" * 1_000_000})
    stream = JsonStream(BytesIO(f"[1, {long}, 3]".encode()))
    next(numbers := stream.elements())
    assert stream.value() == 1
    next(numbers)
    with pytest.raises(InvalidValue, match="longer than"):
        stream.value()
    next(numbers)
    assert stream.value() == 3


def test_nesting_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MOST_VALUE", 2**20)
    stream = JsonStream(BytesIO(b"[" * 8_000_000 + b"1" + b"{" * 8_000_000))
    tracemalloc.start()
    with pytest.raises(InvalidInput, match="ends in the middle"):
        stream.value()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_large_export_is_read_in_the_memory_of_one_conversation(tmp_path: Path) -> None:
    write_export(tmp_path / "c.json", 8 * 2**20, seed=0)
    source = read_file(tmp_path / "c.json", ReadOptions(user_id="ann"))
    tracemalloc.start()
    turns = sum(located.turn is not None for located in source.turns)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert turns > 5_000
    assert peak < 2 * 2**20
    assert source.position is not None
    assert source.position() == source.total
