"""The formats of conversations that can be imported, and which of them a file is in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memkit.errors import InvalidInput, UnknownFormat
from memkit.importers import chatgpt, claude, jsonl, locomo
from memkit.importers.files import ExportFile, find_export
from memkit.importers.sniff import Sample, take_sample
from memkit.importers.source import LocatedTurn, ReadOptions, TurnSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format: how it is recognised, and how it is read."""

    name: str
    about: str  # for people
    matches: Callable[[Sample], bool]
    read: Callable[[ExportFile, ReadOptions], Iterator[LocatedTurn]]


# in the order in which they are tried: the first that matches is taken
FORMATS = (
    Format(name="chatgpt", about="ChatGPT", matches=chatgpt.matches, read=chatgpt.read),
    Format(name="claude", about="Claude", matches=claude.matches, read=claude.read),
    Format(name="locomo", about="a LoCoMo file", matches=locomo.matches, read=locomo.read),
    Format(name="jsonl", about="one message per line", matches=jsonl.matches, read=jsonl.read),
)


def sniff(path: Path) -> str:
    """Return the name of a file's format, decided by its content.

    Raises:
        UnknownFormat: it is in none of `FORMATS`.
        InvalidInput: it cannot be read.
    """
    return _find_format(find_export(path), None).name


def read_file(path: Path, options: ReadOptions, *, format: str | None = None) -> TurnSource:
    """Open a file of conversations; its turns are read lazily, in bounded memory.

    `format` is the name of one of `FORMATS`; None: the content decides. Turns of other programs
    have the origin "imported", and "pasted" where they are somebody else's words.

    Raises:
        UnknownFormat: the content is in none of `FORMATS`.
        InvalidInput: the file cannot be read, or needs another option.
    """
    export = find_export(path)
    chosen = _find_format(export, format)
    if options.conversation is not None and chosen.name != "locomo":
        raise InvalidInput(
            f"--conversation {options.conversation} needs a LoCoMo file, and {path} is read as "
            f"{chosen.name}"
        )
    return TurnSource(
        turns=chosen.read(export, options),
        total=export.size,
        position=lambda: export.position,
        format=chosen.name,
        notes=export.notes,
    )


def guess_format(path: Path) -> Literal["jsonl", "locomo"]:
    """Return "locomo" for a file that begins with "[", or else "jsonl"; `sniff` knows more."""
    return "locomo" if take_sample(find_export(path)).is_list() else "jsonl"


def _find_format(export: ExportFile, name: str | None) -> Format:
    names = tuple(format.name for format in FORMATS)
    if name is not None:
        if name not in names:
            raise InvalidInput(f"no format {name!r}; formats are {', '.join(names)}")
        return next(format for format in FORMATS if format.name == name)
    sample = take_sample(export)
    for format in FORMATS:
        if format.matches(sample):
            return format
    raise UnknownFormat(str(export.path), names)
