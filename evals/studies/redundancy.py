"""Which scores of a card are redundant: rank correlation over systems.

The survey's open proposition B asks for a minimal card. Two scores that rank the systems alike on
every data set are one score. Source: Zhang et al. 2025 (arXiv 2509.18868), section 6; Kendall's τ-b
for ties.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from evals.card.records import Card
from evals.metrics.catalogue import METRICS
from evals.stats.interval import mean_interval
from evals.tables import Cell, Table

LEAST = 5  # systems that a ranking needs
PLACES = 5  # data sets with both scores that a comparison needs
SAME = 0.8  # mean τ of scores that count as the same

Ranking = Mapping[str, float]  # system -> score, higher is better
Rankings = Mapping[str, Ranking]  # by data set
Correlations = Mapping[tuple[str, str], Sequence[float]]  # of two metrics, per data set


def rankings(cards: Sequence[Card]) -> Mapping[str, Rankings]:
    """Return the systems' scores by metric and data set, where enough of them differ.

    Of the two regimes with memories to compare, replay counts, and online only for metrics that are
    measured nowhere else. Costs are left out.
    """
    scores: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for n, card in enumerate(cards, start=1):  # cards may share a name
        for regime in ("online", "replay"):  # the last counts
            for figure in card.figures:
                metric = METRICS[figure.metric]
                if (figure.group, figure.regime) == ("all", regime) and metric.layer != "cost":
                    sign = 1.0 if metric.better == "higher" else -1.0
                    data = f"{n} {card.name}/{figure.data}"
                    scores[figure.metric][data][figure.system] = sign * figure.value
    useful = {
        metric: {data: ranking for data, ranking in by_data.items() if _ranks(ranking)}
        for metric, by_data in scores.items()
    }
    return {metric: by_data for metric, by_data in useful.items() if by_data}


def _ranks(ranking: Ranking) -> bool:
    return len(ranking) >= LEAST and len(set(ranking.values())) > 1


def correlation(a: Rankings, b: Rankings) -> list[float]:
    """Return Kendall's τ-b of two scores, for every data set where both rank the systems."""
    from scipy.stats import kendalltau

    taus = []
    for data in sorted(a.keys() & b.keys()):  # in one order, so that resampling repeats
        systems = sorted(a[data].keys() & b[data].keys())
        xs, ys = ({system: side[data][system] for system in systems} for side in (a, b))
        if _ranks(xs) and _ranks(ys):
            taus.append(float(kendalltau([*xs.values()], [*ys.values()]).statistic))
    return taus


def tables(cards: Sequence[Card], seed: int) -> list[Table]:
    """Return the groups of redundant scores, and every redundant pair with its interval."""
    by_metric = rankings(cards)
    names = sorted(by_metric)
    taus = {(a, b): correlation(by_metric[a], by_metric[b]) for a, b in combinations(names, 2)}
    taus = {pair: values for pair, values in taus.items() if len(values) >= PLACES}
    return [_group_table(names, taus), _pair_table(taus, seed)]


def _group_table(names: Sequence[str], taus: Correlations) -> Table:
    """Return complete-link clusters: every pair inside has a mean τ of `SAME` or more."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(names) < 2:
        return Table(title="scores that say the same", columns=["score"], rows=[])
    distance = 2.0 * (1 - np.eye(len(names)))  # of scores that hardly meet
    for (a, b), values in taus.items():
        i, j = names.index(a), names.index(b)
        distance[i, j] = distance[j, i] = 1 - float(np.mean(values))
    labels = fcluster(linkage(squareform(distance), "complete"), 1 - SAME, "distance")
    rows: list[list[Cell]] = []
    for label in dict.fromkeys(labels):
        members = [n for n, of in enumerate(labels) if of == label]
        medoid = min(members, key=lambda n: distance[n, members].sum())
        redundant = ", ".join(names[n] for n in members if n != medoid)
        rows.append([names[medoid], METRICS[names[medoid]].layer, redundant])
    return Table(
        title=f"scores that say the same (mean τ ≥ {SAME} within a group)",
        columns=["keep", "layer", "says the same"],
        rows=sorted(rows, key=lambda row: (str(row[1]), str(row[0]))),
        note=f"τ-b over at least {LEAST} systems, averaged over data sets. Scores that "
        f"meet in fewer than {PLACES} of these are not called the same.",
    )


def _pair_table(taus: Correlations, seed: int) -> Table:
    rows: list[list[Cell]] = []
    for (a, b), values in taus.items():
        if np.mean(values) >= SAME:
            mean = mean_interval(values, seed=seed)
            rows.append([a, b, round(mean.value, 3), f"{mean.low:.2f} … {mean.high:.2f}", mean.n])
    return Table(
        title="pairs that agree",
        columns=["score", "and", "mean τ", "95 %", "data sets"],
        rows=sorted(rows, key=lambda row: -float(str(row[2]))),
        note="The interval draws data sets.",
    )
