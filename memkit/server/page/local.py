"""The page of one person on this machine alone: loopback, and a token in the URL."""

import secrets
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from starlette.middleware.trustedhost import TrustedHostMiddleware

from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.server.page.routes import routes

HOST = "127.0.0.1"


def local_app(memory: Memory, user_id: str, token: str) -> FastAPI:
    """Return an app with the page, for whoever sends `token` as a Bearer token.

    It answers only requests for a name of this machine: another site that makes its own name
    resolve to 127.0.0.1 (DNS rebinding) gets status 400.
    """

    def user_of(request: Request) -> str:
        sent = request.headers.get("authorization", "")
        if not secrets.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            raise HTTPException(
                401,
                "this page was opened without its token; use the address that `memkit page` prints",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return user_id

    app = FastAPI(title="memkit page", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(routes(memory, user_of))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return app


def serve(memory: Memory, user_id: str, *, port: int, ready: Callable[[str], object]) -> None:
    """Serve the page until the process is interrupted; call `ready` with its address.

    Port 0 means any that is free. Raises InvalidInput if the port is taken.
    """
    token = secrets.token_urlsafe(32)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()  # before `ready`: a browser may be faster than uvicorn
        except OSError as error:
            raise InvalidInput(
                f"port {port} cannot be used: {error.strerror}; pass another"
            ) from error
        config = uvicorn.Config(
            local_app(memory, user_id, token), log_level="warning", access_log=False,
            server_header=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        ready(f"http://{HOST}:{listener.getsockname()[1]}/#token={token}")
        uvicorn.Server(config).run(sockets=[listener])
