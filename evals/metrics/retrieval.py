"""What a ranking is worth, from the places at which it has the gold. Pure functions.

A place counts from 1; None is a gold item that was not found. "Recall" is fractional: the share of
the gold found. It is neither `any` (one of them is enough) nor `all` (every one is needed), and
figures of different kinds do not compare. Nothing is scored for a question without gold.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2

Places = Sequence[int | None]  # one per gold item

CUTS = (1, 5, 10, 20, 50)
DEPTH = 200  # turns asked for, so that there are sessions enough; MRR looks no further
SERVED = 10  # turns that a user's call asks for
BUDGETS = (500, 1000, 3500)  # tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a system had the gold of one question."""

    turns: tuple[int | None, ...]  # places in the ranking of turns
    sessions: tuple[int | None, ...]  # places in that of sessions
    served: tuple[int | None, ...]  # places of the turns when only `SERVED` were asked for
    packed: Mapping[int, int]  # budget -> gold turns inside it


def places(ranking: Iterable[str], gold: Iterable[str]) -> tuple[int | None, ...]:
    """Return where each gold item stands in the ranking; a repeated item counts where it is first.

    >>> places(["b", "a", "b"], ["a", "b", "c"])
    (2, 1, None)
    """
    at = {item: n for n, item in enumerate(dict.fromkeys(ranking), start=1)}
    return tuple(at.get(item) for item in gold)


def sessions(ranking: Iterable[str], session: Mapping[str, str]) -> list[str]:
    """Return sessions in the order in which the ranking first has a turn of theirs."""
    return list(dict.fromkeys(session[turn] for turn in ranking if turn in session))


def recall(found: Places, k: int) -> float:
    """Return the share of the gold among the first k."""
    return _within(found, k) / len(found)


def any_of(found: Places, k: int) -> float:
    """Return 1 if some of the gold is among the first k."""
    return float(_within(found, k) > 0)


def all_of(found: Places, k: int) -> float:
    """Return 1 if all of the gold is among the first k."""
    return float(_within(found, k) == len(found))


def reciprocal_rank(found: Places) -> float:
    """Return 1 / the best place; 0 if nothing was found."""
    return max((1 / place for place in found if place is not None), default=0.0)


def ndcg(found: Places, k: int) -> float:
    """Return normalised discounted cumulative gain with binary gains: ideal is gold first.

    Source: Järvelin and Kekäläinen, ACM TOIS 2002, in the form of trec_eval (log2(place + 1)).
    """
    gain = sum(1 / log2(place + 1) for place in found if place is not None and place <= k)
    ideal = sum(1 / log2(place + 1) for place in range(1, min(len(found), k) + 1))
    return gain / ideal


def _within(found: Places, k: int) -> int:
    return sum(place is not None and place <= k for place in found)


_AT: Mapping[str, Callable[[Places, int], float]] = {
    "recall": recall,
    "any": any_of,
    "all": all_of,
}


def scores(found: Found) -> dict[str, float]:
    """Return every metric of one question by name; none of a level that has no gold."""
    scored: dict[str, float] = {}
    for level, at in (("turn", found.turns), ("session", found.sessions)):
        if at:
            scored |= {f"{level} {name}@{k}": of(at, k) for name, of in _AT.items() for k in CUTS}
            scored[f"{level} MRR"] = reciprocal_rank(at)
            scored[f"{level} NDCG@10"] = ndcg(at, 10)
    if found.turns:
        scored[f"served recall@{SERVED}"] = recall(found.served, SERVED)
        scored |= {f"share@{budget}": n / len(found.turns) for budget, n in found.packed.items()}
    return scored


NAMES = tuple(
    scores(Found(turns=(1,), sessions=(1,), served=(1,), packed=dict.fromkeys(BUDGETS, 1)))
)
