"""REST for the memory, in mem0's shapes: add, list, get, change, delete, search."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.convertors import Convertor, register_url_convertor

from memkit.errors import MessagesRejected
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Hit, Receipt, Scope, Thought, Turn
from memkit.server.access import Caller
from memkit.server.exchange import Services
from memkit.server.routing import admit, find_services
from memkit.server.schemas import AddRequest, Id, Kind, SearchRequest, UpdateRequest
from memkit.text.role_markers import escape_role_markers

router = APIRouter(tags=["Memory"])
CallerOf = Annotated[Caller, Depends(admit)]
ServicesOf = Annotated[Services, Depends(find_services)]
User = Annotated[Id | None, Query(description="Whose memory; a key may fix it.")]
Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Json = dict[str, Any]


class _AnyText(Convertor[str]):
    """An id in a path: it may have slashes and, unlike in Starlette's `path`, line breaks."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _AnyText())

# ---- many memories


@router.post("/memories")
def add_memories(body: AddRequest, caller: CallerOf, services: ServicesOf) -> Json:
    """Remember messages. The same id and text again adds nothing.

    Messages that cannot be remembered are in `errors` by their number; all others are stored.
    """
    caller.require_write()
    user_id, memory = caller.resolve(body.user_id), services.memory
    given = [body.messages] if isinstance(body.messages, str) else body.messages
    metadata = {} if body.metadata is None else {"metadata": body.metadata}
    messages = [
        {"role": "user", "content": message} | metadata if isinstance(message, str)
        else message.model_dump(exclude_none=True) | {"content": message.content} | metadata
        for message in given
    ]  # fmt: skip
    errors: dict[int, str] = {}
    try:
        ids: list[str] = memory.remember(
            messages, user_id=user_id, agent_id=body.agent_id, session_id=body.run_id
        )
    except MessagesRejected as error:
        ids, errors = list(error.ids), dict(error.errors)
    if body.infer:
        memory.think(user_id=user_id)
    texts = {turn.id: turn.text for turn in _turns(memory, user_id, ids)}
    results = [{"id": id_, "memory": texts.get(id_, ""), "event": "ADD"} for id_ in ids]
    return {"results": results} | ({"errors": errors} if errors else {})


@router.get("/memories")
def list_memories(
    *, caller: CallerOf, services: ServicesOf, user_id: User = None, agent_id: Id | None = None,
    run_id: Id | None = None, kind: Kind = "turn", limit: Limit = 100, offset: Offset = 0,
) -> Json:  # fmt: skip
    """List what was said, oldest first, or the thoughts that hold.

    `next_offset` is null at the end. Cost: grows with `offset`.
    """
    user, memory = caller.resolve(user_id), services.memory
    scope: dict[str, Any] = {"user_id": user, "agent_id": agent_id, "session_id": run_id}
    items: Iterator[Turn | Thought] = (
        memory.turns(**scope) if kind == "turn" else iter(memory.thoughts(**scope))
    )
    page = list(islice(items, offset, offset + limit + 1))
    results = [
        turn_to_json(item, user) if isinstance(item, Turn) else thought_to_json(item, user)
        for item in page[:limit]
    ]
    return {"results": results, "next_offset": offset + limit if len(page) > limit else None}


@router.delete("/memories")
def delete_memories(
    user_id: Annotated[Id, Query()], caller: CallerOf, services: ServicesOf,
    run_id: Id | None = None, agent_id: Id | None = None,
) -> Json:  # fmt: skip
    """Delete all of a user, a session or an agent, with all that is derived; return the receipt."""
    caller.require_write()
    user, whole = caller.resolve(user_id), run_id is None and agent_id is None
    receipt = services.memory.forget(
        user_id=user, session_id=run_id, agent_id=agent_id, everything=whole
    )
    return {"message": "deleted", "receipt": receipt_to_json(receipt)}


@router.post("/search")
def search_memories(body: SearchRequest, caller: CallerOf, services: ServicesOf) -> Json:
    """Return what is most relevant to a question, best first; may be empty."""
    user_id = caller.resolve(body.user_id)
    hits = services.memory.recall(
        body.query, user_id=user_id, k=body.top_k, session_id=body.run_id,
        agent_id=body.agent_id, as_of=body.as_of, min_relevance=body.threshold, kind=body.kind,
        where=body.filters,
    )  # fmt: skip
    ids = [hit.turn_ids[0] for hit in hits if hit.kind == "turn"]
    turns = {turn.id: turn for turn in _turns(services.memory, user_id, ids)}
    return {"results": [hit_to_json(hit, user_id, turns.get(hit.turn_ids[0])) for hit in hits]}


# ---- one memory. An id may have slashes, so "/history" is matched first


@router.get("/memories/{memory_id:anything}/history")
def read_history(
    memory_id: str, caller: CallerOf, services: ServicesOf, user_id: User = None
) -> list[Json]:
    """Return the versions of a thought, or a turn as the only one; oldest first.

    Deleted text is in no history.
    """
    user, memory = caller.resolve(user_id), services.memory
    item = find_memory(memory, user, memory_id)
    if isinstance(item, Turn):
        return [_history_row(memory_id, str(item.id), None, item.text, item.stored_at)]
    versions = memory.history(memory_id, user_id=user)
    olds = [None, *(version.text for version in versions)]
    return [
        _history_row(memory_id, version.id, old, version.text, version.recorded_at)
        for version, old in zip(versions, olds, strict=False)
    ]


