"""LangGraph: its long-term store in a memory, so that what an agent notes is recalled in chats too.

```python
graph = builder.compile(store=MemkitStore(memory))
store.put(("ann", "preferences"), "food", {"text": "Ann likes her curry hot."})
```
"""

import asyncio
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from memkit.errors import InvalidInput, MissingExtra, ScopeRequired

try:
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        ListNamespacesOp,
        MatchCondition,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        get_text_at_path,
    )
except ModuleNotFoundError as error:
    raise MissingExtra("LangGraph is not installed: pip install 'langgraph>=1'") from error

from memkit.memory import Memory
from memkit.prompt import strip_memory_block
from memkit.protocols import Window
from memkit.records import Scope, Turn

Namespace = tuple[str, ...]

KEY = "langgraph"
_AGENT = "langgraph"  # whose the items are, so that searches here read nothing else
_FIRST = 50  # hits that are looked through for a namespace's items, and then four times as many
_FIELDS = ("*",)  # of a value that stand in its text, if the caller names none
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq, "$ne": operator.ne, "$gt": operator.gt, "$gte": operator.ge,
    "$lt": operator.lt, "$lte": operator.le,
}  # fmt: skip


class MemkitStore(BaseStore):
    """LangGraph's store in a memory: items are turns, and their users are in their namespace.

    A namespace without a user, or a search across users, is an error. Search is by meaning and
    by words, in what `index` names of a value (its fields if left out; nothing if False). `a…`
    methods run in a thread.

    Args:
        memory: where items are kept. What the user said in chats stays out of searches here, and
            items are recalled in chats.
        user_label: which label of a namespace is the user: 0 for ("ann", "notes"), 1 for
            ("notes", "ann").
    """

    __slots__ = ("_memory", "_user_label")

    def __init__(self, memory: Memory, *, user_label: int = 0) -> None:
        if user_label < 0:
            raise InvalidInput(f"user_label counts from 0, got {user_label}")
        self._memory, self._user_label = memory, user_label

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do one after another.

        Raises:
            ScopeRequired: a namespace names no user.
        """
        return [self._do(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do what `batch` does, in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _do(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            stored = self._versions(op.namespace, op.key)
            return _item(stored[-1]) if stored else None
        if isinstance(op, PutOp):
            self._put(op)
            return None
        if isinstance(op, SearchOp):
            return self._search(op)
        return self._namespaces(op)

    # ---- one item

    def _put(self, op: PutOp) -> None:
        """Write the next version before the last one goes: a crash in between loses neither.

        Of two writers at once each adds a version, and the newest stays.
        """
        user_id = self._user(op.namespace)
        stale = self._versions(op.namespace, op.key)
        if op.value is not None:
            last = stale[-1] if stale else None
            self._memory.remember(self._turn(op, last), user_id=user_id, agent_id=_AGENT)
            stale = self._versions(op.namespace, op.key)[:-1]
        if stale:
            self._memory.forget(user_id=user_id, turn_ids=[turn.id or "" for turn in stale])

    def _turn(self, op: PutOp, last: Turn | None) -> Turn:
        now = self._memory.clock()
        created_at = _item(last).created_at if last else now
        kept = {
            "namespace": op.namespace, "key": op.key, "value": op.value,
            "created_at": created_at.isoformat(),
        }  # fmt: skip
        return Turn(
            text=_text(op),
            role="tool",
            said_at=now,
            session_id=_session(op.namespace, op.key),
            metadata={KEY: kept},
        )

    def _versions(self, namespace: Namespace, key: str) -> list[Turn]:
        """Return what is stored under a key, the newest last; more than one after a crash."""
        session_id = _session(namespace, key)
        found = self._memory.turns(
            user_id=self._user(namespace), agent_id=_AGENT, session_id=session_id
        )
        return sorted(found, key=lambda turn: turn.position or 0)

    # ---- many items

    def _search(self, op: SearchOp) -> list[SearchItem]:
        user_id = self._user(op.namespace_prefix)
        if op.query:
            found = self._ranked(user_id, op)
        else:
            items = [_item(turn) for turn in self._all(user_id)]
            found = iter(sorted(items, key=lambda item: item.updated_at, reverse=True))
        prefix = MatchCondition("prefix", op.namespace_prefix)
        wanted = (
            item
            for item in found
            if _fits(prefix, item.namespace) and _has(item.value, op.filter or {})
        )
        return list(islice(wanted, op.offset, op.offset + op.limit))

    def _ranked(self, user_id: str, op: SearchOp) -> Iterator[SearchItem]:
        """Yield the user's items best first, asking for more hits only when more are read."""
        seen: set[str] = set()
        k = max(_FIRST, op.offset + op.limit)
        while True:
            hits = self._memory.recall(op.query or "", user_id=user_id, agent_id=_AGENT, k=k)
            new = {hit.turn_ids[0]: hit for hit in hits if hit.turn_ids[0] not in seen}
            turns = self._memory.store.turns(Scope(user_id=user_id), Window(ids=list(new)))
            items = {turn.id: turn for turn in turns if KEY in turn.metadata}
            yield from (_scored(items[id], hit.relevance) for id, hit in new.items() if id in items)
            seen.update(new)
            if len(hits) < k:
                return
            k *= 4

    def _namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        conditions = op.match_conditions or ()
        prefix = next((one.path for one in conditions if one.match_type == "prefix"), ())
        namespaces = {_item(turn).namespace for turn in self._all(self._user(prefix))}
        kept = {
            one[: op.max_depth]
            for one in namespaces
            if all(_fits(condition, one) for condition in conditions)
        }
        return sorted(kept)[op.offset : op.offset + op.limit]

    def _all(self, user_id: str) -> list[Turn]:
        turns = self._memory.turns(user_id=user_id, agent_id=_AGENT)
        return [turn for turn in turns if KEY in turn.metadata]

    def _user(self, namespace: Namespace) -> str:
        user = namespace[self._user_label] if len(namespace) > self._user_label else "*"
        if user == "*":
            raise ScopeRequired(
                f"the namespace {namespace!r} names no user, and nothing is looked for in "
                f"everybody's memory; label {self._user_label} is the user (see user_label)"
            )
        return user


