"""Limits for every request, as ASGI middleware: the size of its body, and the time to send it."""

import asyncio
import json
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memkit.server.metrics import Metrics
from memkit.server.settings import ServerSettings


class _TooLarge(Exception):
    pass


class RequestLimits:
    """Answers 413 for a body that is too large and 408 for one that comes too slowly."""

    def __init__(self, app: ASGIApp, *, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body within the limits, then call the application with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._settings.upload_s):
                body = await self._read(scope, receive)
        except _TooLarge:
            limit = self._settings.max_body_bytes
            await self._refuse(send, 413, "body", f"the body has more than {limit} bytes")
        except TimeoutError:
            seconds = self._settings.upload_s
            await self._refuse(send, 408, "slow", f"the body took more than {seconds:g} s")
        else:
            if body is not None:
                await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body; None if the client has gone."""
        limit = self._settings.max_body_bytes
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > limit:
            raise _TooLarge
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > limit:
                raise _TooLarge
            if not message.get("more_body", False):
                return bytes(body)

    async def _refuse(self, send: Send, status: int, reason: str, text: str) -> None:
        self._metrics.rejected.labels(reason=reason).inc()
        content = json.dumps({"error": {"message": text, "type": "invalid_request_error"}})
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content.encode()})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, and then what the client does next."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return pending.pop() if pending else await receive()

    return next_message


class RequestMetrics:
    """Counts and times requests by the template of their route, so that no id becomes a label."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application and record what it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._metrics.running.track_inprogress():
                await self._app(scope, receive, record_status)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if route != "none" else "none"
            self._metrics.requests.labels(method=method, route=route, status=str(status)).inc()
            seconds = time.perf_counter() - started
            self._metrics.request_seconds.labels(route=route).observe(seconds)
