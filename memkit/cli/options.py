"""Options that several commands share, and what the commands do with their values."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memkit.errors import InvalidInput, ScopeRequired, StoreError

if TYPE_CHECKING:
    from memkit.memory import Memory
    from memkit.protocols import Backend


def _require_user(user: str) -> str:
    if not user:
        raise ScopeRequired("this command needs a user, for example --user ann")
    return user


StorePath = Annotated[str, typer.Option("--store", help="The memory: a file, or a store's URL.")]
User = Annotated[
    str,
    typer.Option(
        "--user", help="Whose memory. Required.", show_default=False, callback=_require_user
    ),
]
MaybeUser = Annotated[
    str | None, typer.Option("--user", help="Only this user's part.", show_default=False)
]
Session = Annotated[
    str | None, typer.Option("--session", help="Only this conversation.", show_default=False)
]
Agent = Annotated[
    str | None, typer.Option("--agent", help="Only this agent's part.", show_default=False)
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY=VALUE|JSON",
        help="Only turns that match: a field or a key of the metadata and its value, or a filter "
        'as JSON, such as \'{"said_at": {"gte": "2027-01-01T00:00:00Z"}}\'.',
        show_default=False,
    ),
]
Tag = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only turns with this tag, or one of these.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Embedder = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        help='A sentence-transformers id or path, or "static". Default: the bundled '
        "all-MiniLM-L6-v2.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
PrivacyAction = Literal["off", "flag", "redact", "block"]
Privacy = Annotated[
    PrivacyAction,
    typer.Option(
        "--privacy",
        help="Secrets and personal data: off, flag (stored, and listed by `memkit privacy scan`), "
        "redact (a marker is stored instead), block (the message is rejected).",
    ),
]
Origin = Annotated[
    Literal["imported", "pasted"] | None,
    typer.Option(
        "--origin", help="Whose words they are, if not the speaker's.", show_default=False
    ),
]
DEFAULT_STORE = "memkit.db"


def parse_time(text: str | None, option: str) -> datetime | None:
    """Parse the value of an option as an ISO-8601 time with a timezone."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{option} {text!r} is not an ISO-8601 time; write it like 2023-05-08T13:56:00Z"
        ) from error
    if time.utcoffset() is None:
        raise InvalidInput(f"{option} {text!r} has no timezone; write {time.isoformat()}Z for UTC")
    return time


def _local_now() -> datetime:
    """Return the current time in the machine's timezone, so that "yesterday" is its owner's."""
    return datetime.now().astimezone()


def disable_progress_bars(*models: str | None) -> None:
    """Disable transformers' progress bars, unless a named model may have to be downloaded."""
    if not any(models):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def read_key() -> str | None:
    """Return the passphrase in the file that MEMKIT_KEY_FILE names; None: no encryption."""
    path = os.environ.get("MEMKIT_KEY_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"MEMKIT_KEY_FILE {path} cannot be read: {error}") from error


@contextmanager
def open_memory(
    url: str,
    embedder: str | None,
    *,
    create: bool = False,
    background: bool = False,
    privacy: PrivacyAction = "flag",
) -> Iterator["Memory"]:
    """Open a memory for the block; `create` it if it does not exist."""
    from memkit import entry
    from memkit.background.maintenance import Settings

    disable_progress_bars(embedder)
    if not create:
        check_exists(url)
    settings = Settings(background=background)
    with entry.open(
        url, embedder=embedder, settings=settings, privacy=privacy, key=read_key(), clock=_local_now
    ) as opened:
        yield opened


def parse_where(
    where: Sequence[str] | None, tags: Sequence[str] | None = None
) -> dict[str, object] | None:
    """Return the filter of the options --where and --tag; None if there are none."""
    parts = list(map(_parse_filter, where or ()))
    if tags:
        parts.append({"tag": list(tags)})
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {"AND": parts}


def _parse_filter(text: str) -> dict[str, object]:
    """Return the filter of KEY=VALUE or of a JSON object; a value that is JSON is read as such."""
    if text.lstrip().startswith("{"):
        try:
            where: dict[str, object] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"--where {text:.200} is not JSON: {error}") from error
        return where
    key, sign, value = text.partition("=")
    if not sign:
        raise InvalidInput(f"--where {text!r:.200} must be KEY=VALUE or a JSON object")
    try:
        return {key: json.loads(value)}
    except (ValueError, RecursionError):
        return {key: value}


@contextmanager
def open_store(url: str) -> Iterator["Backend"]:
    """Open a memory's store for the block, without its embedder."""
    from memkit import opening

    check_exists(url)
    store = opening.open_store(url, None, read_key())
    try:
        yield store
    finally:
        store.close()


def memory_exists(url: str) -> bool:
    """Return whether there is a file of a memory; a database server is taken to have one."""
    path = url.removeprefix("sqlite:///")
    return not path or "://" in path or path == ":memory:" or Path(path).exists()


def check_exists(url: str) -> None:
    """Raise StoreError if there is no file of a memory."""
    if not memory_exists(url):
        raise StoreError(
            f"there is no memory at {url.removeprefix('sqlite:///')}; pass its file as --store, or "
            "create one with `memkit add`"
        )
