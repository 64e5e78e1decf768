"""import, export: conversations from and to files."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from memkit.cli import output
from memkit.cli.options import (
    DEFAULT_STORE,
    AsJson,
    Embedder,
    Session,
    StorePath,
    User,
    disable_progress_bars,
    open_memory,
    open_store,
    require_user,
)
from memkit.errors import InvalidInput

if TYPE_CHECKING:
    from memkit.importers import TurnSource


class Format(StrEnum):
    """Formats of an imported file."""

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
            help="jsonl: one turn per line, as `memkit export` writes them. locomo: a LoCoMo file.",
        ),
    ] = Format.auto,
    session: Annotated[
        str | None, typer.Option(help="The conversation of lines that do not name one (jsonl).")
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            help="Which conversation of a LoCoMo file, such as conv-26; required if it has several."
        ),
    ] = None,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Remember a file of conversations, 256 turns at a time.

    Importing a file again, also after an interruption, adds only the missing turns.
    """
    from memkit import importers

    require_user(user)
    disable_progress_bars(embedder)
    source = _source(file, format_, conversation, user, session)
    with open_memory(store, embedder, create=True) as memory:
        with output.progress_bar("importing") as progress:
            result = importers.import_turns(memory, source, user_id=user, progress=progress)
        with output.spinner("summarising"):
            memory._think_quietly(user)
    if json_:
        output.print_json({"read": result.read, "new": result.new})
    else:
        output.print_text(f"read {result.read} turns, {result.new} new")


def _source(
    file: Path, format_: Format, conversation: str | None, user: str, session: str | None
) -> "TurnSource":
    from memkit import importers

    kind = importers.guess_format(file) if format_ is Format.auto else format_
    if kind == "locomo":
        conversations = importers.read_locomo(file)
        return importers.locomo_source(importers.select_conversation(conversations, conversation))
    if conversation is not None:
        raise InvalidInput(
            f"--conversation {conversation} needs a LoCoMo file, and {file} is read as {kind}"
        )
    return importers.read_lines(file, user_id=user, session_id=session)


def export(
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    path: Annotated[
        Path | None,
        typer.Option("--output", help="A file to write. Default: stdout.", show_default=False),
    ] = None,
    json_: AsJson = False,
) -> None:
    """Write a user's turns as JSON lines, verbatim and in the order they were said."""
    from memkit.importers import to_line
    from memkit.protocols import Window
    from memkit.records import Scope

    scope = Scope(user_id=require_user(user), session_id=session)
    count = 0
    with open_store(store) as backend, _open_target(path) as target:
        for turn in backend.turns(scope, Window()):
            target.write(output.to_json(to_line(turn, user_id=user)).encode() + b"\n")
            count += 1
    if path is None:
        return
    if json_:
        output.print_json({"turns": count, "output": str(path)})
    else:
        output.print_text(f"wrote {count} turns to {path}")


@contextmanager
def _open_target(path: Path | None) -> Iterator[BinaryIO]:
    """Open the output; a file appears complete or not at all."""
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
