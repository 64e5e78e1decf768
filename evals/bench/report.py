"""Results as people read them: Rich tables on a terminal, Markdown for the notebook."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

_CLAIM_COLUMNS = ("what", "ours", "baseline", "ratio", "95 %", "n", "target", "met")
_MET = {True: "yes", False: "NO", None: ""}
Rows = Sequence[Sequence[str]]


def tables(result: Mapping[str, Any]) -> list[tuple[str, Sequence[str], Rows, str]]:
    """Return a result's tables as (title, columns, rows, note), claims first."""
    found: list[tuple[str, Sequence[str], Rows, str]] = []
    if result["claims"]:
        rows = [_claim_row(claim) for claim in result["claims"]]
        found.append((f"{result['name']}: {result['about']}", _CLAIM_COLUMNS, rows, ""))
    for table in result["tables"]:
        rows = [[figure(cell) for cell in row] for row in table["rows"]]
        found.append((f"{result['name']}: {table['title']}", table["columns"], rows, table["note"]))
    return found


def _claim_row(claim: Mapping[str, Any]) -> list[str]:
    ratio = claim["ratio"]
    sampled = ratio["low"] is not None
    return [
        claim["what"],
        f"{figure(claim['ours'])} {claim['unit']}",
        f"{figure(claim['baseline'])} ({claim['against']})",
        f"{ratio['value']:.2f}",
        f"{ratio['low']:.2f}–{ratio['high']:.2f}" if sampled else "",
        str(ratio["n"]),
        claim["target"],
        _MET[claim["met"]],
    ]


def figure(cell: object) -> str:
    """Write a number with about three digits; nothing for None."""
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else str(cell)
    size = abs(cell)
    digits = next((d for limit, d in ((1000, 0), (100, 0), (10, 1), (1, 2)) if size >= limit), 3)
    return f"{cell:,.{digits}f}"


def show(console: Console, result: Mapping[str, Any]) -> None:
    """Print one result as Rich tables."""
    for title, columns, rows, note in tables(result):
        table = RichTable(title=title, title_justify="left", caption=note or None)
        for n, column in enumerate(columns):
            table.add_column(column, justify="left" if n == 0 else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for note in result["notes"]:
        console.print(f"  {note}")


def markdown(result: Mapping[str, Any]) -> str:
    """Return one result as Markdown tables, as evals/LOG.md holds them."""
    parts = []
    for title, columns, rows, note in tables(result):
        lines = [f"**{title}**", "", _line(columns), _line(["---"] * len(columns))]
        lines += [_line(row) for row in rows]
        parts.append("\n".join([*lines, *(["", note] if note else [])]))
    parts += [f"* {note}" for note in result["notes"]]
    return "\n\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
