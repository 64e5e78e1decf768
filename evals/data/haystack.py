"""What retrieval is measured on: conversations, questions, and the turns that answer them."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from memkit import Turn
from memkit.errors import InvalidInput

Split = Literal["tuning", "report"]  # the first for choosing anything, the second for telling
SPLITS: tuple[Split, ...] = ("tuning", "report")
PUBLISHED, AUDITED = "published", "audited"  # whose gold

VersionName = Literal["current", "stale"]

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """What a search has to find."""

    turns: tuple[str, ...]  # ids
    sessions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """All that a memory is told of a question."""

    text: str
    asked_at: datetime | None = None  # what was said later is not there yet, for any system


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a good reply says, where the data set tells; a memory never sees it."""

    answers: tuple[str, ...] = ()  # any of them is right
    stale: tuple[str, ...] = ()  # answers that were right once
    stale_turns: tuple[str, ...] = ()  # ids of the turns that gave those
    steps: tuple[str, ...] = ()  # turn ids in the order of what happened in them
    foils: tuple[str, ...] = ()  # wrong answers of the same form, for recognition by likelihood
    paraphrases: tuple[str, ...] = ()  # of the evidence, which says the same in its own words
    version_of: Callable[[str, Sequence[str]], VersionName | None] | None = None
    # of a statement and its source turns: the version of the answer that the statement gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question about a haystack."""

    id: str
    text: str
    kind: str  # the data set's name for what makes it hard
    asked_at: datetime | None  # what was said later is not there yet, for any system
    golds: Mapping[str, Gold]  # by whose they are; always the published one
    answerable: bool
    expected: Expected = Expected()
    axes: Mapping[str, float] = field(default_factory=dict)  # what the data set varies: see card
    after: int | None = None  # asked when so many were said; None: at the end, online with evidence

    @property
    def query(self) -> Query:
        """All that a memory is told of it."""
        return Query(text=self.text, asked_at=self.asked_at)

    @property
    def gold(self) -> Gold:
        """The evidence that counts where one only can: the audited, if there is an audit."""
        return self.golds.get(AUDITED) or self.golds[PUBLISHED]

    @property
    def group(self) -> str:
        """The questions that it is reported with."""
        return self.kind if self.answerable else f"{self.kind}, unanswerable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Haystack:
    """One user's memory. Its questions share their turns, so intervals resample haystacks whole."""

    name: str
    split: Split
    turns: Sequence[Turn]  # with unique ids, in the order they were said
    questions: Sequence[Asked]
    forgotten: tuple[str, ...] = ()  # turn ids that the user has deleted before anything is asked
    cluster: str = ""  # of haystacks that share turns, resampled as one; "": it shares none


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A file as it was read, and what of it could not be used."""

    format: str
    file: str  # its name, without the folder
    sha256: str
    haystacks: Sequence[Haystack]
    golds: tuple[str, ...] = (PUBLISHED,)
    notes: tuple[str, ...] = ()  # how it was read
    counts: Mapping[Split, Mapping[str, int]] = field(default_factory=dict)  # dropped or odd

    def of(self, split: Split) -> list[Haystack]:
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


# ---- reading what others wrote


def sha256(path: Path) -> str:
    """Return a file's hash, to say which file was measured."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a file") from error


def member(record: object, key: str, kind: type[Kind], where: str) -> Kind:
    """Return a JSON object's value, or say where it is missing or of another type."""
    if not isinstance(record, dict):
        raise InvalidInput(f"{where} is no JSON object")
    value: Any = record.get(key)
    if not isinstance(value, kind):
        was = f"{key!r} is {type(value).__name__}" if key in record else f"no {key!r}"
        raise InvalidInput(f"{where}: {was}, not {kind.__name__}")
    return value


def unique(names: Iterable[str]) -> list[str]:
    """Return names in order, a second "a" as "a@2".

    >>> unique(["a", "b", "a", "a@2"])
    ['a', 'b', 'a@2', 'a@2@2']
    """
    found: dict[str, None] = {}
    for name in names:
        new, n = name, 1
        while new in found:
            n += 1
            new = f"{name}@{n}"
        found[new] = None
    return list(found)


def usable(haystacks: Iterable[Haystack], counts: Mapping[Split, Counter[str]]) -> list[Haystack]:
    """Return the haystacks that have turns, with those of their questions that have text."""
    kept = []
    for haystack in haystacks:
        asked = [question for question in haystack.questions if question.text.strip()]
        count = counts[haystack.split]
        count["questions without text, dropped"] += len(haystack.questions) - len(asked)
        count["questions about conversations without turns, dropped"] += (
            0 if haystack.turns else len(asked)
        )
        if haystack.turns and asked:
            kept.append(replace(haystack, questions=asked))
    return kept


def sessions_of(turn_ids: Iterable[str], session: Mapping[str, str]) -> tuple[str, ...]:
    """Return the sessions of these turns in order of first appearance, each once."""
    return tuple(dict.fromkeys(session[turn] for turn in turn_ids))
