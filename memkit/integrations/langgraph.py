"""LangGraph: a memory as long-term store, so that an agent's items are recalled in chats too.

```python
graph = builder.compile(store=MemkitStore(memory))
store.put(("ann", "preferences"), "food", {"text": "Ann likes her curry hot."})
```
"""

import asyncio
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from memkit.prompt import BlockSigner, strip_memory_block
from memkit.protocols import Window
from memkit.records import Scope, Turn

Namespace = tuple[str, ...]

KEY = "langgraph"
_AGENT = "langgraph"  # the agent_id of all items, so that searches here see nothing else
# search cannot filter by namespace: it asks for this many hits, then for four times as many, …
_FIRST_HITS = 50
_ALL_FIELDS = ("*",)  # LangGraph's path for every field of a value
_Operators = dict[str, Callable[[Any, Any], bool]]
_EQUALITY: _Operators = {"$eq": operator.eq, "$ne": operator.ne}
_ORDER: _Operators = {
    "$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le,
}  # fmt: skip


class MemkitStore(BaseStore):
    """LangGraph's store in a memory. Items are turns; a label of the namespace is the user.

    A namespace without a user, or a search across users, is an error. Search is by meaning and by
    words, in the fields of a value that `index` names (all fields if omitted, none if False); it
    does not return what the user said in chats, but chats recall the items. `a…` methods run in a
    thread. `user_label` is the user's position in a namespace: 1 for ("notes", "ann").
    """

    __slots__ = ("_memory", "_user_label")

    def __init__(self, memory: Memory, *, user_label: int = 0) -> None:
        if user_label < 0:
            raise InvalidInput(f"user_label counts from 0, got {user_label}")
        self._memory, self._user_label = memory, user_label

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run operations one by one; raise ScopeRequired for a namespace without a user."""
        return [self._run(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Like `batch`, in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _run(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            versions = self._versions(op.namespace, op.key)
            return _to_item(versions[-1]) if versions else None
        if isinstance(op, PutOp):
            self._put(op)
            return None
        if isinstance(op, SearchOp):
            return self._search(op)
        return self._list_namespaces(op)

    # ---- one item

    def _put(self, op: PutOp) -> None:
        """Write the new version before deleting the old one, so that a crash loses neither."""
        user_id = self._user(op.namespace)
        stale = self._versions(op.namespace, op.key)
        if op.value is not None:
            turn = self._to_turn(op, replaced=stale[-1] if stale else None)
            self._memory.remember(turn, user_id=user_id, agent_id=_AGENT)
            stale = self._versions(op.namespace, op.key)[:-1]
        if stale:
            self._memory.forget(
                user_id=user_id, turn_ids=[turn.id or "" for turn in stale], scan=False
            )

    def _to_turn(self, op: PutOp, *, replaced: Turn | None) -> Turn:
        now = self._memory.clock()
        created_at = _to_item(replaced).created_at if replaced else now
        item = {
            "namespace": op.namespace, "key": op.key, "value": op.value,
            "created_at": created_at.isoformat(),
        }  # fmt: skip
        return Turn(
            text=_indexed_text(op, self._memory.signer),
            role="tool",
            said_at=now,
            session_id=_session_id(op.namespace, op.key),
            metadata={KEY: item},
        )

    def _versions(self, namespace: Namespace, key: str) -> list[Turn]:
        """Return the versions of an item, oldest first; there are several only after a crash."""
        turns = self._memory.turns(
            user_id=self._user(namespace), agent_id=_AGENT, session_id=_session_id(namespace, key)
        )
        return sorted(turns, key=lambda turn: turn.position or 0)

    # ---- many items

    def _search(self, op: SearchOp) -> list[SearchItem]:
        user_id = self._user(op.namespace_prefix)
        if op.query:
            items = self._ranked_items(user_id, op)
        else:
            unranked = [_to_item(turn) for turn in self._all_turns(user_id)]
            items = iter(sorted(unranked, key=lambda item: item.updated_at, reverse=True))
        prefix = MatchCondition("prefix", op.namespace_prefix)
        matching = (
            item
            for item in items
            if _matches_path(prefix, item.namespace)
            and _matches_filter(item.value, op.filter or {})
        )
        return list(islice(matching, op.offset, op.offset + op.limit))

    def _ranked_items(self, user_id: str, op: SearchOp) -> Iterator[SearchItem]:
        """Yield the user's items, best first; asks for more hits only when more are read."""
        seen: set[str] = set()
        k = max(_FIRST_HITS, op.offset + op.limit)
        while True:
            hits = self._memory.recall(op.query or "", user_id=user_id, agent_id=_AGENT, k=k)
            new = {hit.turn_ids[0]: hit for hit in hits if hit.turn_ids[0] not in seen}
            turns = self._memory.store.turns(Scope(user_id=user_id), Window(ids=list(new)))
            by_id = {turn.id: turn for turn in turns if KEY in turn.metadata}
            for turn_id, hit in new.items():
                if turn_id in by_id:
                    item = _to_item(by_id[turn_id])
                    item.score = hit.relevance
                    yield item
            seen.update(new)
            if len(hits) < k:
                return
            k *= 4

    def _list_namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        conditions = op.match_conditions or ()
        prefix = next((c.path for c in conditions if c.match_type == "prefix"), ())
        namespaces = {_to_item(turn).namespace for turn in self._all_turns(self._user(prefix))}
        matching = {
            namespace[: op.max_depth]
            for namespace in namespaces
            if all(_matches_path(condition, namespace) for condition in conditions)
        }
        return sorted(matching)[op.offset : op.offset + op.limit]

    def _all_turns(self, user_id: str) -> list[Turn]:
        turns = self._memory.turns(user_id=user_id, agent_id=_AGENT)
        return [turn for turn in turns if KEY in turn.metadata]

    def _user(self, namespace: Namespace) -> str:
        user = namespace[self._user_label] if len(namespace) > self._user_label else "*"
        if user == "*":
            raise ScopeRequired(
                f"the namespace {namespace!r} names no user, and a search covers one user only; "
                f"label {self._user_label} is the user (see user_label)"
            )
        return user


