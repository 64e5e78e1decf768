"""Conversations in files: JSON lines in and out, and LoCoMo in."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

from memkit.errors import InvalidInput, InvalidTurn, TurnConflict
from memkit.ingest import parse_time
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Scope, Turn

BATCH = 256  # turns that are stored together, or not at all

_KEYS = (
    "role", "content", "name", "timestamp", "id", "session_id", "agent_id", "user_id", "metadata",
)  # fmt: skip
_SESSION = re.compile(r"session_(\d+)")
_SESSION_TIME = "%I:%M %p on %d %B, %Y"  # 1:56 pm on 8 May, 2023
_REFERENCE = re.compile(r"D\s*:?\s*(\d+)\s*:\s*(\d+)")  # also finds D:11:26 and D30:05

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A turn, and where in its file it stands."""

    turn: Turn
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The turns of a file, read as they are asked for, and how many there are at most."""

    turns: Iterable[Placed]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    read: int
    new: int  # the others were there already


@dataclass(frozen=True, slots=True, kw_only=True)
class LocomoQuestion:
    """A question of LoCoMo, with what answers it."""

    question: str
    answer: str | None  # None: the conversation does not say
    evidence: tuple[str, ...]  # ids of turns of this conversation
    dropped: int  # references that name no turn of this conversation
    category: int  # 1 multi-hop, 2 temporal, 3 open-domain, 4 single-hop, 5 adversarial


@dataclass(frozen=True, slots=True, kw_only=True)
class LocomoConversation:
    """A conversation of LoCoMo: two people, many sessions, and questions about them."""

    sample_id: str
    speakers: tuple[str, str]
    turns: tuple[Turn, ...]
    questions: tuple[LocomoQuestion, ...]


# ---- into a memory


def remember(
    memory: Memory, source: Source, *, user_id: str, progress: Callable[[int, int], None]
) -> Imported:
    """Remember a file's turns, `BATCH` in a transaction; what is there already stays as it is.

    Raises:
        InvalidInput: a turn cannot be taken; the message says where it stands and how many turns
            before it are stored.
    """
    before = memory.stats(user_id=user_id)["turns"]
    read = 0
    turns = iter(source.turns)
    while True:
        progress(read, source.total)
        try:
            batch = list(islice(turns, BATCH))
            _remember(memory, batch, user_id)
        except InvalidInput as error:
            kept = f"the {read} turns before are stored" if read else "nothing was stored"
            raise InvalidInput(f"{error}; {kept}") from error
        read += len(batch)
        if len(batch) < BATCH:
            progress(read, read)
            return Imported(read=read, new=memory.stats(user_id=user_id)["turns"] - before)


def _remember(memory: Memory, batch: list[Placed], user_id: str) -> None:
    ids = [placed.turn.id or "" for placed in batch]
    known = {
        turn.id: turn.text for turn in memory.store.turns(Scope(user_id=user_id), Window(ids=ids))
    }
    # what is there already is not embedded again, so that going on after an interruption is quick
    turns = [one.turn for one in batch if known.get(one.turn.id) != one.turn.text]
    try:
        memory.remember(turns, user_id=user_id)
    except TurnConflict as error:
        where = next(one.where for one in reversed(batch) if one.turn.id == error.turn_id)
        raise InvalidInput(f"{where}: {error}") from error


def guess_format(path: Path) -> Literal["jsonl", "locomo"]:
    """Tell a file's format by its first character: LoCoMo files are one JSON list."""
    with _opened(path) as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    return "locomo" if start.startswith(b"[") else "jsonl"


# ---- JSON lines


def to_line(turn: Turn, *, user_id: str) -> dict[str, Any]:
    """Return a turn as the JSON object that `read_lines` reads."""
    assert turn.said_at is not None
    line = {
        "role": turn.role,
        "content": turn.text,
        "name": turn.name,
        "timestamp": turn.said_at.isoformat(),
        "id": turn.id,
        "session_id": turn.session_id,
        "agent_id": turn.agent_id,
        "user_id": user_id,
        "metadata": dict(turn.metadata) or None,
    }
    return {key: value for key, value in line.items() if value is not None}


