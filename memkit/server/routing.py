"""The dependencies of every route: the server's parts, and the caller, once let in."""

from collections.abc import Iterator

from fastapi import Request

from memkit.server.access import Caller
from memkit.server.exchange import Services


def find_services(request: Request) -> Services:
    """Return the parts of the server that got this request."""
    services: Services = request.app.state.services
    return services


def admit(request: Request) -> Iterator[Caller]:
    """Yield who calls while the request runs; raise 401 without a key, 429 for too many."""
    yield from find_services(request).access.admit(request)
