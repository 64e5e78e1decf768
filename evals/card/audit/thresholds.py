"""Thresholds that are registered before a card is made, and their check on two cards.

A TOML file registers bounds for figures of the later card (B), and the drop that is tolerated since
the earlier card (A). A check that cannot run fails, unless its threshold is optional.
Source: Zhang et al. 2025, section 5 (S4: pre-register and publish thresholds).
"""

import hashlib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AllowInfNan, Strict

from evals.card.audit.differences import Place
from evals.card.records import REGIMES, Card, Compared, Record
from evals.card.validation import validate
from evals.metrics.catalogue import METRICS
from memkit.errors import InvalidInput

ANY = "*"
LEAST = 5  # conversations: fewer may agree by chance, and then the interval has no width
_JUDGED = "judged right"  # the only metric that depends on a judge

Bound = Annotated[float, Strict(), AllowInfNan(False)]  # not "0.5", true, nor TOML's inf and nan
State = Literal["passed", "failed", "not run"]
Systems = Mapping[Place, Mapping[str, Sequence[Record]]]  # records by place and system
Key = tuple[str, Place, str]  # metric, place, system
Result = tuple[State, str]  # and the reason
Results = dict[tuple[str, str], Result]  # by data set and regime


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The bounds of one metric of one system, in every place where the metric was measured.

    Raises:
        InvalidInput: the metric or regime does not exist, or no bound can be met.
    """

    metric: str  # a name of the catalogue
    system: str
    data: str = ANY  # the name of a data set, or all
    regime: str = ANY
    group: str = "all"  # a kind of question
    min: Bound | None = None  # for the figure of card B
    max: Bound | None = None
    max_drop: Bound | None = None  # how much worse than card A it may be
    optional: Annotated[bool, Strict()] = False  # a check that cannot run does not fail

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            near = ", ".join(get_close_matches(self.metric, METRICS, n=3, cutoff=0.0))
            raise InvalidInput(f"no metric {self.metric!r}; the catalogue has {near}")
        if self.regime not in (ANY, *REGIMES):
            raise InvalidInput(f"no regime {self.regime!r}; there are {', '.join(REGIMES)}")
        if self.min is None and self.max is None and self.max_drop is None:
            raise InvalidInput(f"{self.metric!r} has no bound: give min, max or max_drop")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise InvalidInput(f"{self.metric!r}: min {self.min:g} is above max {self.max:g}")
        if self.max_drop is not None and self.max_drop < 0:
            raise InvalidInput(f"{self.metric!r}: max_drop must be 0 or more, got {self.max_drop}")
        if self.max_drop is not None and self.group != "all":
            raise InvalidInput(f"{self.metric!r}: max_drop is checked for all kinds at once")

    def applies_to(self, data: str, regime: str) -> bool:
        """Return whether the threshold is about this data set in this regime."""
        return self.data in (ANY, data) and self.regime in (ANY, regime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The thresholds of one file."""

    thresholds: tuple[Threshold, ...]
    file: str  # its name, without the folder
    sha256: str  # proves that they were not changed afterwards


# ---- reading


def read(path: Path) -> Registration:
    """Read a file of `[[threshold]]` tables.

    Raises:
        InvalidInput: it cannot be read, has no threshold, or has an unknown key or value; the
            message names the threshold and the key.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a file") from error
    try:
        document = tomllib.loads(content.decode())
    except ValueError as error:  # no TOML, or no UTF-8
        raise InvalidInput(f"{path} is no TOML: {error}") from error
    tables = document.get("threshold")
    if set(document) - {"threshold"} or not isinstance(tables, list) or not tables:
        raise InvalidInput(f"{path} must hold [[threshold]] tables, one or more, and only those")
    thresholds = [
        validate(Threshold, table, f"{path}: threshold {n}") for n, table in enumerate(tables, 1)
    ]
    digest = hashlib.sha256(content).hexdigest()
    return Registration(thresholds=tuple(thresholds), file=path.name, sha256=digest)


# ---- checking


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one threshold in one place."""

    label: str  # "memkit: MRR ≥ 0.5"
    data: str
    regime: str
    state: State
    reason: str  # with the figures that decided
    optional: bool = False

    @property
    def passed(self) -> bool:
        """Return whether the check lets the card pass."""
        return self.state == "passed" or (self.state == "not run" and self.optional)


