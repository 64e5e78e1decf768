"""The application: routes, limits, metrics, and what happens when it starts and stops."""

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Annotated

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool

from memkit.errors import MemkitError, StoreError
from memkit.memory import Memory
from memkit.server import chat, page, responses, rest, rest_derived
from memkit.server.access import Access, Caller
from memkit.server.backend import ChatBackend
from memkit.server.errors import add_handlers
from memkit.server.exchange import Services, finish_late
from memkit.server.keys import KeyFile
from memkit.server.limits import RequestLimits, RequestMetrics
from memkit.server.metrics import Metrics
from memkit.server.routing import admit, find_services
from memkit.server.settings import ServerSettings

UserOf = Callable[[Request], str]
# makes the router of a page from the memory and from what returns the user of a request, by which
# every route that shows a memory is checked
PageRoutes = Callable[[Memory, UserOf], APIRouter]
PAGES: Mapping[str, PageRoutes] = {"/memory": page.routes}  # by the path below which it is served

_THREADS_OF = 40  # other callers, besides the requests that one may run
_FLUSH_S = 10.0  # of thinking when the server stops; the rest waits for the next start

probes = APIRouter(tags=["Operations"])


def create_app(
    memory: Memory,
    backend: ChatBackend | None = None,
    *,
    keys: KeyFile | None = None,
    settings: ServerSettings | None = None,
) -> FastAPI:
    """Return the application for a memory, which it closes at its end, and a model.

    Without `keys` everybody who reaches the server may name any user: serve it on loopback only.
    """
    settings, metrics = settings or ServerSettings(), Metrics()
    access = Access(keys, settings, metrics)
    app = FastAPI(
        title="memkit", version=version("memkit-llm"), lifespan=_lifespan,
        description="An OpenAI-compatible server with a long-term memory, and REST for it.",
        docs_url=None, redoc_url=None,  # both load scripts from another server
    )  # fmt: skip
    app.state.services = Services(
        memory=memory, backend=backend, settings=settings, metrics=metrics, access=access
    )
    app.state.ready = False
    app.state.at_stop = []  # functions that are called when the server has answered everything
    for router in (chat.router, responses.router, rest.router, rest_derived.router, probes):
        app.include_router(router)
    for path, page_routes in PAGES.items():
        app.include_router(page_routes(memory, access.user_of), prefix=path)
    add_handlers(app)
    app.add_middleware(RequestLimits, settings=settings, metrics=metrics)
    app.add_middleware(RequestMetrics, metrics=metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    # one caller's requests alone cannot take all threads
    current_default_thread_limiter().total_tokens = _THREADS_OF + services.settings.max_running
    app.state.ready = True
    try:
        yield
    finally:
        app.state.ready = False
        if services.backend is not None:
            await services.backend.close()
        await finish_late(_FLUSH_S)
        await run_in_threadpool(_stop, services.memory)
        for call in app.state.at_stop:
            await run_in_threadpool(call)


def _stop(memory: Memory) -> None:
    """Do waiting work for a while, then close the memory; what is left waits in its queue."""
    stopping = threading.Event()
    thread = threading.Thread(target=_think, args=(memory, stopping), name="memkit-flush")
    thread.start()
    thread.join(_FLUSH_S)
    stopping.set()
    memory._maintenance.stop()  # after the batch of turns that is being thought about
    thread.join()
    memory.close()


def _think(memory: Memory, stopping: threading.Event) -> None:
    with suppress(StoreError):  # the next start finds the same queue
        for user_id in memory.store.pending():
            if stopping.is_set():
                return
            memory._think_quietly(user_id)


@probes.get("/healthz")
async def check_health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@probes.get("/readyz")
def check_readiness(
    request: Request, services: Annotated[Services, Depends(find_services)]
) -> JSONResponse:
    """Say whether the memory can be used; the model is not asked."""
    try:
        services.memory.checkpoint()
        ready = bool(request.app.state.ready)
    except MemkitError:
        ready = False
    status = "ready" if ready else "not ready"
    return JSONResponse({"status": status}, status_code=200 if ready else 503)


@probes.get("/metrics", response_model=None)
def read_metrics(
    caller: Annotated[Caller, Depends(admit)],  # noqa: ARG001 - any key may read them
    services: Annotated[Services, Depends(find_services)],
) -> Response:
    """Return Prometheus metrics; none has a user, a session or a key."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
