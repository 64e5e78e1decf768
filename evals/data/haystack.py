"""The data types of evaluation: haystacks (conversations), questions, and their evidence.

The name haystack is LongMemEval's: one user's memory in which the evidence has to be found.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from memkit import Turn

Split = Literal["tuning", "report"]  # the first for choosing anything, the second for reporting
SPLITS: tuple[Split, ...] = ("tuning", "report")
PUBLISHED, AUDITED = "published", "audited"  # who decided on the evidence

VersionName = Literal["current", "stale"]
Counts = Mapping[Split, Counter[str]]  # how many records were dropped or odd, by reason


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


def make_gold(turn_ids: Iterable[str], session_by_turn: Mapping[str, str]) -> Gold:
    """Return evidence turns with their sessions, in order of first appearance, each once."""
    turns = tuple(turn_ids)
    return Gold(turns=turns, sessions=tuple(dict.fromkeys(session_by_turn[turn] for turn in turns)))


def sessions_by_turn(turns: Iterable[Turn]) -> dict[str, str]:
    """Return the session id of every turn id."""
    return {turn.id or "": turn.session_id or "" for turn in turns}
