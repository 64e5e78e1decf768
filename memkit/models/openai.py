"""Any endpoint that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, LM Studio, OpenAI.

The prompt, recalled text included, goes to that server and to no other.
"""

import re
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from memkit.errors import InvalidInput, MissingExtra, ModelError
from memkit.models.fallback_template import EstimatingModel
from memkit.protocols import Counter, Messages
from memkit.records import Usage

if TYPE_CHECKING:
    from openai import OpenAI

_NO_KEY = "not-needed"  # without a key the client would send the environment's, or fail
# these servers require `max_completion_tokens`, which Ollama ignores (ollama/ollama#7125)
_COMPLETION_TOKENS_HOSTS = ("api.openai.com", ".azure.com")
_SERVER_MESSAGE_LENGTH = 300  # most characters of a server's message in ours

_ADVICE = {
    400: "if the prompt is too long, pass the model's context window as limit=",
    401: "pass the server's key as api_key=",
    403: "check the key's permissions and the model's name",
    404: "check the model's name, and base_url: it usually ends in /v1",
    413: "pass the model's context window as limit=, or a lower budget",
    422: "check the request options",
    429: "wait, or raise the key's quota",
}
# what servers call structured output when they refuse it: "response_format is not supported"
_ABOUT_SCHEMAS = re.compile(r"response_?format|json_?schema|grammar|structured", re.IGNORECASE)


