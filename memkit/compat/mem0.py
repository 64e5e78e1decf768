"""mem0's `Memory` on a memkit memory: the calls, arguments and results of mem0ai 2.2.

```python
memory = Memory("ann.db")
memory.add("I moved to Oslo.", user_id="ann", infer=False)
memory.search("Where does Ann live?", filters={"user_id": "ann"})
```

A memory of mem0 is a turn (`infer=False`) or a thought (`infer=True`). docs/guides/mem0.md lists
what differs.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date
from functools import partial
from itertools import islice
from typing import Any, Self

import memkit
from memkit.compat import mem0_items as items
from memkit.compat.mem0_filters import check_filters, matches
from memkit.compat.mem0_items import KEY, Item
from memkit.errors import InvalidInput
from memkit.opening import Location
from memkit.protocols import Window
from memkit.records import Hit, Scope, Thought, Turn

Results = dict[str, list[Item]]
Messages = str | Mapping[str, Any] | list[Mapping[str, Any]]
_FIRST_HITS = 50  # a search asks for so many hits, then for four times as many, …
_UNSET: Any = object()


class Memory:
    """mem0's calls on a memkit memory. Errors are `InvalidInput`, which is a ValueError.

    `get`, `update`, `delete` and `history` look a memory up by its id alone, as in mem0: give this
    object only to code that may see all users.

    Args:
        memory: an open memory, or where to open one: `Memory("ann.db")`.
    """

    def __init__(self, memory: memkit.Memory | Location) -> None:
        self.memory = memory if isinstance(memory, memkit.Memory) else memkit.open(memory)

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any]) -> Self:
        """Open a memory: {"vector_store": {"provider": "memkit", "config": {"path": "ann.db"}}}.

        Whatever else "config" has is passed to `memkit.open`: embedder, thinker, key and so on.
        """
        store = config_dict.get("vector_store")
        if set(config_dict) != {"vector_store"} or not isinstance(store, Mapping):
            raise InvalidInput(
                f"a config has vector_store and nothing else, got {', '.join(config_dict)}; pass a "
                "model or an embedder to memkit.open, and its memory to Memory(…)"
            )
        options = dict(store.get("config") or {})
        if store.get("provider") != "memkit" or "path" not in options:
            raise InvalidInput(
                f"cannot open the store {store.get('provider')!r}; the vector_store of a config is "
                '{"provider": "memkit", "config": {"path": "ann.db"}}'
            )
        return cls(memkit.open(options.pop("path"), **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the memory."""
        self.memory.close()

    # ---- in

    def add(
        self, messages: Messages, *, user_id: str | None = None, agent_id: str | None = None,
        run_id: str | None = None, metadata: Mapping[str, Any] | None = None,
        timestamp: None = None, expiration_date: date | str | None = None, infer: bool = True,
        memory_type: None = None, prompt: None = None,
    ) -> Results:  # fmt: skip
        """Store messages: each as a memory, or with `infer` the thoughts that come of them.

        Returns {"results": [{"id", "memory", "event", …}]}; the event is "ADD", or "UPDATE" for a
        thought that replaces an earlier one. System messages are left out.

        Raises:
            ScopeRequired: neither user_id nor agent_id nor run_id.
            MessagesRejected: some messages are invalid; all others are stored.
        """
        items.check_unused(timestamp=timestamp, memory_type=memory_type, prompt=prompt)
        scope = items.to_scope({"user_id": user_id, "agent_id": agent_id, "run_id": run_id})
        fields = items.metadata_fields(metadata, expiration_date, infer=infer)
        dicts = [
            {**message, **fields, "id": str(uuid.uuid4())}
            for message in _to_dicts(messages)
            if message.get("role") != "system"
        ]
        if not dicts:
            return {"results": []}
        ids = self.memory.remember(
            dicts, user_id=scope.user_id, session_id=scope.session_id, agent_id=scope.agent_id
        )
        if not infer:
            turns = self.memory.store.turns(scope, Window(ids=ids))
            by_id = {turn.id: turn for turn in turns}
            return {
                "results": [
                    items.change(items.turn_item(by_id[turn_id], scope.user_id), "ADD")
                    | items.speaker_of(by_id[turn_id])
                    for turn_id in ids
                ]
            }
        self.memory.think(user_id=scope.user_id)
        thoughts = self.memory.thoughts(user_id=scope.user_id)
        new = {thought.id: thought for thought in thoughts if set(thought.turn_ids) <= set(ids)}
        return {
            "results": [
                # a thought that replaced one has the id of its first version
                items.change(item, "ADD" if item["id"] in new else "UPDATE")
                for item in self._thought_items(scope, new.values())
            ]
        }

    # ---- out

    def get(self, memory_id: str) -> Item | None:
        """Return a memory, or None. Cost: one or two queries per user of the file."""
        version = self._find(memory_id)
        if version is None:
            return None
        item = self._item(*version)
        return None if item is None else {name: item.get(name) for name in items.FIELDS} | item

    def get_all(
        self, *, filters: Mapping[str, Any] | None = None, top_k: int | None = None,
        show_expired: bool = False, **other: Any,
    ) -> Results:  # fmt: skip
        """Return the memories that meet the filters, newest first; all of them without `top_k`.

        `limit` is an older name of `top_k`.
        """
        top_k = items.check_top_k(top_k, other)
        scope = items.to_scope(filters or {})
        thoughts = self.memory.thoughts(user_id=scope.user_id)
        memories = [
            *_turn_items(self.memory.store.turns(scope, Window()), scope.user_id),
            *self._thought_items(scope, thoughts),
        ]
        memories.sort(key=lambda item: item["updated_at"], reverse=True)
        chosen = self._choose(memories, filters, show_expired=show_expired)
        return {"results": [*islice(chosen, top_k)]}

    def search(
        self, query: str, *, top_k: int = 20, filters: Mapping[str, Any] | None = None,
        threshold: float | None = None, rerank: bool = False,  # noqa: ARG002 - always ranked
        explain: bool = False, reference_date: None = None, show_expired: bool = False,
        **other: Any,
    ) -> Results:  # fmt: skip
        """Return the memories most relevant to `query` that meet the filters, at most `top_k`.

        `score` is memkit's relevance, 0 to 1, and `threshold` the least of it. As many hits are
        read as it takes to find `top_k` that meet the filters. `limit` is an older name of `top_k`.

        Raises:
            ScopeRequired: the filters name neither user_id nor agent_id nor run_id.
        """
        items.check_unused(reference_date=reference_date)
        most = items.check_top_k(top_k, other)
        scope = items.to_scope(filters or {})
        memories: list[Item] = []
        for kind in ("turn", "thought"):
            ranked = self._ranked(query, scope, kind, threshold or 0.0, max(most or 0, _FIRST_HITS))
            memories += islice(self._choose(ranked, filters, show_expired=show_expired), most)
        memories.sort(key=lambda item: item["score"], reverse=True)
        hidden = set() if explain else {"score_details"}
        return {
            "results": [
                {name: item[name] for name in item if name not in hidden}
                for item in memories[:most]
            ]
        }

    def history(self, memory_id: str) -> list[Item]:
        """Return the changes of a memory, oldest first; none if it was deleted.

        The former texts of a turn are gone. A thought comes with those that it replaced.
        """
        match self._find(memory_id):
            case (_, Turn() as turn):
                return items.turn_history(turn)
            case (_, [*versions]):
                return items.thought_history(memory_id, versions)
        return []

    # ---- changes

    def update(
        self, memory_id: str, text: str | None = None,
        metadata: Mapping[str, Any] | None = None, expiration_date: Any = _UNSET,
        data: str | None = None,
    ) -> dict[str, str]:  # fmt: skip
        """Replace the text of a memory, or values of its metadata; the id stays.

        The former text of a turn is deleted. A thought is corrected, see `Memory.correct`; it has
        no metadata of its own.
        """
        text = data if text is None else text
        if text is None and metadata is None and expiration_date is _UNSET:
            raise InvalidInput("pass what changes: text, metadata or expiration_date")
        scope, version = self._existing(memory_id)
        if isinstance(version, Turn):
            self._replace(scope, version, text, items.check_metadata(metadata), expiration_date)
        elif text is None or metadata or expiration_date is not _UNSET:
            raise InvalidInput(
                f"{memory_id!r} is a thought, and its metadata are those of its sources; update "
                "its text alone"
            )
        else:
            self.memory.correct(version[-1].id, text, user_id=scope.user_id)
        return {"message": "Memory updated successfully!"}

    def delete(self, memory_id: str) -> dict[str, str]:
        """Delete a memory, the turns it was drawn from, and all that is derived from these.

        A turn that is a memory of its own stays.

        Raises InvalidInput if there is none.
        """
        scope, version = self._existing(memory_id)
        turn_ids = _version_ids(memory_id)
        if not isinstance(version, Turn):
            _, sources = self._versions(scope, version[0].id)
            turn_ids = [turn.id or "" for turn in sources if not items.is_memory(turn)]
        self.memory.forget(user_id=scope.user_id, turn_ids=turn_ids)
        return {"message": "Memory deleted successfully!"}

    def delete_all(
        self, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> dict[str, str]:
        """Delete all that was said in a scope: of a user, an agent, a run, or of all three."""
        scope = items.to_scope({"user_id": user_id, "agent_id": agent_id, "run_id": run_id})
        part = _part(scope)
        self.memory.forget(user_id=scope.user_id, everything=not part, **part)
        return {"message": "Memories deleted successfully!"}

    def reset(self) -> None:
        """Delete everything of all users."""
        for user_id in self.memory.users():
            self.memory.forget(user_id=user_id, everything=True)

    def _replace(
        self, scope: Scope, turn: Turn, text: str | None, metadata: dict[str, Any], expires: Any
    ) -> None:
        """Write the new version before deleting the old one, so that a crash loses neither."""
        memory_id, note, now = items.memory_id(turn), items.note_of(turn), self.memory.clock()
        note |= {
            "id": memory_id,
            "created_at": items.turn_item(turn, scope.user_id)["created_at"],
            "updates": [*note.get("updates", []), now.astimezone(UTC).isoformat()],
        }
        if expires is not _UNSET:
            note["expiration_date"] = None if expires is None else items.parse_day(expires)
        (new_id,) = set(_version_ids(memory_id)) - {turn.id}
        new = replace(
            turn, id=new_id, text=turn.text if text is None else text, said_at=now,
            metadata={**turn.metadata, **metadata, KEY: note}, stored_at=None, position=None,
        )  # fmt: skip
        self.memory.remember(new, user_id=scope.user_id)
        self.memory.forget(user_id=scope.user_id, turn_ids=[turn.id or ""])

    # ---- one memory by its id

    def _existing(self, memory_id: str) -> tuple[Scope, Turn | list[Thought]]:
        version = self._find(memory_id)
        if version is None or self._item(*version) is None:
            raise InvalidInput(f"there is no memory {memory_id!r}; see get_all()")
        return version

    def _find(self, memory_id: str) -> tuple[Scope, Turn | list[Thought]] | None:
        """Return a memory's owner and its turn, or its thought with earlier and later ones."""
        versions: list[tuple[Scope, Turn | list[Thought]]] = []
        for scope in map(_of_user, self.memory.users()):
            turns = self.memory.store.turns(scope, Window(ids=_version_ids(memory_id)))
            current = [turn for turn in turns if items.memory_id(turn) == memory_id]
            if current:
                versions.append((scope, max(current, key=lambda turn: turn.position or 0)))
            elif thoughts := self.memory.store.history(scope, memory_id):
                versions.append((scope, thoughts))
        if len(versions) > 1:
            raise InvalidInput(f"several users have a memory {memory_id!r}; search by user_id")
        return versions[0] if versions else None

    def _item(self, scope: Scope, version: Turn | list[Thought]) -> Item | None:
        """Return a memory as mem0's dict, None if it is none: a source, or what no longer holds."""
        if isinstance(version, Turn):
            return next(iter(_turn_items([version], scope.user_id)), None)
        valid = {thought.id for thought in self.memory.thoughts(user_id=scope.user_id)}
        current = [thought for thought in version if thought.id in valid]
        return next(iter(self._thought_items(scope, current[-1:])), None)

    # ---- many memories

    def _choose(
        self, memories: Iterable[Item], filters: Mapping[str, Any] | None, *, show_expired: bool
    ) -> Iterator[Item]:
        """Yield the memories that meet mem0's filters: the place of all filtering."""
        conditions = dict(filters or {})
        for name in items.IDS:
            conditions.pop(name, None)
        check_filters(conditions)
        now = self.memory.clock()
        return (
            item
            for item in memories
            if (show_expired or not items.is_expired(item, now))
            and matches((item["metadata"] or {}) | item, conditions)
        )

    def _thought_items(self, scope: Scope, thoughts: Iterable[Thought]) -> list[Item]:
        """Return the thoughts that came of messages which the scope's `add` got with `infer`.

        A correction adds a turn that belongs to no run, so a thought's first version counts too.
        """
        return [
            items.thought_item(versions[0].id, thought, sources, scope)
            for thought in thoughts
            for versions, sources in [self._versions(scope, thought.id)]
            if any(items.note_of(turn).get("infer") for turn in sources)
            and any(items.is_in_scope(turn, scope) for turn in sources)
        ]

    def _versions(self, scope: Scope, thought_id: str) -> tuple[list[Thought], list[Turn]]:
        """Return a thought with those that it replaced, and the turns that they came from."""
        owner = _of_user(scope.user_id)
        versions = self.memory.store.history(owner, thought_id)
        ids = [turn_id for version in versions for turn_id in version.turn_ids]
        return versions, list(self.memory.store.turns(owner, Window(ids=ids)))

    def _ranked(
        self, query: str, scope: Scope, kind: Any, threshold: float, k: int
    ) -> Iterator[Item]:
        """Yield memories, best first; asks for more hits only when more are read."""
        seen: set[str] = set()
        # a corrected thought belongs to no run: `_thought_items` checks the scope of thoughts
        part = {} if kind == "thought" else _part(scope)
        while True:
            hits = self.memory.recall(
                query, user_id=scope.user_id, k=k, min_relevance=threshold, kind=kind, **part
            )
            for item in self._hit_items(scope, hits):
                if item["id"] not in seen:
                    seen.add(item["id"])
                    yield item
            if len(hits) < k:
                return
            k *= 4

    def _hit_items(self, scope: Scope, hits: Sequence[Hit]) -> Iterator[Item]:
        """Yield hits, all of turns or all of thoughts, as memories with their scores."""
        turn_ids = [hit.turn_ids[0] for hit in hits if hit.thought_id is None]
        turns = {turn.id: turn for turn in self.memory.store.turns(scope, Window(ids=turn_ids))}
        thoughts = {t.id: t for t in self.memory.thoughts(user_id=scope.user_id)}
        for hit in hits:
            if hit.thought_id is None:
                memories = _turn_items(filter(None, [turns.get(hit.turn_ids[0])]), scope.user_id)
            else:
                memories = self._thought_items(scope, filter(None, [thoughts.get(hit.thought_id)]))
            for item in memories:
                yield item | {"score": hit.relevance, "score_details": dict(hit.explain)}


class AsyncMemory:
    """mem0's `AsyncMemory`: the methods of `Memory`, each in a thread.

    A cancelled call does not stop its thread: what it writes is written as a whole.
    """

    def __init__(self, memory: memkit.Memory | Location) -> None:
        self._sync = Memory(memory)

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any]) -> Self:
        """Open a memory as `Memory.from_config` does."""
        return cls(Memory.from_config(config_dict).memory)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close the memory."""
        self._sync.close()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name not in _ASYNC:
            raise AttributeError(f"AsyncMemory has {', '.join(_ASYNC)}, and not {name!r}")
        return partial(asyncio.to_thread, getattr(self._sync, name))


_ASYNC = (
    "add", "get", "get_all", "search", "history", "update", "delete", "delete_all", "reset",
)  # fmt: skip


def _to_dicts(messages: object) -> list[Mapping[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping):
        return [messages]
    if not isinstance(messages, list) or not all(
        isinstance(message, Mapping) for message in messages
    ):
        raise InvalidInput(f"messages must be a str, a dict or a list of dicts, got {messages!r}")
    return messages


def _turn_items(turns: Iterable[Turn], user_id: str) -> list[Item]:
    """Return the turns that `add` stored without `infer` as memories."""
    return [items.turn_item(turn, user_id) for turn in turns if items.is_memory(turn)]


def _part(scope: Scope) -> dict[str, Any]:
    """Return the ids that make a scope a part of a user's memory."""
    ids = {"session_id": scope.session_id, "agent_id": scope.agent_id}
    return {name: value for name, value in ids.items() if value is not None}


def _version_ids(memory_id: str) -> list[str]:
    """Return the two turn ids of a memory: an update writes the one that is not in use."""
    return [memory_id, f"{memory_id}/updated"]


def _of_user(user_id: str) -> Scope:
    return Scope(user_id=user_id)
