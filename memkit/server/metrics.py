"""Prometheus metrics of a server. No label has a user, a session or a key."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "memkit_requests_total", "Requests that were answered",
            ["method", "route", "status"], registry=self.registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "memkit_request_seconds", "Seconds from a request to the end of its answer",
            ["route"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.running = Gauge(
            "memkit_requests_running", "Requests that run now", registry=self.registry
        )
        self.rejected = Counter(
            "memkit_requests_rejected_total", "Requests over a limit: body, busy, slow",
            ["reason"], registry=self.registry,
        )  # fmt: skip
        self.memory_seconds = Histogram(
            "memkit_memory_seconds", "Seconds that memory took of a chat request, by step",
            ["step"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.model_seconds = Histogram(
            "memkit_model_seconds", "Seconds that the model took of a chat request",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.memory_failures = Counter(
            "memkit_memory_failures_total", "Chat requests that went on without memory, by step",
            ["step"], registry=self.registry,
        )  # fmt: skip

    @contextmanager
    def time_memory(self, step: str) -> Iterator[None]:
        """Record how long a step of the memory takes, even if it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.memory_seconds.labels(step=step).observe(time.perf_counter() - started)
