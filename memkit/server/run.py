"""Run the server with uvicorn, on one address, until it is told to stop."""

import os
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from memkit.errors import InvalidInput, MissingExtra
from memkit.memory import Memory
from memkit.models.available import choose_model
from memkit.models.openai import OpenAIModel
from memkit.server.app import create_app
from memkit.server.backend import ChatBackend
from memkit.server.keys import KeyFile
from memkit.server.local import LocalModel
from memkit.server.settings import ServerSettings, check_exposure
from memkit.server.upstream import Upstream

if TYPE_CHECKING:
    from opentelemetry.trace import Span

UPSTREAM_KEY = "MEMKIT_UPSTREAM_KEY"  # the environment variable with the endpoint's key
_CONNECTIONS = 1000  # at most; more are answered with 503
_KEEP_ALIVE_S = 20


def make_backend(model: str | None, *, has_keys: bool, silence_s: float) -> ChatBackend | None:
    """Return the model that a URL, an id or a folder names; None for None.

    An endpoint gets the key in MEMKIT_UPSTREAM_KEY. Without it, and if this server has no keys of
    its own, it gets the key that the client sent.

    Raises:
        InvalidInput: the URL is no address, or names a model that has one.
        ModelError: there is no such model.
        MissingExtra: a package for the model is not installed.
    """
    if model is None:
        return None
    if "://" in model:
        key = os.environ.get(UPSTREAM_KEY)
        return Upstream(model, key=key, pass_keys=not has_keys, silence_s=silence_s)
    chosen = choose_model(model)
    if isinstance(chosen.model, OpenAIModel):
        raise InvalidInput(
            f"serve {model!r} by its address, so that tools and options reach it: --model "
            f"{chosen.model.endpoint}"
        )
    return LocalModel(chosen)


def serve(
    memory: Memory,
    backend: ChatBackend | None,
    *,
    host: str,
    port: int,
    keys: KeyFile | None,
    settings: ServerSettings,
    telemetry: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM. Running replies get `settings.shutdown_s` to end.

    Raises:
        InvalidInput: the address is open to other machines and there are no keys.
        MissingExtra: a package for `telemetry` is not installed.
    """
    check_exposure(host, has_keys=keys is not None)
    app = create_app(memory, backend, keys=keys, settings=settings)
    if telemetry:
        instrument(app)
    uvicorn.run(
        app, host=host, port=port, access_log=False, log_level="info", server_header=False,
        limit_concurrency=_CONNECTIONS, timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.shutdown_s), h11_max_incomplete_event_size=65_536,
    )  # fmt: skip


def instrument(app: FastAPI) -> None:
    """Send traces of requests to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.

    They have paths and times, and nothing of a query, which may name users.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise MissingExtra(f"traces need {error.name}: pip install 'memkit-llm[otel]'") from error
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # at the end uvicorn raises the signal that stopped it, so functions of `atexit` never run
    app.state.at_stop.append(provider.shutdown)
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls="healthz,readyz,metrics",
        exclude_spans=["receive", "send"], server_request_hook=_drop_query,
    )  # fmt: skip


def _drop_query(span: "Span", _: dict[str, Any]) -> None:
    """Keep the query of a request, which may name a user or what is looked for, out of its span."""
    attributes = getattr(span, "attributes", None) or {}  # a span that is not recorded has none
    for name, value in list(attributes.items()):
        if name == "url.query":
            span.set_attribute(name, "")
        elif isinstance(value, str) and value.startswith(("http", "/")):
            span.set_attribute(name, value.partition("?")[0])
