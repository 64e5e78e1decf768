"""What later writes did to earlier questions: scores after every maintenance step, not at the end.

The questions that are first asked after one step are a task; every later step asks them again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from evals.card.metrics import episodic, position, stability
from evals.card.records import Record
from evals.measure import Interval
from evals.retrieval import statistics

HIT = "any@10"
WINDOW = 3  # steps within which the largest drop is looked for

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
    names = list(tables)
    for metric, of in _METRICS.items():
        values = [of(tables[name]) for name in names]
        column = np.array([[np.nan if value is None else value] for value in values])
        if not np.isnan(column).all():
            yield metric, statistics.means(column, statistics.weights(names, seed))[0]
    probed = [one for one in records if one.step and HIT in one.scores and "distance" in one.axes]
    for metric, along in _ALONG.items():
        found = statistics.bootstrap(
            lambda rows, along=along: along(  # type: ignore[misc]
                [probed[n].axes["distance"] for n in rows], [probed[n].scores[HIT] for n in rows]
            ),
            [one.haystack for one in probed],
            seed,
        )
        if found is not None:
            yield metric, found


def accuracy(records: Sequence[Record]) -> Accuracy:
    """Return the share of each task's questions that were found after each step."""
    scored = [one for one in records if one.step and HIT in one.scores]
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
    """Return the questions asked after each step, first or again, that the search can hit."""
    found: dict[int, list[Record]] = {}
    for one in records:
        if one.step and HIT in one.scores:
            found.setdefault(one.step, []).append(one)
    return dict(sorted(found.items()))


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
_ALONG = {"slope per turn": position.slope, "half-life": episodic.half_life}
