"""Your own conversations and questions: JSON lines, one conversation each, plain or gzipped.

    {"id": "ann", "split": "report",
     "turns": [{"id": "t0", "role": "user", "name": "Ann", "text": "I moved to Oslo.",
                "said_at": "2024-05-01T09:00:00+00:00", "session_id": "s0"}],
     "questions": [{"id": "q0", "question": "Where do I live?", "answers": ["Oslo"],
                    "evidence": ["t0"], "kind": "fact", "asked_at": "2024-06-01T00:00:00+00:00",
                    "stale": [], "stale_evidence": [], "foils": ["Rome"], "steps": [],
                    "unanswerable": false, "after": 1}],
     "forget": []}

Only the texts of turns and questions have to be given. Ids left out are made from the place in the
file; a question left without "after" is asked when its evidence is in, one without "asked_at" knows
all that was said. "steps" are turn ids in the order of what happened, "forget" those that the user
has deleted before anything is asked. An unknown key is an error, since it may be a misspelt one.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.data.haystack import (
    PUBLISHED,
    SPLITS,
    Asked,
    DataSet,
    Expected,
    Gold,
    Haystack,
    Split,
    sha256,
    usable,
)
from memkit import Turn
from memkit.errors import InvalidInput
from memkit.ingest import parse_time
from memkit.records import zoned

_GZIP = b"\x1f\x8b"
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
    counts: dict[Split, Counter[str]] = {"tuning": Counter(), "report": Counter()}
    haystacks: list[Haystack] = []
    names: set[str] = set()
    for n, line in _lines(path):
        try:
            haystack = _haystack(_json(line), n)
            for name in (haystack.name, *(question.id for question in haystack.questions)):
                if name in names:
                    raise InvalidInput(f"id {name!r} is taken; ids are unique in a file")
                names.add(name)
        except InvalidInput as error:
            raise InvalidInput(f"{path}, line {n}: {error}") from error
        counts[haystack.split]["conversations without questions, dropped"] += bool(
            not haystack.questions
        )
        haystacks.append(haystack)
    return DataSet(
        format="jsonl",
        file=path.name,
        sha256=digest,
        haystacks=usable(haystacks, counts),
        counts=counts,
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
    with gzip.open(path) if packed else path.open("rb") as file:
        try:
            for n, line in enumerate(file, start=1):
                if line.strip():
                    yield n, line.removeprefix(b"\xef\xbb\xbf")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidInput(f"{path} is a damaged gzip file: {error}") from error


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON: {error}") from error


# ---- a line


def _haystack(record: object, n: int) -> Haystack:
    one = _object(record, _CONVERSATION, "a conversation")
    name = _string(one, "id", f"conversation-{n}")
    split = _string(one, "split", "report")
    if split not in SPLITS:
        raise InvalidInput(f"split {split!r} is neither of {' and '.join(SPLITS)}")
    turns = [_turn(turn, m) for m, turn in enumerate(_list(one, "turns"))]
    session = {turn.id or "": turn.session_id or "" for turn in turns}
    if len(session) != len(turns):
        twice = Counter(turn.id for turn in turns).most_common(1)[0][0]
        raise InvalidInput(f"two turns have the id {twice!r}; make them unique")
    dated = all(turn.said_at is not None for turn in turns)
    return Haystack(
        name=name,
        split="tuning" if split == "tuning" else "report",
        turns=turns,
        questions=[
            _asked(question, f"{name}/q{m}", session, dated)
            for m, question in enumerate(_list(one, "questions"))
        ],
        forgotten=_ids(one, "forget", session),
    )


def _turn(record: object, n: int) -> Turn:
    where = f"turn {n + 1}"
    one = _object(record, _TURN, where)
    try:
        return Turn(
            text=one.get("text"),  # type: ignore[arg-type]  # checked by Turn
            role=one.get("role", "user"),
            id=_string(one, "id", f"t{n}"),
            name=one.get("name"),
            said_at=parse_time(one.get("said_at")),
            session_id=_string(one, "session_id", "s0"),
        )
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error


def _asked(record: object, id: str, session: Mapping[str, str], dated: bool) -> Asked:
    one = _object(record, _QUESTION, "a question")
    id = _string(one, "id", id)
    try:
        evidence = _ids(one, "evidence", session)
        asked_at = parse_time(one.get("asked_at"))
        if asked_at is not None and not dated:
            raise InvalidInput("it has asked_at, and not every turn has said_at; give both")
        return Asked(
            id=id,
            text=_string(one, "question", None),
            kind=_string(one, "kind", "question"),
            asked_at=None if asked_at is None else zoned(asked_at, "asked_at"),
            golds={
                PUBLISHED: Gold(
                    turns=evidence,
                    sessions=tuple(dict.fromkeys(session[turn] for turn in evidence)),
                )
            },
            answerable=not _flag(one, "unanswerable"),
            expected=Expected(
                answers=_strings(one, "answers"),
                stale=_strings(one, "stale"),
                stale_turns=_ids(one, "stale_evidence", session),
                steps=_ids(one, "steps", session),
                foils=_strings(one, "foils"),
            ),
            after=_after(one, len(session)),
        )
    except InvalidInput as error:
        raise InvalidInput(f"question {id}: {error}") from error


# ---- what stands in it


def _object(record: object, keys: Sequence[str], what: str) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise InvalidInput(f"{what} is {type(record).__name__}, not an object")
    if unknown := sorted(set(record) - set(keys)):
        raise InvalidInput(f"{what} has no key {unknown[0]!r}; it may have {', '.join(keys)}")
    return {key: value for key, value in record.items() if value is not None}


def _string(one: Mapping[str, Any], key: str, default: str | None) -> str:
    value = one.get(key, default)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id that is a number
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{key!r} is a string that is not empty, got {value!r}")
    return value


def _list(one: Mapping[str, Any], key: str) -> list[Any]:
    value = one.get(key, [])
    if not isinstance(value, list):
        raise InvalidInput(f"{key!r} is a list, got {type(value).__name__}")
    return value


def _strings(one: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of strings; one string or number stands for a list of it."""
    value = one.get(key, [])
    values = value if isinstance(value, list) else [value]
    for text in values:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise InvalidInput(f"{key!r} holds strings, got {text!r}")
    return tuple(str(text) for text in values)


def _ids(one: Mapping[str, Any], key: str, session: Mapping[str, str]) -> tuple[str, ...]:
    ids = dict.fromkeys(_strings(one, key))
    if unknown := [id for id in ids if id not in session]:
        raise InvalidInput(f"{key!r} names {unknown[0]!r}, and no turn has that id")
    return tuple(ids)


def _flag(one: Mapping[str, Any], key: str) -> bool:
    value = one.get(key, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{key!r} is true or false, got {value!r}")
    return value


def _after(one: Mapping[str, Any], turns: int) -> int | None:
    value = one.get("after")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= turns:
        raise InvalidInput(f"'after' is a number of turns, 1 to {turns}, got {value!r}")
    return value
