"""Compute figures from records: the mean of every score, and statistics of many records."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite, log

import numpy as np

from evals.card import online
from evals.card.records import Figure, Record, Regime
from evals.metrics import confidence as abstention
from evals.metrics import position
from evals.metrics.catalogue import METRICS
from evals.metrics.confidence import Flags, Floats
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Rows
from evals.stats.interval import Interval

ALL, ANSWERABLE = "all", "answerable"
HIT = "any@10"  # the score of a right search
RIGHT = "contains"  # the score of a right reply
PACKED = "share in budget"  # the score of a right prompt, without search and reply
_TIMES = ("search ms", "answer ms")
_PROMPT = ("reused tokens", "prompt tokens")

Part = tuple[str, Regime, str]  # data, regime, system
NamedInterval = tuple[str, Interval]  # a metric and its value
Trend = Callable[[Floats, Floats], float | None]  # a statistic of an axis and a score


def figures(records: Sequence[Record], seed: int) -> list[Figure]:
    """Return every figure of a card, in the order of its records."""
    result: list[Figure] = []
    for part, members in group_by_system(records).items():
        questions = [record for record in members if not record.probe]
        for group, some in group_by_kind(questions).items():
            result += _means(part, group, some, seed)
        score = right_by(questions)
        trends = _trends(questions, part[1], score, seed)
        result += [_figure(part, ALL, *pair) for pair in _selective(questions, seed)]
        result += [_figure(part, ALL, *pair) for pair in _by_length(questions, seed)]
        result += [_figure(part, ALL, *pair, score=score) for pair in trends]
        result += [_figure(part, ALL, *pair) for pair in online.figures(members, seed)]
        result += [_figure(part, ALL, *pair) for pair in _costs(questions, seed)]
    return result


def group_by_system(records: Sequence[Record]) -> dict[Part, list[Record]]:
    """Return records by data set, regime and system."""
    parts: dict[Part, list[Record]] = {}
    for record in records:
        parts.setdefault((record.data, record.regime, record.system), []).append(record)
    return parts


def group_by_kind(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return records by kind of question, and all of them if there is more than one kind.

    Some data sets name turns that are related to an unanswerable question. Their scores are means
    over other questions than those of answerable questions, so then both are separate groups.
    """
    apart = any(
        not record.answerable and (record.places or record.session_places) for record in records
    )
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record.kind, []).append(record)
    groups = {ALL: list(records)}
    if apart:
        answerable = [record for record in records if record.answerable]
        groups |= {ANSWERABLE: answerable} if answerable else {}
        kinds = _split_unanswerable(kinds)
    return groups | (kinds if len(kinds) > 1 and ALL not in kinds else {})


def _split_unanswerable(kinds: Mapping[str, Sequence[Record]]) -> dict[str, list[Record]]:
    """Return the kinds with the unanswerable questions of a mixed kind as a kind of their own."""
    result: dict[str, list[Record]] = {}
    for kind, records in kinds.items():
        mixed = len({record.answerable for record in records}) > 1
        for record in records:
            suffix = ", unanswerable" if mixed and not record.answerable else ""
            result.setdefault(kind + suffix, []).append(record)
    return result


def _figure(part: Part, group: str, metric: str, interval: Interval, score: str = "") -> Figure:
    data, regime, system = part
    low, high = ends(interval)
    return Figure(
        layer=METRICS[metric].layer, metric=metric, data=data, group=group, regime=regime,
        system=system, value=interval.value, low=low, high=high, n=interval.n, score=score,
    )  # fmt: skip


def ends(interval: Interval) -> tuple[float | None, float | None]:
    """Return the ends of an interval as a card reports them; None for no end.

    An interval without width carries no information: too few conversations have the score, or they
    are too alike for resampling.
    """
    if interval.low is None or interval.high is None or interval.low == interval.high:
        return None, None
    low, high = (end if isfinite(end) else None for end in (interval.low, interval.high))
    return low, high


# ---- means


def _means(part: Part, group: str, records: Sequence[Record], seed: int) -> Iterator[Figure]:
    names = list(dict.fromkeys(name for record in records for name in record.scores))
    if not names:
        return
    for name, interval in zip(names, means(records, names, seed), strict=True):
        yield _figure(part, group, name, interval)


def means(records: Sequence[Record], names: Sequence[str], seed: int) -> list[Interval]:
    """Return the means of scores, with 95 % intervals by conversation."""
    values = np.array([[record.scores.get(name, np.nan) for name in names] for record in records])
    weights = statistics.weights([record.task for record in records], seed)
    intervals = statistics.means(values, weights)
    tasks = [len({record.task for record in records if name in record.scores}) for name in names]
    return [
        exact(interval, n) if METRICS[name].unit == "share" else interval
        for name, interval, n in zip(names, intervals, tasks, strict=True)
    ]


def exact(share: Interval, tasks: int) -> Interval:
    """Return a share of 0 or 1 with its exact interval, which resampling cannot find.

    Args:
        share: with its interval.
        tasks: conversations that agree; each counts as one observation.

    Source: Clopper and Pearson, Biometrika 1934, for n of n at 95 %: (.025)^(1/n).
    """
    if share.low is None or tasks < 2 or share.value not in (0, 1):
        return share
    least = 0.025 ** (1 / tasks)
    low, high = (least, 1.0) if share.value else (0.0, 1 - least)
    return replace(share, low=low, high=high)


