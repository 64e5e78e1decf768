"""The lists of a card as tables of words, for every form of the report."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evals.card.funnel import OF_REPLIES, STAGES
from evals.card.records import Audit, Card, Cell, Compared, Curve, Funnel
from evals.card.report.formats import interval, number, words
from evals.card.report.grids import ALL, MAIN, unique
from evals.card.report.verdict import outcome
from evals.metrics.catalogue import METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table of words."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def audits(results: Iterable[Audit]) -> Rows:
    """Return audits, failed ones first."""
    return Rows(
        columns=(
            "result", "audit", "data", "system", "checked", "violations", "fails from", "note",
        ),
        rows=[
            (
                "passed ✓" if audit.passed else "FAILED ✗", audit.name, audit.data,
                audit.system or "all", f"{audit.checked:,}", f"{audit.violations:,}",
                "any" if audit.threshold is None else f"a share of {audit.threshold:g}",
                audit.note,
            )
            for audit in sorted(results, key=lambda audit: audit.passed)
        ],
    )  # fmt: skip


def compared(differences: Iterable[Compared]) -> Rows:
    """Return paired differences with Holm's p and their meaning in a word."""
    return Rows(
        columns=(
            "score", "regime", "systems", "difference [95 %]", "shows", "p", "p Holm",
            "Cliff's δ", "Cohen's d", "n",
        ),
        rows=[
            (
                row.metric, row.regime, f"{row.ours} − {row.theirs}", _difference(row),
                outcome(row), _p(row.p), _p(row.p_holm), number(row.effect), number(row.d),
                f"{row.n:,}",
            )
            for row in differences
        ],
    )  # fmt: skip


def main_differences(card: Card, data: str) -> list[Compared]:
    """Return the differences in main scores on one data set; the JSON has all."""
    return [row for row in card.compared if row.data == data and row.metric in MAIN]


def not_run(card: Card) -> Rows:
    """Return items without a figure and the reasons, data sets of one reason together."""
    data_of: dict[tuple[str, str], list[str]] = {}
    for item in card.not_run:
        data_of.setdefault((item.what, item.why), []).append(item.data)
    rows = [(item, ", ".join(unique(data)), why) for (item, why), data in data_of.items()]
    return Rows(columns=("not run", "data", "why"), rows=rows)


def funnels(results: Sequence[Funnel]) -> Rows:
    """Return the counts of each stage by system, or by kind of question."""
    by_system = all(funnel.group == ALL for funnel in results)
    before_replies = [stage for stage in STAGES if stage not in OF_REPLIES]
    counted = ("asked", *before_replies, "answered", *OF_REPLIES)
    return Rows(
        columns=("system" if by_system else "kind", *counted, "right without evidence"),
        rows=[
            (
                funnel.system if by_system else funnel.group,
                *(_count(getattr(funnel, stage)) for stage in counted), _count(funnel.lucky),
            )
            for funnel in results
        ],
    )  # fmt: skip


def bins(curves: Sequence[Curve]) -> Rows:
    """Return the value and the n of every bin, a system per row."""
    labels = {p.get("x"): words(p.get("label", p.get("x"))) for c in curves for p in c.points}
    xs = sorted(labels, key=lambda x: x if isinstance(x, int | float) else 0.0)
    points_of = [(curve.system, {p.get("x"): p for p in curve.points}) for curve in curves]
    return Rows(
        columns=("system", *(labels[x] for x in xs)),
        rows=[
            (system, *(_bin(points[x]) if x in points else "–" for x in xs))
            for system, points in points_of
        ],
    )


def _bin(point: Mapping[str, Cell]) -> str:
    y = point.get("y")
    value = number(y) if isinstance(y, int | float) else "–"
    return f"{value} (n {words(point.get('n'))})"


def data(card: Card) -> Rows:
    """Return the data sets with their identity and sizes."""
    columns = unique(key for row in card.data for key in row)
    return Rows(
        columns=columns, rows=[[words(row.get(column)) for column in columns] for row in card.data]
    )


def glossary(card: Card) -> Rows:
    """Return the definition and source of every metric of the card."""
    names = unique(figure.metric for figure in card.figures)
    metrics = [METRICS[name] for name in names if name in METRICS]
    return Rows(
        columns=("metric", "layer", "better", "unit", "definition", "source"),
        rows=[(m.name, m.layer, m.better, m.unit, m.definition, m.source) for m in metrics],
    )


def config(card: Card) -> str:
    """Return the config as indented JSON."""
    return json.dumps(card.config, ensure_ascii=False, indent=1, default=str)


def command(card: Card) -> str:
    """Return the command that repeats the card."""
    return str(card.stamp.get("command", "python -m evals card --config FILE"))


def _difference(row: Compared) -> str:
    sign = "+" if row.difference > 0 else ""
    return f"{sign}{number(row.difference)} {interval(row.low, row.high)}".strip()


def _p(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _count(n: int | None) -> str:
    return "not known" if n is None else f"{n:,}"
