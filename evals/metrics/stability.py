"""What later writes do to what was known, seen at every step and not only at the end.

A task is a batch of facts written at one step. A table is `accuracy[step][task]`: None before the
task was written, and where it was not asked. A task is the current one at the first step that has
a score of it. Figures of a table are means over its tasks; None if nothing was written after any.

Source unless said otherwise: De Lange, van de Ven and Tuytelaars, ICLR 2023 (arXiv 2205.13452).
"""

from collections.abc import Callable, Sequence
from itertools import combinations

from memkit.errors import InvalidInput

Scores = Sequence[float | None]  # of one task, by step
Table = Sequence[Scores]


def min_accuracy(scores: Scores) -> float | None:
    """Return a task's lowest accuracy since it stopped being the current one (min-ACC)."""
    later = [one for _, one in _asked(scores)[1:]]
    return min(later, default=None)


def mean_min_accuracy(table: Table) -> float | None:
    """Return min-ACC, averaged over the tasks that something was written after."""
    return _mean([min_accuracy(scores) for scores in _tasks(table)])


def worst_case_accuracy(table: Table) -> float | None:
    """Return WC-ACC: the mean of the current task's accuracy and min-ACC of all others.

    The source: A / k + (1 − 1 / k) · min-ACC for k tasks, the last written with accuracy A.
    """
    written = [scores for scores in _tasks(table) if _asked(scores)]
    lowest = [min_accuracy(scores) for scores in written]
    if all(one is None for one in lowest):
        return None
    return _mean(
        [_asked(s)[0][1] if low is None else low for s, low in zip(written, lowest, strict=True)]
    )


def windowed_drop(table: Table, window: int) -> float | None:
    """Return WF: the largest fall of a task's accuracy within so many steps in a row.

    0 for a task that never falls. Lower is better.

    Args:
        table: see this module's beginning.
        window: steps, both ends counted.

    Raises:
        InvalidInput: the window has fewer than 2 steps.
    """
    return _windowed(table, window, lambda before, after: before - after)


def windowed_rise(table: Table, window: int) -> float | None:
    """Return WP: the same for the largest rise; 0 for a task that never rises."""
    return _windowed(table, window, lambda before, after: after - before)


def forgetting(table: Table) -> float | None:
    """Return a task's best accuracy − its last. Lower is better.

    Source: Chaudhry et al., ECCV 2018; here the last is among the best, so it is never negative.
    """
    histories = [[one for _, one in _asked(scores)] for scores in _tasks(table)]
    return _mean([max(one) - one[-1] for one in histories if len(one) > 1])


def _windowed(table: Table, window: int, change: Callable[[float, float], float]) -> float | None:
    if window < 2:
        raise InvalidInput(f"a window of {window} steps holds no change; give 2 or more")
    found: list[float | None] = []
    for scores in _tasks(table):
        pairs = list(combinations(_asked(scores), 2))
        near = [change(a, b) for (i, a), (j, b) in pairs if j - i < window]
        found.append(max([0.0, *near]) if pairs else None)
    return _mean(found)


def _tasks(table: Table) -> list[Scores]:
    return list(zip(*table, strict=True))


def _asked(scores: Scores) -> list[tuple[int, float]]:
    """Return a task's accuracies with the steps they are of."""
    return [(step, one) for step, one in enumerate(scores) if one is not None]


def _mean(values: Sequence[float | None]) -> float | None:
    kept = [one for one in values if one is not None]
    return sum(kept) / len(kept) if kept else None
