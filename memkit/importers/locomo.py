"""LoCoMo files (Maharana et al., ACL 2024): conversations of two people, with questions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput, InvalidTurn
from memkit.importers.files import ExportFile, open_file, parse_json, require_field
from memkit.importers.sniff import Sample
from memkit.importers.source import LocatedTurn, ReadOptions, TurnSource
from memkit.ingest import to_turn
from memkit.records import Turn

_SESSION = re.compile(r"session_(\d+)")  # the key of a session's turns
_SESSION_TIME = "%I:%M %p on %d %B, %Y"  # 1:56 pm on 8 May, 2023
# a turn in a list of evidence: "D1:3", and misspelled ones such as "D:11:26" and "D30:05"
_REFERENCE = re.compile(r"D\s*:?\s*(\d+)\s*:\s*(\d+)")


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


def matches(sample: Sample) -> bool:
    """Return whether a file is a list of conversations with questions."""
    return sample.is_list() and bool({"sample_id", "conversation", "qa"} & sample.keys)


def read(export: ExportFile, options: ReadOptions) -> Iterator[LocatedTurn]:
    """Yield the turns of the conversation with the sample id `conversation`."""
    conversation = select_conversation(read_locomo(export.path), options.conversation)
    yield from locomo_source(conversation).turns


def read_locomo(path: Path) -> list[LocomoConversation]:
    """Read a LoCoMo file (Maharana et al., ACL 2024), such as locomo10.json.

    Turn ids are those of LoCoMo ("D1:3"). A turn has its session's time, read as UTC, plus one
    second for every turn before it, which keeps the order.

    Raises:
        InvalidInput: the file cannot be read, or is no LoCoMo file; the message has the location.
    """
    with open_file(path) as file:
        data = file.read()
    try:
        records = parse_json(data)
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
    return TurnSource(turns=turns, total=len(turns), format="locomo")


def _conversation(record: object, n: int) -> LocomoConversation:
    where = f"conversation {n}"
    conversation = require_field(record, "conversation", dict, where)
    turns = tuple(_turns(conversation, where))
    turn_ids = {turn.id or "" for turn in turns}
    questions = tuple(
        _question(question, turn_ids, f"{where}, question {m}")
        for m, question in enumerate(require_field(record, "qa", list, where), start=1)
    )
    first, second = (require_field(conversation, f"speaker_{x}", str, where) for x in "ab")
    return LocomoConversation(
        sample_id=require_field(record, "sample_id", str, where),
        speakers=(first, second),
        turns=turns,
        questions=questions,
    )


def _turns(conversation: Mapping[str, Any], where: str) -> Iterator[Turn]:
    numbers = sorted(int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key)))
    for number in numbers:
        session = f"session_{number}"
        start = require_field(conversation, f"{session}_date_time", str, where)
        try:
            time = datetime.strptime(start, _SESSION_TIME).replace(tzinfo=UTC)
        except ValueError as error:
            raise InvalidInput(
                f'{where}, {session}: time {start!r} is not like "1:56 pm on 8 May, 2023"'
            ) from error
        for n, record in enumerate(require_field(conversation, session, list, where)):
            turn_where = f"{where}, {session}, turn {n + 1}"
            yield _locomo_turn(record, session, time + timedelta(seconds=n), turn_where)


def _locomo_turn(record: object, session: str, said_at: datetime, where: str) -> Turn:
    text = require_field(record, "text", str, where)
    if isinstance(record, dict) and record.get("blip_caption"):
        text = f"{text} [shared a photo: {record['blip_caption']}]".lstrip()
    try:
        return Turn(
            text=text,
            id=require_field(record, "dia_id", str, where),
            name=require_field(record, "speaker", str, where),
            said_at=said_at,
            session_id=session,
        )
    except InvalidTurn as error:
        raise InvalidInput(f"{where}: {error}") from error


def _question(record: object, turn_ids: set[str], where: str) -> LocomoQuestion:
    evidence: dict[str, None] = {}  # an ordered set
    dropped = 0
    for text in map(str, require_field(record, "evidence", list, where)):
        references = [f"D{int(d)}:{int(n)}" for d, n in _REFERENCE.findall(text)]
        existing = [reference for reference in references if reference in turn_ids]
        evidence.update(dict.fromkeys(existing))
        dropped += max(len(references), 1) - len(existing)
    answer = record.get("answer") if isinstance(record, dict) else None
    return LocomoQuestion(
        question=require_field(record, "question", str, where),
        answer=None if answer is None else str(answer),
        evidence=tuple(evidence),
        dropped=dropped,
        category=require_field(record, "category", int, where),
    )
