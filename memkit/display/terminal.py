"""Render a view with Rich for a terminal; remembered text is never parsed as markup."""

from collections.abc import Sequence

from rich import box
from rich import table as rich_table
from rich.console import Group, RenderableType
from rich.text import Text

from memkit.display.views import Bar, Cell, Fact, Table, View
from memkit.text.sanitise import harmless

_WIDTH = 10  # characters of a bar


def render_rich(view: View) -> RenderableType:
    """Return a view as a renderable of Rich."""
    parts: list[RenderableType] = [Text(harmless(view.title), style="bold")]
    if view.text:
        parts.append(Text(harmless(view.text)))
    if view.facts:
        parts.append(_facts(view.facts))
    if view.table:
        parts.append(_table(view.table))
        parts += [Text(view.table.more, style="dim")] if view.table.more else []
    return Group(*parts)


def _facts(facts: Sequence[Fact]) -> RenderableType:
    grid = rich_table.Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(Text(harmless(name)), _cell(value))
    return grid


def _table(table: Table) -> RenderableType:
    grid = rich_table.Table(box=box.SIMPLE_HEAD)
    for column in table.columns:
        grid.add_column(Text(column), overflow="fold", no_wrap=column in table.nowrap)
    for row in table.rows:
        grid.add_row(*map(_cell, row))
    return grid


def _cell(cell: Cell) -> Text:
    if not isinstance(cell, Bar):
        return Text(harmless(cell))
    filled = round(cell.filled * _WIDTH)
    line = Text().append("━" * filled, "cyan").append("━" * (_WIDTH - filled), "dim")
    return line.append(f" {harmless(cell.label)}")
