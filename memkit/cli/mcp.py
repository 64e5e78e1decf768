"""mcp: give a memory to a host of the Model Context Protocol."""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from memkit.cli import output
from memkit.cli.options import Embedder, Privacy, User, open_memory
from memkit.errors import InvalidInput, MissingExtra

_PORT = 8765


def mcp(
    store: Annotated[
        str, typer.Argument(metavar="FILE", help="The memory; it is created if it does not exist.")
    ],
    *,
    user: User = "",
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP instead of stdin and stdout.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="With --http: the address to listen on. Default: 127.0.0.1.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help=f"With --http: 0 is any free port. Default: {_PORT}.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="With --http: a file with the bearer token that clients must send. Required if "
            "--host can be reached from other machines.",
            show_default=False,
        ),
    ] = None,
    privacy: Privacy = "flag",
    embedder: Embedder = None,
) -> None:
    """Serve one user's memory to an MCP host: Claude Desktop, an editor, an agent.

    The host starts this command itself and talks to it on stdin and stdout. Its configuration is
    {"mcpServers": {"memory": {"command": "memkit", "args": ["mcp", "/home/ann/memory.db", "--user",
    "ann"]}}}

    Tools: get_context, search_memories, add_memory, list_memories, get_memory, correct_memory,
    delete_memory, forget. Resources: memkit://summary, memkit://holds, memkit://doubts.
    """
    if not http and (host, port, token_file) != (None, None, None):
        raise InvalidInput("--host, --port and --token-file need --http")
    _check_installed()
    from memkit.server.mcp import make_server
    from memkit.server.mcp.http import Listener, read_token

    token = read_token(token_file) if token_file else None
    listener = (
        Listener(host or "127.0.0.1", _PORT if port is None else port, token) if http else None
    )
    path = os.path.expanduser(store)  # a host starts this without a shell
    with open_memory(path, embedder, create=True, background=True, privacy=privacy) as memory:
        server = make_server(memory, user)
        if listener is None:
            if sys.stdin.isatty():
                output.print_note("waiting for an MCP host on stdin; Ctrl-C ends it")
            # a thread that waits for stdin would otherwise hold the process; every call that was
            # answered is stored
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            server.run("stdio")
        else:
            output.print_note(f"serving the memory of {user!r} at {listener.url}; Ctrl-C ends it")
            listener.serve(server)


def _check_installed() -> None:
    if find_spec("mcp") is None:
        raise MissingExtra("memkit mcp needs mcp: pip install 'memkit-llm[mcp]'")
