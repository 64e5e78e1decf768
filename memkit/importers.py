"""Import conversations from JSON lines and LoCoMo files; export turns as JSON lines."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

from memkit._moved import serve_old_names
from memkit.errors import InvalidInput, InvalidTurn, MessageBlocked, MessagesRejected, TurnConflict
from memkit.ingest import to_turn
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Origin, Scope, Turn

BATCH = 256  # turns in one write transaction

_KEYS = (
    "role", "content", "name", "timestamp", "id", "session_id", "agent_id", "user_id", "metadata",
    "origin", "tags",
)  # fmt: skip
_SESSION = re.compile(r"session_(\d+)")  # the key of a session's turns in a LoCoMo file
_SESSION_TIME = "%I:%M %p on %d %B, %Y"  # 1:56 pm on 8 May, 2023
_BOM = b"\xef\xbb\xbf"  # byte-order mark of UTF-8
# a turn in a list of evidence: "D1:3", and misspelled ones such as "D:11:26" and "D30:05"
_REFERENCE = re.compile(r"D\s*:?\s*(\d+)\s*:\s*(\d+)")

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedTurn:
    """A turn and its location in a file. Without a turn, the line is empty or has an `error`."""

    turn: Turn | None
    location: str  # such as "talk.jsonl, line 3"
    error: str | None = None
    former_id: str | None = None  # the id that memkit before 0.7.0 gave to the turn


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSource:
    """The turns of a file, read lazily."""

    turns: Iterable[LocatedTurn]
    total: int  # an upper bound of their number


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCounts:
    """How many turns an import read, how many of them were new, and what was not stored."""

    read: int
    new: int
    empty: int = 0  # messages that say nothing
    problems: tuple[str, ...] = ()  # one for each turn that was not stored: where, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class LocomoQuestion:
    """A question of LoCoMo with its answer and evidence."""

    question: str
    answer: str | None  # None: the conversation has no answer
    evidence: tuple[str, ...]  # ids of turns of this conversation
    dropped: int  # number of references to turns that do not exist
    category: int  # 1 multi-hop, 2 temporal, 3 open-domain, 4 single-hop, 5 adversarial


@dataclass(frozen=True, slots=True, kw_only=True)
class LocomoConversation:
    """A conversation of LoCoMo: two people, many sessions, and questions about them."""

    sample_id: str
    speakers: tuple[str, str]
    turns: tuple[Turn, ...]
    questions: tuple[LocomoQuestion, ...]


# ---- into a memory


def import_turns(
    memory: Memory,
    source: TurnSource,
    *,
    user_id: str,
    progress: Callable[[int, int], None],
    new_versions: bool = False,
    origin: Origin | None = None,
) -> ImportCounts:
    """Remember the turns of a file, `BATCH` in a transaction; turns stored before are skipped.

    A line that cannot be read, and a turn whose text differs from the stored one of the same id,
    are among the `problems`; all others are stored. `new_versions` stores the edited text as a new
    turn instead, with the id of the old one in its metadata under "version_of". `origin` is that of
    turns without one. `progress` is called with the lines read and the total.

    Raises:
        InvalidInput: no line could be read.
    """
    turns_before = memory.stats(user_id=user_id)["turns"]
    lines = read = empty = 0
    problems: list[str] = []
    located_turns = iter(source.turns)
    while batch := list(islice(located_turns, BATCH)):
        progress(lines, source.total)
        lines += len(batch)
        errors = [f"{located.location}: {located.error}" for located in batch if located.error]
        turns, blocked = _prepare(memory, batch, origin)
        errors += blocked
        problems += errors + _import_batch(memory, turns, user_id, new_versions=new_versions)
        read += len(turns)
        empty += len(batch) - len(turns) - len(errors)
    progress(lines, lines)
    if problems and not read:
        raise InvalidInput(f"{problems[0]}; no turn could be read, and nothing was stored")
    new = memory.stats(user_id=user_id)["turns"] - turns_before
    return ImportCounts(read=read, new=new, empty=empty, problems=tuple(problems))


def _prepare(
    memory: Memory, batch: list[LocatedTurn], origin: Origin | None
) -> tuple[list[LocatedTurn], list[str]]:
    """Return the turns as they may be stored, and why others may not be."""
    prepared: list[LocatedTurn] = []
    problems: list[str] = []
    for located in batch:
        turn = located.turn and to_turn(located.turn, memory.signer)
        if not turn:
            continue
        try:
            turn = memory.privacy.apply(replace(turn, origin=turn.origin or origin))
        except MessageBlocked as error:
            problems.append(f"{located.location}: {error}")
        else:
            prepared.append(replace(located, turn=turn))
    return prepared, problems


def _import_batch(
    memory: Memory, batch: list[LocatedTurn], user_id: str, *, new_versions: bool
) -> list[str]:
    """Remember the turns that are not stored; return what is wrong with the others."""
    ids = [id for located in batch for id in _possible_ids(located)]
    stored = memory.store.turns(Scope(user_id=user_id), Window(ids=ids))
    # stored turns are not embedded again, so an interrupted import resumes quickly
    texts = {turn.id: turn.text for turn in stored}
    new: list[tuple[str, Turn]] = []  # with the location
    problems = []
    for located in batch:
        turn = located.turn
        assert turn is not None
        if turn.text in (texts.get(turn.id), texts.get(located.former_id)):
            continue
        if turn.id in texts and _was_said(memory, user_id, turn):
            continue
        if turn.id in texts:
            if not new_versions:
                problems.append(f"{located.location}: {TurnConflict(turn.id or '')}")
                continue
            turn = _new_version(turn)
            if turn.id in texts:
                continue
        texts[turn.id] = turn.text
        new.append((located.location, turn))
    try:
        memory.remember([turn for _, turn in new], user_id=user_id)
    except MessagesRejected as error:  # another process was first
        problems += [f"{new[n][0]}: {reason}" for n, reason in error.errors.items()]
    return problems


def _was_said(memory: Memory, user_id: str, turn: Turn) -> bool:
    """Return whether the stored turn of this id had these words before `Memory.update`."""
    wordings = memory.store.wordings(Scope(user_id=user_id), turn.id or "")
    return any(former.text == turn.text for former in wordings)


def _possible_ids(located: LocatedTurn) -> list[str]:
    """Return the ids under which a turn may be stored already."""
    turn = located.turn
    assert turn is not None
    ids = (turn.id, _new_version(turn).id, located.former_id)
    return [id for id in ids if id is not None]


def _new_version(turn: Turn) -> Turn:
    """Return an edited turn with an id of its own, the same whenever it is imported."""
    digest = hashlib.sha256(turn.text.encode()).hexdigest()[:12]
    metadata = dict(turn.metadata) | {"version_of": turn.id}
    return replace(turn, id=f"{turn.id}@{digest}", metadata=metadata)


def guess_format(path: Path) -> Literal["jsonl", "locomo"]:
    """Return a file's format by its first character: a LoCoMo file is one JSON list."""
    with _open(path) as file:
        start = file.read(4096).removeprefix(_BOM).lstrip()
    return "locomo" if start.startswith(b"[") else "jsonl"