class OpenAIModel(EstimatingModel):
    """A model behind an OpenAI-compatible endpoint, through the client `openai`.

    Args:
        name: the model's name on the server.
        base_url: the endpoint, such as "http://127.0.0.1:8000/v1"; by default the client's own.
        api_key: the server's key. If omitted, a server named by `base_url` gets a placeholder, and
            the client's default server the key that the client finds in the environment.
        client: an `openai.OpenAI`, with its own base_url, key, timeout and retries.
        limit: the context window: most tokens of prompt and reply. Servers do not report it.
        count: counts a text's tokens, best with the model's tokenizer; see the method `count`.
        timeout_s: seconds of silence after which an attempt fails. The client repeats a request
            up to twice if it failed before the reply began.
        options: fields of every request, such as temperature=0, seed=1 or extra_body={...}.

    Raises:
        MissingExtra: the package openai is not installed.
        ModelError: there is no key for the client's default server.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        client: "OpenAI | None" = None,
        limit: int | None = None,
        count: Counter | None = None,
        timeout_s: float = 60.0,
        **options: Any,
    ) -> None:
        if client is not None and (base_url is not None or api_key is not None):
            raise InvalidInput("pass either client=, or base_url= and api_key=")
        self._client = client or _connect(base_url, api_key, timeout_s)
        if not (self._client.api_key.isascii() and self._client.api_key.isprintable()):
            raise InvalidInput(
                "the API key has characters that an HTTP header cannot carry, such as a line break"
            )
        super().__init__(limit, count)
        self.name, self._options = name, options
        self._refuses_schemas = False  # whether the server has said so
        url = urlsplit(str(self._client.base_url))
        host = url.netloc.rpartition("@")[2]  # without a password
        self.endpoint = f"{url.scheme}://{host}{url.path}".rstrip("/")
        renamed = (url.hostname or "").endswith(_COMPLETION_TOKENS_HOSTS)
        self._limit_field = "max_completion_tokens" if renamed else "max_tokens"

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, base_url={self.endpoint!r})"

    @property
    def estimated(self) -> bool:
        """Whether the tokens in `usage` are estimates, because the server reported none."""
        return self._last.estimated

    def stream(self, messages: Messages, *, max_new_tokens: int = 256) -> Generator[str]:
        """Yield the reply as it arrives; closing the iterator closes the connection.

        A refusal in the model's words counts as a reply, and so does a reply that ends at
        `max_new_tokens`.

        Raises:
            ModelError: the server failed or sent no text; or its content filter ended the reply,
                after the text that was already yielded.
        """
        yield from self._stream(messages, max_new_tokens, {})

    def complete_json(
        self, messages: Messages, schema: Mapping[str, Any], *, max_new_tokens: int = 256
    ) -> str | None:
        """Return a reply that matches a JSON schema, or None if the server refuses the schema.

        Check the reply: some servers ignore the schema, and `max_new_tokens` may cut it off.

        Raises:
            ModelError: as `stream`, except where the server answers 400 or 422.
        """
        if self._refuses_schemas:
            return None
        # https://platform.openai.com/docs/guides/structured-outputs
        json_schema = {"name": "reply", "schema": dict(schema), "strict": True}
        response_format = {"type": "json_schema", "json_schema": json_schema}
        fields = {"response_format": response_format}
        try:
            return "".join(self._stream(messages, max_new_tokens, fields))
        except ModelError as error:
            refusals = [link for link in _chain(error) if _is_refusal(link)]
            if not refusals:
                raise
            # a prompt that is too long is refused too; the next may fit
            self._refuses_schemas = any(_ABOUT_SCHEMAS.search(str(link)) for link in refusals)
            return None

    def _stream(
        self, messages: Messages, max_new_tokens: int, fields: Mapping[str, Any]
    ) -> Generator[str]:
        """Yield the reply to a request with these further fields."""
        started = time.perf_counter()
        request = {
            "model": self.name,
            "messages": [dict(message) for message in messages],
            self._limit_field: max_new_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        reply = _Reply()
        try:
            with closing(self._chunks({**request, **self._options, **fields})) as chunks:
                for chunk in chunks:
                    if piece := reply.add(chunk):
                        yield piece
        finally:
            if reply.pieces or reply.finish_reason:
                self._record_usage(messages, reply, started)
        if not reply.is_complete:
            raise ModelError(self._why_incomplete(reply, max_new_tokens))

    def _chunks(self, request: dict[str, Any]) -> Generator[object]:
        """Yield the server's chunks, and close the connection at the end."""
        import openai

        # clients before version 3 do not wrap their transport's errors while a reply is read
        transports = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
        failures = (
            openai.OpenAIError, ValueError, *(transport.HTTPError for transport in transports),
        )  # fmt: skip
        try:
            with self._client.chat.completions.create(**request) as chunks:
                received = False
                for chunk in chunks:
                    received = True
                    yield chunk
                kind = chunks.response.headers.get("content-type", "")
        except failures as error:
            # a server's message may quote the key; a traceback that contains it is dropped
            leaks = any(self._redact(str(link)) != str(link) for link in _chain(error))
            raise ModelError(self._explain(error)) from (None if leaks else error)
        if not received and "json" in kind:
            raise ModelError(
                f"{self.endpoint} does not stream: it sent one {kind} response instead of events; "
                "switch streaming on there, or in the proxy before it"
            )

    def _record_usage(self, messages: Messages, reply: "_Reply", started: float) -> None:
        ended = time.perf_counter()
        prompt = getattr(reply.usage, "prompt_tokens", None)
        new = getattr(reply.usage, "completion_tokens", None)
        details = getattr(reply.usage, "prompt_tokens_details", None)
        self._last.estimated = prompt is None or new is None
        self._last.usage = Usage(
            prompt_tokens=self.count(messages) if prompt is None else prompt,
            reused_tokens=getattr(details, "cached_tokens", None) or 0,
            new_tokens=self._count_text("".join(reply.pieces)) if new is None else new,
            first_token_s=(reply.first_at or ended) - started,
            total_s=ended - started,
        )

    # ---- error messages

    def _explain(self, error: Exception) -> str:
        import openai

        if "Timeout" in type(error).__name__:  # the client's error, or an old client's transport's
            return (
                f"{self.endpoint} sent nothing before the timeout; check whether it is still "
                "loading the model, or raise timeout_s"
            )
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            # a server's message about a wrong key quotes it, masked at best
            message = "" if status == 401 else f" ({self._shorten(error.message)})"
            advice = _ADVICE.get(status, "see the server's log")
            return f"{self.endpoint} answered {status} for model {self.name!r}{message}; {advice}"
        if isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {self._shorten(error)}"
            return f"{self.endpoint} sent an invalid chat completion ({reason}); {_ADVICE[404]}"
        if isinstance(error, openai.APIError) and not isinstance(error, openai.APIConnectionError):
            return f"{self.endpoint} failed within a reply ({self._shorten(error.message)})"
        reason = self._shorten(error.__cause__ or error)
        return f"the connection to {self.endpoint} failed ({reason}); is the server running?"

    def _shorten(self, message: object) -> str:
        return self._redact(str(message))[:_SERVER_MESSAGE_LENGTH]

    def _redact(self, text: str) -> str:
        key = self._client.api_key
        return text if key in ("", _NO_KEY) else text.replace(key, "***")

    def _why_incomplete(self, reply: "_Reply", max_new_tokens: int) -> str:
        model = f"model {self.name!r} at {self.endpoint}"
        if reply.finish_reason == "content_filter":
            return f"the content filter of {self.endpoint} ended the reply (content_filter)"
        if reply.no_text and reply.finish_reason and not reply.pieces:
            return f"{model} answered with {reply.no_text} and no text"
        if reply.finish_reason == "length":
            return (
                f"{model} wrote no text within {max_new_tokens} tokens; if it thinks before it "
                "answers, raise max_new_tokens or switch its thinking off"
            )
        if reply.finish_reason:
            return f"{model} wrote no text ({reply.finish_reason})"
        if reply.pieces:
            return f"{self.endpoint} broke off within a reply; see the server's log"
        return f"{self.endpoint} sent no chat completion; {_ADVICE[404]}"


