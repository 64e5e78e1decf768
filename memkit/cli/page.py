"""page: one person's memory in a browser."""

import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from memkit.cli import output
from memkit.cli.options import Embedder, MaybeUser, open_memory
from memkit.errors import InvalidInput

if TYPE_CHECKING:
    from memkit.memory import Memory


def page(
    file: Annotated[str, typer.Argument(help="The memory: a file, or a store's URL.")],
    *,
    user: MaybeUser = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Default: any that is free.")] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Only print the address; open no browser.")
    ] = False,
    embedder: Embedder = None,
) -> None:
    """Show a person's memory in the browser: read, search, correct, forget, import, export.

    The page is served on this machine alone, until Ctrl+C. Its address has a random token; without
    it, nobody sees anything.
    """
    from memkit.server.page.local import serve

    def ready(address: str) -> None:
        output.print_text(address)
        if not no_open:
            webbrowser.open(address)

    with open_memory(file, embedder, background=True) as memory:
        serve(memory, _choose_user(memory, user), port=port, ready=ready)


def _choose_user(memory: "Memory", user: str | None) -> str:
    """Return the user that was named, or the only one there is."""
    users = memory.users()
    if user is not None:
        return user
    if len(users) != 1:
        names = ", ".join(map(repr, users[:10])) or "nobody yet"
        raise InvalidInput(f"say whose memory with --user; it has that of {names}")
    return users[0]
