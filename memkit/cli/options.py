"""What the commands' options share: their names, their help, and what their values mean."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memkit.errors import InvalidInput, ScopeRequired, StoreError

if TYPE_CHECKING:
    from memkit.memory import Memory
    from memkit.protocols import Backend

StorePath = Annotated[str, typer.Option("--store", help="The memory: a file, or a store's URL.")]
User = Annotated[str, typer.Option("--user", help="Whose memory. Required.", show_default=False)]
MaybeUser = Annotated[
    str | None, typer.Option("--user", help="Only this user's part.", show_default=False)
]
Session = Annotated[
    str | None, typer.Option("--session", help="Only this conversation.", show_default=False)
]
Embedder = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        help="A sentence-transformers id or path. Left out: the bundled all-MiniLM-L6-v2.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]

DEFAULT_STORE = "memkit.db"


def someone(user: str) -> str:
    """Return the user, or say that one must be named."""
    if not user:
        raise ScopeRequired("whose memory? name the user, for example --user ann")
    return user


def moment(text: str | None, option: str) -> datetime | None:
    """Read a time given as ISO-8601 with a timezone."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{option} {text!r} is no ISO-8601 time; write it like 2023-05-08T13:56:00Z"
        ) from error
    if time.utcoffset() is None:
        raise InvalidInput(f"{option} {text!r} has no timezone; write {time.isoformat()}Z for UTC")
    return time


def hush(*models: str | None) -> None:
    """Keep transformers from drawing bars, unless a model is named that it may have to download."""
    if not any(models):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@contextmanager
def memory_at(
    url: str, embedder: str | None, *, new: bool = False, background: bool = False
) -> Iterator["Memory"]:
    """Open a memory for the block; one that is not there is made only if it may be `new`."""
    from memkit import memory
    from memkit.background.maintenance import Settings

    if not new:
        _must_exist(url)
    settings = Settings(background=background)
    with memory.open(url, embedder=embedder, settings=settings) as opened:
        yield opened


@contextmanager
def store_at(url: str) -> Iterator["Backend"]:
    """Open a memory's store for the block, whichever embedder it was made with."""
    from memkit.memory import open_store

    _must_exist(url)
    store = open_store(url, None)
    try:
        yield store
    finally:
        store.close()


def _must_exist(url: str) -> None:
    path = url.removeprefix("sqlite:///")
    if path and "://" not in path and path != ":memory:" and not Path(path).exists():
        raise StoreError(f"there is no memory at {path}; give --store, or make one: memkit add")
