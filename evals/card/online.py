"""What later writes did to earlier questions: scores after every maintenance step, not at the end.

The questions that are first asked after one step are a task; every later step asks them again, or
a sample of them. Then only the sample counts: a score of all beside one of the sample would differ
though nothing was forgotten.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf

import numpy as np

from evals.bench.measure import Interval
from evals.card.records import Record
from evals.metrics import episodic, position, stability
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Rows

HIT = "any@10"
WINDOW = 3  # steps within which the largest drop is looked for

Along = Callable[[Sequence[float], Sequence[float]], float | None]
Accuracy = Sequence[Sequence[float | None]]  # [step][task]; None: not asked yet


def figures(records: Sequence[Record], seed: int) -> Iterator[tuple[str, Interval]]:
    """Yield the metrics of the stability gap, each the mean over conversations."""
    tables = {
        name: table
        for name, theirs in _by_haystack(records).items()
        if len(table := accuracy(theirs)) > 1
    }
    if not tables:
        return
    task = {one.haystack: one.task for one in records}
    tasks = [task[name] for name in tables]
    for metric, of in _METRICS.items():
        values = [of(table) for table in tables.values()]
        column = np.array([[np.nan if value is None else value] for value in values])
        if not np.isnan(column).all():
            yield metric, statistics.means(column, statistics.weights(tasks, seed))[0]
    yield from _with_distance([one for one in asked_again(records) if "distance" in one.axes], seed)


def _with_distance(records: Sequence[Record], seed: int) -> Iterator[tuple[str, Interval]]:
    """Yield how the score falls as more is said after the evidence.

    Where a resample does not fall there is no half-life: it counts as one without end.
    """
    tasks = [one.task for one in records]
    xs = np.array([one.axes["distance"] for one in records])
    ys = np.array([one.scores[HIT] for one in records])
    for metric, (along, absent) in _ALONG.items():

        def of(rows: Rows, along: Along = along) -> float | None:
            return along(xs[rows].tolist(), ys[rows].tolist())

        found = statistics.bootstrap(of, tasks, seed, absent=absent)
        if found is not None:
            yield metric, found


def accuracy(records: Sequence[Record]) -> Accuracy:
    """Return the share of each task's questions that were found after each step.

    Args:
        records: of one conversation. Of its questions only those count that are asked again, and
            those that come with the last step, after which nobody is.
    """
    last = max((one.step for one in records), default=0)
    again = _again(records)
    scored = [one for one in _scored(records) if one.question in again or one.step == last]
    first: dict[str, int] = {}
    for one in sorted(scored, key=lambda one: one.step):
        first.setdefault(one.question, one.step)
    steps = sorted({one.step for one in scored})
    tasks = sorted(set(first.values()))
    cells: dict[tuple[int, int], list[float]] = {}
    for one in scored:
        cells.setdefault((one.step, first[one.question]), []).append(one.scores[HIT])
    return [
        [float(np.mean(cells[step, task])) if (step, task) in cells else None for task in tasks]
        for step in steps
    ]


def after_each_step(records: Sequence[Record]) -> dict[int, list[Record]]:
    """Return the questions that are asked again, by the step they were asked after."""
    found: dict[int, list[Record]] = {}
    for one in asked_again(records):
        found.setdefault(one.step, []).append(one)
    return dict(sorted(found.items()))


def asked_again(records: Sequence[Record]) -> list[Record]:
    """Return all scores of the questions that were asked more than once, the first ones too."""
    again = _again(records)
    return [one for one in _scored(records) if one.question in again]


def _again(records: Sequence[Record]) -> set[str]:
    return {one.question for one in records if one.probe}


def _scored(records: Sequence[Record]) -> list[Record]:
    return [one for one in records if one.step and HIT in one.scores]


def _by_haystack(records: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for one in records:
        found.setdefault(one.haystack, []).append(one)
    return found


_METRICS: Mapping[str, Callable[[Accuracy], float | None]] = {
    "min accuracy": stability.mean_min_accuracy,
    "WC accuracy": stability.worst_case_accuracy,
    "windowed drop": lambda table: stability.windowed_drop(table, WINDOW),
    "windowed rise": lambda table: stability.windowed_rise(table, WINDOW),
    "forgetting": stability.forgetting,
}
_ALONG: Mapping[str, tuple[Along, float | None]] = {  # and what a resample without it counts as
    "slope per turn": (position.slope, None),
    "half-life": (episodic.half_life, inf),
}
