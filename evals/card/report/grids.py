"""Figures laid out as tables, for every form of the report: what stands where, and what is best."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.card.records import LAYERS, REGIMES, Card, Curve, Figure, Funnel
from evals.metrics.catalogue import METRICS

ALL = "all"
FOUND = ("turn recall@10", "turn recall@5", "replay@10", "any@10")
ANSWERED = ("contains", "F1", "EM")
MAIN = (
    "turn recall@10", "share in budget", "contains", "F1", "citation coverage",
    "unsupported claims", "abstention", "freshness hit", "out-of-date use", "recognition",
    "prompt tokens", "search ms",
)  # fmt: skip
PREFERRED = ("replay", "online", "long context", "parametric")
_SPARE = 5  # metrics of a headline where none of the main ones was measured

Key = tuple[str, str, str, str, str]  # data, group, regime, system, metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A figure in its cell."""

    figure: Figure
    best: bool  # of all systems on the same questions; never where all are equal

    @property
    def value(self) -> str:
        """The figure as it is shown."""
        return number(self.figure.value)

    @property
    def interval(self) -> str:
        """The 95 % interval as it is shown; empty if there is none."""
        return between(self.figure.low, self.figure.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of scores; None stands where there is no figure."""

    title: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Score | None]]]

    def n(self, row: Sequence[Score | None]) -> str:
        """Return how many questions a row rests on; a range if its cells differ."""
        ns = [score.figure.n for score in row if score]
        low, high = min(ns, default=0), max(ns, default=0)
        return f"{low:,}" if low == high else f"{low:,}–{high:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The card's figures by what they are about, names in the order of their appearance."""

    figures: Mapping[Key, Figure]
    best: frozenset[Key]
    systems: Sequence[str]
    data: Sequence[str]

    def score(self, key: Key) -> Score | None:
        """Return what stands in a cell."""
        found = self.figures.get(key)
        return Score(figure=found, best=key in self.best) if found else None

    def seen(self, data: str, regime: str, group: str = ALL) -> list[Figure]:
        """Return the figures of one data set and regime."""
        wanted = (data, group, regime)
        return [one for key, one in self.figures.items() if key[:3] == wanted]

    def regimes(self, data: str) -> list[str]:
        """Return the regimes that have figures of a data set."""
        there = {key[2] for key in self.figures if key[0] == data}
        return [regime for regime in REGIMES if regime in there]


def index(card: Card) -> Index:
    """Return the card's figures, ready to be looked up."""
    figures = {key_of(one): one for one in card.figures}
    told: list[Figure | Curve | Funnel] = [*card.figures, *card.curves, *card.funnels]
    ordered = [card.config.get("ours"), *(card.config.get("systems") or ())]  # ours stands first
    there = {one.system for one in told}
    return Index(
        figures=figures,
        best=frozenset(_best(figures)),
        systems=names([*(one for one in ordered if one in there), *(one.system for one in told)]),
        data=names([str(one["name"]) for one in card.data] + [one.data for one in told]),
    )


def key_of(figure: Figure) -> Key:
    """Return what a figure is about."""
    return figure.data, figure.group, figure.regime, figure.system, figure.metric


def names(found: Iterable[str]) -> list[str]:
    """Return each name once, in the order of its first appearance."""
    return list(dict.fromkeys(found))


def lower_is_better(metric: str) -> bool:
    """Say which way a metric points; one that nobody has defined points up."""
    return metric in METRICS and METRICS[metric].better == "lower"


def _best(figures: Mapping[Key, Figure]) -> Iterator[Key]:
    rivals: dict[tuple[str, ...], list[Key]] = {}
    for key in figures:
        rivals.setdefault((*key[:3], key[4]), []).append(key)
    for keys in rivals.values():
        values = {key: figures[key].value for key in keys}
        top = min(values.values()) if lower_is_better(keys[0][4]) else max(values.values())
        winners = [key for key in keys if number(values[key]) == number(top)]
        if len(winners) < len(keys):
            yield from winners


def glance(found: Index) -> Iterator[Grid]:
    """Yield systems × data sets: what was found and what answered, in the regime that says most."""
    there = {(key[4], key[2]) for key in found.figures if key[1] == ALL}
    for title, metrics in (("Evidence found", FOUND), ("Questions answered", ANSWERED)):
        wanted = ((m, regime) for m in metrics for regime in PREFERRED if (m, regime) in there)
        metric, regime = next(wanted, ("", ""))
        data = [one for one in found.data if any(_has(found, one, regime, metric))]
        cells = {
            system: [found.score((one, ALL, regime, system, metric)) for one in data]
            for system in found.systems
        }
        if data:
            yield _grid(f"{title} ({metric}, {regime})", "system", data, cells)


def _has(found: Index, data: str, regime: str, metric: str) -> Iterator[bool]:
    return ((data, ALL, regime, system, metric) in found.figures for system in found.systems)


def headline(found: Index, data: str, regime: str) -> Grid:
    """Return systems × main scores of one data set in one regime."""
    there = names(one.metric for one in found.seen(data, regime))
    metrics = [name for name in MAIN if name in there] or there[:_SPARE]
    cells = {
        system: [found.score((data, ALL, regime, system, metric)) for metric in metrics]
        for system in found.systems
    }
    return _grid(f"{data}, {regime}", "system", metrics, cells)


def regimes(found: Index, data: str) -> Iterator[Grid]:
    """Yield systems × regimes, where a score was measured in more than one."""
    for metrics in (FOUND, ANSWERED):
        for metric in metrics:
            there = [one for one in found.regimes(data) if any(_has(found, data, one, metric))]
            if len(there) > 1:
                cells = {
                    system: [found.score((data, ALL, one, system, metric)) for one in there]
                    for system in found.systems
                }
                yield _grid(f"{metric}, regimes side by side", "system", there, cells)
                break


def layers(found: Index, data: str, regime: str) -> Iterator[Grid]:
    """Yield metrics × systems, one table for each layer that has figures."""
    seen = found.seen(data, regime)
    for layer in LAYERS:
        systems = names(one.system for one in seen if one.layer == layer)
        cells = {
            _of_score(metric, seen): [
                found.score((data, ALL, regime, system, metric)) for system in systems
            ]
            for metric in names(one.metric for one in seen if one.layer == layer)
        }
        if cells:
            yield _grid(layer, "metric", systems, cells)


def _of_score(metric: str, figures: Iterable[Figure]) -> str:
    """Return a metric's name with the score that it is the slope or the drop of."""
    scores = names(one.score for one in figures if one.metric == metric and one.score)
    return f"{metric} ({', '.join(scores)})" if scores else metric


def kinds(found: Index, data: str, regime: str) -> Iterator[Grid]:
    """Yield kinds of question × systems for what was found and what was answered."""
    groups = names(key[1] for key in found.figures if key[0] == data and key[2] == regime)
    for metrics in (FOUND, ANSWERED):
        metric = next((one for one in metrics if any(_has(found, data, regime, one))), "")
        cells = {
            group: [found.score((data, group, regime, system, metric)) for system in found.systems]
            for group in groups
            if group != ALL
        }
        grid = _grid(f"by kind of question: {metric}", "kind", found.systems, cells)
        if grid.rows:
            yield grid


def _grid(
    title: str, corner: str, columns: Sequence[str], cells: Mapping[str, Sequence[Score | None]]
) -> Grid:
    """Lay out scores; rows without any are left out."""
    kept = [(row, scores) for row, scores in cells.items() if any(scores)]
    return Grid(title=title, corner=corner, columns=columns, rows=kept)


def number(value: float | None) -> str:
    """Return a number as it is shown: three digits after the point, or as many as it needs."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 3
    return f"{value + 0.0:,.{digits}f}".replace("-", "−")


def between(low: float | None, high: float | None) -> str:
    """Return an interval as it is shown, ∞ where it has no end; empty where it tells nothing."""
    return (
        ""
        if low is None or low == high
        else f"[{number(low)}, {'∞' if high is None else number(high)}]"
    )
