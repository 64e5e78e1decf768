"""How later writes change accuracy on earlier facts, at every step and not only at the end.

A task is a batch of facts written at one step. A table is `accuracy[step][task]`, None where the
task was not asked, and before it was written. The current task of a step is the one scored there
first. A figure is the mean over tasks; None if nothing was written after any of them.

Source unless noted: De Lange, van de Ven and Tuytelaars, ICLR 2023 (arXiv 2205.13452).
"""

from collections.abc import Callable, Sequence
from itertools import combinations

Scores = Sequence[float | None]  # of one task, by step
Table = Sequence[Scores]


def min_accuracy(scores: Scores) -> float | None:
    """Return the lowest accuracy of a task after it stopped being the current one (min-ACC)."""
    return min((score for _, score in _scored(scores)[1:]), default=None)


def mean_min_accuracy(table: Table) -> float | None:
    """Return min-ACC, averaged over the tasks that something was written after."""
    return _mean([min_accuracy(scores) for scores in _tasks(table)])


def worst_case_accuracy(table: Table) -> float | None:
    """Return WC-ACC: the mean of the current task's accuracy and min-ACC of all earlier tasks.

    The source: A / k + (1 − 1 / k) · min-ACC for k tasks, the last written with accuracy A.
    """
    tasks = [scores for scores in _tasks(table) if _scored(scores)]
    lowest = [min_accuracy(scores) for scores in tasks]
    if all(minimum is None for minimum in lowest):
        return None
    pairs = zip(tasks, lowest, strict=True)
    return _mean([_scored(scores)[0][1] if least is None else least for scores, least in pairs])


def windowed_drop(table: Table, window: int) -> float | None:
    """Return WF: the largest fall of a task's accuracy within a window; 0 if it never falls.

    The window is in steps, both ends counted, and at least 2.
    """
    return _windowed(table, window, lambda before, after: before - after)


def windowed_rise(table: Table, window: int) -> float | None:
    """Return WP: the largest rise of a task's accuracy within a window; 0 if it never rises."""
    return _windowed(table, window, lambda before, after: after - before)


def forgetting(table: Table) -> float | None:
    """Return the best accuracy of a task − its last accuracy.

    Source: Chaudhry et al., ECCV 2018; here the last counts among the best, so the result is never
    negative.
    """
    histories = [[score for _, score in _scored(scores)] for scores in _tasks(table)]
    return _mean([max(history) - history[-1] for history in histories if len(history) > 1])


def _windowed(table: Table, window: int, change: Callable[[float, float], float]) -> float | None:
    largest: list[float | None] = []
    for scores in _tasks(table):
        pairs = list(combinations(_scored(scores), 2))
        changes = [change(a, b) for (i, a), (j, b) in pairs if j - i < window]
        largest.append(max([0.0, *changes]) if pairs else None)
    return _mean(largest)


def _tasks(table: Table) -> list[Scores]:
    return list(zip(*table, strict=True))


def _scored(scores: Scores) -> list[tuple[int, float]]:
    return [(step, score) for step, score in enumerate(scores) if score is not None]


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None
