"""WhatsApp's export of a chat: a text file, or the zip archive with it.

A message begins with its date, and may have more lines. The file says neither which language it is
in nor where the day of a date is; it is read twice, the first time to find that out.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import BinaryIO

from memkit.errors import InvalidInput
from memkit.importers.files import ExportFile, split_lines
from memkit.importers.foreign import fail, leave, make_turn, set_timezone, short_text
from memkit.importers.ids import Repeats, digest, make_id
from memkit.importers.people import People
from memkit.importers.sniff import Sample
from memkit.importers.source import DateOrder, LocatedTurn, ReadOptions
from memkit.importers.whatsapp_dates import MARKS, DateOrderGuess, match_header, read_date

_MOST_MESSAGE = 2**20  # characters
_MARK = re.compile(f"[{MARKS}]")
# The sender of a message, such as `Robert "Bob" Smith`. A colon in quotes is of the title of a
# group in a system message.
_QUOTED = r'"[^":\n]*"|“[^”:\n]*”|„[^“”:\n]*[“”]|«[^»:\n]*»|»[^«:\n]*«|「[^」:\n]*」'
_SENDER = re.compile(
    rf"(?P<sender>(?=[^:\n]{{1,80}}:)(?:[^:\n\"“”„«»「」]|{_QUOTED})+):(?:\s(?P<text>.*))?$",
    re.DOTALL,
)
_FILE = re.compile(  # "IMG-1.jpg (file attached)", "<attached: 1-PHOTO.jpg>"
    r"(?P<android>[^<>\n]+\.\w{1,5}) \((?P<attached>[^()\n]{1,40})\)"
    r"|<[^<>:\n]{1,40}:\s?(?P<ios>[^<>\n]+\.\w{1,5})>"
)
_OWN_NAME = re.compile(r"[A-Z]{3}-\d{8}-WA\d+\.\w+")  # that WhatsApp gives: IMG-20201231-WA0001.jpg
# "WhatsApp Chat with Bob.txt", "WhatsApp Chat - Bob.zip"; a browser adds " (1)"
_TITLE = re.compile(
    r".*WhatsApp.*?(?: - | with | mit | avec | con | com | met |：)(.+?)(?: \(\d+\))?"
)


@dataclass(slots=True)
class _Message:
    """The lines of a message, and the number of the first."""

    line: int
    time: datetime | None
    parts: list[str]
    size: int = 0
    error: str | None = None


@dataclass(slots=True)
class _Chat:
    """What the first reading finds out, and the turns of the day that the second is at."""

    people: People
    dates: DateOrderGuess = field(default_factory=DateOrderGuess)
    has_brackets: bool | None = None  # whether the dates are in brackets; None: no date yet
    first_line: str = ""
    session_id: str = ""
    day: date | None = None
    repeats: Repeats = field(default_factory=Repeats)

    def number(self, key: str, day: date) -> str:
        """Return an id from the words of a message: equal ones of a day are numbered."""
        if day != self.day:
            self.day, self.repeats = day, Repeats()
        return make_id("whatsapp", self.repeats.number(key))


def matches(sample: Sample) -> bool:
    """Return whether one of the first lines begins with a date and a time."""
    lines = sample.start[:4096].decode("utf-8", "replace").splitlines()[:5]
    return any(match_header(line) for line in lines)


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of a chat, in the order of the file.

    Raises:
        AmbiguousDates: the dates can be read in two ways, and the options do not say which.
        InvalidInput: nobody has the name of the user.
    """
    people = People(options.me)
    chats: list[tuple[_Chat, DateOrder]] = []  # an archive may have several
    for member in export.members or (None,):
        chat = _scan(export, member, people)
        chat.session_id = options.session_id or _session_id(export, member, chat)
        order = options.date_order or chat.dates.decide(str(member or export.path))
        chats.append((chat, order))
    if note := people.check(export.path):
        export.notes.append(note)
    for (location, file), (chat, order) in zip(export.files(), chats, strict=True):
        for message in _read_messages(file, chat, order):
            where = f"{location}, line {message.line}"
            yield _make_turn(message, where, chat, options.timezone)


def _scan(export: ExportFile, member: str | None, people: People) -> _Chat:
    chat = _Chat(people)
    with export.peek(member) as file:
        for line in _decoded(file):
            header = match_header(line) if line is not None else None
            if header is None or line is None:
                continue
            if chat.has_brackets is None:
                chat.has_brackets = header["bracket"] is not None
                chat.first_line = line.strip()
            if chat.has_brackets == (header["bracket"] is not None):
                chat.dates.add(header)
                if sender := _split_sender(line[header.end() :])[0]:
                    chat.people.add(sender)
    return chat