def _session(namespace: Namespace, key: str) -> str:
    """Return an item's session, its own: items do not explain each other, as turns do."""
    return json.dumps([*namespace, key])


def _text(op: PutOp) -> str:
    """Return what an item is found by: the words of its value, or else its key."""
    fields = [] if op.index is False else op.index or _FIELDS
    words = [text for field in fields for text in get_text_at_path(op.value, field)]
    return strip_memory_block("\n".join(words)).strip() or op.key


def _item(turn: Turn) -> SearchItem:
    assert turn.said_at is not None
    kept = turn.metadata[KEY]
    return SearchItem(
        namespace=tuple(kept["namespace"]),
        key=kept["key"],
        value=kept["value"],
        created_at=datetime.fromisoformat(kept["created_at"]),
        updated_at=turn.said_at,
    )


def _scored(turn: Turn, relevance: float) -> SearchItem:
    item = _item(turn)
    item.score = relevance
    return item


def _fits(condition: MatchCondition, namespace: Namespace) -> bool:
    """Return whether a namespace begins, or ends, as a path says; "*" is any label."""
    path = condition.path
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    same = (wanted in ("*", label) for wanted, label in zip(path, part, strict=False))
    return not path or (len(part) == len(path) and all(same))


def _has(value: Any, wanted: Any) -> bool:
    """Return whether a value is what a filter says: equal, or so in the fields it names."""
    if not isinstance(wanted, Mapping):
        return bool(value == wanted)
    if not any(str(name).startswith("$") for name in wanted):
        return isinstance(value, Mapping) and all(
            _has(value.get(name), one) for name, one in wanted.items()
        )
    if unknown := sorted(set(wanted) - set(_COMPARE)):
        raise InvalidInput(
            f"unknown operator {', '.join(unknown)} in a filter; there are {', '.join(_COMPARE)}"
        )
    return all(
        (value is not None or name in ("$eq", "$ne")) and _COMPARE[name](value, one)
        for name, one in wanted.items()
    )
