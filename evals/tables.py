"""Results of benchmarks and studies as tables: for a terminal (Rich), for Markdown and for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.table import Table as RichTable

from evals.stats.interval import Interval

Cell = str | float | int | None

_CLAIM_COLUMNS = ("what", "ours", "baseline", "ratio", "95 %", "n", "target", "met")
_MET = {True: "yes", False: "NO", None: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound for a claim's ratio, for memkit's own figure, or for its excess over the baseline."""

    bound: Literal["≤", "≥"]
    value: float
    on: Literal["ratio", "ours", "difference"] = "ratio"

    def met(self, figure: float, baseline: float, ratio: float) -> bool:
        """Return whether the measured point values reach the target."""
        value = {"ratio": ratio, "ours": figure, "difference": figure - baseline}[self.on]
        return value <= self.value if self.bound == "≤" else value >= self.value

    def text(self, unit: str) -> str:
        """Return the target as a table shows it.

        >>> Target(bound="≤", value=0.2, on="difference").text("s")
        '≤ 0.2 s more'
        """
        suffix = {"ratio": " ×", "ours": f" {unit}", "difference": f" {unit} more"}[self.on]
        return f"{self.bound} {self.value:g}{suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A figure of memkit with its baseline from the same run. Field names are those of the JSON."""

    what: str
    unit: str
    ours: float
    against: str  # what the baseline is
    baseline: float
    ratio: Interval  # ours / baseline
    target: str = ""
    met: bool | None = None  # None: there is no target


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that one benchmark or study measured."""

    name: str
    about: str
    settings: Mapping[str, Cell]
    claims: Sequence[Claim] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """The tables of a study, and the outcomes that they were computed from."""

    results: Sequence[Result]
    outcomes: Sequence[Mapping[str, Any]] = ()
    aside: Sequence[str] = ()  # lines for a reader; may hold text, never stored


# ---- rendering; a result is given as the JSON object that a result file has


def show(console: Console, result: Mapping[str, Any]) -> None:
    """Print a result as Rich tables."""
    for table in _printable(result):
        rich = RichTable(title=table.title, title_justify="left", caption=table.note or None)
        for n, column in enumerate(table.columns):
            rich.add_column(column, justify="left" if n == 0 else "right")
        for row in table.rows:
            rich.add_row(*map(figure, row))
        console.print(rich)
    for note in result["notes"]:
        console.print(f"  {note}")


def markdown(result: Mapping[str, Any]) -> str:
    """Return a result as Markdown tables, as evals/LOG.md holds them."""
    parts = []
    for table in _printable(result):
        lines = [table.columns, ["---"] * len(table.columns)]
        lines += [[figure(cell) for cell in row] for row in table.rows]
        body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        parts.append(f"**{table.title}**\n\n{body}" + (f"\n\n{table.note}" if table.note else ""))
    return "\n\n".join([*parts, *(f"* {note}" for note in result["notes"])])


def figure(cell: object) -> str:
    """Format a number with about three digits, and None as nothing.

    >>> figure(12345), figure(0.12345), figure(12.345), figure(None)
    ('12,345', '0.123', '12.3', '')
    """
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else str(cell)
    size = abs(cell)
    digits = next((d for limit, d in ((100, 0), (10, 1), (1, 2)) if size >= limit), 3)
    return f"{cell:,.{digits}f}"


def _printable(result: Mapping[str, Any]) -> list[Table]:
    name = result["name"]
    tables = [
        Table(**{**table, "title": f"{name}: {table['title']}"}) for table in result["tables"]
    ]
    if result["claims"]:
        rows = [_claim_row(claim) for claim in result["claims"]]
        title = f"{name}: {result['about']}"
        tables.insert(0, Table(title=title, columns=_CLAIM_COLUMNS, rows=rows))
    return tables


def _claim_row(claim: Mapping[str, Any]) -> list[Cell]:
    ratio = claim["ratio"]
    return [
        claim["what"],
        f"{figure(claim['ours'])} {claim['unit']}",
        f"{figure(claim['baseline'])} ({claim['against']})",
        f"{ratio['value']:.2f}",
        "" if ratio["low"] is None else f"{ratio['low']:.2f}–{ratio['high']:.2f}",
        str(ratio["n"]),
        claim["target"],
        _MET[claim["met"]],
    ]
