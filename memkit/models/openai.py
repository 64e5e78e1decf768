"""Any endpoint that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, LM Studio, OpenAI.

The prompt, with all that was recalled for it, goes to that server and to nobody else.
"""

import re
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from memkit.errors import InvalidInput, MissingExtra, ModelError
from memkit.models import fallback_template as unseen
from memkit.models.last import Last
from memkit.protocols import Counter, Messages
from memkit.records import Usage

if TYPE_CHECKING:
    from openai import OpenAI

_NO_KEY = "not-needed"  # without one, the client would send the key of the environment, or fail
# these insist on the newer name, which Ollama silently ignores (ollama/ollama#7125)
_NEWER_NAME = ("api.openai.com", ".azure.com")
_MOST_WORDS = 300  # characters of what a server says about its failure

_ADVICE = {
    400: "if the prompt is too long for it, pass the model's window as limit=",
    401: "pass the server's key as api_key=",
    403: "check what the key may do, and the model's name",
    404: "check the model's name, and base_url: it mostly ends in /v1",
    413: "pass the model's window as limit=, or a lower budget",
    422: "check the options it was given",
    429: "wait, or raise what the key may spend",
}


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint, through the client `openai`.

    Args:
        name: what the server calls the model.
        base_url: where it listens, such as "http://127.0.0.1:8000/v1"; the client's own default
            if left out.
        api_key: the server's key. Left out, a server named by `base_url` gets a placeholder, and
            the client's default server what the client finds in the environment.
        client: a made `openai.OpenAI`, which brings its own base_url, key, timeout and retries.
        limit: the model's window, in tokens of prompt and reply together; servers do not tell.
        count: counts a text's tokens, best with the model's tokenizer; see `count`.
        timeout_s: how long the server may be silent before an attempt fails. The client tries a
            request that failed before the reply began twice more.
        options: of every request, such as temperature=0, seed=1 or extra_body={...}.

    Raises:
        MissingExtra: the client is not installed.
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
            raise InvalidInput("a client has its base_url and api_key; give those, or the client")
        self._client = client or _connect(base_url, api_key, timeout_s)
        if not (self._client.api_key.isascii() and self._client.api_key.isprintable()):
            raise InvalidInput("the API key holds what no header can carry, such as a line break")
        self.name, self.limit = name, limit
        self._last = Last()
        self._length = lru_cache(maxsize=4096)(
            count or unseen.estimate
        )  # packing asks again and again
        self._options = options
        url = urlsplit(str(self._client.base_url))
        place = url.netloc.rpartition("@")[2]  # without a password
        self.endpoint = f"{url.scheme}://{place}{url.path}".rstrip("/")
        newer = (url.hostname or "").endswith(_NEWER_NAME)
        self._most_tokens = "max_completion_tokens" if newer else "max_tokens"

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, base_url={self.endpoint!r})"

    @property
    def usage(self) -> Usage | None:
        """What the last reply cost that this thread has read."""
        return self._last.usage

    @property
    def estimated(self) -> bool:
        """Whether `usage` was counted here, because the server did not say."""
        return self._last.estimated

    def count(self, messages: Messages) -> int:
        """Return how many tokens the prompt of these messages has, and rather more.

        Without a `count` of your own a text's length is estimated
        (`memkit.models.fallback_template`), so that a budget holds: about
        twice what English takes, half of what a prompt could hold.
        """
        return unseen.count(messages, self._length)

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with a space inside the marks that open or close a role.

        The server does not tell its template: these are the marks of the common ones.
        """
        return unseen.escape_role_markers(text)

    def stream(self, messages: Messages, *, max_new_tokens: int = 256) -> Generator[str]:
        """Yield the reply as it arrives; closing the iterator closes the connection.

        A refusal in the model's words is a reply, and so is one that ends at `max_new_tokens`.

        Raises:
            ModelError: the server could not be reached, refused, failed, was silent for too long,
                broke off, or answered something else than a chat completion in words; or its
                content filter ended the reply, of which what came before was yielded.
        """
        started = time.perf_counter()
        request = {
            "model": self.name,
            "messages": [dict(message) for message in messages],
            self._most_tokens: max_new_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        reply = _Reply()
        try:
            with closing(self._chunks(request | self._options)) as chunks:
                for chunk in chunks:
                    if piece := reply.take(chunk):
                        yield piece
        finally:
            if reply.said or reply.ended:
                self._account(messages, reply, started)
        if not reply.is_whole:
            raise ModelError(self._why_incomplete(reply, max_new_tokens))

    def _chunks(self, request: dict[str, Any]) -> Generator[object]:
        """Yield what the server sends, and close the connection at the end."""
        import openai

        # before version 3 the client lets its transport's errors through while a reply is read
        transports = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
        failures = (openai.OpenAIError, ValueError, *(one.HTTPError for one in transports))
        try:
            with self._client.chat.completions.create(**request) as chunks:
                came = False
                for chunk in chunks:
                    came = True
                    yield chunk
                kind = chunks.response.headers.get("content-type", "")
        except failures as error:
            # what a server says may hold the key it was sent: then it is shown nowhere
            leaks = any(self._redacted(str(one)) != str(one) for one in _chain(error))
            raise ModelError(self._explained(error)) from (None if leaks else error)
        if not came and "json" in kind:
            raise ModelError(
                f"{self.endpoint} does not stream: it sent one {kind} where a stream of events was "
                "asked for; switch streaming on there, or in the proxy before it"
            )

    def _account(self, messages: Messages, reply: "_Reply", started: float) -> None:
        ended = time.perf_counter()
        prompt = getattr(reply.usage, "prompt_tokens", None)
        new = getattr(reply.usage, "completion_tokens", None)
        details = getattr(reply.usage, "prompt_tokens_details", None)
        self._last.estimated = prompt is None or new is None
        self._last.usage = Usage(
            prompt_tokens=self.count(messages) if prompt is None else prompt,
            reused_tokens=getattr(details, "cached_tokens", None) or 0,
            new_tokens=self._length("".join(reply.said)) if new is None else new,
            first_token_s=(reply.first_at or ended) - started,
            total_s=ended - started,
        )

    # ---- failures, in our words

    def _explained(self, error: Exception) -> str:
        """Return what went wrong where, and what to do about it."""
        import openai

        if "Timeout" in type(error).__name__:  # the client's, or an older client's transport's
            return f"{self.endpoint} was silent for too long; is it loading? Or raise timeout_s"
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            # what is said of a wrong key quotes it, masked at best
            said = "" if status == 401 else f" ({self._words(error.message)})"
            advice = _ADVICE.get(status, "see the server's log")
            return f"{self.endpoint} answered {status} for model {self.name!r}{said}; {advice}"
        if isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {self._words(error)}"
            return f"{self.endpoint} sent what is no chat completion ({reason}); {_ADVICE[404]}"
        if isinstance(error, openai.APIError) and not isinstance(error, openai.APIConnectionError):
            return f"{self.endpoint} failed within a reply ({self._words(error.message)})"
        reason = self._words(error.__cause__ or error)
        return f"the connection to {self.endpoint} failed ({reason}); is the server running?"

    def _words(self, said: object) -> str:
        return self._redacted(str(said))[:_MOST_WORDS]

    def _redacted(self, text: str) -> str:
        key = self._client.api_key
        return text if key in ("", _NO_KEY) else text.replace(key, "***")

    def _why_incomplete(self, reply: "_Reply", most: int) -> str:
        if reply.ended == "content_filter":
            return f"the content filter of {self.endpoint} ended the reply (content_filter)"
        if reply.unread and reply.ended and not reply.said:
            return f"model {self.name!r} at {self.endpoint} answered with {reply.unread}, no text"
        if reply.ended == "length":
            return (
                f"model {self.name!r} at {self.endpoint} said nothing within {most} tokens; if it "
                "thinks before it speaks, raise max_new_tokens or switch its thinking off"
            )
        if reply.ended:
            return f"model {self.name!r} at {self.endpoint} said nothing ({reply.ended})"
        if reply.said:
            return f"{self.endpoint} broke off within a reply; see the server's log"
        return f"{self.endpoint} sent no chat completion; {_ADVICE[404]}"


class _Reply:
    """What has come of one reply."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.unread = ""  # what stood where text belongs
        self.ended: str | None = None  # why
        self.usage: object = None
        self.first_at: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the model ended the reply, and said something or meant to say nothing."""
        if self.ended == "stop":
            return bool(self.said) or not self.unread
        return bool(self.said) and self.ended not in (None, "content_filter")

    def take(self, chunk: object) -> str:
        """Return the text in a chunk. Servers differ: whatever else it holds is passed over."""
        self.usage = getattr(chunk, "usage", None) or self.usage
        choices = getattr(chunk, "choices", None)
        if not isinstance(choices, list) or not choices:  # the chunk with the usage has none
            return ""
        self.ended = getattr(choices[0], "finish_reason", None) or self.ended
        delta = getattr(choices[0], "delta", None)
        content, refusal = (getattr(delta, name, None) for name in ("content", "refusal"))
        piece = _text(content) + _text(refusal)
        if not piece:
            self.unread = f"{content!r:.60}" if content else self.unread
            return ""
        self.first_at = self.first_at or time.perf_counter()
        self.said.append(piece)
        return piece


def _text(content: object) -> str:
    """Return the words of a text, or of a list of parts; some servers send these."""
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
                "there is no API key for OpenAI: pass api_key=, or for another server base_url="
            ) from error
    if not re.match(r"https?://[^/?#\s]", base_url):  # not quoted: it may hold a password
        raise InvalidInput('base_url must be an address such as "http://127.0.0.1:8000/v1"')
    made = openai.OpenAI(base_url=base_url, api_key=api_key or _NO_KEY, timeout=timeout_s)
    made.organization = made.project = None  # of the environment: nothing for another server
    return made


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
