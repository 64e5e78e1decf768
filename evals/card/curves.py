"""The curves of a card: a score along an axis, in fixed bins, each with its interval."""

from collections.abc import Sequence

import numpy as np

from evals.card import aggregate
from evals.card.records import Cell, Curve, Record
from evals.metrics import confidence as abstention
from evals.metrics import position
from evals.metrics.confidence import Floats
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Rows
from evals.stats.interval import Interval

_COVERAGES = np.linspace(0.05, 1.0, 20)
_PLACES = {"depth": "position", "place": "position in prompt"}
_AXES = {"distance": "distance", "distractors": "distractors"}
_DISTANCES = (0, 10, 25, 50, 100, 200, 400, 800, 10**9)  # edges of the bins

Point = dict[str, Cell]


def curves(records: Sequence[Record], seed: int) -> list[Curve]:
    """Return every curve that has two points or more."""
    result: list[Curve] = []
    for (data, regime, system), members in aggregate.group_by_system(records).items():
        questions = [record for record in members if not record.probe]
        metric = aggregate.right_by(questions)
        place = aggregate.place_axis(regime, metric)
        points_of = {
            name: (metric, _along(name, axis, questions, metric, seed))
            for name, axis in ({_PLACES[place]: place} | _AXES).items()
        }
        points_of["risk-coverage"] = ("risk", _risk(questions, seed))
        points_of["over time"] = (aggregate.HIT, _over_time(members, seed))
        points_of["cost-quality"] = (metric, _cost(questions, metric, seed))
        result += [
            Curve(name=name, data=data, regime=regime, system=system, metric=score, points=points)
            for name, (score, points) in points_of.items()
            if len(points) > 1 or (name == "cost-quality" and points)
        ]
    return result


def _along(name: str, axis: str, records: Sequence[Record], metric: str, seed: int) -> list[Point]:
    placed = [record for record in records if axis in record.axes and metric in record.scores]
    bins = aggregate.group_by(placed, lambda record: _bin(name, record.axes[axis]))
    return [_mean_point(x, label, some, metric, seed) for (x, label), some in sorted(bins.items())]


def _bin(name: str, x: float) -> tuple[float, str]:
    """Return the middle and the label of a value's bin; each number of distractors is a bin."""
    if name == "distractors":
        return x, f"{x:g}"
    if name in _PLACES.values():
        low, high = position.BINS[position.bin_of(x)]
        return (low + high) / 2, f"{low:g}–{high:g}"
    n = int(np.searchsorted(_DISTANCES, x, "right")) - 1
    low, high = _DISTANCES[n], _DISTANCES[n + 1]
    return float(low), f"{low}–{high - 1}" if high < _DISTANCES[-1] else f"{low}+"


def _mean_point(x: float, label: str, records: Sequence[Record], metric: str, seed: int) -> Point:
    (interval,) = aggregate.means(records, [metric], seed)
    return _point(x, label, interval)


def _point(x: float, label: str, y: Interval) -> Point:
    low, high = aggregate.ends(y)
    return {"x": x, "label": label, "y": y.value, "low": low, "high": high, "n": y.n}


def _risk(records: Sequence[Record], seed: int) -> list[Point]:
    ranked = aggregate.ranked(records)
    if len({record.answerable for record in ranked}) < 2:
        return []
    confidence, errors = aggregate.confidence_and_errors(ranked)

    def risks(rows: Rows) -> Floats:
        coverage, risk = abstention.risk_coverage(confidence[rows], errors[rows])
        return np.interp(_COVERAGES, coverage, risk)

    values = risks(np.arange(len(ranked)))
    tasks = [record.task for record in ranked]
    resampled = [risks(rows) for rows in statistics.resamples(tasks, seed)]
    low, high = np.percentile(resampled or [values], statistics.RANGE, axis=0)
    points = zip(*(array.tolist() for array in (_COVERAGES, values, low, high)), strict=True)
    return [
        _point(x, f"{x:.0%}", Interval(value=value, low=least, high=most, n=len(ranked)))
        for x, value, least, most in points
    ]


def _over_time(records: Sequence[Record], seed: int) -> list[Point]:
    by_step = aggregate.group_by(aggregate.repeated(records), lambda record: record.step)
    return [
        _mean_point(float(step), str(step), some, aggregate.HIT, seed)
        for step, some in sorted(by_step.items())
    ]


def _cost(records: Sequence[Record], metric: str, seed: int) -> list[Point]:
    tokens = [r.costs["memory tokens"] for r in records if "memory tokens" in r.costs]
    if not tokens or not any(metric in record.scores for record in records):
        return []
    return [_mean_point(float(np.mean(tokens)), "memory tokens", records, metric, seed)]
