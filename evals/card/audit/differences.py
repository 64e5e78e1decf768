"""Paired differences between two systems, or two cards, from records of the same questions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evals.card.records import Compared, Record, Regime
from evals.stats import testing
from evals.stats.bootstrap import Floats, Labels

Key = tuple[str, str, int]  # conversation, question, step
Place = tuple[str, Regime]  # data set, regime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The scores of two sides on the questions that both have a score for."""

    scores: Floats
    baseline: Floats
    clusters: Labels
    alone: int  # questions with a score of one side only


def key(record: Record) -> Key:
    """Return the identity of a question within a data set, regime and system."""
    return record.haystack, record.question, record.step


def pair(records: Iterable[Record], baseline: Iterable[Record], metric: str) -> Pairs:
    """Pair the scores of two sides on one data set; probes are left out.

    Args:
        records: of one system in one regime.
        baseline: of another system, or of the same system in another card.
        metric: a key of `Record.scores`.
    """
    records = list(records)
    task_of = {record.haystack: record.task for record in records}
    a, b = _scores(records, metric), _scores(baseline, metric)
    both = sorted(a.keys() & b.keys())
    return Pairs(
        scores=np.array([a[key] for key in both], dtype=np.float64),
        baseline=np.array([b[key] for key in both], dtype=np.float64),
        clusters=[task_of[conversation] for conversation, _, _ in both],
        alone=len(a.keys() ^ b.keys()),
    )


def _scores(records: Iterable[Record], metric: str) -> dict[Key, float]:
    return {
        key(record): record.scores[metric]
        for record in records
        if metric in record.scores and not record.probe
    }


def by_place(records: Iterable[Record]) -> dict[Place, dict[str, list[Record]]]:
    """Return records by data set and regime, and inside by system, in their order."""
    places: dict[Place, dict[str, list[Record]]] = defaultdict(dict)
    for record in records:
        place = places[record.data, record.regime]
        place.setdefault(record.system, []).append(record)
    return dict(places)


def compare_systems(
    records: Sequence[Record], metrics: Sequence[str], *, system: str, seed: int
) -> list[Compared]:
    """Compare one system with every other system, on each data set in each of its regimes.

    All metrics and all other systems of a data set in a regime are one family for Holm's
    correction. A metric without a common question is left out.

    Args:
        records: all of them.
        metrics: keys of `Record.scores`.
        system: the one that the others are compared with.
        seed: of the resampling.
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
    """Return one paired difference, not corrected yet.

    Args:
        pairs: at least one.
        metric: of the scores.
        place: data set and regime.
        names: of the system and of the baseline.
        seed: of the resampling.
    """
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
    families: Mapping[str, list[int]] = defaultdict(list)
    for n, compared in enumerate(differences):
        families[compared.family].append(n)
    results = list(differences)
    for numbers in families.values():
        ps = testing.holm([differences[n].p for n in numbers])
        for n, p in zip(numbers, ps, strict=True):
            results[n] = replace(differences[n], p_holm=p)
    return results
