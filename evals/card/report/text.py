"""The card as Markdown: short tables, for a repository or a mail."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from evals.card.records import Card, Compared, Curve
from evals.card.report import lists
from evals.card.report.grids import Grid, Score, glance, headline, index, layers, regimes
from evals.card.report.lists import Rows
from evals.card.report.plain import plain
from evals.card.report.plots import KINDS, by_place
from evals.card.report.verdict import verdict

_LEGEND = (
    "**Bold ★**: best of the systems. –: no figure. Intervals are 95 %, by conversation, for "
    "shares exact where all of them agree; none where too few have the score, or they are too "
    "alike to tell."
)


def markdown(card: Card) -> str:
    """Return the card as Markdown; text of the card cannot become markup."""
    found = index(card)
    parts = [f"# {_plain(card.name)}", " ".join(map(_plain, verdict(card, found))), _LEGEND]
    parts += [f"## At a glance\n\n{_grids(glance(found))}"]
    for data in found.data:
        grids = [headline(found, data, regime) for regime in found.regimes(data)]
        grids += regimes(found, data)
        parts += [f"## {_plain(data)}\n\n{_grids(grids)}"] if grids else []
    parts += [*_funnels(card), *_curves(card), *_layers(card)]
    for title, rows in (
        ("Audits", lists.audits(card.audits)),
        ("Paired differences", lists.compared(_main(card))),
        ("Not run", lists.not_run(card)),
        ("Data", lists.data(card)),
        ("Glossary", lists.glossary(card)),
    ):
        parts += [f"## {title}\n\n{_table(rows)}"] if rows.rows else []
    parts += [_told("Reproducibility", card.disclosure), _told("Run", card.stamp)]
    fenced = lists.config(card).replace("```", "'''")
    command = plain(" ".join(lists.command(card).split()))
    parts += [f"## How to repeat\n\n    {command}\n\n```json\n{fenced}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _main(card: Card) -> Iterator[Compared]:
    for data in dict.fromkeys(one.data for one in card.compared):
        yield from lists.main_differences(card, data)


def _layers(card: Card) -> Iterator[str]:
    """Yield every figure over all questions, by data set, regime and layer."""
    found = index(card)
    for data in found.data:
        for regime in found.regimes(data):
            grids = list(layers(found, data, regime))
            if grids:
                yield f"## Layers: {_plain(data)}, {_plain(regime)}\n\n{_grids(grids)}"


def _funnels(card: Card) -> Iterator[str]:
    for (data, regime), some in by_place(card.funnels).items():
        title = f"## Where evidence was lost: {_plain(data)}, {_plain(regime)}"
        yield f"{title}\n\n{_table(lists.funnels(some))}"


def _curves(card: Card) -> Iterator[str]:
    """Yield every curve over bins as a table: what a plot shows, with its n."""
    places: dict[tuple[str, str, str, str], list[Curve]] = {}
    for one in card.curves:
        if one.points and one.name in KINDS and KINDS[one.name].bins:
            places.setdefault((one.name, one.data, one.regime, one.metric), []).append(one)
    for (name, data, regime, metric), some in places.items():
        where = f"{_plain(data)}, {_plain(regime)}, {_plain(metric)}"
        title = f"## {KINDS[name].question} {where}\n\nBy {KINDS[name].x}."
        yield f"{title}\n\n{_table(lists.bins(some))}"


def _grids(grids: Iterable[Grid]) -> str:
    tables = []
    for grid in grids:
        rows = [[name, *map(_score, row), grid.n(row)] for name, row in grid.rows]
        columns = (grid.corner, *grid.columns, "n")
        tables.append(f"### {_plain(grid.title)}\n\n{_table(Rows(columns=columns, rows=rows))}")
    return "\n\n".join(tables)


def _score(score: Score | None) -> str:
    if score is None:
        return "–"
    value = f"**{score.value} ★**" if score.best else score.value
    return f"{value} {score.interval}".strip()


def _table(table: Rows) -> str:
    ruled = ["---"] * len(table.columns)
    return "\n".join(map(_row, (table.columns, ruled, *table.rows)))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _told(title: str, told: object) -> str:
    if not isinstance(told, dict) or not told:
        return ""
    lines = [f"* {_plain(str(key))}: {_plain(lists.said(value))}" for key, value in told.items()]
    return f"## {title}\n\n" + "\n".join(lines)


def _plain(text: str) -> str:
    """Return `text` as Markdown that shows it: on one line, no tag, no column, no link."""
    safe = escape(plain(" ".join(text.split())), quote=False)
    return safe.replace("|", "\\|").replace("`", "'").replace("](", "]\\(")
