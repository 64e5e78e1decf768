"""Look at the beginning of a file, to tell its format by its content and never by its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from memkit.errors import InvalidInput
from memkit.importers.files import BOM, ExportFile
from memkit.importers.json_stream import JsonStream
from memkit.importers.sqlite_files import SQLITE_MAGIC, list_tables

_MOST_READ = 2**20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the beginning of a file shows."""

    start: bytes  # the first MiB, without a byte-order mark
    first: str  # the first character that is no space
    keys: frozenset[str]  # of the JSON object, or of the objects of the JSON list
    lists: frozenset[str]  # those of the keys that have a list
    tables: frozenset[str]  # of an SQLite file

    def is_list(self) -> bool:
        """Return whether the file begins as a JSON list."""
        return self.first == "["

    def is_object(self) -> bool:
        """Return whether the file begins as a JSON object; lines of objects do, too."""
        return self.first == "{"


def take_sample(export: ExportFile) -> Sample:
    """Read the beginning of a file."""
    with export.peek() as file:
        start = file.read(_MOST_READ).removeprefix(BOM)
    if start.startswith(SQLITE_MAGIC):
        tables = list_tables(export.path)
        return Sample(start=start, first="", keys=frozenset(), lists=frozenset(), tables=tables)
    first = start.lstrip()[:1].decode("latin-1")
    pairs = list(_collect_keys(start)) if first in ("[", "{") else []
    return Sample(
        start=start, first=first, keys=frozenset(key for key, _ in pairs),
        lists=frozenset(key for key, value in pairs if value == "["), tables=frozenset(),
    )  # fmt: skip


def _collect_keys(start: bytes) -> Iterator[tuple[str, str]]:
    """Yield the keys of objects, each with the first character of its value; "" at the end."""
    stream = JsonStream(BytesIO(start))
    try:
        if stream.peek() == "{":
            yield from _keys(stream)
            return
        for _ in stream.elements():
            if stream.peek() == "{":
                yield from _keys(stream)
            else:
                stream.skip()
    except InvalidInput:  # the end of the sample, or no JSON
        return


def _keys(stream: JsonStream) -> Iterator[tuple[str, str]]:
    for key in stream.members():
        try:
            value = stream.peek()
        except InvalidInput:
            yield key, ""
            raise
        yield key, value
        stream.skip()
