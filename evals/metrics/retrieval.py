"""Rank metrics of one question, from the ranks at which a system found its gold items.

A place is a rank in the ranking, from 1; None is a gold item that the ranking lacks, which still
counts as gold. Recall is fractional, the share of the gold; "any" (one gold item is enough) and
"all" (every one is needed) do not compare with it. A question without gold has no score.

What is more than a count comes from ir-measures. Recall, any and all stay here: a call of
ir-measures takes 0.2 ms, which a card would pay a dozen times per question and system.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Places = Sequence[int | None]  # one per gold item

DEPTH = 200  # turns of a full ranking, so that it holds enough sessions; MRR is cut here
SERVED = 10  # turns of a user's call
BUDGETS = (300, 500, 1000, 3500)  # tokens


def places(ranking: Iterable[str], gold: Iterable[str]) -> tuple[int | None, ...]:
    """Return the rank of each gold item; a repeated item ranks where it is first.

    >>> places(["b", "a", "b"], ["a", "b", "c"])
    (2, 1, None)
    """
    rank = {item: n for n, item in enumerate(dict.fromkeys(ranking), start=1)}
    return tuple(rank.get(item) for item in gold)


def sessions(ranking: Iterable[str], session: Mapping[str, str]) -> list[str]:
    """Return sessions in the order of their first turn in the ranking."""
    return list(dict.fromkeys(session[turn] for turn in ranking if turn in session))


def recall(places: Places, k: int) -> float:
    """Return the share of the gold among the first k."""
    return _count(places, k) / len(places)


def any_of(places: Places, k: int) -> float:
    """Return 1 if some gold is among the first k (trec_eval's success)."""
    return float(_count(places, k) > 0)


def all_of(places: Places, k: int) -> float:
    """Return 1 if all gold is among the first k."""
    return float(_count(places, k) == len(places))


def precision(places: Places, k: int) -> float:
    """Return the share of gold among the first k, as trec_eval does: empty ranks count as wrong.

    The most that can be reached is |gold| / k.
    """
    return _count(places, k) / k


def reciprocal_rank(places: Places) -> float:
    """Return 1 / the best rank; 0 if no gold is in the ranking."""
    return max((1 / place for place in places if place is not None), default=0.0)


def ndcg(places: Places, k: int) -> float:
    """Return normalised discounted cumulative gain of the first k, with log2(rank + 1)."""
    from ir_measures import nDCG

    return _measure(nDCG @ k, places)


def average_precision(places: Places) -> float | None:
    """Return the mean precision at the ranks of the gold (AUPRC); None if there is no gold.

    Gold that the ranking lacks adds 0, so a ranking that was cut short gives a lower bound of the
    area under the whole precision-recall curve. Davis and Goadrich, ICML 2006, say why the area is
    not interpolated.
    """
    from ir_measures import AP

    return _measure(AP, places) if places else None


def _count(places: Places, k: int) -> int:
    return sum(place is not None and place <= k for place in places)


def _measure(measure: Any, places: Places) -> float:
    """Return a measure of ir-measures, of a ranking that has gold at these ranks alone."""
    import ir_measures

    gold = {str(place or f"missing {n}"): 1 for n, place in enumerate(places)}
    last = max((place for place in places if place is not None), default=0)
    ranking = {str(rank): -float(rank) for rank in range(1, last + 1)}
    values = ir_measures.calc_aggregate([measure], {"question": gold}, {"question": ranking})
    return float(values[measure])
