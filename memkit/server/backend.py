"""What answers chat requests: the interface of a model behind the server, and its replies."""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from memkit.text.content import message_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """A model's answer to a request: a whole body, or the lines of a stream of events."""

    status: int = 200
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    lines: AsyncGenerator[bytes] | None = None  # each with its line break
    warnings: tuple[str, ...] = ()


class ChatBackend(Protocol):
    """A model, or many, behind OpenAI's chat completions."""

    async def chat(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> ModelAnswer:
        """Answer a chat completion. Raises `ModelError` if the model cannot be reached."""

    async def models(self, headers: Mapping[str, str]) -> ModelAnswer:
        """Return the list of models."""

    async def close(self) -> None:
        """Release connections."""


class ReplyReader:
    """Puts the first reply of a completion together, from its body or from events."""

    def __init__(self) -> None:
        self.pieces: list[str] = []  # of the text
        self._calls: dict[str, dict[str, str]] = {}  # in the order of their first pieces
        self._finish_reason: str | None = None
        self._failed = False
        self.usage: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    @property
    def message(self) -> dict[str, Any] | None:
        """The reply as a message; None if it failed, was broken off or filtered, or is empty."""
        ended = self._finish_reason not in (None, "content_filter") and not self._failed
        if not ended or not (self.text or self._calls):
            return None
        calls = [{"type": "function", "function": call} for call in self._calls.values()]
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        return message | ({"tool_calls": calls} if calls else {})

    @property
    def was_cut(self) -> bool:
        """Whether the reply ended at the limit of tokens."""
        return self._finish_reason == "length"

    def read_body(self, body: bytes) -> None:
        """Read a completion that is not streamed."""
        self._read(_parse(body), "message")

    def read_line(self, line: bytes) -> None:
        """Read a line of a stream."""
        if line.startswith(b"data:") and not is_done(line):
            self._read(_parse(line[5:]), "delta")

    def _read(self, data: Mapping[str, Any], part: str) -> None:
        self._failed = self._failed or bool(data.get("error"))
        if isinstance(data.get("usage"), dict):
            self.usage = data["usage"]
        choices = data.get("choices")
        first = next(
            (c for c in choices if isinstance(c, dict) and c.get("index", 0) == 0), None
        ) if isinstance(choices, list) else None  # fmt: skip
        if first is None:
            return
        self._finish_reason = first.get("finish_reason") or self._finish_reason
        message = first.get(part)
        if isinstance(message, dict):
            self._read_message(message, part)

    def _read_message(self, message: Mapping[str, Any], part: str) -> None:
        texts = (_text(message.get("content")), message.get("refusal"))
        self.pieces += [text for text in texts if isinstance(text, str) and text]
        calls = message.get("tool_calls")
        for n, call in enumerate(calls if isinstance(calls, list) else ()):
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                whole = self._calls.setdefault(
                    str(n) if part == "message" else self._key_of(call),
                    {"name": "", "arguments": ""},
                )
                for name in whole:
                    whole[name] += str(function.get(name) or "")

    def _key_of(self, call: Mapping[str, Any]) -> str:
        """Return which call of a stream a piece belongs to.

        Some servers number no call: a piece with an id begins one, a piece without continues it.
        """
        if call.get("index") is not None:
            return str(call["index"])
        return str(call.get("id") or next(reversed(self._calls), ""))


def is_done(line: bytes) -> bool:
    """Return whether a line ends a stream of events."""
    return line.strip() == b"data: [DONE]" or line.strip() == b"data:[DONE]"


def event_line(data: Mapping[str, Any]) -> bytes:
    """Return a chunk as an event of a stream."""
    return f"data: {json.dumps(data)}\n\n".encode()


def _text(content: Any) -> Any:
    """Return content as text: some servers send a list of parts."""
    if not isinstance(content, list):
        return content
    try:
        return message_text({"content": content})
    except TypeError:  # a part of an unknown shape
        return None


def _parse(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # a server's comment or keep-alive
        return {}
    return value if isinstance(value, dict) else {}
