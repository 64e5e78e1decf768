"""Your own conversations and questions: JSON lines, one conversation each, plain or gzipped.

    {"id": "ann", "split": "report",
     "turns": [{"id": "t0", "role": "user", "name": "Ann", "text": "I moved to Oslo.",
                "said_at": "2024-05-01T09:00:00+00:00", "session_id": "s0"}],
     "questions": [{"id": "q0", "question": "Where do I live?", "answers": ["Oslo"],
                    "evidence": ["t0"], "kind": "fact", "asked_at": "2024-06-01T00:00:00+00:00",
                    "stale": [], "stale_evidence": [], "foils": ["Rome"], "steps": [],
                    "unanswerable": false, "after": 1}],
     "forget": []}

Only the texts of turns and questions are required. Missing ids are made from positions in the
file. A question without "after" is asked once its evidence is in; one without "asked_at" sees
everything. "steps" are turn ids in the order of the events, "forget" those that the user deletes
before anything is asked. An unknown key is an error, because it may be a misspelt one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.data.haystack import (
    PUBLISHED,
    SPLITS,
    DataSet,
    ExpectedAnswer,
    Haystack,
    Question,
    keep_usable,
    make_gold,
    new_counts,
    read_json_lines,
    sessions_by_turn,
    sha256,
)
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.ingest import parse_time
from memkit.records import zoned

_CONVERSATION = ("id", "split", "turns", "questions", "forget")
_TURN = ("id", "role", "name", "text", "said_at", "session_id")
_QUESTION = (
    "id", "question", "answers", "evidence", "kind", "asked_at", "stale", "stale_evidence",
    "foils", "steps", "unanswerable", "after",
)  # fmt: skip


def read(path: Path) -> DataSet:
    """Read a file of conversations.

    Raises:
        InvalidInput: the file cannot be read, or a line has another shape; the message names it.
    """
    digest = sha256(path)
    counts = new_counts()
    haystacks: list[Haystack] = []
    ids: set[str] = set()
    try:
        for n, record in read_json_lines(path):
            haystack = _read_haystack(record, n, ids)
            counts[haystack.split]["conversations without questions, dropped"] += bool(
                not haystack.questions
            )
            haystacks.append(haystack)
    except InvalidInput as error:
        raise InvalidInput(f"{path}, {error}") from error
    return DataSet(
        format="jsonl",
        file=path.name,
        sha256=digest,
        haystacks=keep_usable(haystacks, counts),
        counts=counts,
    )


def _read_haystack(record: object, line: int, ids: set[str]) -> Haystack:
    """Return the conversation of a line, and add its ids to those of the file."""
    try:
        haystack = _parse_haystack(record, line)
        for id in (haystack.name, *(question.id for question in haystack.questions)):
            if id in ids:
                raise InvalidInput(f"id {id!r} is taken; ids are unique in a file")
            ids.add(id)
    except InvalidInput as error:
        raise InvalidInput(f"line {line}: {error}") from error
    return haystack


def _parse_haystack(record: object, n: int) -> Haystack:
    fields = _object(record, _CONVERSATION, "a conversation")
    name = _string(fields, "id", f"conversation-{n}")
    split = _string(fields, "split", "report")
    if split not in SPLITS:
        raise InvalidInput(f"split {split!r} is neither of {' and '.join(SPLITS)}")
    turns = [_parse_turn(turn, m) for m, turn in enumerate(_list(fields, "turns"))]
    session = sessions_by_turn(turns)
    if len(session) != len(turns):
        twice = Counter(turn.id for turn in turns).most_common(1)[0][0]
        raise InvalidInput(f"two turns have the id {twice!r}; make them unique")
    dated = all(turn.said_at is not None for turn in turns)
    return Haystack(
        name=name,
        split="tuning" if split == "tuning" else "report",
        turns=turns,
        questions=[
            _parse_question(question, f"{name}/q{m}", session, dated)
            for m, question in enumerate(_list(fields, "questions"))
        ],
        forgotten=_ids(fields, "forget", session),
    )


def _parse_turn(record: object, n: int) -> Turn:
    where = f"turn {n + 1}"
    fields = _object(record, _TURN, where)
    try:
        return Turn(
            text=fields.get("text"),  # type: ignore[arg-type]  # checked by Turn
            role=fields.get("role", "user"),
            id=_string(fields, "id", f"t{n}"),
            name=fields.get("name"),
            said_at=parse_time(fields.get("said_at")),
            session_id=_string(fields, "session_id", "s0"),
        )
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error


def _parse_question(record: object, id: str, session: Mapping[str, str], dated: bool) -> Question:
    fields = _object(record, _QUESTION, "a question")
    id = _string(fields, "id", id)
    try:
        evidence = _ids(fields, "evidence", session)
        asked_at = parse_time(fields.get("asked_at"))
        if asked_at is not None and not dated:
            raise InvalidInput("it has asked_at, and not every turn has said_at; give both")
        return Question(
            id=id,
            text=_string(fields, "question", None),
            kind=_string(fields, "kind", "question"),
            asked_at=None if asked_at is None else zoned(asked_at, "asked_at"),
            golds={PUBLISHED: make_gold(evidence, session)},
            answerable=not _flag(fields, "unanswerable"),
            expected=ExpectedAnswer(
                answers=_strings(fields, "answers"),
                stale=_strings(fields, "stale"),
                stale_turns=_ids(fields, "stale_evidence", session),
                steps=_ids(fields, "steps", session),
                foils=_strings(fields, "foils"),
            ),
            after=_after(fields, len(session)),
        )
    except InvalidInput as error:
        raise InvalidInput(f"question {id}: {error}") from error


# ---- the values of a JSON object


def _object(record: object, keys: Sequence[str], label: str) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise InvalidInput(f"{label} is {type(record).__name__}, not an object")
    if unknown := sorted(set(record) - set(keys)):
        raise InvalidInput(f"{label} has no key {unknown[0]!r}; it may have {', '.join(keys)}")
    return {key: value for key, value in record.items() if value is not None}


def _string(fields: Mapping[str, Any], key: str, default: str | None) -> str:
    value = fields.get(key, default)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id that is a number
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{key!r} is a string that is not empty, got {value!r}")
    return value


def _list(fields: Mapping[str, Any], key: str) -> list[Any]:
    value = fields.get(key, [])
    if not isinstance(value, list):
        raise InvalidInput(f"{key!r} is a list, got {type(value).__name__}")
    return value


def _strings(fields: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of strings; a single string or number is a list of one."""
    value = fields.get(key, [])
    values = value if isinstance(value, list) else [value]
    for text in values:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise InvalidInput(f"{key!r} holds strings, got {text!r}")
    return tuple(str(text) for text in values)


def _ids(fields: Mapping[str, Any], key: str, session: Mapping[str, str]) -> tuple[str, ...]:
    ids = dict.fromkeys(_strings(fields, key))
    if unknown := [id for id in ids if id not in session]:
        raise InvalidInput(f"{key!r} names {unknown[0]!r}, and no turn has that id")
    return tuple(ids)


def _flag(fields: Mapping[str, Any], key: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{key!r} is true or false, got {value!r}")
    return value


def _after(fields: Mapping[str, Any], turns: int) -> int | None:
    value = fields.get("after")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= turns:
        raise InvalidInput(f"'after' is a number of turns, 1 to {turns}, got {value!r}")
    return value