def _costs(records: Sequence[Record], seed: int) -> Iterator[NamedInterval]:
    for name in dict.fromkeys(name for record in records for name in record.costs):
        measured = [record for record in records if name in record.costs]
        values = np.array([record.costs[name] for record in measured])
        if name in _TIMES:
            yield from _bootstrapped(name, partial(_median, values), measured, seed)
        elif name in METRICS:
            weights = statistics.weights([record.task for record in measured], seed)
            (interval,) = statistics.means(values[:, None], weights)
            yield name, interval
    cached = [record for record in records if "reused tokens" in record.costs]
    tokens = np.array([[record.costs[name] for name in _PROMPT] for record in cached])
    yield from _bootstrapped("prefix reuse", lambda rows: _reuse(tokens[rows]), cached, seed)


def _median(values: Floats, rows: Rows) -> float:
    return float(np.percentile(values[rows], 50))


def _reuse(tokens: Floats) -> float | None:
    reused, whole = tokens.sum(axis=0)
    return float(reused / whole) if whole else None


# ---- statistics of many records


def _bootstrapped(
    metric: str,
    statistic: Callable[[Rows], float | None],
    records: Sequence[Record],
    seed: int,
) -> Iterator[NamedInterval]:
    """Yield a statistic of record numbers with its interval; nothing where it has no value."""
    tasks = [record.task for record in records]
    interval = statistics.bootstrap(statistic, tasks, seed) if records else None
    if interval is not None:
        yield metric, interval


def ranked(records: Sequence[Record]) -> list[Record]:
    """Return the searches that were right or wrong, for risk against confidence.

    An answerable question without gold is neither, so it is left out. Unanswerable questions are
    all wrong; without an answerable one there is nothing to compare, and the list is empty.
    """
    searches = [record for record in records if record.returned is not None]
    scored = [record for record in searches if not record.answerable or HIT in record.scores]
    return scored if any(record.answerable for record in scored) else []


def confidence_and_errors(records: Sequence[Record]) -> tuple[Floats, Flags]:
    """Return each search's confidence, and whether an answer from it would be wrong.

    An answer to an unanswerable question is wrong even if the search finds the related turns that
    some data sets name.
    """
    errors = np.array(
        [not (record.answerable and record.scores.get(HIT)) for record in records], dtype=bool
    )
    return abstention.confidences([record.confidence for record in records]), errors


def _selective(records: Sequence[Record], seed: int) -> Iterator[NamedInterval]:
    """Yield how well confidence orders right and wrong, answerable and unanswerable questions."""
    scored = ranked(records)
    confidence, errors = confidence_and_errors(scored)
    yield from _bootstrapped(
        "AURC", lambda rows: abstention.aurc(confidence[rows], errors[rows]), scored, seed
    )
    searches = [record for record in records if record.returned is not None]
    best = abstention.confidences([record.confidence for record in searches])
    answerable = np.array([record.answerable for record in searches], dtype=bool)
    yield from _bootstrapped(
        "AUROC", lambda rows: abstention.auroc(best[rows], answerable[rows]), searches, seed
    )


def _by_length(records: Sequence[Record], seed: int) -> Iterator[NamedInterval]:
    replies = [
        record for record in records if RIGHT in record.scores and "prompt tokens" in record.costs
    ]
    right = np.array([record.scores[RIGHT] for record in replies])
    tokens = np.array([record.costs["prompt tokens"] for record in replies])
    statistic = partial(_at_rows, _ln_accuracy, tokens, right)
    yield from _bootstrapped("LN accuracy", statistic, replies, seed)


def _ln_accuracy(tokens: Floats, right: Floats) -> float:
    return float(right.mean()) / log(float(tokens.mean()))


def right_by(records: Sequence[Record]) -> str:
    """Return the score that says whether a question came out right: the most frequent one.

    Of equally frequent ones the score of replies, then of the search, then of the prompt. A sample
    of replies is too small to be spread over bins.
    """
    frequency = Counter(name for record in records for name in record.scores)
    return max((RIGHT, HIT, PACKED), key=lambda name: frequency[name])


def place_axis(regime: Regime, score: str) -> str:
    """Return the axis of the evidence's place: in the prompt, or in the history.

    A model's reply to a long context depends on the place in the prompt; a search, and the cut of a
    window, on the place in the history.
    """
    return "place" if regime == "long context" and score == RIGHT else "depth"


def _trends(
    records: Sequence[Record], regime: Regime, score: str, seed: int
) -> Iterator[NamedInterval]:
    for metric, (name, trend) in _TRENDS.items():
        axis = name or place_axis(regime, score)
        placed = [record for record in records if axis in record.axes and score in record.scores]
        xs = np.array([record.axes[axis] for record in placed])
        ys = np.array([record.scores[score] for record in placed])
        yield from _bootstrapped(metric, partial(_at_rows, trend, xs, ys), placed, seed)


def _at_rows(trend: Trend, xs: Floats, ys: Floats, rows: Rows) -> float | None:
    return trend(xs[rows], ys[rows])


def _mid_drop(xs: Floats, ys: Floats) -> float | None:
    return position.mid_drop(position.curve(zip(xs.tolist(), ys.tolist(), strict=True)))


def _slope_from_zero(xs: Floats, ys: Floats) -> float | None:
    return position.log_slope((xs + 1).tolist(), ys.tolist())


def _slope(xs: Floats, ys: Floats) -> float | None:
    return position.log_slope(xs.tolist(), ys.tolist())


def _noise(xs: Floats, ys: Floats) -> float | None:
    clean, noisy = ys[xs == 0], ys[xs > 0]
    if not len(clean) or not len(noisy):
        return None
    return float(1 - noisy.mean() / clean.mean()) if clean.any() else None


_TRENDS: Mapping[str, tuple[str, Trend]] = {  # axis and statistic; "": `place_axis`
    "mid-drop": ("", _mid_drop),
    "slope per doubling of distance": ("distance", _slope_from_zero),
    "slope per doubling of length": ("turns", _slope),
    "slope per doubling of distractors": ("distractors", _slope_from_zero),
    "noise degradation": ("distractors", _noise),
}
