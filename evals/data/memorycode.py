"""MemoryCode (Rakotonirina et al. 2025) as dialogues, and the instructions revised in them.

The file is given by path and is not part of the repository: https://github.com/apple/ml-memory-code
(Apache-2.0). A mentor sets conventions for code and revises them sessions later, among fillers.

A pivot is an instruction that has versions. Its query is made from the words that the topics of its
versions have in common; what they do not share is the value, which the query must not name.
"always start function names with 'a_'", later with 'b_', gives "Start function names with: what?".
"""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from evals.data.haystack import Split, member, split_by_hash
from memkit import Turn
from memkit.errors import InvalidInput

START = datetime(2024, 1, 8, 9, tzinfo=UTC)
_MARKS = "'\"`“”‘’"
_PARAGRAPHS = re.compile(r"\n\s*\n")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # of "CamelCase", "snake_case", "VSCode"
_POLAR = frozenset(["always", "never", "not"])
_OUTSIDE = frozenset(["all", "the", "a", "an"])  # at the edge of a value and not part of it

Kind = Literal["instruction", "filler"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One value of a pivot: how it is recognised, and in which sessions it was set."""

    value: str
    pattern: re.Pattern[str]
    sessions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """An instruction that was revised. The last version is the one that holds."""

    id: str
    kind: Kind
    what: str  # "function argument"; "" where it is no convention for names
    query: str
    current: Version
    stale: tuple[Version, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A mentor's and a mentee's sessions, a day apart, and what was revised in them."""

    id: str
    split: Split
    turns: Sequence[Turn]
    pivots: Sequence[Pivot]
    unmarked: int  # revised fillers whose values no literal tells apart


def read(path: Path, *, limit: int | None = None) -> list[Dialogue]:
    """Read a MemoryCode file, JSON lines, plain or gzipped.

    Args:
        path: such as dialogues.jsonl.gz.
        limit: only so many dialogues, the first ones.

    Raises:
        InvalidInput: the file cannot be read or has another shape; the message says where.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            lines = [line for line in islice(file, limit) if line.strip()]
        return [_dialogue(json.loads(line), n) for n, line in enumerate(lines)]
    except (OSError, ValueError) as error:  # the second: not JSON, not UTF-8, or of ours
        raise InvalidInput(f"{path} is not a MemoryCode file: {error}") from error


def _dialogue(record: Any, n: int) -> Dialogue:
    where = f"dialogue {n + 1}"
    context = member(record, "context", dict, where)
    people = [member(context, key, str, f"{where}, context") for key in ("mentor", "mentee")]
    sessions = member(record, "sessions", list, where)
    given = list(_given(record, sessions, where))
    pivots = [_pivot(key, [one for one in given if one[0] == key]) for key in _revised(given)]
    id = str(record.get("dialogue_id", n + 1))
    return Dialogue(
        id=id,
        split=split_by_hash(id),
        turns=[turn for m, one in enumerate(sessions) for turn in _turns(one, m, people, where)],
        pivots=[one for one in pivots if one is not None],
        unmarked=sum(one is None for one in pivots),
    )


# ---- what is said


def _turns(session: Any, n: int, people: Sequence[str], where: str) -> Iterator[Turn]:
    """Yield a session's paragraphs as turns; one without a speaker goes with the one before."""
    speaker = re.compile(rf"\s*({'|'.join(map(re.escape, people))}):\s*")
    said: list[list[str]] = []
    for paragraph in _PARAGRAPHS.split(member(session, "text", str, f"{where}, session {n + 1}")):
        match = speaker.match(paragraph)
        text = paragraph[match.end() if match else 0 :].strip()
        if match or not said:
            said.append([match[1] if match else people[0], text])
        elif text:
            said[-1][1] += f"\n\n{text}"
    began = START + timedelta(days=n)
    for m, (name, text) in enumerate(said):
        if text:
            yield Turn(
                id=f"s{n}:{m}", text=text, role="user", name=name, session_id=f"s{n}",
                said_at=began + timedelta(seconds=m),
            )  # fmt: skip


# ---- what is revised

_Given = tuple[str, str, str, str]  # pivot, session, topic, what it is of


def _given(record: Any, sessions: Sequence[Any], where: str) -> Iterator[_Given]:
    """Yield all instructions in the order they were given."""
    instructions = member(record, "instructions", list, where)
    fillers = member(record, "fillers", list, where)
    for n, one in enumerate(sessions):
        here = f"{where}, session {n + 1}"
        topics = list(zip(member(one, "type", list, here), one["topic"], strict=True))
        set_here = [topic for kind, topic in topics if kind.startswith("instruction")]
        ids = [id for id in instructions[n] if id != -1]
        told = [str(expression[0]) for expression in one["session_regex"]]
        for (id, _), topic, what in zip(ids, set_here, told, strict=True):
            yield f"i{id}", f"s{n}", topic, what
        for kind, topic in topics:
            if kind.startswith("filler-instruction"):
                yield f"f{fillers[n]}", f"s{n}", topic, ""


def _revised(given: Sequence[_Given]) -> list[str]:
    topics: dict[str, set[str]] = {}
    for id, _, topic, _ in given:
        topics.setdefault(id, set()).add(topic)
    return [id for id, known in topics.items() if len(known) > 1]


def _pivot(id: str, given: Sequence[_Given]) -> Pivot | None:
    """Return a revised pivot; None for a filler whose values are neither names nor numbers."""
    sessions: dict[str, list[str]] = {}
    for _, session, topic, _ in given:
        sessions.setdefault(topic, []).append(session)
    shared = common(list(sessions))
    values = {topic: value(topic, shared) for topic in sessions}
    kind: Kind = "instruction" if id.startswith("i") else "filler"
    if not all(values.values()) or (
        kind == "filler"
        and not all(one[0].isupper() or one[0].isdigit() for one in values.values())
    ):
        return None
    versions = {
        topic: Version(value=one, pattern=literal(one), sessions=frozenset(sessions[topic]))
        for topic, one in values.items()
    }
    last = given[-1][2]
    return Pivot(
        id=id,
        kind=kind,
        what=given[-1][3],
        query=question(shared),
        current=versions[last],
        stale=tuple(one for topic, one in versions.items() if topic != last),
    )


def _told(value: str) -> bool:
    """Return whether a value is a name or a number, which a text says to the letter."""
    return value[0].isupper() or value[0].isdigit()


def common(topics: Sequence[str]) -> list[str]:
    """Return the words that all topics have, in order.

    >>> common(["use Skype for video calls", "use Google Meet for video calls"])
    ['use', 'for', 'video', 'calls']
    """
    shared = topics[0].split()
    for topic in topics[1:]:
        shared = _subsequence(shared, topic.split())
    return shared


def _subsequence(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """Return the longest common subsequence."""
    best: list[list[list[str]]] = [[[] for _ in range(len(other) + 1)] for _ in range(len(one) + 1)]
    for n, word in enumerate(one):
        for m, same in enumerate(other):
            longer = max(best[n][m + 1], best[n + 1][m], key=len)
            best[n + 1][m + 1] = [*best[n][m], word] if word == same else longer
    return best[-1][-1]


def value(topic: str, shared: Sequence[str]) -> str:
    """Return what a topic has and not all versions do: the words between the shared ones.

    >>> value("use all UPPERCASE for class names", ["use", "for", "class", "names"])
    'UPPERCASE'
    >>> value("never use a linter", ["use", "a", "linter"])
    ''
    """
    words, left = topic.split(), list(shared)
    own = []
    for word in words:
        if left and word == left[0]:
            left.pop(0)
        else:
            own.append(word.strip(_MARKS))
    while own and own[0] in _OUTSIDE:
        own.pop(0)
    while own and own[-1] in _OUTSIDE:
        own.pop()
    return "" if _POLAR & set(own) else " ".join(own)


def question(shared: Sequence[str]) -> str:
    """Return the query that asks for a pivot's value.

    >>> question(["always", "start", "function", "names", "with"])
    'Start function names with: what?'
    """
    text = " ".join(word for word in shared if word not in _POLAR)
    return f"{text[:1].upper()}{text[1:]}: what?"


def literal(value: str) -> re.Pattern[str]:
    """Return what finds a value in a text: a prefix or suffix to the letter, words as written.

    >>> bool(literal("a_").search("from 'a_' on")), bool(literal("a_").search("data_x"))
    (True, False)
    >>> bool(literal("CamelCase").search("in camel case, please"))
    True
    """
    if value.endswith("_"):
        return re.compile(rf"(?<!\w){re.escape(value)}")
    if value.startswith("_"):
        return re.compile(rf"{re.escape(value)}(?!\w)")
    parts = _PARTS.findall(value)
    written = r"[\s_-]*".join(parts)
    return re.compile(rf"(?<!\w){written}(?!\w)", re.IGNORECASE)
