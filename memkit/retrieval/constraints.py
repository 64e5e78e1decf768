"""What a question asks for besides its topic: a time, the first or the last, an exact thing.

Between turns that answer about equally well these decide, and without a topic ("What did I say
last?") only the time does. Pure functions without store or clock; rows are timeline rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memkit.protocols import Integers, Mask, Timeline
from memkit.retrieval.windows import Floats
from memkit.text.questions import Order

# How far below the best score a row may be and still answer about as well. The turn about an event
# often answers a question about it; "first" and "last" are often part of the topic
_ALIKE, _ALIKE_IN_ORDER, _ALIKE_BY_EVENT = 0.06, 0.03, 0.02
_LEAD = 0.1  # in score of the first row that answers by its time alone; the next has half of it
_STEP = 1e-4  # between two scores of which one comes first
_OF_BEST = 0.7  # share of the best lexical score from which a row may be the first or the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """The constraints of a question on a timeline of n rows."""

    in_time: Mask | None  # rows said in the times it names, shape (n,); None: it names none
    by_event: Mask | None  # rows said before or after the events it names, shape (n,)
    events: Integers  # rows about these events
    order: Order | None  # whether it asks for the first or the last
    said_by: Mask | None  # of a question without a topic: whose rows answer it, shape (n,)
    codes: Integers  # how many spellings of its exact things each row has, shape (n,)
    is_lookup: bool = False  # whether it asks for nothing else: only rows with them answer it

    def candidates(
        self, timeline: Timeline, lexical: Floats, k: int, matching: Mask | None = None
    ) -> Integers:
        """Return at most `k` of the `matching` rows that the time makes likely answers, ascending.

        The searches do not know it: of a thousand lunches they may not find yesterday's.
        """
        if self.in_time is None and self.order is None:
            return np.empty(0, dtype=np.int64)
        eligible = np.ones(len(timeline), dtype=bool) if matching is None else matching
        lexical = np.where(eligible, lexical, 0)
        if self.said_by is not None:
            eligible = eligible & self.said_by
        if self.in_time is not None:
            eligible = eligible & self.in_time
        elif self.said_by is None:
            eligible = eligible & (lexical >= _OF_BEST * (lexical.max(initial=0) or np.inf))
        rows = np.flatnonzero(eligible)
        age = self._age(timeline, rows)
        keys = (age, -lexical[rows]) if self.order is None else (-lexical[rows], age)
        return np.sort(rows[np.lexsort(keys)[:k]])

    def arrange(self, scores: Floats, timeline: Timeline, rows: Integers) -> Floats:
        """Return the scores, shape (m,), exchanged so that the constraints decide between alike.

        Rows that answer by their time alone are lifted above all others.
        """
        age = self._age(timeline, rows) if self.order else np.zeros(len(rows), dtype=np.int64)
        if self.said_by is not None:
            return self._lift(scores, age, rows)
        if self.by_event is not None:
            about_event, elsewhere = np.isin(rows, self.events), ~self.by_event[rows]
            scores = _move_below(scores, about_event, ~elsewhere & ~about_event)
            scores = _exchange(scores, elsewhere & ~about_event, _ALIKE_BY_EVENT)
        if self.order:
            scores = _exchange(scores, age, _ALIKE_IN_ORDER)
        if self.in_time is not None:
            scores = _exchange(scores, ~self.in_time[rows], _ALIKE)
        return _exchange(scores, -self.codes[rows], np.inf if self.is_lookup else _ALIKE)

    def _lift(self, scores: Floats, age: Integers, rows: Integers) -> Floats:
        """Lift the rows that were said by the right one at the right time, in order of time."""
        assert self.said_by is not None
        chosen = self.said_by[rows] & (True if self.in_time is None else self.in_time[rows])
        chosen_rows = np.flatnonzero(chosen)
        best_first = chosen_rows[np.lexsort((-scores[chosen], age[chosen]))]
        lifted = scores.copy()
        lead = _LEAD * np.exp2(-np.arange(len(chosen_rows), dtype=float))
        lifted[best_first] = scores.max(initial=0) + lead
        return lifted

    def _age(self, timeline: Timeline, rows: Integers) -> Integers:
        """Return the ranks of rows in time, the oldest or the newest first; shape (m,)."""
        ranks = np.empty(len(rows), dtype=np.int64)
        ranks[np.lexsort((timeline.turns[rows], timeline.said_us[rows]))] = np.arange(len(rows))
        return ranks if self.order == "first" else -ranks


def _exchange(scores: Floats, keys: Integers | Mask, reach: float) -> Floats:
    """Exchange the scores within `reach` of the best so that lower keys have the better ones."""
    alike = np.flatnonzero(scores >= scores.max(initial=0) - reach)
    exchanged = scores.copy()
    exchanged[alike[np.lexsort((-scores[alike], keys[alike]))]] = -np.sort(-scores[alike])
    return exchanged


def _move_below(scores: Floats, moved: Mask, others: Mask) -> Floats:
    """Move the rows about an event below the best other one, if that answers about as well.

    A question that names an event has most words in common with the turn about it.
    """
    best = scores[others].max(initial=0)
    if best < scores[~moved].max(initial=0) - _ALIKE_BY_EVENT:
        return scores
    return np.where(moved, np.minimum(scores, best - _STEP), scores)


def is_within(said_us: Integers, spans: Sequence[tuple[int | None, int | None]]) -> Mask | None:
    """Return which times are in any of these spans; None if there are no such times.

    The end of a span is exclusive. An end that is None is open; then the other one is exclusive
    too, because what comes after an event is not said in the turn about it.
    """
    within = np.zeros(len(said_us), dtype=bool)
    for since, until in spans:
        if since is None or until is None:
            low, high = since, until
            within |= (low is None or said_us > low) & (high is None or said_us < high)
        else:
            within |= (said_us >= since) & (said_us < max(until, since + 1))
    return within if within.any() else None
