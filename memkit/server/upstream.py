"""A model at an OpenAI-compatible endpoint: requests and answers go through as they are."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from memkit.errors import InvalidInput, ModelError
from memkit.server.backend import ModelAnswer
from memkit.server.settings import is_loopback

# of an answer; all others belong to one connection
_PASSED_HEADERS = ("retry-after", "x-request-id", "openai-processing-ms")
_LIMITS = ("x-ratelimit-",)
_CONNECT_S = 10.0


class Upstream:
    """Passes chat requests on to `url`, such as "http://127.0.0.1:8000/v1".

    `key` is sent there; without one, and if `pass_keys`, the key that the client sent.
    """

    def __init__(
        self, url: str, *, key: str | None = None, pass_keys: bool = False, silence_s: float = 300
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput('--model must be an address such as "http://127.0.0.1:8000/v1"')
        self.url, self._key, self._pass_keys = url.rstrip("/"), key, pass_keys
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(silence_s, connect=_CONNECT_S),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            # a proxy of the environment must not see what is for this machine
            trust_env=not is_loopback(parts.hostname),
        )

    async def chat(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> ModelAnswer:
        """Return the endpoint's answer: its status, its body, its events."""
        try:  # ASCII, so that halves of surrogate pairs pass as they came
            content = json.dumps(body, allow_nan=False).encode()
        except ValueError as error:
            raise InvalidInput(f"the request is no valid JSON: {error}") from error
        request = self._client.build_request(
            "POST", f"{self.url}/chat/completions", content=content,
            headers={"Content-Type": "application/json", **self._headers(headers)},
        )  # fmt: skip
        response = await self._send(request)
        kind = response.headers.get("content-type", "application/json")
        if response.is_success and "text/event-stream" in kind:
            return ModelAnswer(
                status=response.status_code, media_type=kind, lines=_lines(response),
                headers=_passed(response),
            )  # fmt: skip
        return await self._whole(response)

    async def models(self, headers: Mapping[str, str]) -> ModelAnswer:
        """Return the endpoint's list of models."""
        request = self._client.build_request(
            "GET", f"{self.url}/models", headers=self._headers(headers)
        )
        return await self._whole(await self._send(request))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        if self._key is not None:
            return {"Authorization": f"Bearer {self._key}"}
        sent = headers.get("authorization")
        return {"Authorization": sent} if self._pass_keys and sent else {}

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._client.send(request, stream=True)
        except httpx2.TimeoutException as error:
            raise ModelError(f"{self.url} sent nothing before the timeout") from error
        except httpx2.HTTPError as error:
            raise ModelError(f"the connection to {self.url} failed; is it running?") from error

    async def _whole(self, response: httpx2.Response) -> ModelAnswer:
        try:
            body = await response.aread()
        except httpx2.HTTPError as error:
            raise ModelError(f"{self.url} broke off within a reply") from error
        finally:
            await response.aclose()
        kind = response.headers.get("content-type", "application/json")
        return ModelAnswer(
            status=response.status_code, media_type=kind, body=body, headers=_passed(response)
        )


def _passed(response: httpx2.Response) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()
        if name.lower() in _PASSED_HEADERS or name.lower().startswith(_LIMITS)
    }


async def _lines(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """Yield the lines of a stream of events as they arrive.

    Not `aiter_lines`, which also splits at the line separators of Unicode, inside JSON. If the
    connection breaks, the stream just ends: whoever reads it sees no end of the reply.
    """
    pending = b""
    try:
        async for data in response.aiter_bytes():
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                yield line + b"\n"
        if pending:
            yield pending
    except httpx2.HTTPError as error:
        raise ModelError("the model's connection broke within a reply") from error
    finally:
        await response.aclose()
