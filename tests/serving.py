"""The server and an endpoint behind it as processes of their own, and clients for them."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

httpx2 = pytest.importorskip("httpx2", reason="pip install 'memkit-llm[server]'")
pytest.importorskip("fastapi", reason="pip install 'memkit-llm[server]'")
pytest.importorskip("uvicorn", reason="pip install 'memkit-llm[server]'")
pytest.importorskip("prometheus_client", reason="pip install 'memkit-llm[server]'")

ROOT = Path(__file__).parent.parent
# `memkit` with an embedder that needs no model
PROGRAM = """
import memkit.embedders
from memkit.testing import HashEmbedder
memkit.embedders.MiniLM = HashEmbedder
{setup}
from memkit.cli import main
main()
"""
_START_S = 60


@dataclass
class Running:
    """A server that runs, and a client of its own."""

    url: str
    store: Path
    process: "subprocess.Popen[str]"
    log: list[str] = field(default_factory=list)
    transports: list[Any] = field(default_factory=list)  # to be closed

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def client(self, key: str | None = None, **options: Any) -> Any:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx2.Client(
            base_url=self.url, headers=headers, trust_env=False, timeout=30, **options
        )

    def transport(self) -> Any:
        import openai

        self.transports.append(openai.DefaultHttpxClient(trust_env=False))
        return self.transports[-1]

    def openai(self, key: str = "none", **options: Any) -> Any:
        import openai

        return openai.OpenAI(
            base_url=self.openai_url, api_key=key, max_retries=0, http_client=self.transport(),
            **options,
        )  # fmt: skip

    def texts(self, user_id: str, key: str | None = None) -> list[tuple[str, str]]:
        """Return role and text of all turns of a user."""
        with self.client(key) as client:
            page = client.get("/memories", params={"user_id": user_id, "limit": 500}).json()
        return [(item["role"], item["memory"]) for item in page["results"]]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MEMKIT_UPSTREAM_KEY"):
        own.pop(name, None)
    return {**own, "PYTHONPATH": f"{ROOT}:{ROOT / 'stores'}:{own.get('PYTHONPATH', '')}", **more}


@contextmanager
def serving(
    folder: Path, *arguments: str, setup: str = "", program: str = PROGRAM, **variables: str
) -> Iterator[Running]:
    """Run `memkit serve` for the block, and wait until it is ready."""
    port = free_port()
    store = folder / "served.db"
    command = [
        sys.executable, "-c", program.format(setup=setup), "serve", str(store), "--port",
        str(port), *arguments,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=folder, env=environment(**variables), text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    running = Running(f"http://127.0.0.1:{port}", store, process)
    reader = threading.Thread(target=_read_log, args=(process, running.log), daemon=True)
    reader.start()
    try:
        _wait_until_ready(running)
        yield running
    finally:
        for transport in running.transports:
            transport.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(timeout=5)
        assert process.stderr is not None
        process.stderr.close()


def _read_log(process: "subprocess.Popen[str]", log: list[str]) -> None:
    assert process.stderr is not None
    log.extend(iter(process.stderr.readline, ""))


def _wait_until_ready(running: Running) -> None:
    end = time.monotonic() + _START_S
    with running.client() as client:
        while time.monotonic() < end:
            if running.process.poll() is not None:
                time.sleep(0.2)
                pytest.fail("the server ended: " + "".join(running.log))
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
    pytest.fail("the server never became ready: " + "".join(running.log))


@dataclass
class Upstream:
    """An endpoint that answers as its models' names say."""

    url: str

    def asked(self) -> list[dict[str, Any]]:
        """Return the requests so far: bodies and headers."""
        with httpx2.Client(trust_env=False) as client:
            requests: list[dict[str, Any]] = client.get(self.url[:-3] + "/asked").json()["asked"]
            return requests


@contextmanager
def endpoint() -> Iterator[Upstream]:
    """Run an OpenAI-compatible endpoint for the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evals.bench.endpoint"], cwd=ROOT, env=environment(),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        yield Upstream(f"http://127.0.0.1:{int(lines.get(timeout=60))}/v1")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def make_key(path: Path, **options: Any) -> str:
    """Add a key to a file and return its secret."""
    from memkit.server.keys import add

    return add(path, **options)[1]


def events(response: Any) -> list[dict[str, Any]]:
    """Return the data of a stream of events, without its end."""
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]
