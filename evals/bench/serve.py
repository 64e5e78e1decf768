"""The server under load: what memory adds to a reply, next to the same endpoint without it.

Clients talk for a minute, every other request by way of `memkit serve`. The endpoint is a process
that writes words at the speed of a small model, so that the processor is left to the server.
"""

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np

from evals.bench import Setup, measure
from evals.data.synthetic.talk import small_talk
from evals.tables import Cell, Claim, Result, Table, Target

CLIENTS, USERS, SECONDS = 32, 8, 60.0
_MODEL = "tokens-48-60"  # 48 words, one every 60 ms: about three seconds
_HISTORY = 6  # messages that a client sends along
_TARGET = Target(bound="≤", value=1.15)
_COLUMNS = ("part", "n", "p50 ms", "p95 ms")
_ROOT = Path(__file__).parents[2]


@dataclass
class _Times:
    """What the clients measured, in seconds; and how many requests failed."""

    served: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True)
class _Load:
    """What the clients share."""

    server: str
    upstream: str
    model: str
    users: int
    end: float  # by the monotonic clock


@dataclass(frozen=True)
class _Usage:
    """What the server's process has used."""

    mb: float  # resident
    cpu_s: float


def run(setup: Setup) -> Result:
    """Let clients talk, and compare their replies' times."""
    clients, users, seconds = (4, 2, 2.0) if setup.quick else (CLIENTS, USERS, SECONDS)
    model = "tokens-4-5" if setup.quick else _MODEL
    with _endpoint() as upstream, _server(setup.folder, upstream) as server:
        times, start = _Times(), _usage(server)
        load = _Load(server, upstream, model, users, time.monotonic() + seconds)
        with ThreadPoolExecutor(clients) as pool:
            work = [pool.submit(_talk, times, load, n) for n in range(clients)]
            time.sleep(seconds / 2)
            halfway = _usage(server)
            for talking in work:
                talking.result()
        end = _usage(server)
        replies = max(len(times.served), 1)
        foreign = sum(_count_foreign(server, f"user{n}", users) for n in range(users))
    return Result(
        name="serve",
        about=f"{clients} clients of {users} users for {seconds:g} s, every other request direct",
        settings={"model": model, "replies by memkit": len(times.served),
                  "direct replies": len(times.direct)},
        claims=_claims(times, setup.seed),
        tables=[_table(times)],
        notes=[
            f"errors: {times.errors}; turns of another user in a memory: {foreign}",
            f"resident memory of the server: {start.mb:.0f} MB at the start, {halfway.mb:.0f} MB "
            f"halfway, {end.mb:.0f} MB at the end",
            f"processor time of the server: {1000 * (end.cpu_s - start.cpu_s) / replies:.0f} ms a "
            "reply, with the thinking in the background",
        ],
    )  # fmt: skip


def _claims(times: _Times, seed: int) -> list[Claim]:
    served, direct = np.array(times.served), np.array(times.direct)
    return [
        measure.time_claim(
            "a reply by way of memkit", served, direct, against="the endpoint alone",
            seed=seed, target=_TARGET,
        )
    ]  # fmt: skip


def _table(times: _Times) -> Table:
    parts = {
        "memory": times.memory, "model": times.model, "whole reply": times.served,
        "whole reply without memkit": times.direct,
    }  # fmt: skip
    rows: list[list[Cell]] = [
        [name, len(samples), *(measure.milliseconds(np.array(samples), p) for p in (50, 95))]
        for name, samples in parts.items()
        if samples
    ]
    return Table(title="time of a reply", columns=_COLUMNS, rows=rows)


def _talk(times: _Times, load: _Load, client: int) -> None:
    """Ask one question after another until the time is over, in turn by both ways."""
    user = f"user{client % load.users}"
    history: list[dict[str, str]] = []
    texts, direct = small_talk(random.Random(client)), 0.0
    with httpx2.Client(trust_env=False, timeout=60) as http:
        for n, text in enumerate(texts):
            if time.monotonic() > load.end:
                return
            history.append({"role": "user", "content": f"I am {user}. {text}"})
            body = {
                "model": load.model, "user": user, "messages": history[-_HISTORY:],
                "memory": {"session_id": f"client {client}"},
            }  # fmt: skip
            url = load.server if n % 2 else load.upstream
            started = time.perf_counter()
            answer = http.post(f"{url}/v1/chat/completions", json=body)
            took = time.perf_counter() - started
            if not answer.is_success or "x-memkit-warning" in answer.headers:
                times.errors += 1
            if n % 2:  # a pair is complete
                times.served.append(took)
                times.direct.append(direct)
                _read_timing(times, answer.headers.get("server-timing", ""))
            else:
                direct = took
            history.append({"role": "assistant", "content": "word0"})


def _read_timing(times: _Times, header: str) -> None:
    """Read "memory;dur=12.3, model;dur=456.7"."""
    parts = dict(re.findall(r"(\w+);dur=([\d.]+)", header))
    times.memory.append(float(parts.get("memory", "nan")) / 1000)
    times.model.append(float(parts.get("model", "nan")) / 1000)


def _count_foreign(server: str, user: str, users: int) -> int:
    params: dict[str, str | int] = {"user_id": user, "limit": 500}
    answer = httpx2.get(f"{server}/memories", params=params, trust_env=False)
    others = [f"I am user{n}." for n in range(users) if f"user{n}" != user]
    texts = [item["memory"] for item in answer.json()["results"]]
    return sum(any(other in text for other in others) for text in texts)


def _usage(server: str) -> _Usage:
    text = httpx2.get(f"{server}/metrics", trust_env=False, timeout=60).text
    values = dict(re.findall(r"^(process_\w+) (\S+)", text, re.MULTILINE))
    return _Usage(
        mb=float(values["process_resident_memory_bytes"]) / 1e6,
        cpu_s=float(values["process_cpu_seconds_total"]),
    )


# ---- processes


@contextmanager
def _endpoint() -> Iterator[str]:
    command = [sys.executable, "-m", "evals.bench.endpoint"]
    with _process(command, _ROOT, subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdout.close()


@contextmanager
def _server(folder: Path, upstream: str) -> Iterator[str]:
    port = str(20_000 + os.getpid() % 20_000)
    command = [
        sys.executable, "-c", "from memkit.cli import main; main()", "serve",
        str(folder / "served.db"), "--model", f"{upstream}/v1", "--port", port,
        "--max-running", "64",
    ]  # fmt: skip
    with _process(command, folder, subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        body = {"input": "loads the encoder"}
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}")
            try:
                httpx2.post(f"{url}/v1/embeddings", json=body, trust_env=False, timeout=60)
                break
            except httpx2.ConnectError:
                time.sleep(0.1)
        yield url


@contextmanager
def _process(
    command: list[str], folder: Path, stdout: int
) -> "Iterator[subprocess.Popen[str]]":  # fmt: skip
    path = os.pathsep.join([str(_ROOT), str(_ROOT / "stores"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, text=True, stdout=stdout,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()  # its memory is removed with the folder
        process.wait()
