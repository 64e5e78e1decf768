"""Compute figures from records: the mean of every score, and statistics of many records.

Metrics over time say how later writes change the scores of earlier questions. The questions that
are first put after the same step form a block; every later step repeats them, or a sample of them.
Then only the sample counts: the scores of all questions and of a sample would differ without any
forgetting. (The papers call a block a task; here a task is a unit of work.)
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from math import inf, isfinite, log
from typing import TypeVar

import numpy as np

from evals.card.records import Figure, Funnel, Record, Regime
from evals.metrics import confidence as abstention
from evals.metrics import episodic, position, stability
from evals.metrics.catalogue import METRICS
from evals.metrics.confidence import Flags, Floats
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Rows
from evals.stats.interval import Interval

ALL, ANSWERABLE = "all", "answerable"
HIT = "any@10"  # the score of a right search
RIGHT = "contains"  # the score of a right reply
PACKED = "share in budget"  # the score of a right prompt, without search and reply
WINDOW = 3  # steps within which the largest drop is measured
_TIMES = ("search ms", "answer ms")
_PROMPT = ("reused tokens", "prompt tokens")

Part = tuple[str, Regime, str]  # data, regime, system
NamedInterval = tuple[str, Interval]  # a metric and its value
Trend = Callable[[list[float], list[float]], float | None]  # a statistic of an axis and a score
Accuracy = Sequence[Sequence[float | None]]  # [step][block]; None: not put yet
Key = TypeVar("Key", bound=Hashable)


def figures(records: Sequence[Record], seed: int) -> list[Figure]:
    """Return every figure of a card, in the order of its records."""
    result: list[Figure] = []
    for part, members in group_by_system(records).items():
        questions = [record for record in members if not record.probe]
        for group, some in group_by_kind(questions).items():
            if names := list(dict.fromkeys(name for record in some for name in record.scores)):
                intervals = zip(names, means(some, names, seed), strict=True)
                result += [_figure(part, group, *pair) for pair in intervals]
        score = right_by(questions)
        place = place_axis(part[1], score)
        named = chain(
            _selective(questions, seed),
            _trend("LN accuracy", _ln_accuracy, questions, ("prompt tokens", RIGHT), seed),
            *(
                _trend(metric, trend, questions, (axis or place, score), seed)
                for metric, (axis, trend) in _TRENDS.items()
            ),
            _over_time(members, seed),
            _costs(questions, seed),
        )
        for metric, interval in named:
            by = score if metric in _TRENDS else ""
            result.append(_figure(part, ALL, metric, interval, by))
    return result


def _figure(part: Part, group: str, metric: str, interval: Interval, score: str = "") -> Figure:
    data, regime, system = part
    low, high = ends(interval)
    return Figure(
        layer=METRICS[metric].layer, metric=metric, data=data, group=group, regime=regime,
        system=system, value=interval.value, low=low, high=high, n=interval.n, score=score,
    )  # fmt: skip


def group_by(records: Sequence[Record], key: Callable[[Record], Key]) -> dict[Key, list[Record]]:
    """Return records by a key, in the order in which the keys appear."""
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def group_by_system(records: Sequence[Record]) -> dict[Part, list[Record]]:
    """Return records by data set, regime and system."""
    return group_by(records, lambda record: (record.data, record.regime, record.system))


def group_by_kind(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return records by kind of question, and all of them if there is more than one kind.

    Some data sets name turns that are related to an unanswerable question. Their scores are means
    over other questions than those of answerable questions, so then both are separate groups.
    """
    kinds = group_by(records, lambda record: record.kind)
    groups = {ALL: list(records)}
    if any(not r.answerable and (r.places or r.session_places) for r in records):
        answerable = [record for record in records if record.answerable]
        groups |= {ANSWERABLE: answerable} if answerable else {}
        mixed = {kind for kind, some in kinds.items() if len({r.answerable for r in some}) > 1}

        def name(record: Record) -> str:
            split = record.kind in mixed and not record.answerable
            return f"{record.kind}, unanswerable" if split else record.kind

        kinds = group_by(list(chain(*kinds.values())), name)
    return groups | (kinds if len(kinds) > 1 and ALL not in kinds else {})


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
    metric: str, statistic: Callable[[Rows], float | None], records: Sequence[Record], seed: int,
    absent: float | None = None,
) -> Iterator[NamedInterval]:  # fmt: skip
    """Yield a statistic of record numbers with its interval; nothing where it has no value."""
    tasks = [record.task for record in records]
    interval = statistics.bootstrap(statistic, tasks, seed, absent=absent) if records else None
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
    errors = [not (record.answerable and record.scores.get(HIT)) for record in records]
    confidences = abstention.confidences([record.confidence for record in records])
    return confidences, np.array(errors, dtype=bool)


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


def _trend(
    metric: str, trend: Trend, records: Sequence[Record], names: tuple[str, str], seed: int,
    *, absent: float | None = None,
) -> Iterator[NamedInterval]:  # fmt: skip
    """Yield a statistic of an axis (or cost) and a score, of the records that have both."""
    axis, score = names
    placed = [r for r in records if axis in {**r.axes, **r.costs} and score in r.scores]
    xs = np.array([{**record.costs, **record.axes}[axis] for record in placed])
    ys = np.array([record.scores[score] for record in placed])
    yield from _bootstrapped(
        metric, lambda rows: trend(xs[rows].tolist(), ys[rows].tolist()), placed, seed, absent
    )


