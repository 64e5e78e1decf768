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
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pydantic

from evals.data import files
from evals.data.haystack import (
    PUBLISHED,
    DataSet,
    ExpectedAnswer,
    Haystack,
    Question,
    Split,
    make_gold,
    sessions_by_turn,
)
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.ingest import parse_time
from memkit.records import zoned


class _Record(pydantic.BaseModel):
    """A JSON object without unknown keys; null is as good as a missing key."""

    model_config = pydantic.ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _drop_null(cls, record: Any) -> Any:
        if not isinstance(record, dict):
            return record
        return {key: value for key, value in record.items() if value is not None}


_Text = Annotated[str, pydantic.Field(min_length=1)]
# a single string or number is a list of one
_Texts = Annotated[list[str], pydantic.BeforeValidator(lambda x: x if isinstance(x, list) else [x])]


class _Turn(_Record):
    text: Any  # this and what follows is checked by `memkit.Turn`
    role: Any = "user"
    name: Any = None
    said_at: Any = None
    id: _Text = ""
    session_id: _Text = "s0"


class _Question(_Record):
    question: _Text
    id: _Text = ""
    kind: _Text = "question"
    asked_at: Any = None
    answers: _Texts = []
    stale: _Texts = []
    foils: _Texts = []
    evidence: _Texts = []
    stale_evidence: _Texts = []
    steps: _Texts = []
    unanswerable: pydantic.StrictBool = False
    after: pydantic.StrictInt | None = None


class _Conversation(_Record):
    id: _Text = ""
    split: Split = "report"
    turns: list[_Turn] = []
    questions: list[_Question] = []
    forget: _Texts = []


def read(path: Path) -> DataSet:
    """Read a file of conversations.

    Raises:
        InvalidInput: the file cannot be read, or a line has another shape; the message names it.
    """
    counts = files.new_counts()
    haystacks = []
    ids: set[str] = set()
    with files.at(path):
        for n, record in files.read_json_lines(path):
            with files.at(f"line {n}"):
                haystack = _read_haystack(record, f"conversation-{n}", ids)
            without_questions = not haystack.questions
            counts[haystack.split]["conversations without questions, dropped"] += without_questions
            haystacks.append(haystack)
    return files.make_data_set(path, haystacks, counts, format="jsonl")


def _read_haystack(content: Any, name: str, ids: set[str]) -> Haystack:
    try:
        record = _Conversation.model_validate(content)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the conversation"
        raise InvalidInput(f"{where}: {fault['msg']}, got {fault['input']!r}") from error
    name = record.id or name
    turns = [_make_turn(turn, n) for n, turn in enumerate(record.turns)]
    sessions = sessions_by_turn(turns)
    if len(sessions) != len(turns):
        twice = Counter(turn.id for turn in turns).most_common(1)[0][0]
        raise InvalidInput(f"two turns have the id {twice!r}; make them unique")
    dated = all(turn.said_at is not None for turn in turns)
    questions = []
    for n, question in enumerate(record.questions):
        id = question.id or f"{name}/q{n}"
        with files.at(f"question {id}"):
            questions.append(_make_question(question, id, sessions, dated))
    for id in (name, *(question.id for question in questions)):
        if id in ids:
            raise InvalidInput(f"id {id!r} is taken; ids are unique in a file")
        ids.add(id)
    return Haystack(
        name=name,
        split=record.split,
        turns=turns,
        questions=questions,
        forgotten=_check_ids("forget", record.forget, sessions),
    )


def _make_turn(record: _Turn, n: int) -> Turn:
    with files.at(f"turn {n + 1}"):
        said_at = parse_time(record.said_at)
        return Turn(**{**record.model_dump(), "id": record.id or f"t{n}", "said_at": said_at})


def _make_question(
    record: _Question, id: str, sessions: Mapping[str, str], dated: bool
) -> Question:
    asked_at = parse_time(record.asked_at)
    if asked_at is not None and not dated:
        raise InvalidInput("it has asked_at, and not every turn has said_at; give both")
    if record.after is not None and not 1 <= record.after <= len(sessions):
        raise InvalidInput(f"'after' is 1 to {len(sessions)}, got {record.after}")
    evidence = _check_ids("evidence", record.evidence, sessions)
    return Question(
        id=id,
        text=record.question,
        kind=record.kind,
        asked_at=None if asked_at is None else zoned(asked_at, "asked_at"),
        golds={PUBLISHED: make_gold(evidence, sessions)},
        answerable=not record.unanswerable,
        expected=ExpectedAnswer(
            answers=tuple(record.answers),
            stale=tuple(record.stale),
            stale_turns=_check_ids("stale_evidence", record.stale_evidence, sessions),
            steps=_check_ids("steps", record.steps, sessions),
            foils=tuple(record.foils),
        ),
        after=record.after,
    )


def _check_ids(key: str, ids: list[str], sessions: Mapping[str, str]) -> tuple[str, ...]:
    if unknown := [id for id in ids if id not in sessions]:
        raise InvalidInput(f"{key!r} names {unknown[0]!r}, and no turn has that id")
    return tuple(dict.fromkeys(ids))
