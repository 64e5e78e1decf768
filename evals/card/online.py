"""How later writes change the scores of earlier questions: scores after every maintenance step.

The questions that are first put after the same step form a block; every later step repeats them, or
a sample of them. Then only the sample counts: the scores of all questions and of a sample would
differ without any forgetting. (The papers call a block a task; here a task is a unit of work.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf

import numpy as np

from evals.card.records import Record
from evals.metrics import episodic, position, stability
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Rows
from evals.stats.interval import Interval

HIT = "any@10"
WINDOW = 3  # steps within which the largest drop is measured

Trend = Callable[[Sequence[float], Sequence[float]], float | None]  # of distances and scores
Accuracy = Sequence[Sequence[float | None]]  # [step][block]; None: not put yet


def figures(records: Sequence[Record], seed: int) -> Iterator[tuple[str, Interval]]:
    """Yield the metrics of the stability gap, each the mean over conversations."""
    tables = {
        name: table
        for name, members in _by_haystack(records).items()
        if len(table := accuracy(members)) > 1
    }
    if not tables:
        return
    task = {record.haystack: record.task for record in records}
    tasks = [task[name] for name in tables]
    for metric, compute in _METRICS.items():
        values = [compute(table) for table in tables.values()]
        column = np.array([[np.nan if value is None else value] for value in values])
        if not np.isnan(column).all():
            yield metric, statistics.means(column, statistics.weights(tasks, seed))[0]
    distant = [record for record in repeated(records) if "distance" in record.axes]
    yield from _with_distance(distant, seed)


def _with_distance(records: Sequence[Record], seed: int) -> Iterator[tuple[str, Interval]]:
    """Yield how the score falls with the turns since the evidence.

    A resample without a fall has no half-life and counts as infinite.
    """
    tasks = [record.task for record in records]
    xs = np.array([record.axes["distance"] for record in records])
    ys = np.array([record.scores[HIT] for record in records])
    for metric, (trend, absent) in _TRENDS.items():

        def statistic(rows: Rows, trend: Trend = trend) -> float | None:
            return trend(xs[rows].tolist(), ys[rows].tolist())

        interval = statistics.bootstrap(statistic, tasks, seed, absent=absent)
        if interval is not None:
            yield metric, interval


def accuracy(records: Sequence[Record]) -> Accuracy:
    """Return the share of each block's questions with evidence in the ranking after each step.

    Args:
        records: of one conversation. Only repeated questions count, and those of the last step,
            after which none is repeated.
    """
    last = max((record.step for record in records), default=0)
    questions = _repeated_questions(records)
    scored = [
        record for record in _scored(records) if record.question in questions or record.step == last
    ]
    first: dict[str, int] = {}
    for record in sorted(scored, key=lambda record: record.step):
        first.setdefault(record.question, record.step)
    steps = sorted({record.step for record in scored})
    blocks = sorted(set(first.values()))
    cells: dict[tuple[int, int], list[float]] = {}
    for record in scored:
        cells.setdefault((record.step, first[record.question]), []).append(record.scores[HIT])
    return [
        [float(np.mean(cells[step, block])) if (step, block) in cells else None for block in blocks]
        for step in steps
    ]


def after_each_step(records: Sequence[Record]) -> dict[int, list[Record]]:
    """Return the records of repeated questions by step."""
    by_step: dict[int, list[Record]] = {}
    for record in repeated(records):
        by_step.setdefault(record.step, []).append(record)
    return dict(sorted(by_step.items()))


def repeated(records: Sequence[Record]) -> list[Record]:
    """Return all records of the questions that were repeated, the first ones included."""
    questions = _repeated_questions(records)
    return [record for record in _scored(records) if record.question in questions]


def _repeated_questions(records: Sequence[Record]) -> set[str]:
    return {record.question for record in records if record.probe}


def _scored(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.step and HIT in record.scores]


def _by_haystack(records: Sequence[Record]) -> dict[str, list[Record]]:
    by_haystack: dict[str, list[Record]] = {}
    for record in records:
        by_haystack.setdefault(record.haystack, []).append(record)
    return by_haystack


_METRICS: Mapping[str, Callable[[Accuracy], float | None]] = {
    "min accuracy": stability.mean_min_accuracy,
    "WC accuracy": stability.worst_case_accuracy,
    "windowed drop": lambda table: stability.windowed_drop(table, WINDOW),
    "windowed rise": lambda table: stability.windowed_rise(table, WINDOW),
    "forgetting": stability.forgetting,
}
_TRENDS: Mapping[str, tuple[Trend, float | None]] = {  # and the value of a resample without one
    "slope per turn": (position.slope, None),
    "half-life": (episodic.half_life, inf),
}
