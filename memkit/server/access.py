"""Who calls, and whose memory a request may name.

Every router but the one for probes has `Access.admit` as a dependency. What a key may not see is
answered in the same way whether it exists or not.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from memkit.errors import InvalidInput
from memkit.server.keys import KeyFile
from memkit.server.metrics import Metrics
from memkit.server.settings import ServerSettings, is_loopback

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_log = logging.getLogger("memkit.server")
_ANYBODY = "local"  # the id of callers of a server without keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a request's key allows."""

    id: str
    user: str | None = None  # the only user, or the default one
    prefix: str | None = None  # of the users that it may name; None: only `user`
    read_only: bool = False

    def resolve(self, user_id: str | None) -> str:
        """Return the user that a request means.

        Raises HTTPException: 403 for a user that the key may not name, 400 if none is named.
        """
        if user_id is None and self.user is not None:
            return self.user
        if user_id is None:
            raise HTTPException(
                400, 'name the user: "user" or "user_id" in the request, or start the server with '
                "--user",
            )  # fmt: skip
        allowed = user_id == self.user or (
            self.prefix is not None and user_id.startswith(self.prefix)
        )
        if not allowed:
            raise HTTPException(403, "this key is for other users")
        return user_id

    def require_write(self) -> None:
        """Raise 403 for a key that may only read."""
        if self.read_only:
            raise HTTPException(403, "this key may only read")


class Access:
    """Finds the caller of a request, and limits how many requests a caller runs at a time."""

    def __init__(self, keys: KeyFile | None, settings: ServerSettings, metrics: Metrics) -> None:
        self._keys, self._settings, self._metrics = keys, settings, metrics
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    def caller(self, request: Request) -> Caller:
        """Return who calls; raise 401 without a valid key."""
        if self._keys is None:
            _refuse_web_pages(request)
            return Caller(id=_ANYBODY, user=self._settings.user, prefix="")
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            key = self._keys.find(token.strip()) if kind.lower() == "bearer" and token else None
        except InvalidInput as error:  # the file is gone, damaged, or others may read it
            _log.error("no key is accepted: %s", error)
            raise HTTPException(503, "keys cannot be checked now; see the server's log") from error
        if key is None:
            raise HTTPException(
                401, "send a valid key: Authorization: Bearer mk_…",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        return Caller(id=key.id, user=key.user, prefix=key.prefix, read_only=key.read_only)

    @contextmanager
    def admit(self, request: Request) -> Iterator[Caller]:
        """Yield the caller while the request runs; raise 429 if too many of the caller's do."""
        caller = self.caller(request)
        with self._lock:
            admitted = self._running[caller.id] < self._settings.max_running
            self._running[caller.id] += admitted
        if not admitted:
            self._metrics.rejected.labels(reason="busy").inc()
            raise HTTPException(
                429, f"this key runs {self._settings.max_running} requests already",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        try:
            yield caller
        finally:
            with self._lock:
                self._running[caller.id] -= 1
                if not self._running[caller.id]:
                    del self._running[caller.id]

    def user_of(self, request: Request) -> str:
        """Return the user whose memory a page shows: the key's, or `?user_id=`.

        Raises HTTPException: 401, 403 (also for changes with a key that may only read), 422 or 400.
        """
        caller = self.caller(request)
        refuse_unknown_parameters(request, "user_id")
        if request.method not in _SAFE_METHODS:
            caller.require_write()
        return caller.resolve(request.query_params.get("user_id"))


def _refuse_web_pages(request: Request) -> None:
    """Keep pages of other sites out of a server that asks for no key.

    A browser sends a page's origin along, and the name under which the page reached this machine.
    """
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    except ValueError:  # such as "[": neither header names an address
        host, foreign = "", True
    if foreign or not is_loopback(host):
        raise HTTPException(
            403, "without keys only programs of this machine are served, at localhost or 127.0.0.1"
        )


def refuse_unknown_parameters(request: Request, *others: str) -> None:
    """Raise 422 for a query parameter that the route lacks: a misspelt one never widens a request.

    For example `DELETE /memories?user_id=ann&session_id=monday`, where the session is `run_id`.
    """
    dependant = request.scope["route"].dependant
    names = [*others, *(parameter.alias for parameter in dependant.query_params)]
    if set(request.query_params) - set(names):
        known = ", ".join(names) or "none"
        raise HTTPException(422, f"unknown query parameter; the parameters here are: {known}")
