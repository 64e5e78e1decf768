"""What a card is made of: a record per question asked, and the figures that follow from records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import RenderableType

Regime = Literal["parametric", "long context", "replay", "online"]
REGIMES: tuple[Regime, ...] = ("parametric", "long context", "replay", "online")

Layer = Literal["parametric", "contextual", "external", "episodic", "over time", "cost"]
LAYERS: tuple[Layer, ...] = (
    "parametric", "contextual", "external", "episodic", "over time", "cost",
)  # fmt: skip

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one system made of one question in one regime. All figures follow from these.

    It holds no text of the data: ids, places, counts and scores.
    """

    data: str  # the data set's name in the config
    haystack: str  # the conversation
    question: str  # its id, unique in the data set
    kind: str  # the group it is reported with
    answerable: bool
    regime: Regime
    system: str
    cluster: str = ""  # of conversations that share what was said; "": it shares nothing
    step: int = 0  # online: after how many maintenance steps it was asked, from 1; else 0
    probe: bool = False  # online: asked again only to see what later writes did; not a new question
    axes: Mapping[str, float] = field(default_factory=dict)
    # what may move a score: "distance" (turns since the newest gold), "depth" (of the gold in the
    # history, 0 oldest … 1 newest), "place" (of the gold in the prompt, 0 first … 1 last),
    # "turns" (remembered when asked), "distractors" (sessions), what else a data set varies

    places: tuple[int | None, ...] = ()  # of the gold turns in the ranking; () without a ranking
    stale_places: tuple[int | None, ...] = ()  # of turns whose value no longer holds
    returned: int | None = None  # turns in the ranking; None: the regime or system has none
    relevant: int = 0  # gold turns that there are
    confidence: float | None = None  # best score
    refused: bool | None = None  # the answer says it does not know, or the system gave nothing

    stages: Mapping[str, bool] = field(default_factory=dict)
    # "stored", "retrieved", "packed", "used", "right": how far it came; absent is not known
    scores: Mapping[str, float] = field(default_factory=dict)  # metric -> value; see `metrics`
    audit: Mapping[str, int] = field(default_factory=dict)
    # violations: "from the future", "forgotten", "answer leaked" (in text that nobody said)
    costs: Mapping[str, float] = field(default_factory=dict)
    # "search ms", "answer ms", "prompt tokens", "memory tokens", "new tokens", "reused tokens"

    @property
    def task(self) -> str:
        """What intervals resample: the conversation, or all that share what was said in it."""
        return self.cluster or self.haystack


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric over one group of questions, with its interval."""

    layer: Layer
    metric: str
    data: str
    group: str  # a kind of question, or "all"
    regime: Regime
    system: str
    value: float
    low: float | None = None  # 95 %, by conversation; None: too few, or too alike, to tell
    high: float | None = None  # None beside a low: it has no end
    n: int = 1  # questions (or steps, or conversations: the metric says)
    score: str = ""  # that a slope or a drop is of; "": the metric is a score itself


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """Something asked for that has no figure, and why. It is never reported as 0."""

    what: str  # "answers", a metric, a system, a regime
    data: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric along an axis, for a plot: fixed bins, each with its interval and n."""

    name: str
    # "position", "position in prompt", "distance", "distractors", "risk-coverage", "over time",
    # "cost-quality"
    data: str
    regime: Regime
    system: str
    metric: str
    points: Sequence[Mapping[str, Cell]]  # {"x": .1, "label": "0-.2", "y": .5, "low", "high", "n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """How far the evidence of a group of questions came; counts never rise along it.

    A model may have answered a sample: `used`, `right` and `lucky` are counts of the answered.
    """

    data: str
    group: str
    regime: Regime
    system: str
    asked: int
    stored: int | None  # None: the system does not tell
    retrieved: int | None
    packed: int | None
    used: int | None  # None: no model answered
    right: int | None  # answered right, from the evidence
    answered: int | None = None  # how many of the asked a model answered
    lucky: int | None = None  # answered right though the evidence was not in the prompt


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
    effect: float | None  # Cliff's delta of the paired differences' two sides
    n: int
    d: float | None = None  # Cohen's, paired; None: the differences do not vary


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One check of whether the numbers may be believed."""

    name: str  # "leakage: index ∩ questions", "temporal", "deletion", …
    data: str
    system: str  # "" where it is about the data
    checked: int
    violations: int
    threshold: float | None = None  # share of violations from which on it fails; None: any fails
    passed: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything a run found. `stamp` and costs differ from run to run; the rest does not."""

    name: str
    config: Mapping[str, Any]
    stamp: Mapping[str, Any]  # command, date, commit, versions, machine
    disclosure: Mapping[str, Any]  # minimum reproducibility disclosure; missing items are listed
    data: Sequence[
        Mapping[str, Any]
    ]  # name, format, file, sha256, sizes, counts of what was dropped
    figures: Sequence[Figure]
    not_run: Sequence[NotRun]
    curves: Sequence[Curve]
    funnels: Sequence[Funnel]
    compared: Sequence[Compared]
    audits: Sequence[Audit]
    records: Sequence[Record]

    def _repr_html_(self) -> str:
        from evals.card.report import page
        from memkit.display.html import embed_document

        return embed_document(page(self))

    def __rich__(self) -> "RenderableType":
        from evals.card.report.terminal import summary

        return summary(self)
