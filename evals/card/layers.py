"""Records in, figures out: the mean of every score, and what only many records together tell."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evals.card import timeline
from evals.card.metrics import cost, position
from evals.card.metrics.catalogue import METRICS
from evals.card.records import Figure, Record, Regime
from evals.measure import Interval
from evals.retrieval import abstention, statistics

ALL = "all"
HIT = "any@10"  # what is right if only the search is looked at
RIGHT = "contains"  # and if a model answers
PACKED = "share in budget"  # and if there is neither
_TIMES = ("search ms", "answer ms")

Part = tuple[str, Regime, str]  # data, regime, system
Statistic = Callable[[Sequence[Record]], float | None]


def figures(records: Sequence[Record], seed: int) -> list[Figure]:
    """Return every figure of a card, in the order of its records."""
    found: list[Figure] = []
    for part, theirs in parts(records).items():
        asked = [one for one in theirs if not one.probe]
        for group, some in groups(asked).items():
            found += _means(part, group, some, seed)
        for metric, statistic in _SELECTIVE.items():
            found += _derived(part, metric, asked, statistic, seed)
        right = right_by(asked)
        scored = [one for one in asked if right in one.scores]
        for metric, statistic in _ALONG.items():
            found += _derived(part, metric, scored, statistic, seed)
        found += [_figure(part, ALL, *one) for one in timeline.figures(theirs, seed)]
        found += [_figure(part, ALL, *one) for one in _costs(asked, seed)]
    return found


def parts(records: Sequence[Record]) -> dict[Part, list[Record]]:
    """Return records by what a figure is of."""
    found: dict[Part, list[Record]] = {}
    for one in records:
        found.setdefault((one.data, one.regime, one.system), []).append(one)
    return found


def groups(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return records by kind of question, and all of them if there is more than one kind."""
    kinds: dict[str, list[Record]] = {}
    for one in records:
        kinds.setdefault(one.kind, []).append(one)
    return {ALL: list(records)} | (kinds if len(kinds) > 1 and ALL not in kinds else {})


def _figure(part: Part, group: str, metric: str, interval: Interval) -> Figure:
    data, regime, system = part
    return Figure(
        layer=METRICS[metric].layer, metric=metric, data=data, group=group, regime=regime,
        system=system, value=interval.value, low=interval.low, high=interval.high, n=interval.n,
    )  # fmt: skip


# ---- means


def _means(part: Part, group: str, records: Sequence[Record], seed: int) -> Iterator[Figure]:
    names = list(dict.fromkeys(name for one in records for name in one.scores))
    if not names:
        return
    for name, interval in zip(names, means(records, names, seed), strict=True):
        yield _figure(part, group, name, interval)


def means(records: Sequence[Record], names: Sequence[str], seed: int) -> list[Interval]:
    """Return the means of scores, with 95 % intervals by conversation."""
    values = np.array([[one.scores.get(name, np.nan) for name in names] for one in records])
    drawn = statistics.weights([one.haystack for one in records], seed)
    return statistics.means(values, drawn)


def _costs(records: Sequence[Record], seed: int) -> Iterator[tuple[str, Interval]]:
    names = list(dict.fromkeys(name for one in records for name in one.costs))
    for name in names:
        values = [one.costs[name] for one in records if name in one.costs]
        if name in _TIMES:
            yield name, Interval(value=cost.percentile(values, 50), n=len(values))
        elif name in METRICS:
            yield name, statistics_of(records, name, seed)
    spent = [one.costs for one in records if one.costs.get("prompt tokens")]
    if spent:
        share = sum(one["reused tokens"] for one in spent) / sum(
            one["prompt tokens"] for one in spent
        )
        yield "prefix reuse", Interval(value=share, n=len(spent))


def statistics_of(records: Sequence[Record], cost_name: str, seed: int) -> Interval:
    """Return the mean of a cost, with its interval."""
    values = np.array([[one.costs.get(cost_name, np.nan)] for one in records])
    drawn = statistics.weights([one.haystack for one in records], seed)
    (interval,) = statistics.means(values, drawn)
    return interval


# ---- what many records together tell


def _derived(
    part: Part, metric: str, records: Sequence[Record], statistic: Statistic, seed: int
) -> Iterator[Figure]:
    interval = (
        statistics.bootstrap(
            lambda rows: statistic([records[n] for n in rows]),
            [one.haystack for one in records],
            seed,
        )
        if records
        else None
    )
    if interval is not None:
        yield _figure(part, ALL, metric, interval)


def right_by(records: Sequence[Record]) -> str:
    """Return by which score questions came out right: the one that most of them have.

    Of equals: of replies first, then of the search; without a search, the evidence in the prompt.
    """
    counts = {name: sum(name in one.scores for one in records) for name in (RIGHT, HIT, PACKED)}
    return max(counts, key=counts.__getitem__)


def _of_confidence(
    of: Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]], float | None],
) -> Statistic:
    def statistic(records: Sequence[Record]) -> float | None:
        ranked = [one for one in records if one.returned is not None]
        if not ranked:
            return None
        confidence = abstention.confidences([one.confidence for one in ranked])
        answerable = np.array([one.answerable for one in ranked])
        errors = np.array([not (one.answerable and one.scores.get(HIT)) for one in ranked])
        return of(confidence, errors, answerable)

    return statistic


def along(records: Sequence[Record], axis: str) -> tuple[list[float], list[float]]:
    """Return where questions stand on an axis, and whether they came out right, by one score."""
    metric = right_by(records)
    kept = [one for one in records if axis in one.axes and metric in one.scores]
    return [one.axes[axis] for one in kept], [one.scores[metric] for one in kept]


def _slope(axis: str) -> Statistic:
    def statistic(records: Sequence[Record]) -> float | None:
        xs, ys = along(records, axis)
        return position.log_slope([x + 1 for x in xs], ys) if len(set(xs)) > 1 else None

    return statistic


def _mid_drop(records: Sequence[Record]) -> float | None:
    xs, ys = along(records, "depth")
    return position.mid_drop(position.curve(list(zip(xs, ys, strict=True))))


def _noise(records: Sequence[Record]) -> float | None:
    xs, ys = along(records, "distractors")
    clean = [y for x, y in zip(xs, ys, strict=True) if x == 0]
    noisy = [y for x, y in zip(xs, ys, strict=True) if x > 0]
    if not clean or not noisy or not sum(clean):
        return None
    return position.noise_degradation(sum(clean) / len(clean), sum(noisy) / len(noisy))


_SELECTIVE: Mapping[str, Statistic] = {
    "AURC": _of_confidence(lambda confidence, errors, _: abstention.aurc(confidence, errors)),
    "AUROC": _of_confidence(
        lambda confidence, _, answerable: abstention.auroc(confidence, answerable)
    ),
}
_ALONG: Mapping[str, Statistic] = {
    "mid-drop": _mid_drop,
    "slope per doubling of distance": _slope("distance"),
    "slope per doubling of distractors": _slope("distractors"),
    "noise degradation": _noise,
}
