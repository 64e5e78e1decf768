"""Does a memory follow what holds now? E-MARS+, panel 3: freshness and conflict.

Source: Zhang et al. 2025 (arXiv 2509.18868), table 4.7, which names these metrics without formulas;
the formulas are ours. Places are ranks of turns in a ranking, from 1: of current turns, which say
what holds now, and of stale turns, which say what held before.
"""

from collections.abc import Sequence

from evals.metrics.answers import stated
from evals.metrics.retrieval import Places


def freshness_hit(current: Places, stale: Places, k: int) -> float | None:
    """Return 1 if a current turn is among the first k and above every stale turn (Fresh@k).

    None if there is no current turn.
    """
    if not current:
        return None
    best = _best(current)
    return float(best <= k and best < _best(stale))


def out_of_date_use(current: Places, stale: Places) -> float | None:
    """Return 1 if a stale turn ranks above every current turn; None without stale turns."""
    return float(_best(stale) < _best(current)) if stale else None


def out_of_date_reply(text: str, current: Sequence[str], stale: Sequence[str]) -> float | None:
    """Return 1 if a reply states a stale answer and no current one; None without stale answers."""
    if not stale:
        return None
    answers = stated(text, [*current, *stale])
    return float(any(answer in stale for answer in answers) and not set(answers) & set(current))


def conflict_handled(text: str, sides: Sequence[str]) -> float:
    """Return 1 if a reply names all sides of a conflict (CCR).

    Nothing decides between the sides, so a single side is wrong, the newest too, and so is a
    refusal: the reader would not learn that there is a conflict.
    """
    return float(len(stated(text, sides)) == len(sides))


def conflict_shown(newest: Places, older: Places, k: int) -> float | None:
    """Return 1 if a turn of each side of a conflict is among the first k; None without turns."""
    return float(max(_best(newest), _best(older)) <= k) if newest and older else None


def preference_retained(text: str, current: Sequence[str], stale: Sequence[str] = ()) -> float:
    """Return 1 if a reply follows a preference that holds now and no withdrawn one."""
    answers = stated(text, [*current, *stale])
    return float(bool(answers) and set(answers) <= set(current))


def _best(places: Places) -> float:
    return min((place for place in places if place is not None), default=float("inf"))
