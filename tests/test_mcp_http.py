"""The command `memkit mcp`: who is let in over HTTP, and how a server ends."""

import asyncio
import json
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import on_disk
import pytest
from command_line import Run, assert_error, run  # noqa: F401 - a fixture
from mcp_hosts import INSTALL, Client, call, command, http, stdio, with_client

pytest.importorskip("mcp", reason=INSTALL)

import httpx2
from mcp.client.streamable_http import streamable_http_client

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN = "correct-horse-battery-staple"
PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()


def post(url: str, **headers: str) -> int:
    """Send a request without the SDK; return the status."""
    accepted = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    sent = accepted | {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, PING if url.endswith("/mcp") else None, sent)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return file


def test_a_page_that_rebinds_its_name_or_has_another_origin_is_refused(tmp_path: Path) -> None:
    with http(tmp_path) as (url, _):
        assert post(url, Host="evil.example") == 421
        assert post(url, Host="127.0.0.1:1") == 421
        assert post(url, Origin="http://evil.example") == 403
        assert post(url, Origin=url.removesuffix("/mcp")) not in (401, 403, 421)


def test_without_the_token_nothing_is_answered_but_health(tmp_path: Path, token_file: Path) -> None:
    with http(tmp_path, "--token-file", str(token_file)) as (url, _):
        assert post(url) == 401
        assert post(url, Authorization="Bearer wrong-horse-battery-staple") == 401
        assert post(url, Authorization=f"Basic {TOKEN}") == 401
        assert post(url + "/other") == 401
        assert post(url, Authorization=f"Bearer {TOKEN}") != 401
        assert post(url.replace("/mcp", "/healthz")) == 200


def test_a_client_with_the_token_uses_the_memory(tmp_path: Path, token_file: Path) -> None:
    async def use(url: str) -> None:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as authorised,
            Client(streamable_http_client(url, http_client=authorised)) as client,
        ):
            await call(client, "add_memory", text="I live in Oslo.")
            assert len((await call(client, "list_memories"))["memories"]) == 1

    with http(tmp_path, "--token-file", str(token_file)) as (url, _):
        asyncio.run(use(url))


def test_a_server_that_is_killed_loses_no_memory_that_it_acknowledged(tmp_path: Path) -> None:
    async def add(client: Client) -> None:
        for n in range(5):
            await call(client, "add_memory", text=f"fact {n}")
        process.kill()
        process.wait(timeout=60)

    async def look(client: Client) -> None:
        texts = [item["text"] for item in (await call(client, "list_memories"))["memories"]]
        assert texts == [f"fact {n}" for n in range(4, -1, -1)]

    with http(tmp_path) as (url, process), suppress(Exception):  # of the broken connection
        with_client(url, add)
    with_client(stdio(tmp_path), look)
    with on_disk.memory(tmp_path / "ann.db") as memory:
        assert memory.doctor() == []


def test_sigterm_closes_the_memory_and_ends_without_an_error(tmp_path: Path) -> None:
    with http(tmp_path) as (url, process):
        with_client(url, lambda client: call(client, "add_memory", text="I live in Oslo."))
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert not (tmp_path / "ann.db-wal").exists()


def test_sigint_ends_a_server_whose_host_is_still_connected(tmp_path: Path) -> None:
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(command(), cwd=tmp_path, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(hello) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "memkit"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == -signal.SIGINT


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_are_refused_without_a_token(run: Run, host: str) -> None:  # noqa: F811
    result = run("mcp", "ann.db", "--user", "ann", "--http", "--host", host)
    assert_error(result, "pass --token-file")
    assert not Path("ann.db").exists()


@pytest.mark.parametrize("token", ["", "short", "with a space in the token", "ümlaut" * 9])
def test_a_token_that_is_weak_or_not_ascii_is_refused(run: Run, token: str) -> None:  # noqa: F811
    Path("token").write_text(token)
    result = run("mcp", "a.db", "--user", "ann", "--http", "--host", "::", "--token-file", "token")
    assert (result.code, result.out) == (2, "")
    assert "token" in result.err


def test_an_option_of_http_without_http_is_an_error(run: Run) -> None:  # noqa: F811
    assert_error(run("mcp", "a.db", "--user", "ann", "--port", "1"), "need --http")


def test_a_port_in_use_is_an_error(tmp_path: Path, run: Run) -> None:  # noqa: F811
    with http(tmp_path) as (url, _):
        port = url.split(":")[2].removesuffix("/mcp")
        result = run("mcp", "b.db", "--user", "ann", "--http", "--port", port)
    assert_error(result, f"cannot listen on 127.0.0.1 port {port}")


def test_without_the_extra_the_error_names_it(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memkit.cli.mcp.find_spec", lambda _: None)
    assert_error(run("mcp", "a.db", "--user", "ann"), "pip install 'memkit-llm[mcp]'")