class Difference(NamedTuple):
    """B − A of one metric, with the size of its basis."""

    compared: Compared
    alone: int  # questions with a score in one card only
    tasks: int  # conversations


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Two cards in the form that checks need."""

    a: Card
    b: Card
    before: Systems
    after: Systems
    differences: Mapping[Key, Difference]
    unlike: Mapping[tuple[Place, str], str]  # place and system -> why the two do not compare
    apart: str = ""  # why they compare nowhere
    rejudged: str = ""  # why verdicts of the judge do not compare


def check(threshold: Threshold, cards: Cards) -> list[Check]:
    """Return a check for each place of a threshold, or one that says that there is none."""
    parts = []  # label, results, and the reason if there are none
    if threshold.min is not None or threshold.max is not None:
        bounds = (("≥", threshold.min), ("≤", threshold.max))
        text = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
        group = "" if threshold.group == "all" else f" ({threshold.group})"
        results = _check_bounds(threshold, cards)
        parts.append((f"{group} {text}", results, "no figure of that name in card B"))
    if threshold.max_drop is not None:
        text = f" worse by at most {threshold.max_drop:g}"
        absent = cards.apart or "neither card has a score per question to pair"
        parts.append((text, _check_drops(threshold, cards), absent))
    place = threshold.data, threshold.regime
    return [
        Check(
            label=f"{threshold.system}: {threshold.metric}{text}",
            data=data,
            regime=regime,
            state=state,
            reason=reason,
            optional=threshold.optional,
        )
        for text, results, absent in parts
        for (data, regime), (state, reason) in (results or {place: ("not run", absent)}).items()
    ]


def _check_bounds(threshold: Threshold, cards: Cards) -> Results:
    """Check the bounds in every place where either card has the figure: B may not lose one."""
    low = -math.inf if threshold.min is None else threshold.min
    high = math.inf if threshold.max is None else threshold.max
    key = threshold.metric, threshold.system, threshold.group
    before, after = (
        {
            (figure.data, figure.regime): figure
            for figure in card.figures
            if (figure.metric, figure.system, figure.group) == key
            and threshold.applies_to(figure.data, figure.regime)
        }
        for card in (cards.a, cards.b)
    )
    results: Results = dict.fromkeys(before, ("not run", "card A has this figure, B does not"))
    for place, figure in after.items():
        reason = f"{figure.value:.3f}{_range(figure.low, figure.high)}, n = {figure.n}"
        results[place] = "passed" if low <= figure.value <= high else "failed", reason
    return results


def _check_drops(threshold: Threshold, cards: Cards) -> Results:
    """Check non-inferiority in every place where either card has scores of the system."""
    return {
        place: _compare_drop(threshold, place, cards)
        for place in dict.fromkeys((*cards.before, *cards.after))
        if threshold.applies_to(*place)
        and any(
            threshold.metric in record.scores
            for side in (cards.before, cards.after)
            for record in side.get(place, {}).get(threshold.system, ())
        )
    }


def _compare_drop(threshold: Threshold, place: Place, cards: Cards) -> Result:
    why = cards.apart or cards.unlike.get((place, threshold.system))
    if why := why or (cards.rejudged if threshold.metric == _JUDGED else ""):
        return "not run", why
    difference = cards.differences.get((threshold.metric, place, threshold.system))
    if difference is None:
        return "not run", "no question has a score in both cards"
    compared, tasks = difference.compared, difference.tasks
    low, high = compared.low, compared.high
    if low is None or high is None or threshold.max_drop is None or tasks < LEAST:
        return "not run", f"{tasks} of the {LEAST} conversations that a reliable interval needs"
    better = METRICS[threshold.metric].better
    worst = -low if better == "higher" else high
    figures = f"B − A = {compared.difference:+.3f}{_range(low, high)}, n = {compared.n}"
    reason = f"{figures}; {better} is better, so at worst {max(worst, 0):.3f} worse"
    if difference.alone:
        reason += f"; {difference.alone} questions are scored in one card only"
    return ("passed" if worst <= threshold.max_drop else "failed"), reason


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
