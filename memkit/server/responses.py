"""`/v1/responses`: text in and out of OpenAI's Responses API, by way of a chat completion."""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from memkit.errors import InvalidInput
from memkit.server.access import Caller
from memkit.server.backend import ReplyReader
from memkit.server.chat import require_backend
from memkit.server.exchange import Exchange, Services
from memkit.server.routing import admit, find_services
from memkit.server.schemas import ResponsesRequest

router = APIRouter(tags=["OpenAI"])
# fields that chat completions have too
_PASSED = (
    "temperature", "top_p", "user", "seed", "service_tier", "safety_identifier",
    "prompt_cache_key",
)  # fmt: skip
# values of other fields that ask for nothing; any value of those without a list changes no answer
_HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "tool_choice": ("auto", "none"), "truncation": ("disabled",), "background": (False,),
    "top_logprobs": (0,), "store": (), "metadata": (), "parallel_tool_calls": (),
    "stream_options": (), "max_tool_calls": (),
}  # fmt: skip


@router.post("/v1/responses", response_model=None)
async def create_response(
    request: Request,
    body: ResponsesRequest,
    caller: Annotated[Caller, Depends(admit)],
    services: Annotated[Services, Depends(find_services)],
) -> Response:
    """Answer text with text. Nothing is stored but the memory: send the history as `input`."""
    chat = _to_chat(body)
    exchange = Exchange(services, caller, body.user, body.memory)
    answer = await exchange.ask(require_backend(services), chat, request.headers)
    reader, response = ReplyReader(), _Response(body)
    if answer.lines is not None:
        events = response.events(exchange.events(answer, reader), reader, exchange.new_warnings)
        return StreamingResponse(
            events, headers=exchange.headers(), media_type="text/event-stream"
        )  # fmt: skip
    if answer.status < 300:
        reader.read_body(answer.body)
    await exchange.finish(reader)
    if answer.status >= 300:
        return Response(
            answer.body, status_code=answer.status, media_type=answer.media_type,
            headers={**answer.headers, **exchange.headers()},
        )  # fmt: skip
    if reader.message is None:
        raise HTTPException(502, "the model sent no complete reply")
    return JSONResponse(response.completed(reader), headers=exchange.headers())


