"""The data of a card: one record per question, and the figures computed from records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from evals.metrics.catalogue import Layer

if TYPE_CHECKING:
    from rich.console import RenderableType

Regime = Literal["parametric", "long context", "replay", "online"]
REGIMES: tuple[Regime, ...] = ("parametric", "long context", "replay", "online")

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The result of one system on one question in one regime.

    All figures follow from records. A record holds ids, places, counts and scores, and no text of
    the data set.
    """

    data: str  # name of the data set in the config
    haystack: str  # the conversation
    question: str  # its id, unique in the data set
    kind: str  # the group it is reported with
    answerable: bool
    regime: Regime
    system: str
    cluster: str = ""  # of conversations that share turns; "": this one shares none
    step: int = 0  # online: the maintenance steps before the question, from 1; else 0
    probe: bool = False  # online: a repeated question that measures the effect of later writes
    axes: Mapping[str, float] = field(default_factory=dict)
    # variables that may move a score: "distance" (turns since the newest gold), "depth" (of the
    # gold in the history, 0 oldest … 1 newest), "place" (of the gold in the prompt, 0 first … 1
    # last), "turns" (remembered before the question), "distractors" (sessions), and the data set's

    places: tuple[int | None, ...] = ()  # of the gold turns in the ranking; () without a ranking
    session_places: tuple[int | None, ...] = ()  # of the gold sessions in the ranking of sessions
    stale_places: tuple[int | None, ...] = ()  # of turns with a value that no longer holds
    returned: int | None = None  # turns in the ranking; None: the regime or system has none
    relevant: int = 0  # number of gold turns
    confidence: float | None = None  # best score
    refused: bool | None = None  # the reply says that it does not know, or the system is empty

    stages: Mapping[str, bool] = field(default_factory=dict)
    # "stored", "retrieved", "packed", "used", "right": whether passed; absent is unknown
    scores: Mapping[str, float] = field(default_factory=dict)  # by name, of the catalogue
    audit: Mapping[str, int] = field(default_factory=dict)
    # violations: "from the future", "forgotten", "answer leaked" (in text without a source)
    costs: Mapping[str, float] = field(default_factory=dict)
    # "search ms", "answer ms", "prompt tokens", "memory tokens", "new tokens", "reused tokens"

    @property
    def task(self) -> str:
        """The unit of resampling: the conversation, or all conversations that share its turns."""
        return self.cluster or self.haystack


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric over one group of questions, with its interval."""

    layer: Layer
    metric: str
    data: str
    group: str  # a kind of question, "answerable" or "all"
    regime: Regime
    system: str
    value: float
    low: float | None = None  # 95 %, by conversation; None: too few conversations, or too alike
    high: float | None = None  # None with a low: no upper end
    n: int = 1  # questions (or steps, or conversations: the metric says)
    score: str = ""  # the score of a slope or a drop; "": the metric is a score itself


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A requested item without a figure, and the reason. It is never reported as 0."""

    what: str  # "answers", a metric, a system, a regime
    data: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric along an axis, for a plot: fixed bins, each with its interval and n."""

    name: str  # such as "position", "risk-coverage": see `report.plots`
    data: str
    regime: Regime
    system: str
    metric: str
    points: Sequence[Mapping[str, Cell]]  # {"x": .1, "label": "0-.2", "y": .5, "low", "high", "n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """How many questions of a group passed each stage; counts never rise from stage to stage.

    A model may have answered only a sample: `used`, `right` and `lucky` count answered questions.
    """

    data: str
    group: str
    regime: Regime
    system: str
    asked: int
    stored: int | None  # None: the system does not say
    retrieved: int | None
    packed: int | None
    used: int | None  # None: no model answered
    right: int | None  # answered right, from the evidence
    answered: int | None = None  # questions that a model answered
    lucky: int | None = None  # answered right without the evidence in the prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A paired difference between two systems (or two cards) on the same questions."""

    metric: str
    data: str
    regime: Regime
    ours: str
    theirs: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None  # corrected within `family`
    family: str
    effect: float | None  # Cliff's delta of the paired differences
    n: int
    d: float | None = None  # Cohen's, paired; None: the differences do not vary


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One check of whether the numbers can be believed."""

    name: str  # "leakage: index ∩ questions", "temporal", "deletion", …
    data: str
    system: str  # "" for a check of the data
    checked: int
    violations: int
    threshold: float | None = None  # share of violations that fails the check; None: any fails
    passed: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """All results of a run. `stamp` and costs differ from run to run; everything else is equal."""

    name: str
    config: Mapping[str, Any]
    stamp: Mapping[str, Any]  # command, date, commit, versions, machine
    disclosure: Mapping[str, Any]  # minimum reproducibility disclosure; missing items are listed
    data: Sequence[Mapping[str, Any]]  # name, format, file, sha256, sizes, dropped records
    figures: Sequence[Figure]
    not_run: Sequence[NotRun]
    curves: Sequence[Curve]
    funnels: Sequence[Funnel]
    compared: Sequence[Compared]
    audits: Sequence[Audit]
    records: Sequence[Record]

    def _repr_html_(self) -> str:
        from memkit.display.html import embed_document

        return embed_document(str(_report().page(self)))

    def __rich__(self) -> "RenderableType":
        summary: RenderableType = _report().summary(self)
        return summary


def _report() -> Any:
    """Return `evals.card.report`, which imports this module."""
    return import_module("evals.card.report")