def _ln_accuracy(tokens: list[float], right: list[float]) -> float:
    return float(np.mean(right)) / log(float(np.mean(tokens)))


def _mid_drop(xs: list[float], ys: list[float]) -> float | None:
    return position.mid_drop(position.curve(zip(xs, ys, strict=True)))


def _slope_from_zero(xs: list[float], ys: list[float]) -> float | None:
    return position.log_slope([x + 1 for x in xs], ys)


def _noise(xs: list[float], ys: list[float]) -> float | None:
    clean = [y for x, y in zip(xs, ys, strict=True) if x == 0]
    noisy = [y for x, y in zip(xs, ys, strict=True) if x > 0]
    if not clean or not noisy:
        return None
    return float(1 - np.mean(noisy) / np.mean(clean)) if any(clean) else None


_TRENDS: Mapping[str, tuple[str, Trend]] = {  # axis and statistic; "": `place_axis`
    "mid-drop": ("", _mid_drop),
    "slope per doubling of distance": ("distance", _slope_from_zero),
    "slope per doubling of length": ("turns", position.log_slope),
    "slope per doubling of distractors": ("distractors", _slope_from_zero),
    "noise degradation": ("distractors", _noise),
}


# ---- over time: after every maintenance step


def _over_time(records: Sequence[Record], seed: int) -> Iterator[NamedInterval]:
    haystacks = group_by(records, lambda record: record.haystack).values()
    tables = [(table, of[0].task) for of in haystacks if len(table := accuracy(of)) > 1]
    if not tables:
        return
    weights = statistics.weights([task for _, task in tables], seed)
    for metric, compute in _STABILITY.items():
        values = [compute(table) for table, _ in tables]
        column = np.array([[np.nan if value is None else value] for value in values])
        if not np.isnan(column).all():
            yield metric, statistics.means(column, weights)[0]
    again, names = repeated(records), ("distance", HIT)
    yield from _trend("slope per turn", position.slope, again, names, seed)
    # a resample without a fall has no half-life and counts as infinite
    yield from _trend("half-life", episodic.half_life, again, names, seed, absent=inf)


def accuracy(records: Sequence[Record]) -> Accuracy:
    """Return the share of each block's questions with evidence in the ranking after each step.

    Of the records of one conversation, those of repeated questions count, and those of the last
    step, after which no question is repeated.
    """
    last = max((record.step for record in records), default=0)
    questions = _repeated_questions(records)
    scored = [
        record for record in _scored(records) if record.question in questions or record.step == last
    ]
    by_step = sorted(scored, key=lambda record: record.step, reverse=True)
    first = {record.question: record.step for record in by_step}  # the first step overwrites
    steps = sorted({record.step for record in scored})
    blocks = sorted(set(first.values()))
    cells = {
        cell: float(np.mean([record.scores[HIT] for record in members]))
        for cell, members in group_by(scored, lambda r: (r.step, first[r.question])).items()
    }
    return [[cells.get((step, block)) for block in blocks] for step in steps]


def repeated(records: Sequence[Record]) -> list[Record]:
    """Return all records of the questions that were repeated, the first ones included."""
    questions = _repeated_questions(records)
    return [record for record in _scored(records) if record.question in questions]


def _repeated_questions(records: Sequence[Record]) -> set[str]:
    return {record.question for record in records if record.probe}


def _scored(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.step and HIT in record.scores]


_STABILITY: Mapping[str, Callable[[Accuracy], float | None]] = {
    "min accuracy": stability.mean_min_accuracy,
    "WC accuracy": stability.worst_case_accuracy,
    "windowed drop": partial(stability.windowed_drop, window=WINDOW),
    "windowed rise": partial(stability.windowed_rise, window=WINDOW),
    "forgetting": stability.forgetting,
}


# ---- where evidence was lost: stored, retrieved, packed into the prompt, used, answered right?

STAGES = ("stored", "retrieved", "packed", "used", "right")
OF_REPLIES = ("used", "right")  # of the questions that a model answered, maybe a sample


def funnels(records: Sequence[Record]) -> list[Funnel]:
    """Return a funnel per data set, regime, system and kind of question, answerable ones only.

    Every stage counts only questions that passed all earlier ones, so the difference of two
    neighbours is the loss of the later one.
    """
    result = []
    for (data, regime, system), members in group_by_system(records).items():
        questions = [r for r in members if r.answerable and not r.probe and r.stages]
        for group, some in group_by_kind(questions).items():
            answered = [record for record in some if "right" in record.stages]
            lucky = sum(record.stages.get("lucky", False) for record in answered)
            searches, replies = _passed(some), _passed(answered)
            funnel = Funnel(
                data=data, group=group, regime=regime, system=system, asked=len(some),
                stored=searches["stored"], retrieved=searches["retrieved"],
                packed=searches["packed"], used=replies["used"], right=replies["right"],
                answered=len(answered) if answered else None, lucky=lucky if answered else None,
            )  # fmt: skip
            result += [funnel] if some else []
    return result


def _passed(records: Sequence[Record]) -> dict[str, int | None]:
    """Return how many questions passed each stage; None for a stage without information."""
    left, counts = records, dict[str, int | None]()
    for stage in STAGES:
        known = any(stage in record.stages for record in records)
        left = [record for record in left if record.stages.get(stage, True)]
        counts[stage] = len(left) if known else None
    return counts
