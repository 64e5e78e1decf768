"""Which scores of a card say the same: rank correlation over systems.

The survey's open proposition B asks for a minimal card. Two scores that put systems in the same
order, on every data set, are one score. Source: Zhang et al. 2025 (arXiv 2509.18868), section 6;
Kendall's τ-b for ties.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evals.bench.measure import mean_interval
from evals.bench.result import Cell, Table
from evals.card.records import Card
from evals.metrics.catalogue import METRICS

LEAST = 5  # systems that an order needs
PLACES = 5  # data sets on which two scores have to meet before they can be called one
SAME = 0.8  # mean τ from which on they are
_SKIPPED = ("cost",)  # layers that are no quality

Order = Mapping[str, Mapping[str, float]]  # data set, where systems are ordered -> system -> score
Orders = Mapping[str, Order]  # by metric


def orders(cards: Sequence[Card]) -> Orders:
    """Return every score of the systems, higher being better, where enough of them differ.

    A data set is one place: of its two regimes with memories to choose, replay counts, and online
    only for what is measured nowhere else.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for n, card in enumerate(cards, start=1):  # two of them may have one name
        for regime in ("online", "replay"):  # the last counts
            for one in card.figures:
                if (one.group, one.regime) == ("all", regime) and _is_quality(one.metric):
                    sign = 1.0 if METRICS[one.metric].better == "higher" else -1.0
                    place = f"{n} {card.name}/{one.data}"
                    systems = found.setdefault(one.metric, {}).setdefault(place, {})
                    systems[one.system] = sign * one.value
    return {
        metric: kept
        for metric, places in found.items()
        if (kept := {place: of for place, of in places.items() if _tells(of)})
    }


def _is_quality(metric: str) -> bool:
    return METRICS[metric].layer not in _SKIPPED


def _tells(systems: Mapping[str, float]) -> bool:
    return len(systems) >= LEAST and len(set(systems.values())) > 1


def correlation(
    a: Mapping[str, Mapping[str, float]], b: Mapping[str, Mapping[str, float]]
) -> list[float]:
    """Return Kendall's τ-b of two scores, for every place where both put systems in an order."""
    from scipy.stats import kendalltau

    found = []
    for place in sorted(a.keys() & b.keys()):  # in one order, so that the same is drawn
        systems = sorted(a[place].keys() & b[place].keys())
        xs, ys = ([of[place][one] for one in systems] for of in (a, b))
        if len(systems) >= LEAST and len(set(xs)) > 1 and len(set(ys)) > 1:
            found.append(float(kendalltau(xs, ys).statistic))
    return found


def tables(cards: Sequence[Card], seed: int) -> list[Table]:
    """Return the groups of scores that say the same, and every pair with its interval."""
    found = orders(cards)
    names = sorted(found)
    taus = {(a, b): correlation(found[a], found[b]) for a, b in combinations(names, 2)}
    return [_groups(names, taus), _pairs(taus, seed)]


def _groups(names: Sequence[str], taus: Mapping[tuple[str, str], Sequence[float]]) -> Table:
    """Return complete-link clusters: within one, every pair has a mean τ of `SAME` or more."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(names) < 2:
        return Table(title="scores that say the same", columns=["score"], rows=[])
    distance: NDArray[np.float64] = np.zeros((len(names), len(names)))
    for (a, b), of in taus.items():
        i, j = names.index(a), names.index(b)
        met = len(of) >= PLACES
        distance[i, j] = distance[j, i] = 1 - float(np.mean(of)) if met else 2.0
    labels = fcluster(linkage(squareform(distance), "complete"), 1 - SAME, "distance")
    rows: list[list[Cell]] = []
    for label in dict.fromkeys(labels):
        members = [n for n, one in enumerate(labels) if one == label]
        middle = min(members, key=lambda n: distance[n, members].sum())
        others = ", ".join(names[n] for n in members if n != middle)
        rows.append([names[middle], METRICS[names[middle]].layer, others])
    return Table(
        title=f"scores that say the same (mean τ ≥ {SAME} within a group)",
        columns=["keep", "layer", "says the same"],
        rows=sorted(rows, key=lambda row: (str(row[1]), str(row[0]))),
        note=f"τ-b over at least {LEAST} systems, averaged over data sets. Scores that "
        f"meet in fewer than {PLACES} of these are not called the same.",
    )


def _pairs(taus: Mapping[tuple[str, str], Sequence[float]], seed: int) -> Table:
    rows: list[list[Cell]] = []
    for (a, b), of in taus.items():
        if len(of) >= PLACES and np.mean(of) >= SAME:
            rows.append([a, b, round(float(np.mean(of)), 3), _span(of, seed), len(of)])
    return Table(
        title="pairs that agree",
        columns=["score", "and", "mean τ", "95 %", "data sets"],
        rows=sorted(rows, key=lambda row: -float(str(row[2]))),
        note="The interval draws data sets.",
    )


def _span(taus: Sequence[float], seed: int) -> str:
    interval = mean_interval(taus, seed=seed)
    if interval.low is None or interval.high is None:
        return "too few"
    return f"{interval.low:.2f} … {interval.high:.2f}"