class _Reply:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.no_text = ""  # content of another type than text, shortened
        self.finish_reason: str | None = None
        self.usage: object = None
        self.first_at: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the model ended the reply, with text or intentionally without."""
        if self.finish_reason == "stop":
            return bool(self.pieces) or not self.no_text
        return bool(self.pieces) and self.finish_reason not in (None, "content_filter")

    def add(self, chunk: object) -> str:
        """Return the text in a chunk; fields that only some servers send are ignored."""
        self.usage = getattr(chunk, "usage", None) or self.usage
        choices = getattr(chunk, "choices", None)
        if not isinstance(choices, list) or not choices:  # the chunk with the usage has none
            return ""
        self.finish_reason = getattr(choices[0], "finish_reason", None) or self.finish_reason
        delta = getattr(choices[0], "delta", None)
        content, refusal = (getattr(delta, name, None) for name in ("content", "refusal"))
        piece = _text_of(content) + _text_of(refusal)
        if not piece:
            self.no_text = f"{content!r:.60}" if content else self.no_text
            return ""
        self.first_at = self.first_at or time.perf_counter()
        self.pieces.append(piece)
        return piece


def _text_of(content: object) -> str:
    """Return a string as it is, and the joined text of a list of parts, which some servers send."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _connect(base_url: str | None, api_key: str | None, timeout_s: float) -> "OpenAI":
    try:
        import openai
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the client for OpenAI-compatible servers is not installed: "
            "pip install 'memkit-llm[openai]'"
        ) from error
    if base_url is None:
        try:
            return openai.OpenAI(api_key=api_key, timeout=timeout_s)
        except openai.OpenAIError as error:
            raise ModelError(
                "there is no API key for OpenAI: pass api_key=, or base_url= for another server"
            ) from error
    # "http://127.0.0.1:8000/v1"; the message does not quote the value, which may hold a password
    if not re.match(r"https?://[^/?#\s]", base_url):
        raise InvalidInput('base_url must be an address such as "http://127.0.0.1:8000/v1"')
    client = openai.OpenAI(base_url=base_url, api_key=api_key or _NO_KEY, timeout=timeout_s)
    # the client reads these from the environment; another server must not learn them
    client.organization = client.project = None
    return client


def _is_refusal(error: BaseException) -> bool:
    """Return whether the server answered 400 or 422: it does not take the request's fields."""
    import openai

    return isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
