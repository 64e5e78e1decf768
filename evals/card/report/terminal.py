"""The card in a terminal: what it says, the scores, and what failed."""

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from evals.card.records import Card
from evals.card.report import lists
from evals.card.report.grids import Grid, Score, glance, index
from evals.card.report.plain import plain
from evals.card.report.verdict import verdict


def show(card: Card, console: Console) -> None:
    """Print the summary."""
    console.print(summary(card))


def summary(card: Card) -> RenderableType:
    """Return the verdict, the scores at a glance, failed audits and what was not run."""
    found = index(card)
    parts: list[RenderableType] = [Text(plain(card.name), style="bold")]
    parts += [Text(plain(sentence)) for sentence in verdict(card, found)]
    parts += map(_grid, glance(found))
    failed = lists.audits(one for one in card.audits if not one.passed)
    for title, rows in (("failed audits", failed), ("not run", lists.not_run(card))):
        if rows.rows:
            parts.append(_table(title, rows))
    return Group(*parts)


def _grid(grid: Grid) -> Table:
    table = Table(title=_safe(grid.title), title_justify="left")
    for n, column in enumerate((grid.corner, *grid.columns, "n")):
        table.add_column(_safe(column), justify="right" if n else "left")
    for name, row in grid.rows:
        table.add_row(_safe(name), *map(_score, row), grid.n(row))
    return table


def _score(score: Score | None) -> str:
    if score is None:
        return "–"
    value = f"[bold green]{score.value} ★[/bold green]" if score.best else score.value
    return f"{value}\n[dim]{_safe(score.interval)}[/dim]" if score.interval else value


def _table(title: str, rows: lists.Rows) -> Table:
    table = Table(title=title, title_justify="left")
    for column in rows.columns:
        table.add_column(_safe(column))
    for row in rows.rows:
        table.add_row(*map(_safe, row))
    return table


def _safe(text: str) -> str:
    """Return `text` so that it neither styles itself nor commands the terminal."""
    return escape(plain(text))