def read_lines(path: Path, *, user_id: str, session_id: str | None = None) -> Source:
    """Open a file of JSON lines, one turn each, as `memkit export` writes them.

    A turn without an id gets one made of the file's content and the line's number, so that the
    same file imported again adds nothing.

    Args:
        path: the file.
        user_id: whose memory it is meant for; a line that names another user is an error.
        session_id: for lines that name none.

    Raises:
        InvalidInput: the file cannot be read; or, while reading, a line cannot be taken.
    """
    lines = 0
    digest = hashlib.sha256()
    with _opened(path) as file:
        for line in file:
            digest.update(line)
            lines += 1
    prefix = digest.hexdigest()[:16]

    def turns() -> Iterator[Placed]:
        with _opened(path) as file:
            for n, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                where = f"{path}, line {n}"
                try:
                    turn = _turn(line, f"{prefix}:{n}", user_id, session_id)
                except InvalidInput as error:
                    raise InvalidInput(f"{where}: {error}") from error
                yield Placed(turn=turn, where=where)

    return Source(turns=turns(), total=lines)


def _turn(line: bytes, line_id: str, user_id: str, session_id: str | None) -> Turn:
    record = _json(line.removeprefix(b"\xef\xbb\xbf"))
    if not isinstance(record, dict):
        raise InvalidInput(f"a line is one JSON object, not a {type(record).__name__}")
    if unknown := sorted(set(record) - set(_KEYS)):
        raise InvalidInput(f"unknown key {', '.join(unknown)}; a line has {', '.join(_KEYS)}")
    if missing := [key for key in ("role", "content") if key not in record]:
        raise InvalidInput(f"no {' and no '.join(missing)}")
    owner = record.get("user_id")
    if owner is not None and owner != user_id:
        raise InvalidInput(
            f"this turn is {owner!r}'s and the import is for {user_id!r}; name the right user, or "
            "take user_id out of the lines"
        )
    return Turn(
        text=record["content"],
        role=record["role"],
        name=record.get("name"),
        said_at=parse_time(record.get("timestamp")),
        id=_either(record.get("id"), line_id),
        session_id=_either(record.get("session_id"), session_id),
        agent_id=record.get("agent_id"),
        metadata=_either(record.get("metadata"), {}),
    )


def _either(given: Any, default: Any) -> Any:
    return default if given is None else given  # an empty string is given, and refused later


# ---- LoCoMo


def read_locomo(path: Path) -> list[LocomoConversation]:
    """Read a LoCoMo file (Maharana et al., ACL 2024), such as locomo10.json.

    Turn ids are LoCoMo's own ("D1:3"). A turn was said at its session's time, read as UTC, plus a
    second for every turn before it, so that the order stays.

    Raises:
        InvalidInput: the file cannot be read, or is not LoCoMo; the message says where.
    """
    with _opened(path) as file:
        data = file.read()
    try:
        records = _json(data)
        if not isinstance(records, list):
            raise InvalidInput("the file is no list of conversations")
        return [_conversation(record, n) for n, record in enumerate(records, start=1)]
    except InvalidInput as error:
        raise InvalidInput(
            f"{path} is not a LoCoMo file: {error}; for other conversations write JSON lines and "
            "import them with --format jsonl"
        ) from error


def choose(conversations: list[LocomoConversation], wanted: str | None) -> LocomoConversation:
    """Return the conversation meant: the one of this sample id, or the only one there is."""
    ids = ", ".join(one.sample_id for one in conversations)
    if wanted is None:
        if len(conversations) != 1:
            raise InvalidInput(
                f"the file holds {len(conversations)} conversations ({ids}) and a user has one "
                "memory; choose one with --conversation"
            )
        return conversations[0]
    for one in conversations:
        if one.sample_id == wanted:
            return one
    raise InvalidInput(f"no conversation {wanted!r} in the file; it holds {ids}")


