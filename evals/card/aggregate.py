"""Records in, figures out: the mean of every score, and what only many records together tell."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np

from evals.bench.measure import Interval
from evals.card import online as timeline
from evals.card.records import Figure, Record, Regime
from evals.metrics import confidence as abstention
from evals.metrics import cost, position
from evals.metrics.catalogue import METRICS
from evals.metrics.confidence import Flags, Floats
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Rows

ALL = "all"
HIT = "any@10"  # what is right if only the search is looked at
RIGHT = "contains"  # and if a model answers
PACKED = "share in budget"  # and if there is neither
_TIMES = ("search ms", "answer ms")
_PROMPT = ("reused tokens", "prompt tokens")

Part = tuple[str, Regime, str]  # data, regime, system
Named = tuple[str, Interval]  # a metric and what came of it
Along = Callable[[Floats, Floats], float | None]  # of axis and score


def figures(records: Sequence[Record], seed: int) -> list[Figure]:
    """Return every figure of a card, in the order of its records."""
    found: list[Figure] = []
    for part, theirs in parts(records).items():
        asked = [one for one in theirs if not one.probe]
        for group, some in groups(asked).items():
            found += _means(part, group, some, seed)
        found += [_figure(part, ALL, *one) for one in _selective(asked, seed)]
        score = right_by(asked)
        found += [_figure(part, ALL, *one) for one in _by_length(asked, seed)]
        along = _along(asked, part[1], score, seed)
        found += [_figure(part, ALL, *one, score=score) for one in along]
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


def _figure(part: Part, group: str, metric: str, interval: Interval, score: str = "") -> Figure:
    data, regime, system = part
    low, high = ends(interval)
    return Figure(
        layer=METRICS[metric].layer, metric=metric, data=data, group=group, regime=regime,
        system=system, value=interval.value, low=low, high=high, n=interval.n, score=score,
    )  # fmt: skip


def ends(interval: Interval) -> tuple[float | None, float | None]:
    """Return the ends of an interval as a card tells them: None where it has none.

    One without width tells nothing: too few conversations have the score, or they are too alike
    for resampling to see what others would give.
    """
    if interval.low is None or interval.high is None or interval.low == interval.high:
        return None, None
    low, high = (end if isfinite(end) else None for end in (interval.low, interval.high))
    return low, high


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
    drawn = statistics.weights([one.task for one in records], seed)
    tasks = [len({one.task for one in records if name in one.scores}) for name in names]
    found = zip(names, statistics.means(values, drawn), tasks, strict=True)
    return [exact(one, n) if METRICS[name].unit == "share" else one for name, one, n in found]


def exact(share: Interval, tasks: int) -> Interval:
    """Return a share of all or of none with what may be said of it: resampling finds no width.

    Args:
        share: with its interval.
        tasks: that agree, each of which counts as one.

    Source: Clopper and Pearson, Biometrika 1934, for n of n at 95 %: (.025)^(1/n).
    """
    if share.low is None or tasks < 2 or share.value not in (0, 1):
        return share
    least = 0.025 ** (1 / tasks)
    low, high = (least, 1.0) if share.value else (0.0, 1 - least)
    return replace(share, low=low, high=high)


def _costs(records: Sequence[Record], seed: int) -> Iterator[Named]:
    for name in dict.fromkeys(name for one in records for name in one.costs):
        spent = [one for one in records if name in one.costs]
        values = np.array([one.costs[name] for one in spent])
        if name in _TIMES:
            yield from _bootstrapped(name, partial(_median, values), spent, seed)
        elif name in METRICS:
            drawn = statistics.weights([one.task for one in spent], seed)
            (interval,) = statistics.means(values[:, None], drawn)
            yield name, interval
    read = [one for one in records if "reused tokens" in one.costs]
    tokens = np.array([[one.costs[name] for name in _PROMPT] for one in read])
    yield from _bootstrapped("prefix reuse", lambda rows: _reuse(tokens[rows]), read, seed)


def _median(values: Floats, rows: Rows) -> float:
    return cost.percentile(values[rows].tolist(), 50)


def _reuse(tokens: Floats) -> float | None:
    reused, whole = tokens.sum(axis=0)
    return cost.prefix_reuse(float(reused), float(whole - reused))


# ---- what many records together tell


def _bootstrapped(
    metric: str,
    statistic: Callable[[Rows], float | None],
    records: Sequence[Record],
    seed: int,
) -> Iterator[Named]:
    """Yield a statistic of record numbers with its interval; nothing where it has no value."""
    tasks = [one.task for one in records]
    interval = statistics.bootstrap(statistic, tasks, seed) if records else None
    if interval is not None:
        yield metric, interval


def ranked(records: Sequence[Record]) -> list[Record]:
    """Return the searches whose confidence is held against whether they were right.

    An answerable question without gold cannot be right or wrong, so it is none of them; and there
    are none at all where only unanswerable ones are left, all of which are errors.
    """
    searched = [one for one in records if one.returned is not None]
    found = [one for one in searched if not one.answerable or HIT in one.scores]
    return found if any(one.answerable for one in found) else []


def confidence_and_errors(records: Sequence[Record]) -> tuple[Floats, Flags]:
    """Return how sure each search was, and whether to answer from it would be wrong."""
    errors = np.array([not one.scores.get(HIT) for one in records], dtype=bool)
    return abstention.confidences([one.confidence for one in records]), errors


def _selective(records: Sequence[Record], seed: int) -> Iterator[Named]:
    held = ranked(records)
    sure, errors = confidence_and_errors(held)
    yield from _bootstrapped(
        "AURC", lambda rows: abstention.aurc(sure[rows], errors[rows]), held, seed
    )
    searched = [one for one in records if one.returned is not None]
    confidence = abstention.confidences([one.confidence for one in searched])
    answerable = np.array([one.answerable for one in searched], dtype=bool)
    yield from _bootstrapped(
        "AUROC", lambda rows: abstention.auroc(confidence[rows], answerable[rows]), searched, seed
    )


def _by_length(records: Sequence[Record], seed: int) -> Iterator[Named]:
    read = [one for one in records if RIGHT in one.scores and "prompt tokens" in one.costs]
    right = np.array([one.scores[RIGHT] for one in read])
    tokens = np.array([one.costs["prompt tokens"] for one in read])
    yield from _bootstrapped("LN accuracy", partial(_at, _ln_accuracy, tokens, right), read, seed)


def _ln_accuracy(tokens: Floats, right: Floats) -> float:
    return position.ln_accuracy(float(right.mean()), float(tokens.mean()))


def right_by(records: Sequence[Record]) -> str:
    """Return by which score questions came out right: the one that most of them have.

    Of equals that of replies, then of the search, then of the evidence in the prompt. A sample of
    replies is too small to be spread over bins.
    """
    known = Counter(name for one in records for name in one.scores)
    return max((RIGHT, HIT, PACKED), key=lambda name: known[name])


def place_axis(regime: Regime, score: str) -> str:
    """Return which place of the evidence may move a score.

    What a model makes of a long context hangs on the place in the prompt; what a memory finds, and
    what the window cuts off, on the place in the history.
    """
    return "place" if regime == "long context" and score == RIGHT else "depth"


def _along(records: Sequence[Record], regime: Regime, score: str, seed: int) -> Iterator[Named]:
    for metric, (axis, of) in _ALONG.items():
        where = axis or place_axis(regime, score)
        kept = [one for one in records if where in one.axes and score in one.scores]
        xs = np.array([one.axes[where] for one in kept])
        ys = np.array([one.scores[score] for one in kept])
        yield from _bootstrapped(metric, partial(_at, of, xs, ys), kept, seed)


def _at(of: Along, xs: Floats, ys: Floats, rows: Rows) -> float | None:
    return of(xs[rows], ys[rows])


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
    return position.noise_degradation(float(clean.mean()), float(noisy.mean()))


_ALONG: Mapping[str, tuple[str, Along]] = {  # "": the place of the evidence
    "mid-drop": ("", _mid_drop),
    "slope per doubling of distance": ("distance", _slope_from_zero),
    "slope per doubling of length": ("turns", _slope),
    "slope per doubling of distractors": ("distractors", _slope_from_zero),
    "noise degradation": ("distractors", _noise),
}
