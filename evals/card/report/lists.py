"""The lists of a card as tables of words, for every form of the report."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from evals.card.aggregate import OF_REPLIES, STAGES
from evals.card.records import Audit, Card, Cell, Curve, Funnel
from evals.card.report.formats import interval, number, words
from evals.card.report.grids import ALL, MAIN, by_place, unique
from evals.card.report.plots import KINDS
from evals.card.report.verdict import outcome
from evals.metrics.catalogue import METRICS


class Rows(NamedTuple):
    """A table of words."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def _table(rows: Iterable[Mapping[str, str]]) -> Rows:
    rows = list(rows)
    return Rows([*rows[0]] if rows else [], [[*row.values()] for row in rows])


def audits(results: Iterable[Audit]) -> Rows:
    """Return audits, failed ones first."""
    return _table(
        {
            "result": "passed ✓" if audit.passed else "FAILED ✗",
            "audit": audit.name,
            "data": audit.data,
            "system": audit.system or "all",
            "checked": f"{audit.checked:,}",
            "violations": f"{audit.violations:,}",
            "fails from": "any" if audit.threshold is None else f"a share of {audit.threshold:g}",
            "note": audit.note,
        }
        for audit in sorted(results, key=lambda audit: audit.passed)
    )


def compared(card: Card, data: Container[str]) -> Rows:
    """Return the paired differences in main scores on these data sets; the JSON has all."""
    return _table(
        {
            "score": row.metric,
            "regime": row.regime,
            "systems": f"{row.ours} − {row.theirs}",
            "difference [95 %]": (
                f"{'+' if row.difference > 0 else ''}{number(row.difference)} "
                f"{interval(row.low, row.high)}"
            ).strip(),
            "shows": outcome(row),
            "p": _p(row.p),
            "p Holm": _p(row.p_holm),
            "Cliff's δ": number(row.effect),
            "Cohen's d": number(row.d),
            "n": f"{row.n:,}",
        }
        for row in card.compared
        if row.data in data and row.metric in MAIN
    )


def _p(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def not_run(card: Card) -> Rows:
    """Return items without a figure and the reasons, data sets of one reason together."""
    data_of: dict[tuple[str, str], list[str]] = {}
    for item in card.not_run:
        data_of.setdefault((item.what, item.why), []).append(item.data)
    return _table(
        {"not run": item, "data": ", ".join(unique(data)), "why": why}
        for (item, why), data in data_of.items()
    )


def funnels(card: Card, data: str) -> Iterator[tuple[str, Rows]]:
    """Yield titles and the counts of each stage: by system, then by kind of question."""
    in_data = [funnel for funnel in card.funnels if funnel.data == data]
    for (_, regime), overall in by_place(in_data).items():
        yield f"{regime}, by system", stages(overall)
    by_kind: dict[tuple[str, str], list[Funnel]] = {}
    for funnel in in_data:
        if funnel.group != ALL:
            by_kind.setdefault((funnel.regime, funnel.system), []).append(funnel)
    for (regime, system), of_kinds in by_kind.items():
        yield f"{regime}, {system}, by kind of question", stages(of_kinds)


def stages(results: Sequence[Funnel]) -> Rows:
    """Return the counts of each stage by system, or by kind of question."""
    by_system = all(funnel.group == ALL for funnel in results)
    before_replies = [stage for stage in STAGES if stage not in OF_REPLIES]
    counted = ("asked", *before_replies, "answered", *OF_REPLIES)
    return _table(
        ({"system": funnel.system} if by_system else {"kind": funnel.group})
        | {stage: _count(getattr(funnel, stage)) for stage in counted}
        | {"right without evidence": _count(funnel.lucky)}
        for funnel in results
    )


def _count(n: int | None) -> str:
    return "not known" if n is None else f"{n:,}"


def bins(card: Card) -> Iterator[tuple[str, str, Rows]]:
    """Yield title, name of the axis, and the value and the n of every bin, a system per row."""
    places: dict[tuple[str, str, str, str], list[Curve]] = {}
    for curve in card.curves:
        if curve.points and curve.name in KINDS and KINDS[curve.name].bins:
            place = curve.name, curve.data, curve.regime, curve.metric
            places.setdefault(place, []).append(curve)
    for (name, *where), curves in places.items():
        labels = {p.get("x"): words(p.get("label", p.get("x"))) for c in curves for p in c.points}
        xs = sorted(labels, key=lambda x: x if isinstance(x, int | float) else 0.0)
        points_of = [(curve.system, {p.get("x"): p for p in curve.points}) for curve in curves]
        rows = [
            (system, *(_bin(points[x]) if x in points else "–" for x in xs))
            for system, points in points_of
        ]
        kind = KINDS[name]
        columns = ("system", *(labels[x] for x in xs))
        yield f"{kind.question} {', '.join(where)}", kind.x, Rows(columns, rows)


def _bin(point: Mapping[str, Cell]) -> str:
    y = point.get("y")
    value = number(y) if isinstance(y, int | float) else "–"
    return f"{value} (n {words(point.get('n'))})"


def data(card: Card) -> Rows:
    """Return the data sets with their identity and sizes."""
    columns = unique(key for row in card.data for key in row)
    return _table({column: words(row.get(column)) for column in columns} for row in card.data)


def glossary(card: Card) -> Rows:
    """Return the definition and source of every metric of the card."""
    columns = ("metric", "layer", "better", "unit", "definition", "source")
    names = unique(figure.metric for figure in card.figures)
    metrics = [METRICS[name] for name in names if name in METRICS]
    return Rows(
        columns, [(m.name, m.layer, m.better, m.unit, m.definition, m.source) for m in metrics]
    )
