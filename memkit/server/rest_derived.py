"""REST for what is derived from a memory: context, summaries, thoughts; deletion and export."""

import tempfile
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from memkit.server.rest import (
    CallerOf,
    Json,
    Limit,
    Offset,
    ServicesOf,
    User,
    hit_to_json,
    receipt_to_json,
    thought_to_json,
)
from memkit.server.schemas import ContextRequest, ForgetRequest, Id
from memkit.text.role_markers import escape_role_markers, known_markers

router = APIRouter(tags=["Memory"])
_IN_RAM = 16_000_000  # bytes of an export that need no file
_PIECE = 65_536


@router.post("/context")
def read_context(body: ContextRequest, caller: CallerOf, services: ServicesOf) -> Json:
    """Return the quoted block for a prompt about a question, within a token budget."""
    user_id = caller.resolve(body.user_id)
    context = services.memory.context(
        body.query, user_id=user_id, budget_tokens=body.budget_tokens, session_id=body.run_id,
        agent_id=body.agent_id, as_of=body.as_of, where=body.filters,
    )  # fmt: skip
    return {
        "text": context.text, "tokens": context.tokens, "messages": list(context.messages),
        "hits": [hit_to_json(hit, user_id) for hit in context.hits],
        "thoughts": [thought_to_json(thought, user_id) for thought in context.thoughts],
    }  # fmt: skip


@router.get("/summary")
def read_summary(caller: CallerOf, services: ServicesOf, user_id: User = None) -> Json:
    """Return the running summaries, that of the longest time first; may be empty."""
    summaries = services.memory.summaries(user_id=caller.resolve(user_id))
    markers = known_markers(labels=False)  # of chat roles: the text may be put into a prompt
    return {
        "summaries": [
            {
                "id": summary.id, "level": summary.level, "tokens": summary.tokens,
                "text": escape_role_markers(summary.text, markers), "through": summary.through,
                "created_at": summary.created_at.isoformat(),
            }
            for summary in summaries
        ]
    }  # fmt: skip


@router.get("/thoughts")
def list_thoughts(
    *, caller: CallerOf, services: ServicesOf, user_id: User = None, run_id: Id | None = None,
    agent_id: Id | None = None, as_of: Annotated[AwareDatetime | None, Query()] = None,
    limit: Limit = 100, offset: Offset = 0,
) -> Json:  # fmt: skip
    """List what holds now, or held at `as_of` by today's knowledge."""
    user = caller.resolve(user_id)
    thoughts = services.memory.thoughts(
        user_id=user, session_id=run_id, agent_id=agent_id, as_of=as_of
    )
    page = thoughts[offset : offset + limit]
    after = offset + limit
    return {
        "results": [thought_to_json(thought, user) for thought in page],
        "next_offset": after if after < len(thoughts) else None,
    }


@router.post("/forget")
def forget(body: ForgetRequest, caller: CallerOf, services: ServicesOf) -> Json:
    """Delete what meets all conditions, or only report it (`dry_run`); return the receipt."""
    caller.require_write()
    conditions: dict[str, Any] = body.model_dump(exclude={"user_id", "run_id"})
    receipt = services.memory.forget(
        user_id=caller.resolve(body.user_id), session_id=body.run_id, **conditions
    )
    return receipt_to_json(receipt)


@router.get("/export", response_model=None)
def export(caller: CallerOf, services: ServicesOf, user_id: User = None) -> Response:
    """Return all of a user as JSON lines, which `memkit import` restores losslessly."""
    user = caller.resolve(user_id)
    file = tempfile.SpooledTemporaryFile(max_size=_IN_RAM)  # noqa: SIM115 - the stream closes it
    services.memory.export(file, user_id=user)  # type: ignore[arg-type]
    headers = {"Content-Disposition": 'attachment; filename="memory.jsonl"'}
    return StreamingResponse(_pieces(file), headers=headers, media_type="application/x-ndjson")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece
