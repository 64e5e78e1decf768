"""MemoryCode (Rakotonirina et al. 2025): dialogues, and questions about revised instructions.

The file is given by path and is not part of the repository: https://github.com/apple/ml-memory-code
(Apache-2.0). A mentor sets conventions for code and revises them sessions later, among fillers.

A pivot is an instruction that has several versions. Its query is made from the words that the
topics of all versions share; the other words are the value, which the query must not contain.
"always start function names with 'a_'", later with 'b_', gives "Start function names with: what?".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from pathlib import Path
from typing import Any, NamedTuple

from evals.data import files
from evals.data.haystack import (
    PUBLISHED,
    DataSet,
    ExpectedAnswer,
    Haystack,
    Question,
    VersionName,
    make_gold,
    sessions_by_turn,
)
from memkit import Turn

START = datetime(2024, 1, 8, 9, tzinfo=UTC)  # the file has no dates; sessions are a day apart
# stripped from a value: "start names with 'a_'" sets a_
_QUOTES = "'\"`“”‘’"
_PARAGRAPHS = re.compile(r"\n\s*\n")  # an empty line between two paragraphs
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # of "CamelCase", "snake_case", "VSCode"
_POLAR = frozenset(["always", "never", "not"])  # a difference in these is no value
_EDGES = frozenset(["all", "the", "a", "an"])  # not part of a value at its beginning or end
# The kinds of names that a statement is about: "function arguments end with _x" is about arguments.
_TARGETS: Mapping[str, re.Pattern[str]] = {
    "function argument": re.compile(r"\b(?:argument|parameter)s?\b", re.IGNORECASE),
    "function": re.compile(r"\bfunctions?\b(?! (?:argument|parameter))", re.IGNORECASE),
    "method": re.compile(r"\bmethods?\b(?! (?:argument|parameter))", re.IGNORECASE),
    "attribute": re.compile(r"\battributes?\b", re.IGNORECASE),
    "variable": re.compile(r"\bvariables?\b", re.IGNORECASE),
    "class": re.compile(r"\bclass(?:es)?\b(?! attribute)", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One value of a pivot, the pattern that matches it, and the sessions that set it."""

    value: str
    pattern: re.Pattern[str]
    sessions: frozenset[str]

    def matches(self, text: str, sessions: Iterable[str]) -> bool:
        """Return whether a text from these sessions gives the value, and one of them set it."""
        return not self.sessions.isdisjoint(sessions) and self.pattern.search(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """A revised instruction. The last version is the current one."""

    id: str
    kind: str  # "instruction" or "filler"
    target: str  # such as "function argument"; "" if it is no convention for names
    query: str
    current: Version
    stale: tuple[Version, ...]

    def version_of(
        self, session_of: Mapping[str, str], text: str, turn_ids: Sequence[str]
    ) -> VersionName | None:
        """Return the version that a derived statement gives; the current one if it gives both.

        A statement that names kinds of names, but not the pivot's, is about another pivot.
        `session_of` gives the session of every turn id, `turn_ids` are the statement's sources.
        """
        kinds = [kind for kind, pattern in _TARGETS.items() if pattern.search(text)]
        if self.target in _TARGETS and kinds and self.target not in kinds:
            return None
        sessions = [session_of[turn] for turn in turn_ids]
        if self.current.matches(text, sessions):
            return "current"
        return "stale" if any(old.matches(text, sessions) for old in self.stale) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """The sessions of a mentor and a mentee, a day apart, and what was revised in them."""

    id: str
    turns: Sequence[Turn]
    pivots: Sequence[Pivot]
    unmarked: int  # revised fillers with values that no literal tells apart


def read(path: Path) -> DataSet:
    """Read a MemoryCode file: every revised instruction is asked for as it is at the end.

    Evidence are the turns that say the current value in a session that set it; stale turns are
    those that say an earlier one.

    Raises:
        InvalidInput: the file cannot be read or has another shape.
    """
    counts = files.new_counts()
    haystacks = []
    for dialogue in read_dialogues(path):
        split = files.split_by_hash(dialogue.id)
        count = counts[split]
        count["revised fillers whose values no literal tells apart, dropped"] += dialogue.unmarked
        count["dialogues in which nothing is revised, dropped"] += not dialogue.pivots
        haystacks.append(
            Haystack(
                name=dialogue.id,
                split=split,
                turns=dialogue.turns,
                questions=[_make_question(pivot, dialogue) for pivot in dialogue.pivots],
            )
        )
    notes = ("tuning: dialogues with crc32(dialogue_id) divisible by 3; others are reported",)
    return files.make_data_set(path, haystacks, counts, format="memorycode", notes=notes)


def read_dialogues(path: Path) -> list[Dialogue]:
    """Read a MemoryCode file, JSON lines, plain or gzipped; `InvalidInput` says what is wrong."""
    with files.at(f"{path} is not a MemoryCode file"):
        records = enumerate(files.read_json_lines(path), start=1)
        return [_read_dialogue(record, n) for n, (_, record) in records]


def _read_dialogue(record: Any, n: int) -> Dialogue:
    where = f"dialogue {n}"
    context = files.member(record, "context", dict, where)
    people = [files.member(context, key, str, f"{where}, context") for key in ("mentor", "mentee")]
    sessions = files.member(record, "sessions", list, where)
    by_id: dict[str, list[_Instruction]] = {}
    for instruction in _read_instructions(record, sessions, where):
        by_id.setdefault(instruction.id, []).append(instruction)
    pivots = [
        _make_pivot(versions)
        for versions in by_id.values()
        if len({version.topic for version in versions}) > 1
    ]
    return Dialogue(
        id=str(record.get("dialogue_id", n)),
        turns=[
            turn
            for m, session in enumerate(sessions)
            for turn in _read_turns(session, m, people, where)
        ],
        pivots=[pivot for pivot in pivots if pivot is not None],
        unmarked=pivots.count(None),
    )


def _read_turns(session: Any, n: int, people: Sequence[str], where: str) -> Iterator[Turn]:
    """Yield a session's paragraphs as turns; one without a speaker continues the one before."""
    speaker = re.compile(rf"\s*({'|'.join(map(re.escape, people))}):\s*")  # "Emma: "
    messages: list[list[str]] = []
    for paragraph in _PARAGRAPHS.split(
        files.member(session, "text", str, f"{where}, session {n + 1}")
    ):
        match = speaker.match(paragraph)
        text = paragraph[match.end() if match else 0 :].strip()
        if match or not messages:
            messages.append([match[1] if match else people[0], text])
        elif text:
            messages[-1][1] += f"\n\n{text}"
    began = START + timedelta(days=n)
    for m, (name, text) in enumerate(messages):
        if text:
            yield Turn(
                id=f"s{n}:{m}", text=text, role="user", name=name, session_id=f"s{n}",
                said_at=began + timedelta(seconds=m),
            )  # fmt: skip


# ---- revised instructions


class _Instruction(NamedTuple):
    id: str  # "i10" of an instruction, "f3" of a filler
    session: str
    topic: str  # "always start function names with 'a_'"
    target: str


def _read_instructions(record: Any, sessions: Sequence[Any], where: str) -> Iterator[_Instruction]:
    instructions = files.member(record, "instructions", list, where)
    fillers = files.member(record, "fillers", list, where)
    for n, session in enumerate(sessions):
        here = f"{where}, session {n + 1}"
        topics = list(zip(files.member(session, "type", list, here), session["topic"], strict=True))
        new = [topic for kind, topic in topics if kind.startswith("instruction")]
        ids = [id for id in instructions[n] if id != -1]
        targets = [str(expression[0]) for expression in session["session_regex"]]
        for (id, _), topic, target in zip(ids, new, targets, strict=True):
            yield _Instruction(f"i{id}", f"s{n}", topic, target)
        for kind, topic in topics:
            if kind.startswith("filler-instruction"):
                yield _Instruction(f"f{fillers[n]}", f"s{n}", topic, "")


def _make_pivot(instructions: Sequence[_Instruction]) -> Pivot | None:
    last = instructions[-1]
    sessions: dict[str, list[str]] = {}
    for instruction in instructions:
        sessions.setdefault(instruction.topic, []).append(instruction.session)
    shared = reduce(common_words, map(str.split, sessions))
    values = {topic: extract_value(topic, shared) for topic in sessions}
    is_filler = last.id.startswith("f")
    if not all(values.values()) or (
        is_filler and not all(value[0].isupper() or value[0].isdigit() for value in values.values())
    ):
        return None
    versions = {
        topic: Version(
            value=value, pattern=literal_pattern(value), sessions=frozenset(sessions[topic])
        )
        for topic, value in values.items()
    }
    return Pivot(
        id=last.id,
        kind="filler" if is_filler else "instruction",
        target=last.target,
        query=make_query(shared),
        current=versions.pop(last.topic),
        stale=tuple(versions.values()),
    )


def _make_question(pivot: Pivot, dialogue: Dialogue) -> Question:
    session_of = sessions_by_turn(dialogue.turns)

    def turns_with(version: Version) -> list[str]:
        return [
            turn.id or ""
            for turn in dialogue.turns
            if version.matches(turn.text, [turn.session_id or ""])
        ]

    return Question(
        id=f"{dialogue.id}/{pivot.id}",
        text=pivot.query,
        kind=pivot.kind,
        golds={PUBLISHED: make_gold(turns_with(pivot.current), session_of)},
        expected=ExpectedAnswer(
            answers=(pivot.current.value,),
            stale=tuple(version.value for version in pivot.stale),
            stale_turns=tuple(turn for version in pivot.stale for turn in turns_with(version)),
            version_of=partial(pivot.version_of, session_of),
        ),
    )


def common_words(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Return the longest common subsequence of two texts (difflib's is not always the longest).

    >>> common_words("use Skype for video calls".split(), "use Google Meet for calls".split())
    ['use', 'for', 'calls']
    """
    best: list[list[list[str]]] = [
        [[] for _ in range(len(right) + 1)] for _ in range(len(left) + 1)
    ]
    for n, word in enumerate(left):
        for m, candidate in enumerate(right):
            longer = max(best[n][m + 1], best[n + 1][m], key=len)
            best[n + 1][m + 1] = [*best[n][m], word] if word == candidate else longer
    return best[-1][-1]


def extract_value(topic: str, shared: Sequence[str]) -> str:
    """Return the words of a topic that not all versions share; "" if there is no value.

    >>> extract_value("use all UPPERCASE for class names", ["use", "for", "class", "names"])
    'UPPERCASE'
    >>> extract_value("never use a linter", ["use", "a", "linter"])
    ''
    """
    remaining = list(shared)
    value = []
    for word in topic.split():
        if remaining and word == remaining[0]:
            remaining.pop(0)
        else:
            value.append(word.strip(_QUOTES))
    while value and value[0] in _EDGES:
        value.pop(0)
    while value and value[-1] in _EDGES:
        value.pop()
    return "" if _POLAR & set(value) else " ".join(value)


def make_query(shared: Sequence[str]) -> str:
    """Return the query that asks for a pivot's value.

    >>> make_query(["always", "start", "function", "names", "with"])
    'Start function names with: what?'
    """
    text = " ".join(word for word in shared if word not in _POLAR)
    return f"{text[:1].upper()}{text[1:]}: what?"


def literal_pattern(value: str) -> re.Pattern[str]:
    """Return a pattern that matches a prefix or suffix to the letter, and words in any case.

    >>> [bool(literal_pattern("a_").search(text)) for text in ("from 'a_' on", "data_x")]
    [True, False]
    >>> bool(literal_pattern("CamelCase").search("in camel case, please"))
    True
    """
    if value.endswith("_"):
        return re.compile(rf"(?<!\w){re.escape(value)}")
    if value.startswith("_"):
        return re.compile(rf"{re.escape(value)}(?!\w)")
    spelling = r"[\s_-]*".join(_PARTS.findall(value))  # camel[\s_-]*case
    return re.compile(rf"(?<!\w){spelling}(?!\w)", re.IGNORECASE)
