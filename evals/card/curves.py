"""What a card draws: a score along an axis, in fixed bins, with an interval for each."""

from collections.abc import Sequence

import numpy as np

from evals.bench.measure import Interval
from evals.card import aggregate as layers
from evals.card import online as timeline
from evals.card.records import Cell, Curve, Record
from evals.metrics import confidence as abstention
from evals.metrics import position
from evals.metrics.confidence import Floats
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Rows

_COVERAGES = np.linspace(0.05, 1.0, 20)
_PLACES = {"depth": "position", "place": "position in prompt"}
_AXES = {"distance": "distance", "distractors": "distractors"}
_DISTANCES = (0, 10, 25, 50, 100, 200, 400, 800, 10**9)

Point = dict[str, Cell]


def curves(records: Sequence[Record], seed: int) -> list[Curve]:
    """Return every curve that has two points or more."""
    found: list[Curve] = []
    for (data, regime, system), theirs in layers.parts(records).items():
        asked = [one for one in theirs if not one.probe]
        metric = layers.right_by(asked)
        place = layers.place_axis(regime, metric)
        drawn = {
            name: (metric, _along(name, axis, asked, metric, seed))
            for name, axis in ({_PLACES[place]: place} | _AXES).items()
        }
        drawn["risk-coverage"] = ("risk", _risk(asked, seed))
        drawn["over time"] = (layers.HIT, _over_time(theirs, seed))
        drawn["cost-quality"] = (metric, _cost(asked, metric, seed))
        found += [
            Curve(name=name, data=data, regime=regime, system=system, metric=of, points=points)
            for name, (of, points) in drawn.items()
            if len(points) > 1 or (name == "cost-quality" and points)
        ]
    return found


def _along(name: str, axis: str, records: Sequence[Record], metric: str, seed: int) -> list[Point]:
    inside: dict[tuple[float, str], list[Record]] = {}
    for one in records:
        if axis in one.axes and metric in one.scores:
            inside.setdefault(_bin(name, one.axes[axis]), []).append(one)
    return [_point(x, label, some, metric, seed) for (x, label), some in sorted(inside.items())]


def _bin(name: str, x: float) -> tuple[float, str]:
    """Return the middle and the label of the bin that x is in; distractors are as they were set."""
    if name == "distractors":
        return x, f"{x:g}"
    if name in _PLACES.values():
        low, high = position.BINS[position.bin_of(x)]
        return (low + high) / 2, f"{low:g}–{high:g}"
    n = int(np.searchsorted(_DISTANCES, x, "right")) - 1
    low, high = _DISTANCES[n], _DISTANCES[n + 1]
    return float(low), f"{low}–{high - 1}" if high < _DISTANCES[-1] else f"{low}+"


def _point(x: float, label: str, records: Sequence[Record], metric: str, seed: int) -> Point:
    (interval,) = layers.means(records, [metric], seed)
    return _at(x, label, interval)


def _at(x: float, label: str, y: Interval) -> Point:
    low, high = layers.ends(y)
    return {"x": x, "label": label, "y": y.value, "low": low, "high": high, "n": y.n}


def _risk(records: Sequence[Record], seed: int) -> list[Point]:
    ranked = layers.ranked(records)
    if len({one.answerable for one in ranked}) < 2:
        return []
    confidence, errors = layers.confidence_and_errors(ranked)

    def risks(rows: Rows) -> Floats:
        coverage, risk = abstention.risk_coverage(confidence[rows], errors[rows])
        return np.interp(_COVERAGES, coverage, risk)

    drawn = [risks(rows) for rows in statistics.resamples([one.task for one in ranked], seed)]
    values = risks(np.arange(len(ranked)))
    low, high = np.percentile(drawn, statistics.RANGE, axis=0) if drawn else (values, values)
    return [
        _at(x, f"{x:.0%}", Interval(value=value, low=least, high=most, n=len(ranked)))
        for x, value, least, most in zip(
            _COVERAGES.tolist(), values.tolist(), low.tolist(), high.tolist(), strict=True
        )
    ]


def _over_time(records: Sequence[Record], seed: int) -> list[Point]:
    steps = timeline.after_each_step(records)
    return [_point(float(step), str(step), some, layers.HIT, seed) for step, some in steps.items()]


def _cost(records: Sequence[Record], metric: str, seed: int) -> list[Point]:
    """Return one point: what a question costs in tokens of memory, and how many come out right."""
    spent = [one.costs["memory tokens"] for one in records if "memory tokens" in one.costs]
    if not spent or not any(metric in one.scores for one in records):
        return []
    return [_point(float(np.mean(spent)), "memory tokens", records, metric, seed)]
