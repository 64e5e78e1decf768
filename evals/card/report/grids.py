"""Figures as tables of scores, for every form of the report, with the best of each marked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from evals.card.records import REGIMES, Card, Curve, Figure, Funnel
from evals.card.report import formats
from evals.metrics.catalogue import LAYERS, METRICS

ALL = "all"
FOUND = ("turn recall@10", "turn recall@5", "replay@10", "any@10")
ANSWERED = ("contains", "F1", "EM")
MAIN = (
    "turn recall@10", "share in budget", "contains", "F1", "citation coverage",
    "unsupported claims", "abstention", "freshness hit", "out-of-date use", "recognition",
    "prompt tokens", "search ms",
)  # fmt: skip
PREFERRED = ("replay", "online", "long context", "parametric")  # regimes, the most telling first
_FALLBACK = 5  # metrics of a headline without any main metric

Key = tuple[str, str, str, str, str]  # data, group, regime, system, metric


class Score(NamedTuple):
    """A figure as a cell of a table."""

    figure: Figure
    best: bool  # of all systems on the same questions; never if all are equal

    @property
    def value(self) -> str:
        """The figure as text."""
        return formats.number(self.figure.value)

    @property
    def interval(self) -> str:
        """The 95 % interval as text; empty without one."""
        return formats.interval(self.figure.low, self.figure.high)


class Grid(NamedTuple):
    """A table of scores; None is a cell without a figure."""

    title: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Score | None]]]

    def n(self, row: Sequence[Score | None]) -> str:
        """Return the number of questions of a row; a range if its cells differ."""
        ns = [score.figure.n for score in row if score]
        low, high = min(ns, default=0), max(ns, default=0)
        return f"{low:,}" if low == high else f"{low:,}–{high:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The figures of a card by key; names in the order of their appearance."""

    figures: Mapping[Key, Figure]
    best: frozenset[Key]
    systems: Sequence[str]
    data: Sequence[str]

    def figures_of(self, data: str, regime: str) -> list[Figure]:
        """Return the figures over all questions of one data set and regime."""
        return [f for key, f in self.figures.items() if key[:3] == (data, ALL, regime)]

    def regimes(self, data: str) -> list[str]:
        """Return the regimes that have figures of a data set."""
        present = {key[2] for key in self.figures if key[0] == data}
        return [regime for regime in REGIMES if regime in present]

    def has(self, data: str, regime: str, metric: str) -> bool:
        """Return whether any system has the metric over all questions."""
        return any((data, ALL, regime, name, metric) in self.figures for name in self.systems)

    def grid(
        self, title: str, corner: str, columns: Sequence[str], rows: Mapping[str, Iterable[Key]]
    ) -> Grid:
        """Return a table of the figures with these keys, without the rows that have none."""
        scores = {
            name: [
                Score(self.figures[k], k in self.best) if k in self.figures else None for k in keys
            ]
            for name, keys in rows.items()
        }
        return Grid(title, corner, columns, [row for row in scores.items() if any(row[1])])

    def by_system(self, title: str, columns: Mapping[str, tuple[str, str, str]]) -> Grid:
        """Return a row per system, from the data, regime and metric of each column."""
        rows = {
            system: [
                (data, ALL, regime, system, metric) for data, regime, metric in columns.values()
            ]
            for system in self.systems
        }
        return self.grid(title, "system", [*columns], rows)


def index(card: Card) -> Index:
    """Return the figures of a card, indexed."""
    figures: dict[Key, Figure] = {
        (f.data, f.group, f.regime, f.system, f.metric): f for f in card.figures
    }
    parts: list[Figure | Curve | Funnel] = [*card.figures, *card.curves, *card.funnels]
    configured = [card.config.get("ours"), *(card.config.get("systems") or ())]  # ours is first
    present = unique(part.system for part in parts)
    return Index(
        figures=figures,
        best=frozenset(_best(figures)),
        systems=unique([*(name for name in configured if name in present), *present]),
        data=unique([str(row["name"]) for row in card.data] + [part.data for part in parts]),
    )