# ---- JSON lines


def to_line(turn: Turn, *, user_id: str) -> dict[str, Any]:
    """Return a turn as the JSON object that `read_lines` reads."""
    assert turn.said_at is not None
    values = (
        turn.role, turn.text, turn.name, turn.said_at.isoformat(), turn.id, turn.session_id,
        turn.agent_id, user_id, dict(turn.metadata) or None, turn.origin,
        list(turn.tags) or None,
    )  # fmt: skip
    return {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}


def read_lines(path: Path, *, user_id: str, session_id: str | None = None) -> TurnSource:
    """Open a file of JSON lines, one turn each, as `memkit export` writes them.

    A line is a message dict as `Memory.remember` takes it. A turn without an id gets one from its
    speaker, text, time and conversation; of several equal ones, from their order. So the file can
    be imported again after it has grown. `session_id` is the session of lines without one.

    Raises InvalidInput if the file cannot be read. A line that is invalid, or of another user, is a
    `LocatedTurn` with an error.
    """
    lines = 0
    digest = hashlib.sha256()
    with _open(path) as file:
        for line in file:
            digest.update(line)
            lines += 1
    former_prefix = digest.hexdigest()[:16]

    def turns() -> Iterator[LocatedTurn]:
        repeats: Counter[str] = Counter()
        with _open(path) as file:
            for n, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                location = f"{path}, line {n}"
                try:
                    turn = _turn(line, user_id, session_id)
                except InvalidInput as error:
                    yield LocatedTurn(turn=None, location=location, error=str(error))
                    continue
                former_id = None
                if turn is not None and turn.id is None:
                    former_id = f"{former_prefix}:{n}"
                    turn = _identified(turn, repeats)
                yield LocatedTurn(turn=turn, location=location, former_id=former_id)

    return TurnSource(turns=turns(), total=lines)


def _turn(line: bytes, user_id: str, session_id: str | None) -> Turn | None:
    record = _json(line.removeprefix(_BOM))
    if not isinstance(record, dict):
        raise InvalidInput(f"a line must be one JSON object, not a {type(record).__name__}")
    owner = record.pop("user_id", None)
    if owner is not None and owner != user_id:
        raise InvalidInput(
            f"this turn is {owner!r}'s and the import is for {user_id!r}; pass the right user, or "
            "remove user_id from the lines"
        )
    turn = to_turn(record)
    if turn is None or turn.session_id is not None:
        return turn
    return replace(turn, session_id=session_id)