def _to_chat(body: ResponsesRequest) -> dict[str, Any]:
    """Return the chat completion that asks the same."""
    if body.previous_response_id is not None:
        raise InvalidInput("no response is stored here; send the history as input")
    options = _options(body)
    messages = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else [
        _to_message(n, item) for n, item in enumerate(body.input)
    ]  # fmt: skip
    if body.instructions:
        messages.insert(0, {"role": "system", "content": body.instructions})
    if not messages:
        raise InvalidInput("input is empty")
    fields = {
        "model": body.model, "messages": messages, "stream": body.stream or None,
        "max_tokens": body.max_output_tokens, **options,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def _options(body: ResponsesRequest) -> dict[str, Any]:
    """Return the options of the chat completion; raise InvalidInput for what it has no option for.

    For example `{"reasoning": {"effort": "low"}}` is `{"reasoning_effort": "low"}` there.
    """
    extra = body.model_extra or {}
    text, reasoning = dict(body.text or {}), dict(body.reasoning or {})
    answer_format = text.pop("format", None) or {"type": "text"}
    options = {name: extra.get(name, getattr(body, name, None)) for name in _PASSED}
    options |= {
        "verbosity": text.pop("verbosity", None),
        "reasoning_effort": reasoning.pop("effort", None),
    }
    others = {name: value for name, value in extra.items() if name not in _PASSED}
    others |= {f"text.{name}": value for name, value in text.items()}
    others |= {f"reasoning.{name}": value for name, value in reasoning.items()}
    others |= {"tools": body.tools}
    if answer_format != {"type": "text"}:
        others["text.format"] = answer_format
    refused = [name for name, value in others.items() if not _is_harmless(name, value)]
    if refused:
        raise InvalidInput(
            f"{', '.join(sorted(refused))}: not supported here; use /v1/chat/completions"
        )
    return options


def _is_harmless(name: str, value: Any) -> bool:
    if value is None or value in ([], {}):
        return True
    return name in _HARMLESS and (not _HARMLESS[name] or value in _HARMLESS[name])


def _to_message(n: int, item: Mapping[str, Any]) -> dict[str, Any]:
    if item.get("type", "message") != "message" or not isinstance(item.get("role"), str):
        raise InvalidInput(f"input {n} must be a message with a role; only text is supported")
    content = item.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise InvalidInput(f"input {n} has a part that is no text; use /v1/chat/completions")
        content = "\n".join(map(str, parts))
    if not isinstance(content, str):
        raise InvalidInput(f"input {n} has no text")
    return {"role": item["role"], "content": content}


class _Response:
    """The response object and the events of one answer."""

    def __init__(self, body: ResponsesRequest) -> None:
        self._item_id = f"msg_{uuid.uuid4().hex}"
        self._frame: dict[str, Any] = {
            "id": f"resp_{uuid.uuid4().hex}", "object": "response",
            "created_at": int(time.time()), "model": body.model or "", "output": [],
            "instructions": body.instructions, "tools": [], "tool_choice": "auto",
            "parallel_tool_calls": False, "metadata": {}, "error": None,
            "incomplete_details": None, "temperature": body.temperature, "top_p": body.top_p,
            "previous_response_id": None, "usage": None, "status": "in_progress",
        }  # fmt: skip
        self._number = 0

    def completed(self, reader: ReplyReader) -> dict[str, Any]:
        """Return the response with the reply."""
        usage = reader.usage or {}
        values = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        counts = [value if isinstance(value, int) else 0 for value in values]
        cut = {"reason": "max_output_tokens"} if reader.was_cut else None
        status = "incomplete" if cut else "completed"
        return self._frame | {
            "status": status, "incomplete_details": cut,
            "output": [self._item(reader.text, status)],
            "usage": {
                "input_tokens": counts[0], "output_tokens": counts[1],
                "total_tokens": sum(counts), "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }  # fmt: skip

    async def events(
        self, lines: AsyncGenerator[bytes], reader: ReplyReader, warnings: Callable[[], list[str]]
    ) -> AsyncGenerator[bytes]:
        """Yield the events of a response for the lines of a streamed chat completion."""
        where = {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        yield self._event("response.created", response=self._frame)
        yield self._event("response.in_progress", response=self._frame)
        item = self._item(None, "in_progress")
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._event("response.content_part.added", **where, part=_part(""))
        sent = 0
        async with aclosing(lines) as read:
            async for _ in read:  # the exchange has read the line
                if piece := "".join(reader.pieces[sent:]):
                    yield self._event(
                        "response.output_text.delta", **where, delta=piece, logprobs=[]
                    )
                sent = len(reader.pieces)
        if reader.message is None:
            error = {"code": "server_error", "message": "the model broke off within a reply"}
            failed = self._frame | {"status": "failed", "error": error}
            yield self._event("response.failed", response=failed)
            return
        text = reader.text
        yield self._event("response.output_text.done", **where, text=text, logprobs=[])
        yield self._event("response.content_part.done", **where, part=_part(text))
        response = self.completed(reader)
        yield self._event("response.output_item.done", output_index=0, item=response["output"][0])
        kind = "response.incomplete" if reader.was_cut else "response.completed"
        yield self._event(kind, response=response | {"memkit": {"warnings": warnings()}})

    def _item(self, text: str | None, status: str) -> dict[str, Any]:
        content = [] if text is None else [_part(text)]
        return {
            "id": self._item_id, "type": "message", "role": "assistant", "status": status,
            "content": content,
        }  # fmt: skip

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number} | fields
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
