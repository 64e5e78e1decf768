"""Headers of every response, errors as JSON, and the files of the page."""

from collections.abc import Callable, Coroutine
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from memkit.errors import InvalidInput, MemkitError, StoreError

# Nothing but the page's own files runs or loads, and no text becomes markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_STATUS = ((InvalidInput, 400), (StoreError, 503), (MemkitError, 500))


class PageRoute(APIRoute):
    """A route whose responses have the page's headers, and whose errors say what is wrong."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, wrapped."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except (MemkitError, HTTPException, RequestValidationError) as error:
                response = _error_response(error)
            response.headers.update(_HEADERS)
            return response

        return handle


def _error_response(error: Exception) -> Response:
    """Return `{"error": sentence}` with the status of an error."""
    if isinstance(error, RequestValidationError):
        problems = [
            f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}"
            for problem in error.errors()
        ]
        return JSONResponse({"error": "; ".join(problems)}, status_code=422)
    if isinstance(error, HTTPException):
        return JSONResponse(
            {"error": str(error.detail)}, status_code=error.status_code, headers=error.headers
        )
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return JSONResponse({"error": str(error)}, status_code=status)


@cache
def static_files() -> dict[str, bytes]:
    """Return the files of the page by name."""
    folder = files("memkit.server.page") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if _suffix(file.name)}


def static_file(name: str) -> Response:
    """Return a file of the page as a response."""
    return Response(static_files()[name], media_type=_TYPES[_suffix(name)])


def _suffix(name: str) -> str:
    """Return the suffix of a name, or an empty string for a file of another kind."""
    suffix = name.rpartition(".")[2]
    return suffix if suffix in _TYPES else ""
