"""The data types of evaluation: haystacks (conversations), questions, and their evidence.

The name haystack is LongMemEval's: one user's memory in which the evidence has to be found.
"""

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from memkit import Turn
from memkit.errors import InvalidInput

Split = Literal["tuning", "report"]  # the first for choosing anything, the second for reporting
SPLITS: tuple[Split, ...] = ("tuning", "report")
PUBLISHED, AUDITED = "published", "audited"  # who decided on the evidence

VersionName = Literal["current", "stale"]
Counts = Mapping[Split, Counter[str]]  # how many records were dropped or odd, by reason
Kind = TypeVar("Kind")
_GZIP = b"\x1f\x8b"  # the first bytes of a gzip file
_BOM = b"\xef\xbb\xbf"  # a byte order mark, which some editors put before UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """The evidence that a search has to find."""

    turns: tuple[str, ...] = ()  # ids
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The part of a question that a memory sees."""

    text: str
    asked_at: datetime | None = None  # no system sees what was said later


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAnswer:
    """What a good reply says, as far as the data set tells; a memory never sees it."""

    answers: tuple[str, ...] = ()  # any of them is right
    stale: tuple[str, ...] = ()  # answers that were right once
    stale_turns: tuple[str, ...] = ()  # ids of the turns that gave those
    steps: tuple[str, ...] = ()  # turn ids in the order of the events that they report
    foils: tuple[str, ...] = ()  # wrong answers of the same form, for recognition by likelihood
    paraphrases: tuple[str, ...] = ()  # of the evidence: the same in other words
    # the version of the answer that a statement with these source turns gives
    version_of: Callable[[str, Sequence[str]], VersionName | None] | None = field(
        default=None, compare=False, repr=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about a haystack."""

    id: str
    text: str
    kind: str  # the data set's category
    asked_at: datetime | None = None  # no system sees what was said later
    golds: Mapping[str, Gold]  # by who decided on them; the published one is always there
    answerable: bool = True
    expected: ExpectedAnswer = ExpectedAnswer()
    axes: Mapping[str, float] = field(default_factory=dict)  # what the data set varies: see card
    after: int | None = None  # asked after so many turns; None: at the end, online with evidence

    @property
    def query(self) -> Query:
        """Return the part that a memory sees."""
        return Query(text=self.text, asked_at=self.asked_at)

    @property
    def gold(self) -> Gold:
        """Return the evidence to score by: the audited, if there is an audit."""
        return self.golds.get(AUDITED) or self.golds[PUBLISHED]

    @property
    def group(self) -> str:
        """Return the name of the questions that it is reported with."""
        return self.kind if self.answerable else f"{self.kind}, unanswerable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Haystack:
    """One user's memory. Its questions share their turns, so intervals resample haystacks whole."""

    name: str
    split: Split
    turns: Sequence[Turn]  # with unique ids, in the order they were said
    questions: Sequence[Question]
    forgotten: tuple[str, ...] = ()  # turn ids that the user deletes before anything is asked
    cluster: str = ""  # of haystacks that share turns, resampled as one; "": it shares none


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """The haystacks of a file, and the counts of what could not be used."""

    format: str
    file: str  # its name, without the folder
    sha256: str
    haystacks: Sequence[Haystack]
    golds: tuple[str, ...] = (PUBLISHED,)
    notes: tuple[str, ...] = ()  # how it was read
    counts: Mapping[Split, Mapping[str, int]] = field(default_factory=dict)

    def in_split(self, split: Split) -> list[Haystack]:
        """Return the haystacks of one split."""
        return [haystack for haystack in self.haystacks if haystack.split == split]


def split_by_hash(id: str) -> Split:
    """Return the split of a question or conversation by a hash of its id alone.

    A third of the ids is for tuning. Every file of a data set gives an id the same split, in any
    order of its records, so that nothing tuned on in one file is reported from another.

    >>> split_by_hash("q2"), split_by_hash("q9")
    ('tuning', 'report')
    """
    return "tuning" if zlib.crc32(id.encode()) % 3 == 0 else "report"


