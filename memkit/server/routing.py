"""The dependencies of every route: the server's parts, and the caller, once let in."""

from collections.abc import AsyncIterator

from fastapi import HTTPException, Request

from memkit.server.access import Caller
from memkit.server.exchange import Services


async def find_services(request: Request) -> Services:
    """Return the parts of the server that got this request."""
    services: Services = request.app.state.services
    return services


async def admit(request: Request) -> AsyncIterator[Caller]:
    """Yield who calls while the request runs; raise 401 without a key, 429 for too many."""
    _refuse_unknown_parameters(request)
    with (await find_services(request)).access.admit(request) as caller:
        yield caller


def _refuse_unknown_parameters(request: Request) -> None:
    """Raise 422 for a query parameter that the route lacks: a misspelt one never widens a request.

    For example `DELETE /memories?user_id=ann&session_id=monday`, where the session is `run_id`.
    """
    dependant = request.scope["route"].dependant
    names = [parameter.alias for parameter in dependant.query_params]
    if set(request.query_params) - set(names):
        known = ", ".join(names) or "none"
        raise HTTPException(422, f"unknown query parameter; the parameters here are: {known}")
