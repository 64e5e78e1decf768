"""Ask for forgotten words and for their neighbours, before and after a deletion."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from memkit.protocols import Embedder, Store, Window
from memkit.records import ProbeCounts, Receipt, Scope, Turn
from memkit.retrieval.recall import RecallQuery, recall

_MOST = 10  # questions of each kind
_K = 10  # hits among which the turn is looked for
_NEIGHBOURS = 20  # turns before a forgotten one among which a kept one is looked for
_MOST_CHARACTERS = 500  # of a turn, as a question


def measure(
    store: Store,
    embedder: Embedder,
    scope: Scope,
    turn_ids: Sequence[str],
    delete: Callable[[], Receipt],
) -> Receipt:
    """Delete, and return the receipt with how many turns are found before and after.

    A question is the text of a turn: of at most ten turns that are deleted, and of the kept turn
    said before each. Cost: at most forty recalls.
    """
    scope = Scope(user_id=scope.user_id)
    step = max(1, -(-len(turn_ids) // _MOST))
    forgotten = list(store.turns(scope, Window(ids=list(turn_ids)[::step])))
    kept = _neighbours(store, scope, forgotten, set(turn_ids))
    before = [_count_found(store, embedder, scope, turns) for turns in (forgotten, kept)]
    receipt = delete()
    after = [_count_found(store, embedder, scope, turns) for turns in (forgotten, kept)]
    return replace(
        receipt,
        probes=ProbeCounts(
            forgotten=len(forgotten), forgotten_before=before[0], forgotten_after=after[0],
            kept=len(kept), kept_before=before[1], kept_after=after[1],
        ),
    )  # fmt: skip


def _neighbours(
    store: Store, scope: Scope, forgotten: Sequence[Turn], deleted: set[str]
) -> list[Turn]:
    """Return, for each forgotten turn, the last one said before it that stays."""
    neighbours: dict[str | None, Turn] = {}
    for turn in forgotten:
        session = replace(scope, session_id=turn.session_id)
        before = store.turns(session, Window(until=turn.said_at, last=_NEIGHBOURS))
        kept = [candidate for candidate in before if candidate.id not in deleted]
        neighbours |= {kept[-1].id: kept[-1]} if kept else {}
    return list(neighbours.values())


def _count_found(store: Store, embedder: Embedder, scope: Scope, turns: Sequence[Turn]) -> int:
    """Return how many of these turns their own words recall."""
    count = 0
    for turn in turns:
        query = RecallQuery(text=turn.text[:_MOST_CHARACTERS], k=_K)
        hits = recall(store, embedder, scope, query).hits
        count += any(turn.id in hit.turn_ids for hit in hits)
    return count