# ---- reading files


def sha256(path: Path) -> str:
    """Return a file's hash, which says which file was measured."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a file") from error


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of every line that is not empty, plain or gzipped.

    A file that is one JSON list gives its items instead, all with the number 1.

    Raises:
        InvalidInput: a line is not JSON, the gzip file is damaged, or there is no such file; the
            message names the line.
    """
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if is_gzip else path.open("rb") as file:
            lines = ((n, line.removeprefix(_BOM)) for n, line in enumerate(file, start=1))
            lines = ((n, line) for n, line in lines if line.strip())
            for first, (n, line) in enumerate(lines):
                if first == 0 and line.lstrip().startswith(b"["):
                    yield from ((n, item) for item in _parse(line + file.read(), n))
                else:
                    yield n, _parse(line, n)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput(f"damaged gzip file: {error}") from error
    except OSError as error:
        raise InvalidInput(f"{error.strerror}; give a file") from error


def _parse(text: bytes, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"line {line}: not JSON: {error}") from error


@contextmanager
def at(where: object) -> Iterator[None]:
    """Prefix the message of an `InvalidInput` that is raised inside the block."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error


def member(record: object, key: str, kind: type[Kind], where: str) -> Kind:
    """Return a JSON object's value, or raise that it is missing or of another type."""
    if not isinstance(record, dict):
        raise InvalidInput(f"{where} is no JSON object")
    value: Any = record.get(key)
    if not isinstance(value, kind):
        fault = f"{key!r} is {type(value).__name__}" if key in record else f"no {key!r}"
        raise InvalidInput(f"{where}: {fault}, not {kind.__name__}")
    return value


def make_unique(names: Iterable[str]) -> list[str]:
    """Return names in order, a second "a" as "a@2".

    >>> make_unique(["a", "b", "a", "a@2"])
    ['a', 'b', 'a@2', 'a@2@2']
    """
    unique: dict[str, None] = {}
    for name in names:
        new, n = name, 1
        while new in unique:
            n += 1
            new = f"{name}@{n}"
        unique[new] = None
    return list(unique)


def new_counts() -> Counts:
    """Return a counter for either split."""
    return {split: Counter() for split in SPLITS}


def make_data_set(
    path: Path,
    haystacks: Iterable[Haystack],
    counts: Counts,
    *,
    format: str,
    notes: tuple[str, ...] = (),
    golds: tuple[str, ...] = (PUBLISHED,),
) -> DataSet:
    """Return a file's haystacks that have turns, with those of their questions that have text.

    Raises:
        InvalidInput: two haystacks have the same name.
    """
    usable = []
    names = set()
    for haystack in haystacks:
        if haystack.name in names:
            raise InvalidInput(
                f"{path} has two conversations of the id {haystack.name!r}; make them unique"
            )
        names.add(haystack.name)
        questions = [question for question in haystack.questions if question.text.strip()]
        count = counts[haystack.split]
        count["questions without text, dropped"] += len(haystack.questions) - len(questions)
        unusable = 0 if haystack.turns else len(questions)
        count["questions about conversations without turns, dropped"] += unusable
        if haystack.turns and questions:
            usable.append(replace(haystack, questions=questions))
    return DataSet(
        format=format,
        file=path.name,
        sha256=sha256(path),
        haystacks=usable,
        golds=golds,
        notes=notes,
        counts=counts,
    )


def make_gold(turn_ids: Iterable[str], session_by_turn: Mapping[str, str]) -> Gold:
    """Return evidence turns with their sessions, in order of first appearance, each once."""
    turns = tuple(turn_ids)
    return Gold(turns=turns, sessions=tuple(dict.fromkeys(session_by_turn[turn] for turn in turns)))


def sessions_by_turn(turns: Iterable[Turn]) -> dict[str, str]:
    """Return the session id of every turn id."""
    return {turn.id or "": turn.session_id or "" for turn in turns}
