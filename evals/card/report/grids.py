"""Figures as tables of scores, for every form of the report, with the best of each marked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
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

    def score(self, key: Key) -> Score | None:
        """Return the cell of a key."""
        figure = self.figures.get(key)
        return Score(figure=figure, best=key in self.best) if figure else None

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

    def by_system(self, columns: Iterable[tuple[str, str, str]]) -> dict[str, list[Score | None]]:
        """Return a row of cells per system, from the data, regime and metric of each column."""
        columns = list(columns)
        return {
            system: [
                self.score((data, ALL, regime, system, metric)) for data, regime, metric in columns
            ]
            for system in self.systems
        }


def index(card: Card) -> Index:
    """Return the figures of a card, indexed."""
    figures = {_key(figure): figure for figure in card.figures}
    parts: list[Figure | Curve | Funnel] = [*card.figures, *card.curves, *card.funnels]
    configured = [card.config.get("ours"), *(card.config.get("systems") or ())]  # ours is first
    present = {part.system for part in parts}
    return Index(
        figures=figures,
        best=frozenset(_best(figures)),
        systems=unique(
            [*(name for name in configured if name in present), *(part.system for part in parts)]
        ),
        data=unique([str(row["name"]) for row in card.data] + [part.data for part in parts]),
    )


def _key(figure: Figure) -> Key:
    return figure.data, figure.group, figure.regime, figure.system, figure.metric


def unique(names: Iterable[str]) -> list[str]:
    """Return each name once, in the order of first appearance."""
    return list(dict.fromkeys(names))


def lower_is_better(metric: str) -> bool:
    """Return whether a lower value is better; False for a metric that the catalogue lacks."""
    return metric in METRICS and METRICS[metric].better == "lower"


def _best(figures: Mapping[Key, Figure]) -> Iterator[Key]:
    rivals: dict[tuple[str, ...], list[Key]] = {}
    for key in figures:
        rivals.setdefault((*key[:3], key[4]), []).append(key)
    for keys in rivals.values():
        values = {key: figures[key].value for key in keys}
        top = min(values.values()) if lower_is_better(keys[0][4]) else max(values.values())
        winners = [key for key in keys if formats.number(values[key]) == formats.number(top)]
        if len(winners) < len(keys):
            yield from winners


def glance(figures: Index) -> Iterator[Grid]:
    """Yield systems × data sets for retrieval and for replies, in the most telling regime."""
    present = {(key[4], key[2]) for key in figures.figures if key[1] == ALL}
    for title, metrics in (("Evidence found", FOUND), ("Questions answered", ANSWERED)):
        candidates = (
            (m, regime) for m in metrics for regime in PREFERRED if (m, regime) in present
        )
        metric, regime = next(candidates, ("", ""))
        data = [name for name in figures.data if figures.has(name, regime, metric)]
        if data:
            cells = figures.by_system((name, regime, metric) for name in data)
            yield _grid(f"{title} ({metric}, {regime})", "system", data, cells)


def headline(figures: Index, data: str, regime: str) -> Grid:
    """Return systems × main scores of one data set in one regime."""
    present = unique(figure.metric for figure in figures.figures_of(data, regime))
    metrics = [name for name in MAIN if name in present] or present[:_FALLBACK]
    cells = figures.by_system((data, regime, metric) for metric in metrics)
    return _grid(f"{data}, {regime}", "system", metrics, cells)


def regimes(figures: Index, data: str) -> Iterator[Grid]:
    """Yield systems × regimes, where a score was measured in more than one regime."""
    for metrics in (FOUND, ANSWERED):
        for metric in metrics:
            present = [name for name in figures.regimes(data) if figures.has(data, name, metric)]
            if len(present) > 1:
                cells = figures.by_system((data, regime, metric) for regime in present)
                yield _grid(f"{metric}, regimes side by side", "system", present, cells)
                break


def layers(figures: Index, data: str, regime: str) -> Iterator[Grid]:
    """Yield metrics × systems, one table per layer with figures."""
    present = figures.figures_of(data, regime)
    for layer in LAYERS:
        in_layer = [figure for figure in present if figure.layer == layer]
        systems = unique(figure.system for figure in in_layer)
        cells = {
            _with_score(metric, present): [
                figures.score((data, ALL, regime, system, metric)) for system in systems
            ]
            for metric in unique(figure.metric for figure in in_layer)
        }
        if cells:
            yield _grid(layer, "metric", systems, cells)


def _with_score(metric: str, figures: Iterable[Figure]) -> str:
    """Return the name of a metric with the score that it is the slope or the drop of."""
    scores = unique(f.score for f in figures if f.metric == metric and f.score)
    return f"{metric} ({', '.join(scores)})" if scores else metric


def kinds(figures: Index, data: str, regime: str) -> Iterator[Grid]:
    """Yield kinds of question × systems for retrieval and for replies."""
    groups = unique(key[1] for key in figures.figures if (key[0], key[2]) == (data, regime))
    for metrics in (FOUND, ANSWERED):
        metric = next((name for name in metrics if figures.has(data, regime, name)), "")
        cells = {
            group: [
                figures.score((data, group, regime, system, metric)) for system in figures.systems
            ]
            for group in groups
            if group != ALL
        }
        grid = _grid(f"by kind of question: {metric}", "kind", figures.systems, cells)
        if grid.rows:
            yield grid


def _grid(
    title: str, corner: str, columns: Sequence[str], cells: Mapping[str, Sequence[Score | None]]
) -> Grid:
    """Return a grid without the rows that have no score."""
    rows = [(name, scores) for name, scores in cells.items() if any(scores)]
    return Grid(title=title, corner=corner, columns=columns, rows=rows)
