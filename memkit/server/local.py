"""A model in this process behind OpenAI's chat completions: text in, text out."""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync

from memkit.errors import BudgetExceeded, InvalidInput
from memkit.models.available import ChatModel
from memkit.models.running import stream_until_stop
from memkit.prompt import alternate_roles
from memkit.records import Usage
from memkit.server.backend import ModelAnswer, event_line
from memkit.text.content import message_text

_ROLES = {"developer": "system", "function": "tool"}
_UNSUPPORTED = ("tools", "functions", "response_format", "logprobs", "audio")
_READ = frozenset(
    ("model", "messages", "stream", "stream_options", "user", "max_tokens", "n", "store",
     "max_completion_tokens", "stop", "metadata", "safety_identifier", "prompt_cache_key")
)  # fmt: skip
_END = object()
_MAX_WAITING = 64  # threads that wait for the model; apart from those of the memory


class LocalModel:
    """Answers by a memkit model, one reply at a time for a Hugging Face model."""

    def __init__(self, chosen: ChatModel) -> None:
        self._chosen = chosen
        self._limiter = CapacityLimiter(_MAX_WAITING)

    async def chat(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> ModelAnswer:  # noqa: ARG002 - interface
        """Answer a chat completion.

        Raises:
            InvalidInput: the request needs what this model has not, such as tools.
            BudgetExceeded: prompt and reply are longer than the model's window.
            ModelError: the model failed.
        """
        _check_supported(body)
        reply = await run_sync(_LocalReply, self._chosen, body, self._limiter)
        ignored = sorted(set(body) - _READ - set(_UNSUPPORTED))
        warnings = (f"this model ignores: {', '.join(ignored)}",) if ignored else ()
        if body.get("stream"):
            return ModelAnswer(
                media_type="text/event-stream", lines=reply.events(), warnings=warnings
            )
        content = json.dumps(await reply.completion()).encode()
        return ModelAnswer(body=content, warnings=warnings)

    async def models(self, headers: Mapping[str, str]) -> ModelAnswer:  # noqa: ARG002 - interface
        """Return the list with this model."""
        model = {"id": self._chosen.name, "object": "model", "created": 0, "owned_by": "memkit"}
        return ModelAnswer(body=json.dumps({"object": "list", "data": [model]}).encode())

    async def close(self) -> None:
        """Do nothing: the process holds the model."""


class _LocalReply:
    def __init__(
        self, chosen: ChatModel, body: Mapping[str, Any], limiter: CapacityLimiter
    ) -> None:
        self._chosen, self._model, self._limiter = chosen, chosen.model, limiter
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        self._max_tokens = int(limit or chosen.max_new_tokens)
        stop = body.get("stop") or chosen.stop
        self._stop = (stop,) if isinstance(stop, str) else tuple(stop)
        self._prompt = self._compose(body["messages"])
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        options = body.get("stream_options")
        self._wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        self._usage: Usage | None = None

    def _compose(self, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, str]]:
        texts: list[Mapping[str, str]] = [
            {
                "role": _ROLES.get(message["role"], message["role"]),
                "content": self._model.escape_role_markers(message_text(message)),
            }
            for message in messages
        ]
        if self._chosen.system and texts[0]["role"] != "system":
            texts.insert(0, {"role": "system", "content": self._chosen.system})
        prompt = alternate_roles(texts)
        window, needed = self._model.limit, self._model.count(prompt) + self._max_tokens
        if window is not None and needed > window:
            raise BudgetExceeded(needed, window)
        return prompt

    async def completion(self) -> dict[str, Any]:
        """Return the whole reply as a completion."""
        pieces = []
        async with aclosing(self._pieces()) as reply:
            async for piece in reply:
                pieces.append(piece)
        message = {"role": "assistant", "content": "".join(pieces).strip(), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason()}
        completion = self._envelope("chat.completion", [choice | {"logprobs": None}])
        return completion | {"usage": self._usage_counts()}

    async def events(self) -> AsyncGenerator[bytes]:
        """Yield the reply as the events of a stream."""
        yield self._chunk({"role": "assistant", "content": ""})
        async with aclosing(self._pieces()) as reply:
            async for piece in reply:
                yield self._chunk({"content": piece})
        yield self._chunk({}, self._finish_reason())
        if self._wants_usage:
            chunk = self._envelope("chat.completion.chunk", [])
            yield event_line(chunk | {"usage": self._usage_counts()})
        yield b"data: [DONE]\n\n"

    async def _pieces(self) -> AsyncGenerator[str]:
        """Yield the reply's pieces; closing stops the model."""
        generation = self._generate()
        try:
            while True:
                piece = await run_sync(next, generation, _END, limiter=self._limiter)
                if piece is _END:
                    return
                yield str(piece)
        finally:
            with CancelScope(shield=True):  # the client may have gone
                await run_sync(generation.close, limiter=self._limiter)

    def _generate(self) -> Generator[str]:
        pieces = self._model.stream(self._prompt, max_new_tokens=self._max_tokens)
        try:
            yield from stream_until_stop(pieces, self._stop)
        finally:
            pieces.close()
            self._usage = self._model.usage  # that of this thread, which read the last piece

    def _finish_reason(self) -> str:
        cut = self._usage is not None and self._usage.new_tokens >= self._max_tokens
        return "length" if cut else "stop"

    def _usage_counts(self) -> dict[str, int] | None:
        if self._usage is None:
            return None
        prompt, new = self._usage.prompt_tokens, self._usage.new_tokens
        return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": dict(delta), "finish_reason": finish_reason}
        return event_line(self._envelope("chat.completion.chunk", [choice]))

    def _envelope(self, kind: str, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id, "object": kind, "created": self._created, "model": self._chosen.name,
            "choices": list(choices),
        }  # fmt: skip


def _check_supported(body: Mapping[str, Any]) -> None:
    refused = [name for name in _UNSUPPORTED if body.get(name)]
    if isinstance(body.get("response_format"), dict):
        is_text = body["response_format"].get("type") == "text"
        refused = [name for name in refused if name != "response_format" or not is_text]
    if refused:
        raise InvalidInput(
            f"a model in this process answers with text only, without {', '.join(refused)}; serve "
            "it with vLLM or llama.cpp, and pass their address as --model"
        )
    if body.get("n") not in (None, 1):
        raise InvalidInput("this model gives one reply at a time; leave n out")
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
    if any(limit is not None and (not isinstance(limit, int) or limit < 1) for limit in limits):
        raise InvalidInput("max_tokens must be a number of at least 1")
    _check_messages(body["messages"])
    stop = body.get("stop")
    texts = [stop] if isinstance(stop, str) else stop
    if texts is not None and not (
        isinstance(texts, list) and all(isinstance(text, str) and text for text in texts)
    ):
        raise InvalidInput("stop must be a string, or a list of strings")


def _check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    roles = ("system", "developer", "user", "assistant", "tool", "function")
    for n, message in enumerate(messages):
        if message.get("role") not in roles:
            raise InvalidInput(f"message {n} needs a role: {', '.join(roles)}")
        try:
            message_text(message)
        except TypeError as error:
            raise InvalidInput(f"message {n}: {error}") from error
