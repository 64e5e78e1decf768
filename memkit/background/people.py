"""Tell two people of one name apart: by the company they keep in different sessions."""

from collections.abc import Sequence
from functools import cache

from memkit.protocols import Store, ThoughtPair, Window
from memkit.records import ROLES, Scope

_MOST_TURNS = 200  # of a session that are read for the names of its speakers


def drop_strangers(store: Store, user_id: str, pairs: Sequence[ThoughtPair]) -> list[ThoughtPair]:
    """Return the pairs without those of two people who only share a name.

    Speakers of one name in two sessions are taken for two people if each talks to somebody there,
    and to nobody who is in both sessions. A speaker without a name is always the same.
    """

    @cache
    def company(session_id: str) -> frozenset[str]:
        scope = Scope(user_id=user_id, session_id=session_id)
        return frozenset(
            turn.name or turn.role
            for turn in store.turns(scope, Window(last=_MOST_TURNS))
            if turn.name or turn.role == "user"
        )

    def are_strangers(pair: ThoughtPair) -> bool:
        older, newer = pair.older_turn.session_id, pair.turn.session_id
        if not _is_same_name(pair) or older is None or newer is None or older == newer:
            return False
        first, second = (company(session) - {pair.newer.said_by} for session in (older, newer))
        return bool(first and second) and not first & second

    return [pair for pair in pairs if not are_strangers(pair)]


def _is_same_name(pair: ThoughtPair) -> bool:
    return pair.older.said_by == pair.newer.said_by and pair.newer.said_by not in ROLES