def _identified(turn: Turn, repeats: "Counter[str]") -> Turn:
    """Return a turn with an id that stays the same while lines are added around it."""
    said_at = turn.said_at and turn.said_at.isoformat()
    values = (turn.role, turn.name, turn.text, said_at, turn.session_id, turn.agent_id)
    digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:24]
    repeats[digest] += 1
    return replace(turn, id=f"{digest}:{repeats[digest]}")


# ---- LoCoMo


def read_locomo(path: Path) -> list[LocomoConversation]:
    """Read a LoCoMo file (Maharana et al., ACL 2024), such as locomo10.json.

    Turn ids are those of LoCoMo ("D1:3"). A turn has its session's time, read as UTC, plus one
    second for every turn before it, which keeps the order.

    Raises:
        InvalidInput: the file cannot be read, or is no LoCoMo file; the message has the location.
    """
    with _open(path) as file:
        data = file.read()
    try:
        records = _json(data)
        if not isinstance(records, list):
            raise InvalidInput("it is no list of conversations")
        return [_conversation(record, n) for n, record in enumerate(records, start=1)]
    except InvalidInput as error:
        raise InvalidInput(
            f"{path} is not a LoCoMo file: {error}; write other conversations as JSON lines and "
            "import them with --format jsonl"
        ) from error


def select_conversation(
    conversations: list[LocomoConversation], sample_id: str | None
) -> LocomoConversation:
    """Return the conversation with this sample id; for None, the file must hold a single one."""
    ids = ", ".join(conversation.sample_id for conversation in conversations)
    if sample_id is None:
        if len(conversations) != 1:
            raise InvalidInput(
                f"the file holds {len(conversations)} conversations ({ids}) and a user has one "
                "memory; choose one with --conversation"
            )
        return conversations[0]
    by_id = {conversation.sample_id: conversation for conversation in conversations}
    if sample_id not in by_id:
        raise InvalidInput(f"no conversation {sample_id!r} in the file; it holds {ids}")
    return by_id[sample_id]


def locomo_source(conversation: LocomoConversation) -> TurnSource:
    """Return a conversation's turns for `import_turns`."""
    turns = [
        LocatedTurn(turn=to_turn(turn), location=f"{conversation.sample_id}, turn {turn.id}")
        for turn in conversation.turns
    ]
    return TurnSource(turns=turns, total=len(turns))


def _conversation(record: object, n: int) -> LocomoConversation:
    where = f"conversation {n}"
    conversation = _field(record, "conversation", dict, where)
    turns = tuple(_turns(conversation, where))
    turn_ids = {turn.id or "" for turn in turns}
    questions = tuple(
        _question(question, turn_ids, f"{where}, question {m}")
        for m, question in enumerate(_field(record, "qa", list, where), start=1)
    )
    first, second = (_field(conversation, f"speaker_{x}", str, where) for x in "ab")
    return LocomoConversation(
        sample_id=_field(record, "sample_id", str, where),
        speakers=(first, second),
        turns=turns,
        questions=questions,
    )


def _turns(conversation: Mapping[str, Any], where: str) -> Iterator[Turn]:
    numbers = sorted(int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key)))
    for number in numbers:
        session = f"session_{number}"
        start = _field(conversation, f"{session}_date_time", str, where)
        try:
            time = datetime.strptime(start, _SESSION_TIME).replace(tzinfo=UTC)
        except ValueError as error:
            raise InvalidInput(
                f'{where}, {session}: time {start!r} is not like "1:56 pm on 8 May, 2023"'
            ) from error
        for n, record in enumerate(_field(conversation, session, list, where)):
            turn_where = f"{where}, {session}, turn {n + 1}"
            yield _locomo_turn(record, session, time + timedelta(seconds=n), turn_where)


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


def _question(record: object, turn_ids: set[str], where: str) -> LocomoQuestion:
    evidence: dict[str, None] = {}  # an ordered set
    dropped = 0
    for text in map(str, _field(record, "evidence", list, where)):
        references = [f"D{int(d)}:{int(n)}" for d, n in _REFERENCE.findall(text)]
        existing = [reference for reference in references if reference in turn_ids]
        evidence.update(dict.fromkeys(existing))
        dropped += max(len(references), 1) - len(existing)
    answer = record.get("answer") if isinstance(record, dict) else None
    return LocomoQuestion(
        question=_field(record, "question", str, where),
        answer=None if answer is None else str(answer),
        evidence=tuple(evidence),
        dropped=dropped,
        category=_field(record, "category", int, where),
    )


# ---- reading files


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
    except (ValueError, RecursionError) as error:  # a number too long, or nested too deep
        raise InvalidInput(f"JSON that cannot be read: {error}") from error


def _open(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} cannot be read twice; pass a file, not a folder or a pipe")
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}; pass the path of a file"
        ) from error


serve_old_names(__name__)
