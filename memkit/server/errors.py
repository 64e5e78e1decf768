"""Errors as HTTP answers: OpenAI's shape, a status that says what to do, and no internals."""

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from memkit.errors import (
    InvalidInput,
    MemkitError,
    ModelError,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreLocked,
    TurnConflict,
)

_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 422: "invalid_request_error", 429: "rate_limit_error",
}  # fmt: skip
# the first that fits
_STATUSES: tuple[tuple[type[MemkitError], int], ...] = (
    (TurnConflict, 409), (InvalidInput, 400), (ModelError, 502), (StoreFull, 507),
    (StoreLocked, 503), (StoreClosed, 503), (StoreError, 503),
)  # fmt: skip

_log = logging.getLogger("memkit.server")


def error_response(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error as OpenAI's clients and people read it."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    text = message.encode(errors="replace").decode()
    content = {"error": {"message": text, "type": kind, "param": None, "code": None}}
    return JSONResponse(content, status_code=status, headers=dict(headers or {}))


def status_of(error: MemkitError) -> int:
    """Return the HTTP status of one of memkit's errors."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def add_handlers(app: FastAPI) -> None:
    """Register how errors of an application are answered."""

    @app.exception_handler(MemkitError)
    def answer_memkit_error(_: Request, error: MemkitError) -> JSONResponse:
        status = status_of(error)
        return error_response(status, str(error), {"Retry-After": "1"} if status == 503 else {})

    @app.exception_handler(HTTPException)
    def answer_http_error(_: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    def answer_validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        # without the values, which may be private, or no valid text
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        ]
        return error_response(422, "; ".join(problems[:10]))

    @app.exception_handler(Exception)
    def answer_bug(_: Request, error: Exception) -> JSONResponse:
        _log.error("a request failed", exc_info=error)
        return error_response(500, "an internal error; see the server's log")
