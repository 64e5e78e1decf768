"""What several benchmarks found, on one page: a table of all ratios, and a chart of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from evals.tables import Result, Table, figure

_COLUMNS = ("benchmark", "what", "baseline", "ratio", "95 %", "n")
_ROW_INCHES, _MARGIN_INCHES, _WIDTH_INCHES = 0.2, 0.9, 9.0
_OURS, _THEIRS = "tab:green", "tab:red"  # below and above 1


def summarise(results: Sequence[Mapping[str, Any]]) -> Result:
    """Return all ratios of these results, given as JSON objects, in one table."""
    rows = [
        [name, claim["what"], claim["against"], f"{ratio['value']:.2f}", _limits(ratio), ratio["n"]]
        for name, claim, ratio in _ratios(results)
    ]
    return Result(
        name="summary",
        about="all ratios",
        settings={},
        tables=[Table(title="memkit / baseline", columns=_COLUMNS, rows=rows)],
    )


def draw(results: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw the ratios with their intervals on a logarithmic axis; the file's suffix is the format.

    Sizes are left out: only figures with a unit of time are drawn.
    """
    ratios = [
        (f"{claim['what']} / {claim['against']}", ratio)
        for _, claim, ratio in _ratios(results)
        if claim["unit"] in ("s", "ms")
    ]
    with rc_context({"svg.hashsalt": "memkit", "svg.fonttype": "none"}):
        height = _MARGIN_INCHES + _ROW_INCHES * len(ratios)
        drawing = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
        axes = drawing.add_subplot(xscale="log", xlabel="time of memkit / time of the baseline")
        axes.axvline(1, color="grey", linewidth=0.8)
        for row, (_, ratio) in enumerate(ratios):
            color = _OURS if ratio["value"] <= 1 else _THEIRS
            limits = [ratio["low"] or ratio["value"], ratio["high"] or ratio["value"]]
            axes.plot(limits, [row, row], color=color, linewidth=2)
            axes.plot(ratio["value"], row, "o", color=color, markersize=4)
        axes.set_yticks(range(len(ratios)), [label for label, _ in ratios], fontsize=7)
        axes.invert_yaxis()
        drawing.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _ratios(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any, Any]]:
    return [
        (result["name"], claim, claim["ratio"]) for result in results for claim in result["claims"]
    ]


def _limits(ratio: Mapping[str, Any]) -> str:
    return "" if ratio["low"] is None else f"{figure(ratio['low'])}–{figure(ratio['high'])}"
