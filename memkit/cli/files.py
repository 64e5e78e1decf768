"""import and export: conversations in files."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from memkit.cli import show
from memkit.cli.options import (
    DEFAULT_STORE,
    AsJson,
    Embedder,
    Session,
    StorePath,
    User,
    hush,
    memory_at,
    someone,
    store_at,
)
from memkit.errors import InvalidInput

if TYPE_CHECKING:
    from memkit.importers import TurnSource


class Format(StrEnum):
    """What an imported file may be."""

    auto = "auto"
    jsonl = "jsonl"
    locomo = "locomo"


def import_(
    file: Annotated[Path, typer.Argument(help="The file to read.")],
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="jsonl: a turn a line, as `memkit export` writes them. locomo: a LoCoMo file.",
        ),
    ] = Format.auto,
    session: Annotated[
        str | None, typer.Option(help="The conversation of lines that name none (jsonl).")
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            help="Which conversation of a LoCoMo file, such as conv-26; needed if it has several."
        ),
    ] = None,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Remember a file of conversations, 256 turns at a time.

    The same file again, or after an interruption, adds only what is missing.
    """
    from memkit import importers

    someone(user)
    hush(embedder)
    source = _source(file, format_, conversation, user, session)
    with memory_at(store, embedder, new=True) as memory:
        with show.progress("importing") as progress:
            done = importers.import_turns(memory, source, user_id=user, progress=progress)
        with show.working("summarising"):
            memory._think_quietly(user)
    if json_:
        show.emit({"read": done.read, "new": done.new})
    else:
        show.say(f"read {done.read} turns, {done.new} new")


def _source(
    file: Path, format_: Format, conversation: str | None, user: str, session: str | None
) -> "TurnSource":
    from memkit import importers

    kind = importers.guess_format(file) if format_ is Format.auto else format_
    if kind == "locomo":
        chosen = importers.select_conversation(importers.read_locomo(file), conversation)
        return importers.locomo_source(chosen)
    if conversation is not None:
        raise InvalidInput("--conversation chooses from a LoCoMo file, and this is none")
    return importers.read_lines(file, user_id=user, session_id=session)


def export(
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    output: Annotated[
        Path | None, typer.Option(help="A file to write; left out: stdout.", show_default=False)
    ] = None,
    json_: AsJson = False,
) -> None:
    """Write a user's turns as JSON lines, verbatim and in the order they were said."""
    from memkit.importers import to_line
    from memkit.protocols import Window
    from memkit.records import Scope

    scope = Scope(user_id=someone(user), session_id=session)
    written = 0
    with store_at(store) as source, _target(output) as target:
        for turn in source.turns(scope, Window()):
            target.write(show.to_json(to_line(turn, user_id=user)).encode() + b"\n")
            written += 1
    if output is None:
        return
    if json_:
        show.emit({"turns": written, "output": str(output)})
    else:
        show.say(f"wrote {written} turns to {output}")


@contextmanager
def _target(path: Path | None) -> Iterator[BinaryIO]:
    """Open what to write to; a file stands there whole, or is left as it was."""
    if path is None:
        stdout = typer.get_binary_stream("stdout")
        yield stdout
        stdout.flush()
        return
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
