"""Outcomes in, means with intervals out: per gold, group of questions and system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.bench.measure import Interval
from evals.data.haystack import PUBLISHED
from evals.metrics import retrieval as metrics
from evals.metrics.retrieval import SERVED
from evals.retrieval.run import Outcome
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Difference

ANSWERABLE, WITH_GOLD = "answerable", "with gold, answerable or not"
HEADLINES = (
    f"served recall@{SERVED}", "turn recall@10", "turn NDCG@10", "turn MRR", "session recall@5",
    "share@1000",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric of one system over one group of questions."""

    gold: str
    group: str
    system: str
    metric: str
    interval: Interval  # by conversation


Figures = Mapping[tuple[str, str, str, str], Interval]  # gold, group, system, metric


def table(figures: Sequence[Figure]) -> Figures:
    """Return the figures by what they are of."""
    return {(one.gold, one.group, one.system, one.metric): one.interval for one in figures}


def by_system(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return outcomes by system; the same question stands at the same place in all of them."""
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(one.system, []).append(one)
    return found


def groups(outcomes: Sequence[Outcome]) -> dict[str, NDArray[np.intp]]:
    """Return which questions are reported together, by name, for one system's outcomes."""
    answerable = np.array([one.answerable for one in outcomes], dtype=bool)
    found = {ANSWERABLE: np.flatnonzero(answerable)}
    for name in sorted({one.group for one in outcomes}, key=lambda name: ("unansw" in name, name)):
        found[name] = np.array([n for n, one in enumerate(outcomes) if one.group == name])
    if not answerable.all():
        found[WITH_GOLD] = np.arange(len(outcomes))
    return {name: rows for name, rows in found.items() if len(rows)}


def values(outcomes: Sequence[Outcome], gold: str) -> NDArray[np.float64]:
    """Return every metric of every outcome, shape (outcomes, metrics); NaN is not scored."""
    rows = [metrics.scores(one.found[gold]) for one in outcomes]
    return np.array([[row.get(name, np.nan) for name in metrics.NAMES] for row in rows])


def compute(outcomes: Sequence[Outcome], golds: Sequence[str], seed: int) -> list[Figure]:
    """Return all figures of one split; none for a group without gold."""
    systems = by_system(outcomes)
    one = next(iter(systems.values()))
    clusters = np.array([outcome.haystack for outcome in one])
    found = []
    for gold in golds:
        scored = {name: values(theirs, gold) for name, theirs in systems.items()}
        for group, rows in groups(one).items():
            drawn = statistics.weights(clusters[rows], seed)
            for system, theirs in scored.items():
                has = np.flatnonzero(~np.isnan(theirs[rows]).all(axis=0))
                if not len(has):
                    continue
                intervals = statistics.means(theirs[np.ix_(rows, has)], drawn)
                found += [
                    Figure(
                        gold=gold, group=group, system=system,
                        metric=metrics.NAMES[column], interval=interval,
                    )
                    for column, interval in zip(has, intervals, strict=True)
                ]  # fmt: skip
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Our first system beside another, on the same questions."""

    metric: str
    against: str
    by_conversation: Difference
    inside_conversations: Difference


def compare(outcomes: Sequence[Outcome], seed: int) -> list[Compared]:
    """Return the paired differences of the first system from each other, answerable questions."""
    systems = by_system([one for one in outcomes if one.answerable])
    if not systems:
        return []
    ours, *others = systems
    clusters = np.array([one.haystack for one in systems[ours]])
    scored = {name: values(theirs, PUBLISHED) for name, theirs in systems.items()}
    found = []
    for metric in HEADLINES:
        column = metrics.NAMES.index(metric)
        rows = np.flatnonzero(~np.isnan(scored[ours][:, column]))
        drawn = [
            statistics.weights(clusters[rows], seed, within=within) for within in (False, True)
        ]
        for other in others if len(rows) else ():
            pair = (scored[ours][rows, column], scored[other][rows, column])
            by, inside = (statistics.paired(*pair, weights) for weights in drawn)
            found.append(
                Compared(
                    metric=metric, against=other, by_conversation=by, inside_conversations=inside
                )
            )
    return found
