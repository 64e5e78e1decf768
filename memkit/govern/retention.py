"""Apply a memory's retention rules: delete turns and retract thoughts whose time is over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from memkit.filters import parse_filter
from memkit.govern.forget import forget
from memkit.policy import RetentionRule
from memkit.protocols import Backend, Window, WriteBatch
from memkit.records import Receipt, Scope, Thought, Turn

_SOURCE = "retention"  # who deletes, in the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What the rules of retention removed of a user, or would remove."""

    user_id: str
    receipt: Receipt | None = None  # of the turns, and of what was derived from them
    retracted: tuple[str, ...] = ()  # ids of thoughts whose turns stay

    def __bool__(self) -> bool:
        return bool(self.receipt or self.retracted)


def expire(
    store: Backend,
    user_id: str,
    rules: Sequence[RetentionRule],
    *,
    now: datetime,
    dry_run: bool = False,
) -> Expiry:
    """Delete a user's turns, and retract the thoughts, that are older than a rule allows.

    Turns go the way of `forget`: with all that is derived, and with their bytes in the files.
    """
    scope = Scope(user_id=user_id)
    rules = [rule for rule in rules if rule.user_id in (None, user_id)]
    turn_ids = list(dict.fromkeys(_expired_turns(store, user_id, rules, now)))
    receipt = None
    if turn_ids:
        receipt = forget(store, scope, turn_ids, now=now, dry_run=dry_run, source=_SOURCE)
    deleted = receipt.thought_ids if receipt else ()
    thought_ids = [id for id in _expired_thoughts(store, scope, rules, now) if id not in deleted]
    if thought_ids and not dry_run:
        retract = dict.fromkeys(thought_ids, now)
        store.write(scope, WriteBatch(retract=retract, source=_SOURCE))
    return Expiry(user_id=user_id, receipt=receipt, retracted=tuple(thought_ids))


def _expired_turns(
    store: Backend, user_id: str, rules: Sequence[RetentionRule], now: datetime
) -> Iterator[str]:
    for rule in rules:
        if rule.kind == "turn":
            scope = Scope(user_id=user_id, session_id=rule.session_id, agent_id=rule.agent_id)
            windows = (Window(until=now - rule.ttl), Window(since=now))
            turns = chain.from_iterable(store.turns(scope, window) for window in windows)
            matching = parse_filter(rule.where).select(turns) if rule.where else turns
            yield from (
                turn.id or ""
                for turn in matching
                if _birth(turn, now) <= now - rule.ttl and rule.role in (None, turn.role)
            )


def _birth(turn: Turn, now: datetime) -> datetime:
    """Return when a turn was said, or when it was stored if it is dated in the future."""
    assert turn.said_at is not None
    assert turn.stored_at is not None
    return turn.said_at if turn.said_at <= now else turn.stored_at


def _expired_thoughts(
    store: Backend, scope: Scope, rules: Sequence[RetentionRule], now: datetime
) -> list[str]:
    """Return the ids of thoughts, with those that they replaced, which must not hold again."""
    rules = [rule for rule in rules if rule.kind == "thought"]
    if not rules:
        return []
    expired = [item for item in store.thoughts(scope) if _is_over(rules, item, now)]
    versions = [version for item in expired for version in store.history(scope, item.id)]
    return list(dict.fromkeys(version.id for version in versions))


def _is_over(rules: Sequence[RetentionRule], thought: Thought, now: datetime) -> bool:
    assert thought.recorded_at is not None
    birth = thought.repeated_at if thought.repeated_at <= now else thought.recorded_at
    return any(rule.role in (None, thought.role) and birth <= now - rule.ttl for rule in rules)
