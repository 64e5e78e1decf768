"""Read the files of data sets: hashes, JSON lines, checked members, and what cannot be used."""

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from evals.data.haystack import PUBLISHED, SPLITS, Counts, DataSet, Haystack, Split
from memkit.errors import InvalidInput

Kind = TypeVar("Kind")
_GZIP = b"\x1f\x8b"  # the first bytes of a gzip file
_BOM = b"\xef\xbb\xbf"  # a byte order mark, which some editors put before UTF-8


def sha256(path: Path) -> str:
    """Return the hash of a file, or of all files in a folder: it says what was measured."""
    paths = sorted(path.rglob("*.*")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for each in paths:
            digest.update(each.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a file") from error
    return digest.hexdigest()


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of every line that is not empty, plain or gzipped.

    A file that is one JSON list gives its items instead, all with the number 1.

    Raises:
        InvalidInput: a line is not JSON, the gzip file is damaged, or there is no such file; the
            message names the line.
    """
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if is_gzip else path.open("rb") as file:
            lines = ((n, line.removeprefix(_BOM)) for n, line in enumerate(file, start=1))
            lines = ((n, line) for n, line in lines if line.strip())
            for first, (n, line) in enumerate(lines):
                if first == 0 and line.lstrip().startswith(b"["):
                    yield from ((n, item) for item in _parse(line + file.read(), n))
                else:
                    yield n, _parse(line, n)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput(f"damaged gzip file: {error}") from error
    except OSError as error:
        raise InvalidInput(f"{error.strerror}; give a file") from error


def _parse(text: bytes, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"line {line}: not JSON: {error}") from error


@contextmanager
def at(where: object) -> Iterator[None]:
    """Prefix the message of an `InvalidInput` that is raised inside the block."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error


def member(record: object, key: str, kind: type[Kind], where: str) -> Kind:
    """Return a JSON object's value, or raise that it is missing or of another type."""
    if not isinstance(record, dict):
        raise InvalidInput(f"{where} is no JSON object")
    value: Any = record.get(key)
    if not isinstance(value, kind):
        fault = f"{key!r} is {type(value).__name__}" if key in record else f"no {key!r}"
        raise InvalidInput(f"{where}: {fault}, not {kind.__name__}")
    return value


def make_unique(names: Iterable[str]) -> list[str]:
    """Return names in order, a second "a" as "a@2".

    >>> make_unique(["a", "b", "a", "a@2"])
    ['a', 'b', 'a@2', 'a@2@2']
    """
    unique: dict[str, None] = {}
    for name in names:
        new, n = name, 1
        while new in unique:
            n += 1
            new = f"{name}@{n}"
        unique[new] = None
    return list(unique)


def new_counts() -> Counts:
    """Return a counter for either split."""
    return {split: Counter() for split in SPLITS}


def make_data_set(
    path: Path,
    haystacks: Iterable[Haystack],
    counts: Counts,
    *,
    format: str,
    notes: tuple[str, ...] = (),
    golds: tuple[str, ...] = (PUBLISHED,),
) -> DataSet:
    """Return a file's haystacks that have turns, with those of their questions that have text.

    Raises:
        InvalidInput: two haystacks have the same name.
    """
    usable = []
    names = set()
    for haystack in haystacks:
        if haystack.name in names:
            raise InvalidInput(
                f"{path} has two conversations of the id {haystack.name!r}; make them unique"
            )
        names.add(haystack.name)
        questions = [question for question in haystack.questions if question.text.strip()]
        count = counts[haystack.split]
        count["questions without text, dropped"] += len(haystack.questions) - len(questions)
        unusable = 0 if haystack.turns else len(questions)
        count["questions about conversations without turns, dropped"] += unusable
        if haystack.turns and questions:
            usable.append(replace(haystack, questions=questions))
    return DataSet(
        format=format,
        file=path.name,
        sha256=sha256(path),
        haystacks=usable,
        golds=golds,
        notes=notes,
        counts=counts,
    )


def split_by_hash(id: str) -> Split:
    """Return the split of a question or conversation by a hash of its id alone.

    A third of the ids is for tuning. Every file of a data set gives an id the same split, in any
    order of its records, so that nothing tuned on in one file is reported from another.

    >>> split_by_hash("q2"), split_by_hash("q9")
    ('tuning', 'report')
    """
    return "tuning" if zlib.crc32(id.encode()) % 3 == 0 else "report"
