"""The parts of a card that are lists, as rows of words for every form of the report."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evals.card.funnel import OF_REPLIES, STAGES
from evals.card.records import Audit, Card, Cell, Compared, Curve, Funnel
from evals.card.report.grids import ALL, MAIN, between, names, number
from evals.card.report.verdict import outcome
from evals.metrics.catalogue import METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table of words."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def audits(found: Iterable[Audit]) -> Rows:
    """Return audits, those that failed first; passed and failed are words, not colours."""
    return Rows(
        columns=(
            "result", "audit", "data", "system", "checked", "violations", "fails from", "note",
        ),
        rows=[
            (
                "passed ✓" if one.passed else "FAILED ✗", one.name, one.data, one.system or "all",
                f"{one.checked:,}", f"{one.violations:,}",
                "any" if one.threshold is None else f"a share of {one.threshold:g}", one.note,
            )
            for one in sorted(found, key=lambda one: one.passed)
        ],
    )  # fmt: skip


def compared(found: Iterable[Compared]) -> Rows:
    """Return paired differences with Holm's p, and what they show in a word."""
    return Rows(
        columns=(
            "score", "regime", "systems", "difference [95 %]", "shows", "p", "p Holm",
            "Cliff's δ", "Cohen's d", "n",
        ),
        rows=[
            (
                one.metric, one.regime, f"{one.ours} − {one.theirs}", _difference(one),
                outcome(one), _p(one.p), _p(one.p_holm), number(one.effect), number(one.d),
                f"{one.n:,}",
            )
            for one in found
        ],
    )  # fmt: skip


def main_differences(card: Card, data: str) -> list[Compared]:
    """Return the differences in main scores on one data set; the JSON has the others."""
    return [one for one in card.compared if one.data == data and one.metric in MAIN]


def not_run(card: Card) -> Rows:
    """Return what has no figure and why, data sets of one reason together."""
    where: dict[tuple[str, str], list[str]] = {}
    for one in card.not_run:
        where.setdefault((one.what, one.why), []).append(one.data)
    rows = [(what, ", ".join(names(data)), why) for (what, why), data in where.items()]
    return Rows(columns=("not run", "data", "why"), rows=rows)


def funnels(found: Sequence[Funnel]) -> Rows:
    """Return how far the evidence came by system, or by kind of question."""
    by_system = all(one.group == ALL for one in found)
    known = [stage for stage in STAGES if stage not in OF_REPLIES]
    counted = ("asked", *known, "answered", *OF_REPLIES)
    return Rows(
        columns=("system" if by_system else "kind", *counted, "right without evidence"),
        rows=[
            (
                one.system if by_system else one.group,
                *(_count(getattr(one, stage)) for stage in counted), _count(one.lucky),
            )
            for one in found
        ],
    )  # fmt: skip


def bins(curves: Sequence[Curve]) -> Rows:
    """Return the value and the n of every bin, a system on each line."""
    labels = {p.get("x"): said(p.get("label", p.get("x"))) for one in curves for p in one.points}
    ordered = sorted(labels, key=lambda x: x if isinstance(x, int | float) else 0.0)
    by_x = [(one.system, {p.get("x"): p for p in one.points}) for one in curves]
    return Rows(
        columns=("system", *(labels[x] for x in ordered)),
        rows=[
            (system, *(_bin(points[x]) if x in points else "–" for x in ordered))
            for system, points in by_x
        ],
    )


def _bin(point: Mapping[str, Cell]) -> str:
    y = point.get("y")
    value = number(y) if isinstance(y, int | float) else "–"
    return f"{value} (n {said(point.get('n'))})"


def data(card: Card) -> Rows:
    """Return the data sets with what identifies them and their sizes."""
    columns = names(key for one in card.data for key in one)
    return Rows(
        columns=columns,
        rows=[[said(one.get(column)) for column in columns] for one in card.data],
    )


def glossary(card: Card) -> Rows:
    """Return the definition and source of every metric the card shows."""
    shown = names(one.metric for one in card.figures)
    told = [METRICS[name] for name in shown if name in METRICS]
    return Rows(
        columns=("metric", "layer", "better", "unit", "definition", "source"),
        rows=[(m.name, m.layer, m.better, m.unit, m.definition, m.source) for m in told],
    )


def said(value: object) -> str:
    """Return any value of a config or disclosure as words."""
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, str):
        return value or "–"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {said(one)}" for key, one in value.items()) or "none"
    if isinstance(value, Iterable):
        return ", ".join(map(said, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def config(card: Card) -> str:
    """Return the config as JSON to read."""
    return json.dumps(card.config, ensure_ascii=False, indent=1, default=str)


def command(card: Card) -> str:
    """Return the command that repeats the card."""
    return str(card.stamp.get("command", "python -m evals card --config FILE"))


def _difference(one: Compared) -> str:
    sign = "+" if one.difference > 0 else ""
    return f"{sign}{number(one.difference)} {between(one.low, one.high)}".strip()


def _p(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _count(n: int | None) -> str:
    return "not known" if n is None else f"{n:,}"