@router.get("/memories/{memory_id:anything}")
def read_memory(
    memory_id: str, caller: CallerOf, services: ServicesOf, user_id: User = None
) -> Json:
    """Return a turn or a thought by its id."""
    user = caller.resolve(user_id)
    item = find_memory(services.memory, user, memory_id)
    return turn_to_json(item, user) if isinstance(item, Turn) else thought_to_json(item, user)


@router.put("/memories/{memory_id:anything}")
def update_memory(
    memory_id: str, body: UpdateRequest, caller: CallerOf, services: ServicesOf,
    user_id: User = None,
) -> Json:  # fmt: skip
    """Replace the text of a memory.

    A thought is corrected: the answer is the new one, and the old one stays in its history. A turn
    keeps its id, and all that was derived from its former words is derived anew.
    """
    caller.require_write()
    user, memory = caller.resolve(user_id), services.memory
    if isinstance(find_memory(memory, user, memory_id), Thought):
        return thought_to_json(memory.correct(memory_id, body.text, user_id=user), user)
    return turn_to_json(memory.update(memory_id, text=body.text, user_id=user), user)


@router.delete("/memories/{memory_id:anything}")
def delete_memory(
    memory_id: str, caller: CallerOf, services: ServicesOf, user_id: User = None
) -> Json:
    """Delete a turn, or a thought with the turns it came from, and all that is derived."""
    caller.require_write()
    user, memory = caller.resolve(user_id), services.memory
    item = find_memory(memory, user, memory_id)
    named = {"turn_ids": [memory_id]} if isinstance(item, Turn) else {"thought_id": memory_id}
    receipt = memory.forget(user_id=user, **named)
    return {"message": "deleted", "receipt": receipt_to_json(receipt)}


def find_memory(memory: Memory, user_id: str, memory_id: str) -> Turn | Thought:
    """Return a user's turn or thought; 404 says nothing about other users."""
    for turn in _turns(memory, user_id, [memory_id]):
        return turn
    for thought in memory.store.history(Scope(user_id=user_id), memory_id):
        if thought.id == memory_id:
            return thought
    raise HTTPException(404, "there is no such memory")


def _turns(memory: Memory, user_id: str, ids: list[str]) -> list[Turn]:
    return list(memory.store.turns(Scope(user_id=user_id), Window(ids=ids)))


# ---- shapes. What is recalled may be put into a prompt, so it cannot open a chat role; a turn that
# is read by its id or from a list is verbatim


def _time(value: datetime | None) -> str | None:
    """Return a time in UTC, as mem0 writes it."""
    if value is None:
        return None
    try:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:  # stored by an earlier version: its day in UTC has no year
        return value.isoformat()


def _printable(metadata: Mapping[str, Any]) -> Json:
    """Return metadata as valid Unicode: other programs may store halves of surrogate pairs."""
    text = json.dumps(dict(metadata), ensure_ascii=False)
    data: Json = json.loads(text.encode(errors="replace"))
    return data


def turn_to_json(turn: Turn, user_id: str) -> Json:
    """Return a turn in the shape of mem0's memories."""
    return {
        "id": turn.id, "memory": turn.text, "kind": "turn", "user_id": user_id,
        "agent_id": turn.agent_id, "run_id": turn.session_id, "role": turn.role,
        "actor_id": turn.name, "metadata": _printable(turn.metadata),
        "created_at": _time(turn.said_at),
        "updated_at": _time(turn.stored_at), "source_ids": [turn.id],
    }  # fmt: skip


def thought_to_json(thought: Thought, user_id: str) -> Json:
    """Return a thought in the same shape, with its times and the later words that doubt it."""
    return {
        "id": thought.id, "memory": escape_role_markers(thought.text), "kind": "thought",
        "user_id": user_id, "agent_id": None, "run_id": None, "role": thought.role,
        "actor_id": escape_role_markers(thought.said_by),
        "metadata": {}, "created_at": _time(thought.said_at),
        "updated_at": _time(thought.repeated_at), "source_ids": list(thought.turn_ids),
        "valid_from": _time(thought.valid_from), "valid_to": _time(thought.valid_to),
        "closed_by": thought.closed_by, "retracted_at": _time(thought.retracted_at),
        "doubted_by": [
            {
                "turn_id": words.turn_id, "text": escape_role_markers(words.text),
                "said_at": _time(words.said_at),
            }
            for words in thought.later
        ],
    }  # fmt: skip


def hit_to_json(hit: Hit, user_id: str, turn: Turn | None = None) -> Json:
    """Return a hit in the same shape, with its score and the share of each signal in it.

    The metadata and the agent are those of its `turn`, if that is given.
    """
    return {
        "id": hit.thought_id or hit.turn_ids[0], "memory": escape_role_markers(hit.text),
        "kind": hit.kind, "score": hit.relevance, "user_id": user_id,
        "agent_id": turn and turn.agent_id, "run_id": hit.session_id, "role": hit.role,
        "actor_id": hit.name and escape_role_markers(hit.name),
        "metadata": _printable(turn.metadata) if turn else {},
        "created_at": _time(hit.said_at), "updated_at": _time(hit.said_at),
        "source_ids": list(hit.turn_ids),
        "score_details": dict(hit.explain),
    }  # fmt: skip


def receipt_to_json(receipt: Receipt) -> Json:
    """Return a receipt as JSON data."""
    return asdict(receipt) | {"at": _time(receipt.at)}


def _history_row(
    memory_id: str, id_: str, old: str | None, new: str, at: datetime | None
) -> Json:  # fmt: skip
    return {
        "id": id_, "memory_id": memory_id, "old_memory": old, "new_memory": new,
        "event": "ADD" if old is None else "UPDATE", "created_at": _time(at),
        "is_deleted": False,
    }  # fmt: skip
