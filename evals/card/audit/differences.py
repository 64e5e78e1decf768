"""Paired differences between two systems, or two cards, from records of the same questions."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from evals.card.records import Compared, Record, Regime
from evals.stats import testing
from evals.stats.bootstrap import Floats, Labels

Key = tuple[str, str, int]  # conversation, question, step
Place = tuple[str, Regime]  # data set, regime


class Pairs(NamedTuple):
    """The scores of two sides on the questions that both have a score for."""

    scores: Floats
    baseline: Floats
    clusters: Labels
    alone: int  # questions with a score of one side only


def key(record: Record) -> Key:
    """Return the identity of a question within a data set, regime and system."""
    return record.haystack, record.question, record.step


def pair(records: Sequence[Record], baseline: Sequence[Record], metric: str) -> Pairs:
    """Pair the scores of two sides on one data set in one regime; probes are left out."""
    a, b = (
        {
            key(record): record.scores[metric]
            for record in side
            if metric in record.scores and not record.probe
        }
        for side in (records, baseline)
    )
    task_of = {record.haystack: record.task for record in records}
    both = sorted(a.keys() & b.keys())
    return Pairs(
        scores=np.array([a[key] for key in both], dtype=np.float64),
        baseline=np.array([b[key] for key in both], dtype=np.float64),
        clusters=[task_of[conversation] for conversation, _, _ in both],
        alone=len(a.keys() ^ b.keys()),
    )


def by_place(records: Iterable[Record]) -> dict[Place, dict[str, list[Record]]]:
    """Return records by data set and regime, and inside by system, in their order."""
    places: dict[Place, dict[str, list[Record]]] = defaultdict(dict)
    for record in records:
        places[record.data, record.regime].setdefault(record.system, []).append(record)
    return dict(places)


def compare_systems(
    records: Sequence[Record], metrics: Sequence[str], *, system: str, seed: int
) -> list[Compared]:
    """Compare one system with every other system, on each data set in each of its regimes.

    All metrics and all other systems of a data set in a regime are one family for Holm's
    correction. A metric without a common question is left out.
    """
    results: list[Compared] = []
    for (data, regime), systems in by_place(records).items():
        if system in systems:
            results += correct(
                [
                    difference(pairs, metric, (data, regime), names=(system, rival), seed=seed)
                    for rival, rival_records in systems.items()
                    if rival != system
                    for metric in metrics
                    if len((pairs := pair(systems[system], rival_records, metric)).scores)
                ]
            )
    return results


def difference(
    pairs: Pairs, metric: str, place: Place, *, names: tuple[str, str], seed: int
) -> Compared:
    """Return one paired difference of a system and a baseline with these names, not corrected."""
    data, regime = place
    result = testing.compare(pairs.scores, pairs.baseline, pairs.clusters, seed)
    return Compared(
        metric=metric, data=data, regime=regime, ours=names[0], theirs=names[1],
        difference=result.difference, low=result.low, high=result.high,
        p=result.p, p_holm=None, family=f"{data} × {regime}",
        effect=result.delta, n=result.n, d=result.d,
    )  # fmt: skip


def correct(differences: Sequence[Compared]) -> list[Compared]:
    """Return differences with their p-values corrected by Holm within each family."""
    families: dict[str, list[int]] = defaultdict(list)
    for n, compared in enumerate(differences):
        families[compared.family].append(n)
    p_of = {
        n: p
        for numbers in families.values()
        for n, p in zip(numbers, testing.holm([differences[n].p for n in numbers]), strict=True)
    }
    return [replace(compared, p_holm=p_of[n]) for n, compared in enumerate(differences)]
