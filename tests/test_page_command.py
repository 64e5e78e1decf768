"""`memkit page` as a process: where it listens, whom it answers, how it ends."""

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import memkit
from memkit.background.maintenance import Settings

pytest.importorskip("fastapi", reason="pip install 'memkit-llm[server]'")
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "m.db"
    settings = Settings(background=False)
    with memkit.open(path, embedder="static", settings=settings) as memory:
        memory.remember("I keep bees.", user_id="ann")
    return path


@contextmanager
def running(*arguments: str | Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start the command; yield the process and the address that it prints."""
    command = [
        sys.executable,
        "-c",
        "from memkit.cli import main; main()",
        "page",
        *map(str, arguments),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def status(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_printed_token_opens_the_memory_and_ctrl_c_ends_the_page(store: Path) -> None:
    with running(store, "--no-open", "--embedder", "static") as (process, address):
        base, token = address.split("/#token=")
        assert base.startswith("http://127.0.0.1:")
        assert len(token) > 30
        assert status(f"{base}/") == 200
        assert status(f"{base}/api/overview", token) == 200
        assert status(f"{base}/api/overview", "guess") == 401
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert process.returncode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in errors


def test_with_several_users_the_page_asks_whose_memory_it_is(store: Path) -> None:
    with memkit.open(store, embedder="static") as memory:
        memory.remember("I keep hens.", user_id="bob")
    with running(store, "--no-open", "--embedder", "static") as (process, address):
        _, errors = process.communicate(timeout=60)

    assert address == ""
    assert process.returncode == 2
    assert "--user" in errors
    assert "'ann'" in errors


def test_a_file_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    with running(tmp_path / "none.db") as (process, _):
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "there is no memory at" in errors
    assert list(tmp_path.iterdir()) == []
