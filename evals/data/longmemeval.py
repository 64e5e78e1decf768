"""LongMemEval (Wu et al., ICLR 2025) as haystacks: every question has a memory of its own.

The file is given by path and is not part of the repository: it is at
https://github.com/xiaowu0162/LongMemEval (MIT). The official script indexes user turns only; here
both roles are indexed, because some answers were the assistant's.
"""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast

from evals.data.haystack import (
    PUBLISHED,
    Asked,
    DataSet,
    Expected,
    Gold,
    Haystack,
    Split,
    member,
    sha256,
    split_by_hash,
    unique,
    usable,
)
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.records import Role

_ABSTAIN = "_abs"  # in the id of a question that the haystack does not answer
_GZIP = b"\x1f\x8b"
_DATE = re.compile(r"(\d{4}/\d\d/\d\d)(?: \(\w+\))?(?: (\d\d:\d\d))?")  # 2023/05/20 (Sat) 02:21
_NOTES = (
    "user and assistant turns are both indexed; sessions in the order of their dates",
    "tuning: questions with crc32(question_id) divisible by 3, answerable or not, the same ones in "
    "every file of LongMemEval; the others are reported",
    "a question sees what was said until the end of its day: on that day the file's times of "
    "question and evidence contradict each other",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    id: str  # as the file has it
    unique: str  # another one for a second session of that id
    began: datetime
    turns: list[Any]


def read(path: Path, *, limit: int | None = None) -> DataSet:
    """Read a LongMemEval file: a JSON list or JSON lines, plain or gzipped.

    Args:
        path: such as longmemeval_s_cleaned.json or s-dev.jsonl.gz.
        limit: only so many questions, the first ones.

    Raises:
        InvalidInput: the file cannot be read or has another shape; the message says where.
    """
    digest = sha256(path)
    counts: dict[Split, Counter[str]] = {"tuning": Counter(), "report": Counter()}
    haystacks = []
    try:
        for n, record in enumerate(islice(_records(path), limit)):
            haystacks.append(_haystack(record, f"question {n + 1}", counts))
    except InvalidInput as error:
        raise InvalidInput(
            f"{path} is not a LongMemEval file: {error}; for LoCoMo's shape say locomo={path}"
        ) from error
    names = unique(haystack.name for haystack in haystacks)
    if names != [haystack.name for haystack in haystacks]:
        raise InvalidInput(f"{path} has two questions of one question_id; make them unique")
    return DataSet(
        format="longmemeval",
        file=path.name,
        sha256=digest,
        haystacks=usable(haystacks, counts),
        notes=_NOTES,
        counts=counts,
    )


def _records(path: Path) -> Iterator[object]:
    """Yield the file's records; JSON lines are read one by one."""
    with path.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
    with gzip.open(path) if packed else path.open("rb") as file:
        try:
            start = file.read(1)
            while start.isspace():
                start = file.read(1)
            file.seek(0)
            if start == b"[":
                yield from json.load(file)
                return
            for n, line in enumerate(file, start=1):
                if line.strip():
                    yield _line(line, n)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidInput(f"damaged gzip: {error}") from error
        except ValueError as error:
            raise error if isinstance(error, InvalidInput) else InvalidInput(f"{error}") from error


def _line(line: bytes, n: int) -> object:
    try:
        return cast(object, json.loads(line))
    except ValueError as error:
        raise InvalidInput(f"line {n}: {error}") from error


def _haystack(
    record: object, where: str, counts_by_split: Mapping[Split, Counter[str]]
) -> Haystack:
    id = member(record, "question_id", str, where)
    where = f"{where} ({id})"
    split = split_by_hash(id)
    counts = counts_by_split[split]
    answerable = _ABSTAIN not in id
    sessions = _sessions(record, where, counts)
    turns: list[Turn] = []
    evidence: list[str] = []
    for session in sessions:
        for n, said in enumerate(session.turns):
            here = f"{where}, session {session.id}, turn {n + 1}"
            turn = _turn(said, session, n, here)
            marked = bool(said.get("has_answer"))
            counts["empty turns, dropped"] += turn is None
            counts["empty turns that are evidence, dropped"] += turn is None and marked
            if turn is None:
                continue
            turns.append(turn)
            evidence += [turn.id or ""] if marked else []
    known = {session.id for session in sessions}
    cited = list(dict.fromkeys(map(str, member(record, "answer_session_ids", list, where))))
    gold = Gold(turns=tuple(evidence), sessions=tuple(one for one in cited if one in known))
    asked = Asked(
        id=id,
        text=member(record, "question", str, where),
        kind=member(record, "question_type", str, where),
        asked_at=_asked_at(record, where),
        golds={PUBLISHED: gold},
        answerable=answerable,
        expected=Expected(answers=_answers(record) if answerable else ()),
    )
    _count(asked, turns, len(cited), counts)
    return Haystack(name=id, split=split, turns=turns, questions=[asked])


def _answers(record: object) -> tuple[str, ...]:
    """Return the file's answer; it does not say which earlier answer no longer holds."""
    answer = record.get("answer") if isinstance(record, dict) else None
    return () if answer is None else (str(answer),)


def _count(asked: Asked, turns: list[Turn], cited: int, counts: Counter[str]) -> None:
    gold = asked.golds[PUBLISHED]
    counts["answer sessions that are not in the haystack, dropped"] += cited - len(gold.sessions)
    counts["answerable questions without evidence turns, scored by session only"] += bool(
        asked.answerable and not gold.turns and gold.sessions
    )
    counts["answerable questions without any evidence, not scored"] += bool(
        asked.answerable and not gold.turns and not gold.sessions
    )
    late = {
        turn.id
        for turn in turns
        if asked.asked_at and turn.said_at and turn.said_at > asked.asked_at
    }
    counts["turns said after the question's day, hidden from every system"] += len(late)
    counts["evidence turns among them, which nothing can find"] += len(late & set(gold.turns))


def _sessions(record: object, where: str, counts: Counter[str]) -> list[_Session]:
    """Return the sessions in the order of their dates."""
    ids = [str(id) for id in member(record, "haystack_session_ids", list, where)]
    dates = member(record, "haystack_dates", list, where)
    given = member(record, "haystack_sessions", list, where)
    if not len(ids) == len(dates) == len(given):
        raise InvalidInput(
            f"{where} has {len(given)} sessions, {len(ids)} session ids and {len(dates)} dates"
        )
    found = []
    for id, name, date, turns in zip(ids, unique(ids), dates, given, strict=True):
        here = f"{where}, session {id}"
        if not isinstance(turns, list):
            raise InvalidInput(f"{here} is {type(turns).__name__}, not list")
        found.append(_Session(id=id, unique=name, began=_date(date, here), turns=turns))
    ordered = sorted(found, key=lambda session: session.began)
    counts["haystacks whose sessions were out of order, sorted"] += ordered != found
    counts["sessions whose id occurs before, kept under ids of their own"] += sum(
        session.id != session.unique for session in found
    )
    return ordered


def _turn(said: Any, session: _Session, n: int, where: str) -> Turn | None:
    """Return a turn, or None for an empty one."""
    text = member(said, "content", str, where)
    if not text.strip():
        return None
    role = member(said, "role", str, where)
    try:
        return Turn(
            text=text,
            role=cast(Role, role),
            id=f"{session.unique}#{n}",
            said_at=session.began + timedelta(seconds=n),
            session_id=session.id,
        )
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error


def _asked_at(record: object, where: str) -> datetime | None:
    """Return the last moment of the question's day; None if the file does not say."""
    if not isinstance(record, dict) or record.get("question_date") is None:
        return None
    day = _date(record["question_date"], f"{where}, question_date")
    return day.replace(hour=23, minute=59, second=59, microsecond=999_999)


def _date(text: object, where: str) -> datetime:
    found = _DATE.fullmatch(str(text))
    try:
        if found is not None:
            time = found[2] or "00:00"
            return datetime.strptime(f"{found[1]} {time}", "%Y/%m/%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        pass  # a day that no month has
    raise InvalidInput(f'{where}: date {text!r} is not like "2023/05/20 (Sat) 02:21"')
