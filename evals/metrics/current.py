"""Does a memory keep to what holds now? E-MARS+, panel 3: abstention, freshness, conflict.

Source of all: Zhang et al. 2025 (arXiv 2509.18868), table 4.7, which names them and gives each a
few words; the exact definitions are here. Places are those of turns in a ranking, from 1: of the
turns that say what holds now, and of the stale ones, which say what held once.
"""

from collections.abc import Sequence

from evals.metrics.answers import said
from evals.metrics.retrieval import Places


def abstention(*, refused: bool, answerable: bool) -> float | None:
    """Return 1 if an unanswerable question is refused (Abstention@Unans.); None if answerable."""
    return None if answerable else float(refused)


def false_refusal(*, refused: bool, answerable: bool) -> float | None:
    """Return 1 if an answerable question is refused; None if unanswerable. Lower is better."""
    return float(refused) if answerable else None


def freshness_hit(current: Places, stale: Places, k: int) -> float | None:
    """Return 1 if a current turn is among the first k, and above every stale one.

    The source gives Fresh@k no formula. None if there is no current turn to find.
    """
    if not current:
        return None
    best = _best(current)
    return float(best <= k and best < _best(stale))


def out_of_date_use(current: Places, stale: Places) -> float | None:
    """Return 1 if a stale turn was found above every current one. Lower is better.

    None if there is no stale turn: such a question cannot show it.
    """
    return float(_best(stale) < _best(current)) if stale else None


def out_of_date_reply(text: str, current: Sequence[str], stale: Sequence[str]) -> float | None:
    """Return 1 if a reply says what held once and not what holds now. Lower is better.

    None if there is no stale answer.
    """
    if not stale:
        return None
    found = said(text, [*current, *stale])
    return float(any(one in stale for one in found) and not any(one in current for one in found))


def conflict_handled(text: str, sides: Sequence[str]) -> float:
    """Return 1 if a reply to a question with several sides names all of them (CCR).

    Nothing decides between the sides, so one alone is wrong, the newest too, and so is a refusal:
    the reader would not learn that there is a conflict.
    """
    return float(len(said(text, sides)) == len(sides))


def conflict_shown(newest: Places, older: Places, k: int) -> float | None:
    """Return 1 if a turn of each side is among the first k, so that a reader can see the conflict.

    None if a side has no turn.
    """
    return float(max(_best(newest), _best(older)) <= k) if newest and older else None


def preference_retained(text: str, current: Sequence[str], stale: Sequence[str] = ()) -> float:
    """Return 1 if a reply follows the preference that holds now and none that was withdrawn."""
    found = said(text, [*current, *stale])
    return float(bool(found) and all(one in current for one in found))


def _best(places: Places) -> float:
    """Return the best place; infinity if nothing was found."""
    return min((place for place in places if place is not None), default=float("inf"))
