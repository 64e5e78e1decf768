"""`/v1/chat/completions`, `/v1/models`, `/v1/embeddings`: what OpenAI's clients call."""

import base64
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from memkit.embedders import embed_checked
from memkit.server.access import Caller
from memkit.server.backend import ChatBackend, ModelAnswer, ReplyReader
from memkit.server.exchange import Exchange, Services
from memkit.server.routing import admit, find_services
from memkit.server.schemas import ChatRequest, EmbeddingsRequest

router = APIRouter(tags=["OpenAI"])
_Caller = Annotated[Caller, Depends(admit)]
_Services = Annotated[Services, Depends(find_services)]


@router.post("/v1/chat/completions", response_model=None)
async def create_chat_completion(
    request: Request, body: ChatRequest, caller: _Caller, services: _Services
) -> Response:
    """Answer a conversation with what memory has for it, and remember what is new.

    All other fields go to the model as they are, tools too. The headers X-Memkit-Session,
    X-Memkit-Warning and Server-Timing say what memory did. In a stream, a failure to remember the
    reply is a chunk without choices and with `memkit.warnings`.
    """
    backend = require_backend(services)
    exchange = Exchange(services, caller, body.user, body.memory)
    answer = await exchange.ask(backend, await request.json(), request.headers)
    reader = ReplyReader()
    if answer.lines is not None:
        return StreamingResponse(
            exchange.events(answer, reader), status_code=answer.status,
            headers={**answer.headers, **exchange.headers()}, media_type=answer.media_type,
        )  # fmt: skip
    if answer.status < 300:
        reader.read_body(answer.body)
    await exchange.finish(reader)
    return _whole(answer, exchange.headers())


@router.get("/v1/models", response_model=None)
async def list_models(request: Request, caller: _Caller, services: _Services) -> Response:  # noqa: ARG001 - the caller is checked
    """List the models that can be asked."""
    return _whole(await require_backend(services).models(request.headers))


@router.post("/v1/embeddings")
def create_embeddings(
    body: EmbeddingsRequest,
    caller: _Caller,  # noqa: ARG001 - the caller is checked
    services: _Services,
) -> dict[str, Any]:
    """Embed texts by the encoder of this memory; a text has to fit into its window."""
    embedder = services.memory.embedder
    texts = [body.input] if isinstance(body.input, str) else body.input
    dimension = embedder.fingerprint.dimension
    if body.dimensions not in (None, dimension):
        raise HTTPException(400, f"this encoder's vectors have {dimension} dimensions")
    for n, text in enumerate(texts):
        if len(embedder.split(text)) > 1:
            raise HTTPException(400, f"input {n} is longer than the encoder reads; split it")
    vectors = embed_checked(embedder, texts)
    data = [
        {"object": "embedding", "index": n, "embedding": _encode(vector, body.encoding_format)}
        for n, vector in enumerate(vectors)
    ]
    tokens = sum(map(embedder.count, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {
        "object": "list", "data": data, "model": embedder.fingerprint.model, "usage": usage
    }  # fmt: skip


def require_backend(services: Services) -> ChatBackend:
    """Return the model; raise 404 if the server has none."""
    if services.backend is None:
        raise HTTPException(404, "this server has no model; start it with --model")
    return services.backend


def _whole(answer: ModelAnswer, headers: dict[str, str] | None = None) -> Response:
    return Response(
        answer.body, status_code=answer.status, media_type=answer.media_type,
        headers={**answer.headers, **(headers or {})},
    )  # fmt: skip


def _encode(vector: "np.ndarray[Any, np.dtype[np.float32]]", encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]
