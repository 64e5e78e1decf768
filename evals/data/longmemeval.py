"""LongMemEval (Wu et al., ICLR 2025) as haystacks: every question has a memory of its own.

The file is given by path and is not part of the repository: it is at
https://github.com/xiaowu0162/LongMemEval (MIT). The official script indexes user turns only; here
both roles are indexed, because the assistant said some of the answers.
"""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from evals.data import files
from evals.data.haystack import PUBLISHED, Counts, DataSet, ExpectedAnswer, Gold, Haystack, Question
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.records import Role

_ABSTAIN = "_abs"  # in the id of a question that the haystack does not answer
_DATE = re.compile(r"(\d{4}/\d\d/\d\d)(?: \(\w+\))?(?: (\d\d:\d\d))?")  # 2023/05/20 (Sat) 02:21
_NOTES = (
    "user and assistant turns are both indexed; sessions in the order of their dates",
    "tuning: questions with crc32(question_id) divisible by 3, answerable or not, the same ones in "
    "every file of LongMemEval; the others are reported",
    "a question sees what was said until the end of its day: on that day the file's times of "
    "question and evidence contradict each other",
)


class _Session(NamedTuple):
    id: str  # as the file has it
    unique: str  # differs from `id` for a second session of the same id
    began: datetime
    turns: list[Any]


def read(path: Path, *, limit: int | None = None) -> DataSet:
    """Read a LongMemEval file: a JSON list or JSON lines, plain or gzipped.

    With `limit`, only so many questions, the first ones.

    Raises:
        InvalidInput: the file cannot be read or has another shape; the message says where.
    """
    counts = files.new_counts()
    with files.at(f"{path} is not a LongMemEval file"):
        records = enumerate(islice(files.read_json_lines(path), limit), start=1)
        haystacks = [_read_haystack(record, f"question {n}", counts) for n, (_, record) in records]
    return files.make_data_set(path, haystacks, counts, format="longmemeval", notes=_NOTES)


def _read_haystack(record: Any, where: str, counts_by_split: Counts) -> Haystack:
    id = files.member(record, "question_id", str, where)
    where = f"{where} ({id})"
    split = files.split_by_hash(id)
    counts = counts_by_split[split]
    answerable = _ABSTAIN not in id
    sessions = _read_sessions(record, where, counts)
    turns: list[Turn] = []
    evidence: list[str] = []
    for session in sessions:
        for n, message in enumerate(session.turns):
            turn = _read_turn(message, session, n, f"{where}, session {session.id}, turn {n + 1}")
            is_evidence = bool(message.get("has_answer"))
            counts["empty turns, dropped"] += turn is None
            counts["empty turns that are evidence, dropped"] += turn is None and is_evidence
            if turn is not None:
                turns.append(turn)
                evidence += [turn.id or ""] if is_evidence else []
    ids = {session.id for session in sessions}
    cited = list(dict.fromkeys(map(str, files.member(record, "answer_session_ids", list, where))))
    answer = record.get("answer")  # the file does not say which earlier answer no longer holds
    answers = (str(answer),) if answerable and answer is not None else ()
    question = Question(
        id=id,
        text=files.member(record, "question", str, where),
        kind=files.member(record, "question_type", str, where),
        asked_at=_read_time_of_asking(record, where),
        golds={
            PUBLISHED: Gold(turns=tuple(evidence), sessions=tuple(id for id in cited if id in ids))
        },
        answerable=answerable,
        expected=ExpectedAnswer(answers=answers),
    )
    _count_oddities(question, turns, len(cited), counts)
    return Haystack(name=id, split=split, turns=turns, questions=[question])


def _count_oddities(
    question: Question, turns: list[Turn], cited: int, counts: Counter[str]
) -> None:
    gold = question.golds[PUBLISHED]
    counts["answer sessions that are not in the haystack, dropped"] += cited - len(gold.sessions)
    odd, by_session = question.answerable and not gold.turns, bool(gold.sessions)
    key = "answerable questions without evidence turns, scored by session only"
    counts[key] += odd and by_session
    counts["answerable questions without any evidence, not scored"] += odd and not by_session
    asked_at = question.asked_at
    late = {turn.id for turn in turns if asked_at and turn.said_at and turn.said_at > asked_at}
    counts["turns said after the question's day, hidden from every system"] += len(late)
    counts["evidence turns among them, which nothing can find"] += len(late & set(gold.turns))


def _read_sessions(record: Any, where: str, counts: Counter[str]) -> list[_Session]:
    ids = [str(id) for id in files.member(record, "haystack_session_ids", list, where)]
    dates = files.member(record, "haystack_dates", list, where)
    contents = files.member(record, "haystack_sessions", list, where)
    if not len(ids) == len(dates) == len(contents):
        raise InvalidInput(
            f"{where} has {len(contents)} sessions, {len(ids)} session ids and {len(dates)} dates"
        )
    sessions = []
    for id, unique, date, turns in zip(ids, files.make_unique(ids), dates, contents, strict=True):
        here = f"{where}, session {id}"
        if not isinstance(turns, list):
            raise InvalidInput(f"{here} is {type(turns).__name__}, not list")
        sessions.append(_Session(id=id, unique=unique, began=_read_date(date, here), turns=turns))
    ordered = sorted(sessions, key=lambda session: session.began)
    counts["haystacks whose sessions were out of order, sorted"] += ordered != sessions
    counts["sessions whose id occurs before, kept under ids of their own"] += sum(
        session.id != session.unique for session in sessions
    )
    return ordered


def _read_turn(message: Any, session: _Session, n: int, where: str) -> Turn | None:
    text = files.member(message, "content", str, where)
    if not text.strip():
        return None
    role = cast(Role, files.member(message, "role", str, where))
    with files.at(where):
        return Turn(
            text=text,
            role=role,
            id=f"{session.unique}#{n}",
            said_at=session.began + timedelta(seconds=n),  # only sessions have a time in the file
            session_id=session.id,
        )


def _read_time_of_asking(record: Any, where: str) -> datetime | None:
    """Return the last moment of the question's day; None if the file does not say."""
    if record.get("question_date") is None:
        return None
    day = _read_date(record["question_date"], f"{where}, question_date")
    return day.replace(hour=23, minute=59, second=59, microsecond=999_999)


def _read_date(text: object, where: str) -> datetime:
    match = _DATE.fullmatch(str(text))
    try:
        if match is not None:
            time = match[2] or "00:00"
            return datetime.strptime(f"{match[1]} {time}", "%Y/%m/%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        pass  # such as 30 February
    raise InvalidInput(f'{where}: date {text!r} is not like "2023/05/20 (Sat) 02:21"')
