"""The dependencies of every route: the server's parts, and the caller, once let in."""

from collections.abc import AsyncIterator

from fastapi import Request

from memkit.server.access import Caller, refuse_unknown_parameters
from memkit.server.exchange import Services


async def find_services(request: Request) -> Services:
    """Return the parts of the server that got this request."""
    services: Services = request.app.state.services
    return services


async def admit(request: Request) -> AsyncIterator[Caller]:
    """Yield who calls while the request runs; raise 401, 429 or 422."""
    with (await find_services(request)).access.admit(request) as caller:
        refuse_unknown_parameters(request)
        yield caller
