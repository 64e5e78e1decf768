"""The records of a JSON file, whether it is a list, one object, or an object per line."""

from collections.abc import Iterator
from typing import BinaryIO

from memkit.errors import InvalidInput
from memkit.importers.files import BOM, MOST_LINE, ExportFile, parse_json, split_lines
from memkit.importers.json_stream import InvalidValue, JsonStream

_START = 2**16  # bytes


def read_records(
    export: ExportFile, noun: str, within: tuple[str, ...] = ()
) -> Iterator[tuple[str, object]]:
    """Yield the location of each record, and its value or the error in it.

    `noun` is what a record of a list is, such as "conversation". Of an object, `within` names the
    lists whose elements are the records; without it the object is one record.
    """
    for location, file in export.files():
        if within:
            yield from _read_document(file, location, noun, within)
            continue
        with export.peek() as start:
            is_lines = _has_lines(start)
        if is_lines:
            yield from _read_lines(file, location)
        else:
            yield from _read_document(file, location, noun, ())


def _has_lines(file: BinaryIO) -> bool:
    """Return whether the first line is an object by itself."""
    while start := file.readline(_START):
        text = start.removeprefix(BOM).strip()
        if text.startswith(b"{"):
            end = b"" if start.endswith(b"\n") else file.readline(MOST_LINE)
            return _is_json(text + end)
        if text:  # the first line of a list may be the whole file
            return False
    return False


def _is_json(text: bytes) -> bool:
    try:
        parse_json(text)
    except InvalidInput:
        return False
    return True


def _read_lines(file: BinaryIO, location: str) -> Iterator[tuple[str, object]]:
    for n, line in enumerate(split_lines(file), start=1):
        if not line.strip():
            continue
        try:
            yield f"{location}, line {n}", parse_json(line.removeprefix(BOM))
        except InvalidInput as error:
            yield f"{location}, line {n}", error


def _read_document(
    file: BinaryIO, location: str, noun: str, within: tuple[str, ...]
) -> Iterator[tuple[str, object]]:
    stream = JsonStream(file)
    try:
        if stream.peek() == "[":
            yield from _read_list(stream, location, noun)
        elif within and stream.peek() == "{":
            for key in stream.members():
                if key in within and stream.peek() == "[":
                    yield from _read_list(stream, location, noun)
                else:
                    stream.skip()
        else:
            yield location, stream.value()
    except InvalidInput as error:
        yield location, InvalidInput(f"{error}; what follows in the file was not read")


def _read_list(stream: JsonStream, location: str, noun: str) -> Iterator[tuple[str, object]]:
    for n in stream.elements():
        try:
            yield f"{location}, {noun} {n}", stream.value()
        except InvalidValue as error:
            yield f"{location}, {noun} {n}", error
