"""A card in a terminal: verdict, scores at a glance, failed audits."""

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from evals.card.records import Card
from evals.card.report import lists
from evals.card.report.formats import printable
from evals.card.report.grids import Grid, Score, glance, index
from evals.card.report.verdict import verdict


def show(card: Card, console: Console) -> None:
    """Print the summary of a card."""
    console.print(summary(card))


def summary(card: Card) -> RenderableType:
    """Return the verdict, the scores at a glance, failed audits and items that did not run."""
    figures = index(card)
    parts: list[RenderableType] = [Text(printable(card.name), style="bold")]
    parts += [Text(printable(sentence)) for sentence in verdict(card, figures)]
    parts += map(_grid, glance(figures))
    failed = lists.audits(audit for audit in card.audits if not audit.passed)
    for title, rows in (("failed audits", failed), ("not run", lists.not_run(card))):
        if rows.rows:
            table = Table(*map(_safe, rows.columns), title=title, title_justify="left")
            for row in rows.rows:
                table.add_row(*map(_safe, row))
            parts.append(table)
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


def _safe(text: str) -> str:
    return escape(printable(text))