def locomo_source(conversation: LocomoConversation) -> Source:
    """Return a conversation's turns, ready to be stored."""
    sample = conversation.sample_id
    turns = [Placed(turn=turn, where=f"{sample}, turn {turn.id}") for turn in conversation.turns]
    return Source(turns=turns, total=len(turns))


def _conversation(record: object, n: int) -> LocomoConversation:
    where = f"conversation {n}"
    conversation = _field(record, "conversation", dict, where)
    turns = tuple(_turns(conversation, where))
    known = {turn.id or "" for turn in turns}
    return LocomoConversation(
        sample_id=_field(record, "sample_id", str, where),
        speakers=(
            _field(conversation, "speaker_a", str, where),
            _field(conversation, "speaker_b", str, where),
        ),
        turns=turns,
        questions=tuple(
            _question(question, known, f"{where}, question {m}")
            for m, question in enumerate(_field(record, "qa", list, where), start=1)
        ),
    )


def _turns(conversation: Mapping[str, Any], where: str) -> Iterator[Turn]:
    numbers = sorted(int(found[1]) for key in conversation if (found := _SESSION.fullmatch(key)))
    for number in numbers:
        session = f"session_{number}"
        began = _field(conversation, f"{session}_date_time", str, where)
        try:
            time = datetime.strptime(began, _SESSION_TIME).replace(tzinfo=UTC)
        except ValueError as error:
            raise InvalidInput(
                f'{where}, {session}: time {began!r} is not like "1:56 pm on 8 May, 2023"'
            ) from error
        for n, record in enumerate(_field(conversation, session, list, where)):
            here = f"{where}, {session}, turn {n + 1}"
            yield _locomo_turn(record, session, time + timedelta(seconds=n), here)


def _locomo_turn(record: object, session: str, said_at: datetime, where: str) -> Turn:
    text = _field(record, "text", str, where)
    if isinstance(record, dict) and record.get("blip_caption"):
        text = f"{text} [shared a photo: {record['blip_caption']}]".lstrip()
    try:
        return Turn(
            text=text,
            id=_field(record, "dia_id", str, where),
            name=_field(record, "speaker", str, where),
            said_at=said_at,
            session_id=session,
        )
    except InvalidTurn as error:
        raise InvalidInput(f"{where}: {error}") from error


def _question(record: object, known: set[str], where: str) -> LocomoQuestion:
    evidence: dict[str, None] = {}  # an ordered set
    dropped = 0
    for text in map(str, _field(record, "evidence", list, where)):
        references = [f"D{int(d)}:{int(n)}" for d, n in _REFERENCE.findall(text)]
        found = [reference for reference in references if reference in known]
        evidence.update(dict.fromkeys(found))
        dropped += max(len(references), 1) - len(found)
    answer = record.get("answer") if isinstance(record, dict) else None
    return LocomoQuestion(
        question=_field(record, "question", str, where),
        answer=None if answer is None else str(answer),
        evidence=tuple(evidence),
        dropped=dropped,
        category=_field(record, "category", int, where),
    )


# ---- reading what others wrote


def _field(record: object, key: str, kind: type[Kind], where: str) -> Kind:
    if not isinstance(record, dict):
        raise InvalidInput(f"{where} is no JSON object")
    value = record.get(key)
    if not isinstance(value, kind):
        raise InvalidInput(f"{where} has no {key!r}" if value is None else f"{where}: bad {key!r}")
    return value


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"byte {error.start + 1} is not UTF-8") from error
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"not JSON at {at}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all measure
        raise InvalidInput(f"JSON that cannot be read: {error}") from error


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} cannot be read twice; give a file, not a folder or a pipe")
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}; give a file's path"
        ) from error
