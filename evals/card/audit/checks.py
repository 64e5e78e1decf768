"""Is a threshold reached? By a figure of the later card, or by how far it fell behind the earlier.

A check that could not be made fails, unless its threshold is optional.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evals.card.audit.thresholds import Threshold
from evals.card.records import Compared, Figure, Record, Regime
from evals.metrics.catalogue import METRICS

_JUDGED = "judged right"  # the one metric that a judge makes
LEAST = 5  # conversations: fewer may agree by chance, and then the interval has no width
State = Literal["passed", "failed", "not run"]
Where = tuple[str, Regime]  # data set, regime
Sides = Mapping[Where, Mapping[str, Sequence[Record]]]  # by system
Key = tuple[str, str, Regime, str]  # metric, data set, regime, system


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One threshold in one place."""

    what: str  # "memkit: MRR ≥ 0.5"
    data: str
    regime: str
    state: State
    reason: str  # with the figures that decided
    optional: bool = False

    @property
    def passed(self) -> bool:
        """Return whether it lets the card pass."""
        return self.state == "passed" or (self.state == "not run" and self.optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """B − A of one metric, of how many conversations, and what only one card has."""

    found: Compared
    alone: int
    tasks: int  # conversations


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Two cards, as checks need them."""

    figures: Mapping[str, Sequence[Figure]]  # "A", "B"
    before: Sides
    after: Sides
    differences: Mapping[Key, Difference]
    unlike: Mapping[tuple[Where, str], str]  # place and system -> why the two do not compare
    apart: str = ""  # why they compare nowhere
    rejudged: str = ""  # why what a judge said does not compare


def checks(threshold: Threshold, cards: Cards) -> list[Check]:
    """Return a check for each place that a threshold is about, or one that says there is none."""
    found: list[Check] = []
    if threshold.min is not None or threshold.max is not None:
        found += _levels(threshold, cards)
    if threshold.max_drop is not None:
        found += _drops(threshold, cards)
    return found


def _levels(threshold: Threshold, cards: Cards) -> list[Check]:
    """Check an absolute bound wherever either card has the figure: B may not lose one."""
    places: dict[Where, Figure | None] = {}
    for card in ("A", "B"):
        for one in cards.figures[card]:
            if _is_about(threshold, one):
                places[one.data, one.regime] = one if card == "B" else None
    what = _bound(threshold)
    if not places:
        return [_nowhere(threshold, what, "no figure of that name in card B")]
    return [_level(threshold, what, where, figure) for where, figure in places.items()]


def _is_about(threshold: Threshold, figure: Figure) -> bool:
    wanted = threshold.metric, threshold.system, threshold.group
    has = figure.metric, figure.system, figure.group
    return wanted == has and threshold.holds_for(figure.data, figure.regime)


def _level(threshold: Threshold, what: str, where: Where, figure: Figure | None) -> Check:
    if figure is None:
        return _check(threshold, what, where, "not run", "card A has this figure, B does not")
    low = threshold.min is None or figure.value >= threshold.min
    high = threshold.max is None or figure.value <= threshold.max
    reason = f"{figure.value:.3f}{_range(figure.low, figure.high)}, n = {figure.n}"
    return _check(threshold, what, where, "passed" if low and high else "failed", reason)


def _drops(threshold: Threshold, cards: Cards) -> list[Check]:
    """Check non-inferiority wherever either card has scored the system so."""
    what = f"{threshold.system}: {threshold.metric} worse by at most {threshold.max_drop:g}"
    places = [
        where
        for where in dict.fromkeys((*cards.before, *cards.after))
        if threshold.holds_for(*where) and _scored(threshold, where, cards)
    ]
    if not places:
        why = cards.apart or "neither card has a score per question to pair"
        return [_nowhere(threshold, what, why)]
    return [_drop(threshold, what, where, cards) for where in places]


def _scored(threshold: Threshold, where: Where, cards: Cards) -> bool:
    records = [
        *cards.before.get(where, {}).get(threshold.system, ()),
        *cards.after.get(where, {}).get(threshold.system, ()),
    ]
    return any(threshold.metric in one.scores for one in records)


def _drop(threshold: Threshold, what: str, where: Where, cards: Cards) -> Check:
    why = cards.apart or cards.unlike.get((where, threshold.system))
    if why := why or (cards.rejudged if threshold.metric == _JUDGED else ""):
        return _check(threshold, what, where, "not run", why)
    data, regime = where
    difference = cards.differences.get((threshold.metric, data, regime, threshold.system))
    if difference is None:
        return _check(threshold, what, where, "not run", "no question that both cards have scored")
    one = difference.found
    if (
        one.low is None
        or one.high is None
        or threshold.max_drop is None
        or difference.tasks < LEAST
    ):
        why = f"{difference.tasks} of the {LEAST} conversations that an interval to trust asks for"
        return _check(threshold, what, where, "not run", why)
    better = METRICS[threshold.metric].better
    worst = -one.low if better == "higher" else one.high
    figures = f"B − A = {one.difference:+.3f}{_range(one.low, one.high)}, n = {one.n}"
    reason = f"{figures}; {better} is better, so at worst {max(worst, 0):.3f} worse"
    if difference.alone:
        reason += f"; {difference.alone} questions are scored in one card only"
    state: State = "passed" if worst <= threshold.max_drop else "failed"
    return _check(threshold, what, where, state, reason)


def _check(threshold: Threshold, what: str, where: Where, state: State, reason: str) -> Check:
    data, regime = where
    return Check(
        what=what, data=data, regime=regime, state=state, reason=reason,
        optional=threshold.optional,
    )  # fmt: skip


def _nowhere(threshold: Threshold, what: str, reason: str) -> Check:
    return Check(
        what=what, data=threshold.data, regime=threshold.regime, state="not run", reason=reason,
        optional=threshold.optional,
    )  # fmt: skip


def _bound(threshold: Threshold) -> str:
    bounds = [("≥", threshold.min), ("≤", threshold.max)]
    told = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
    group = "" if threshold.group == "all" else f" ({threshold.group})"
    return f"{threshold.system}: {threshold.metric}{group} {told}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