def unique(names: Iterable[str]) -> list[str]:
    """Return each name once, in the order of first appearance."""
    return list(dict.fromkeys(names))


def by_place(results: Iterable[Funnel]) -> dict[tuple[str, str], list[Funnel]]:
    """Return the funnels over all questions by data set and regime."""
    places: dict[tuple[str, str], list[Funnel]] = {}
    for funnel in sorted(results, key=lambda funnel: PREFERRED.index(funnel.regime)):
        if funnel.group == ALL:
            places.setdefault((funnel.data, funnel.regime), []).append(funnel)
    return places


def lower_is_better(metric: str) -> bool:
    """Return whether a lower value is better; False for a metric that the catalogue lacks."""
    return metric in METRICS and METRICS[metric].better == "lower"


def _best(figures: Mapping[Key, Figure]) -> Iterator[Key]:
    rivals: dict[tuple[str, ...], list[Key]] = {}
    for key in figures:
        rivals.setdefault((*key[:3], key[4]), []).append(key)
    for keys in rivals.values():
        top = (min if lower_is_better(keys[0][4]) else max)(figures[key].value for key in keys)
        winners = [k for k in keys if formats.number(figures[k].value) == formats.number(top)]
        if len(winners) < len(keys):
            yield from winners


def glance(figures: Index) -> Iterator[Grid]:
    """Yield systems × data sets for retrieval and for replies, in the most telling regime."""
    present = {(key[4], key[2]) for key in figures.figures if key[1] == ALL}
    for title, metrics in (("Evidence found", FOUND), ("Questions answered", ANSWERED)):
        for metric, regime in [pair for pair in product(metrics, PREFERRED) if pair in present][:1]:
            data = [name for name in figures.data if figures.has(name, regime, metric)]
            columns = {name: (name, regime, metric) for name in data}
            yield figures.by_system(f"{title} ({metric}, {regime})", columns)


def headline(figures: Index, data: str, regime: str) -> Grid:
    """Return systems × main scores of one data set in one regime."""
    present = unique(figure.metric for figure in figures.figures_of(data, regime))
    metrics = [name for name in MAIN if name in present] or present[:_FALLBACK]
    columns = {metric: (data, regime, metric) for metric in metrics}
    return figures.by_system(f"{data}, {regime}", columns)


def regimes(figures: Index, data: str) -> Iterator[Grid]:
    """Yield systems × regimes, where a score was measured in more than one regime."""
    for metrics in (FOUND, ANSWERED):
        for metric in metrics:
            present = [name for name in figures.regimes(data) if figures.has(data, name, metric)]
            if len(present) > 1:
                columns = {regime: (data, regime, metric) for regime in present}
                yield figures.by_system(f"{metric}, regimes side by side", columns)
                break


def layers(figures: Index, data: str, regime: str) -> Iterator[Grid]:
    """Yield metrics × systems, one table per layer with figures."""
    present = figures.figures_of(data, regime)
    for layer in LAYERS:
        in_layer = [figure for figure in present if figure.layer == layer]
        systems = unique(figure.system for figure in in_layer)
        rows = {
            _with_score(metric, in_layer): [(data, ALL, regime, name, metric) for name in systems]
            for metric in unique(figure.metric for figure in in_layer)
        }
        if rows:
            yield figures.grid(layer, "metric", systems, rows)


def _with_score(metric: str, figures: Iterable[Figure]) -> str:
    scores = unique(f.score for f in figures if f.metric == metric and f.score)
    return f"{metric} ({', '.join(scores)})" if scores else metric


def kinds(figures: Index, data: str, regime: str) -> Iterator[Grid]:
    """Yield kinds of question × systems for retrieval and for replies."""
    groups = unique(key[1] for key in figures.figures if (key[0], key[2]) == (data, regime))
    for metrics in (FOUND, ANSWERED):
        metric = next((name for name in metrics if figures.has(data, regime, name)), "")
        rows = {
            group: [(data, group, regime, system, metric) for system in figures.systems]
            for group in groups
            if group != ALL
        }
        grid = figures.grid(f"by kind of question: {metric}", "kind", figures.systems, rows)
        if grid.rows:
            yield grid