def _session_id(export: ExportFile, member: str | None, chat: _Chat) -> str:
    archive = [] if len(export.members) > 1 else [export.path.stem]
    for name in [*([] if member is None else [Path(member).stem]), *archive]:
        if match := _TITLE.fullmatch(name):
            return make_id("whatsapp", match[1])
    return make_id("whatsapp", digest(_MARK.sub("", chat.first_line)))


def _decoded(file: BinaryIO) -> Iterator[str | None]:
    """Yield the lines of a file as text, None for one that is not UTF-8."""
    for line in split_lines(file):
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            yield None


def _read_messages(file: BinaryIO, chat: _Chat, order: DateOrder) -> Iterator[_Message]:
    message: _Message | None = None
    for n, line in enumerate(_decoded(file), start=1):
        header = match_header(line) if line is not None else None
        if line is not None and header and chat.has_brackets == (header["bracket"] is not None):
            if message is not None:
                yield message
            time = read_date(header, order)
            message = _Message(n, time, [line[header.end() :]])
            if time is None:
                message.error = f"{header[0].strip()!r} is no date in the order {order}"
        elif message is None:
            message = _Message(n, None, [line or ""], error="no date before this line")
        elif line is None:
            message.error = f"line {n} is not UTF-8"
        else:
            message.size += len(line) + 1
            if message.size <= _MOST_MESSAGE:
                message.parts.append(line)
            else:
                message.error = f"longer than {_MOST_MESSAGE:,} characters"
    if message is not None:
        yield message


def _make_turn(
    message: _Message, location: str, chat: _Chat, timezone: tzinfo | None
) -> LocatedTurn:
    if message.error is not None or message.time is None:
        return fail(location, message.error)
    sender, text = _split_sender("\n".join(message.parts).rstrip("\n"))
    text, is_edited = _cut_edited(text)
    if sender is None:
        return leave(location, "system message")
    if reason := _reason_to_leave(text):
        return leave(location, reason)
    text = _name_file(text).lstrip(_MARKS_AS_TEXT)
    key = digest(sender, message.time.isoformat(), text)
    return make_turn(
        location, text, role="user", name=chat.people.name_of(sender), session_id=chat.session_id,
        id=chat.number(key, message.time.date()), metadata={"edited": is_edited},
        said_at=set_timezone(message.time, timezone),
    )  # fmt: skip


_MARKS_AS_TEXT = "\u200e\u200f"


def _split_sender(text: str) -> tuple[str | None, str]:
    """Return who says a text, None for WhatsApp itself, and the text."""
    match = _SENDER.match(text)
    if match is None:
        return None, text
    sender = short_text(_MARK.sub("", match["sender"])).removeprefix("~").strip()
    return sender or None, match["text"] or ""


def _cut_edited(text: str) -> tuple[str, bool]:
    """Return a text without WhatsApp's mark that it was edited, and whether it had one."""
    start = text.rfind("<")
    if start < 0 or _normalise(text[start:]) not in _phrases("edited"):
        return text, False
    return text[:start].rstrip(" " + _MARKS_AS_TEXT), True


def _reason_to_leave(text: str) -> str | None:
    words = _normalise(text)
    if words in _phrases("deleted"):
        return "deleted message"
    first, _, caption = text.partition("\n")
    if not caption.strip() and (_normalise(first) in _phrases("media") or _match_file(first)):
        return "media without words"
    # of an iPhone: a mark before what nobody wrote, except a place with its link and a poll
    is_notice = text.startswith("\u200e") and "http" not in text and "\n" not in text
    return "system message" if words in _phrases("calls") or is_notice else None


def _name_file(text: str) -> str:
    """Return a text whose first line is a file as "[file: name]"."""
    first, _, caption = text.partition("\n")
    if match := _match_file(first):
        return f"[file: {match['android'] or match['ios']}]\n{caption}"
    return f"[media]\n{caption}" if _normalise(first) in _phrases("media") else text


def _match_file(line: str) -> re.Match[str] | None:
    """Return the match of an attached file; none of words like "use python3.11 (not 3.12)"."""
    match = _FILE.fullmatch(_MARK.sub("", line).strip())
    if match is None or match["ios"] or line.startswith("\u200e"):
        return match
    is_file = _OWN_NAME.fullmatch(match["android"]) or (
        _normalise(match["attached"]) in _phrases("attached")
    )
    return match if is_file else None


def _normalise(text: str) -> str:
    return _MARK.sub("", text).strip().rstrip(".").casefold()


@cache
def _phrases(kind: str) -> frozenset[str]:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    if kind not in table:
        raise InvalidInput(f"whatsapp.toml has no {kind!r}")
    return frozenset(phrase.casefold() for phrase in table[kind])
