"""Hosts of the Model Context Protocol: `memkit mcp` as a process, and the official client."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

INSTALL = "pip install -c constraints.txt '.[mcp]'"
pytest.importorskip("mcp", reason=INSTALL)

from mcp import Client, StdioServerParameters  # noqa: E402
from mcp_types import CallToolResult, TextContent, TextResourceContents  # noqa: E402

# `memkit` with an embedder that needs no model. A text with "wait" is embedded when there is a file
# `go`; every text prints something where the protocol must not be disturbed.
_PROGRAM = """
import pathlib, time
import memkit.embedders
from memkit.testing import HashEmbedder

class SlowEmbedder(HashEmbedder):
    def embed(self, texts):
        print("embedding")
        if any("wait" in text for text in texts):
            pathlib.Path("waiting").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
        return super().embed(texts)

memkit.embedders.MiniLM = SlowEmbedder
from memkit.cli import main
main()
"""


def command(*arguments: str, user: str = "ann") -> list[str]:
    return [sys.executable, "-c", _PROGRAM, "mcp", "ann.db", "--user", user, *arguments]


def stdio(folder: Path, **options: str) -> StdioServerParameters:
    program, *arguments = command(**options)
    environment = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return StdioServerParameters(command=program, args=arguments, cwd=folder, env=environment)


@contextmanager
def http(folder: Path, *arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run a server on a free port; yield its URL and its process, and end it by SIGTERM."""
    process = subprocess.Popen(
        command("--http", "--port", "0", *arguments), cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        url = next((word.rstrip(";") for word in line.split() if word.startswith("http://")), "")
        assert url, line + process.stderr.read()
        yield url, process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@asynccontextmanager
async def connected(server: Any) -> AsyncIterator[Client]:
    async with Client(server, read_timeout_seconds=60) as client:
        yield client


def with_client(server: Any, use: Callable[[Client], Awaitable[None]]) -> None:
    """Connect to a server and use it."""

    async def run() -> None:
        async with connected(server) as client:
            await use(client)

    asyncio.run(run())


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool that must succeed; return its data."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return result.structured_content


async def fail(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must fail; return what the model reads."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    assert result.structured_content is None
    return text_of(result)


async def read(client: Client, name: str) -> str:
    (content,) = (await client.read_resource(f"memkit://{name}")).contents
    assert isinstance(content, TextResourceContents)
    return content.text