def _session_id(namespace: Namespace, key: str) -> str:
    """Return a session of the item's own: neighbouring items are not its context, as turns are."""
    return json.dumps([*namespace, key])


def _indexed_text(op: PutOp, signer: BlockSigner) -> str:
    """Return the text by which an item is searched: the indexed fields, or else its key."""
    fields = [] if op.index is False else op.index or _ALL_FIELDS
    texts = [text for field in fields for text in get_text_at_path(op.value, field)]
    return strip_memory_block("\n".join(texts), signer).strip() or op.key


def _to_item(turn: Turn) -> SearchItem:
    assert turn.said_at is not None
    item = turn.metadata[KEY]
    return SearchItem(
        namespace=tuple(item["namespace"]),
        key=item["key"],
        value=item["value"],
        created_at=datetime.fromisoformat(item["created_at"]),
        updated_at=turn.said_at,
    )


def _matches_path(condition: MatchCondition, namespace: Namespace) -> bool:
    """Return whether a namespace has a prefix or suffix; "*" in it matches any label."""
    path = condition.path
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    labels = zip(path, part, strict=False)
    return not path or (
        len(part) == len(path) and all(pattern in ("*", label) for pattern, label in labels)
    )


def _matches_filter(value: Any, pattern: Any) -> bool:
    """Return whether a value is a filter's pattern, or its fields match {"size": {"$gt": 2}}.

    It is LangGraph's own filter, except that values which cannot be compared do not match.
    """
    if isinstance(pattern, Sequence) and not isinstance(pattern, str):
        return (
            isinstance(value, list)
            and len(value) == len(pattern)
            and all(map(_matches_filter, value, pattern))
        )
    if not isinstance(pattern, Mapping):
        return bool(value == pattern)
    if not any(str(name).startswith("$") for name in pattern):
        return isinstance(value, Mapping) and all(
            _matches_filter(value.get(name), nested) for name, nested in pattern.items()
        )
    if unknown := sorted(set(map(str, pattern)) - set(_EQUALITY) - set(_ORDER)):
        raise InvalidInput(
            f"unknown filter operator {', '.join(unknown)}; use {', '.join(_EQUALITY | _ORDER)}"
        )
    return all(
        _EQUALITY[name](value, operand) if name in _EQUALITY
        else _matches_order(name, value, operand)
        for name, operand in pattern.items()
    )  # fmt: skip


def _matches_order(name: str, value: Any, operand: Any) -> bool:
    """Compare as numbers, and strings that are no numbers by their characters, such as dates."""
    if not (isinstance(value, (int, float)) and isinstance(operand, (int, float))):
        try:
            value, operand = float(value), float(operand)
        except (TypeError, ValueError, OverflowError):
            if not (isinstance(value, str) and isinstance(operand, str)):
                return False
    return _ORDER[name](value, operand)
