"""The formats of conversations that can be imported, and which of them a file is in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memkit.errors import InvalidInput, UnknownFormat
from memkit.importers import (
    agents_sdk,
    chatgpt,
    claude,
    jsonl,
    langchain_messages,
    letta,
    locomo,
    mem0,
    openai_messages,
    sillytavern,
    telegram,
    whatsapp,
)  # fmt: skip
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
    options: frozenset[str] = frozenset()  # the fields of `ReadOptions` that only it understands


_PEOPLE, _SESSION = frozenset({"me"}), frozenset({"session_id"})
# in the order in which they are tried: the first that matches is taken
FORMATS = (
    Format(
        name="chatgpt", about="ChatGPT's export, .json or .zip",
        matches=chatgpt.matches, read=chatgpt.read,
    ),
    Format(
        name="claude", about="Claude's export, .json or .zip",
        matches=claude.matches, read=claude.read,
    ),
    Format(
        name="whatsapp", about="a WhatsApp chat, .txt or .zip",
        matches=whatsapp.matches, read=whatsapp.read,
        options=frozenset({"me", "date_order", "session_id"}),
    ),
    Format(
        name="telegram", about="Telegram's result.json, of one chat or all",
        matches=telegram.matches, read=telegram.read, options=_PEOPLE,
    ),
    Format(
        name="letta", about="a Letta agent file, .af", matches=letta.matches, read=letta.read,
    ),
    Format(
        name="mem0", about="mem0's memories, as get_all returns them",
        matches=mem0.matches, read=mem0.read, options=_PEOPLE,
    ),
    Format(
        name="langchain", about="LangChain's messages_to_dict as JSON",
        matches=langchain_messages.matches, read=langchain_messages.read, options=_SESSION,
    ),
    Format(
        name="langchain-sqlite", about="LangChain's SQLChatMessageHistory in SQLite",
        matches=langchain_messages.matches_sqlite, read=langchain_messages.read_sqlite,
    ),
    Format(
        name="openai-agents", about="sessions of OpenAI's Agents SDK in SQLite",
        matches=agents_sdk.matches, read=agents_sdk.read,
    ),
    Format(
        name="openai", about="lists of OpenAI messages, also as lines",
        matches=openai_messages.matches, read=openai_messages.read, options=_SESSION,
    ),
    Format(
        name="sillytavern", about="a SillyTavern chat, .jsonl",
        matches=sillytavern.matches, read=sillytavern.read, options=_SESSION,
    ),
    Format(
        name="locomo", about="a LoCoMo file", matches=locomo.matches, read=locomo.read,
        options=frozenset({"conversation"}),
    ),
    Format(
        name="jsonl", about="one message per line, as `memkit export --messages` writes them",
        matches=jsonl.matches, read=jsonl.read, options=_SESSION,
    ),
)  # fmt: skip


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
    _check_options(chosen, options)
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


def _check_options(format: Format, options: ReadOptions) -> None:
    """Raise InvalidInput for an option that says nothing about a file of this format."""
    for name in ("me", "date_order", "session_id", "conversation"):
        if getattr(options, name) is not None and name not in format.options:
            understood = [other.name for other in FORMATS if name in other.options]
            raise InvalidInput(
                f"{name} says nothing about a file of the format {format.name}; leave it out, it "
                f"is for {', '.join(understood)}"
            )


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
