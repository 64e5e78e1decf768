"""A card as Markdown: short tables, for a repository or a mail."""

from collections.abc import Iterable, Iterator
from html import escape

from evals.card.records import Card, Curve
from evals.card.report import lists
from evals.card.report.formats import printable, words
from evals.card.report.grids import Grid, Index, Score, glance, headline, index, layers, regimes
from evals.card.report.lists import Rows
from evals.card.report.plots import KINDS, by_place
from evals.card.report.verdict import verdict

_LEGEND = (
    "**Bold ★**: best of the systems. –: no figure. Intervals are 95 %, by resampling of "
    "conversations, exact for shares on which all conversations agree, and absent if too few "
    "conversations have the score or all are alike."
)


def markdown(card: Card) -> str:
    """Return a card as Markdown; text of the card cannot become markup."""
    figures = index(card)
    parts = [f"# {_safe(card.name)}", " ".join(map(_safe, verdict(card, figures))), _LEGEND]
    parts += [f"## At a glance\n\n{_grids(glance(figures))}"]
    for data in figures.data:
        grids = [headline(figures, data, regime) for regime in figures.regimes(data)]
        grids += regimes(figures, data)
        parts += [f"## {_safe(data)}\n\n{_grids(grids)}"] if grids else []
    parts += [*_funnels(card), *_curves(card), *_layers(figures)]
    data_sets = dict.fromkeys(row.data for row in card.compared)
    differences = [row for data in data_sets for row in lists.main_differences(card, data)]
    for title, rows in (
        ("Audits", lists.audits(card.audits)),
        ("Paired differences", lists.compared(differences)),
        ("Not run", lists.not_run(card)),
        ("Data", lists.data(card)),
        ("Glossary", lists.glossary(card)),
    ):
        parts += [f"## {title}\n\n{_table(rows)}"] if rows.rows else []
    for title, values in (("Reproducibility", card.disclosure), ("Run", card.stamp)):
        lines = [f"* {_safe(str(key))}: {_safe(words(value))}" for key, value in values.items()]
        parts += [f"## {title}\n\n" + "\n".join(lines)] if lines else []
    fenced = lists.config(card).replace("```", "'''")
    command = printable(" ".join(lists.command(card).split()))
    parts += [f"## How to repeat\n\n    {command}\n\n```json\n{fenced}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _layers(figures: Index) -> Iterator[str]:
    """Yield every figure over all questions, by data set, regime and layer."""
    for data in figures.data:
        for regime in figures.regimes(data):
            grids = list(layers(figures, data, regime))
            if grids:
                yield f"## Layers: {_safe(data)}, {_safe(regime)}\n\n{_grids(grids)}"


def _funnels(card: Card) -> Iterator[str]:
    for (data, regime), funnels in by_place(card.funnels).items():
        title = f"## Where evidence was lost: {_safe(data)}, {_safe(regime)}"
        yield f"{title}\n\n{_table(lists.funnels(funnels))}"


def _curves(card: Card) -> Iterator[str]:
    """Yield every curve over bins as a table: the values of a plot, with their n."""
    places: dict[tuple[str, str, str, str], list[Curve]] = {}
    for curve in card.curves:
        if curve.points and curve.name in KINDS and KINDS[curve.name].bins:
            place = curve.name, curve.data, curve.regime, curve.metric
            places.setdefault(place, []).append(curve)
    for (name, data, regime, metric), curves in places.items():
        where = f"{_safe(data)}, {_safe(regime)}, {_safe(metric)}"
        title = f"## {KINDS[name].question} {where}\n\nBy {KINDS[name].x}."
        yield f"{title}\n\n{_table(lists.bins(curves))}"


def _grids(grids: Iterable[Grid]) -> str:
    tables = []
    for grid in grids:
        rows = [[name, *map(_score, row), grid.n(row)] for name, row in grid.rows]
        columns = (grid.corner, *grid.columns, "n")
        tables.append(f"### {_safe(grid.title)}\n\n{_table(Rows(columns=columns, rows=rows))}")
    return "\n\n".join(tables)


def _score(score: Score | None) -> str:
    if score is None:
        return "–"
    value = f"**{score.value} ★**" if score.best else score.value
    return f"{value} {score.interval}".strip()


def _table(table: Rows) -> str:
    lines = (table.columns, ["---"] * len(table.columns), *table.rows)
    return "\n".join(f"| {' | '.join(map(_safe, cells))} |" for cells in lines)


def _safe(text: str) -> str:
    """Return a text as Markdown that shows it: on one line, no tag, no column, no link."""
    safe = escape(printable(" ".join(text.split())), quote=False)
    return safe.replace("|", "\\|").replace("`", "'").replace("](", "]\\(")
