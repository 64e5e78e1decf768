"""Serve MCP over streamable HTTP: on this machine only, or with a bearer token."""

import hmac
import ipaddress
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from memkit.errors import InvalidInput
from memkit.server.mcp.server import MemoryServer

PATH, HEALTH = "/mcp", "/healthz"
_MIN_TOKEN = 16  # characters
_SHUTDOWN_S = 5  # seconds that open requests get


def read_token(file: Path) -> str:
    """Return the bearer token in a file.

    Raises:
        InvalidInput: the file cannot be read, or the token is short or has other characters than
            ASCII without spaces.
    """
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the token file {file} cannot be read: {error}") from error
    if len(token) < _MIN_TOKEN or not token.isprintable() or " " in token:
        raise InvalidInput(
            f"the token in {file} must have at least {_MIN_TOKEN} ASCII characters and no space; "
            "make one with `openssl rand -hex 32`"
        )
    return token


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Listener:
    """An address that listens, before anything is served on it."""

    def __init__(self, host: str, port: int, token: str | None) -> None:
        """Listen on `host`; port 0 is any free one.

        Raises:
            InvalidInput: other machines could reach it and there is no token, or it is in use.
        """
        if token is None and not is_loopback(host):
            raise InvalidInput(
                f"{host} can be reached from other machines, and whoever reaches it could read the "
                "memory; pass --token-file, or leave --host out"
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family)
        except OSError as error:
            raise InvalidInput(f"cannot listen on {host} port {port}: {error}") from error
        self._host, self._port, self._token = host, self._socket.getsockname()[1], token

    @property
    def url(self) -> str:
        """Where clients find the server."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{PATH}"

    def serve(self, server: MemoryServer) -> None:
        """Serve until SIGINT or SIGTERM; open requests then get 5 seconds."""
        config = uvicorn.Config(
            self._make_app(server), log_level="warning", access_log=False,
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )  # fmt: skip
        # uvicorn raises the signal again when it has shut down; by default that would end the
        # process before the memory is closed
        signal.signal(signal.SIGTERM, _end)
        uvicorn.Server(config).run(sockets=[self._socket])

    def _make_app(self, server: MemoryServer) -> Starlette:
        """Return the ASGI app; on a loopback address it checks Host and Origin of each request.

        A page in a browser can make a name of its own point to 127.0.0.1 (DNS rebinding), but it
        can change neither header. Elsewhere the token protects, which such a page does not know.
        """
        names = [f"{name}:{self._port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=is_loopback(self._host),
            allowed_hosts=names,
            allowed_origins=[f"http://{name}" for name in names],
        )
        server.custom_route(HEALTH, methods=["GET"])(_report_health)
        app = server.streamable_http_app(streamable_http_path=PATH, transport_security=security)
        if self._token is not None:
            app.add_middleware(BearerToken, token=self._token)
        return app


async def _report_health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


class BearerToken:
    """Answers 401 to requests without the token; `/healthz` needs none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it may."""
        if scope["type"] == "http" and scope["path"] != HEALTH:
            sent = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(sent, self._expected):
                message = {"error": "send the server's token: Authorization: Bearer TOKEN"}
                refusal = JSONResponse(message, 401, {"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _end(*_: object) -> None:
    sys.exit(0)
