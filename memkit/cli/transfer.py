"""import and export: a memory as JSON lines, and conversations from files."""

import sys
from dataclasses import asdict
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from memkit.cli import output
from memkit.cli.files import open_target
from memkit.cli.options import (
    DEFAULT_STORE,
    Agent,
    AsJson,
    Embedder,
    MaybeUser,
    Origin,
    Privacy,
    PrivacyAction,
    Session,
    StorePath,
    Where,
    memory_exists,
    open_memory,
    open_store,
    parse_where,
)
from memkit.errors import InvalidInput, ScopeRequired
from memkit.text.sanitise import one_line, truncate

if TYPE_CHECKING:
    from memkit.importers import ImportCounts, TurnSource
    from memkit.records import Scope

Format = StrEnum(  # besides the first two, the names in `memkit.importers.FORMATS`
    "Format",
    [
        "auto",
        "export",
        "chatgpt",
        "claude",
        "whatsapp",
        "telegram",
        "letta",
        "mem0",
        "langchain",
        "langchain-sqlite",
        "openai-agents",
        "openai",
        "sillytavern",
        "locomo",
        "jsonl",
    ],
)
DateOrder = Literal["dmy", "mdy", "ymd"]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="A file with the passphrase. Default: asked for.",
        show_default=False,
    ),
]  # fmt: skip
_SHOWN_PROBLEMS = 20  # of an import; --json has more
_SHOWN_LOCATIONS = 200  # characters


def import_(
    file: Annotated[Path, typer.Argument(help="The file to read.")],
    *,
    user: MaybeUser = None,
    store: StorePath = DEFAULT_STORE,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="Whose file it is. auto: decided by its content. export: of `memkit export`. "
            "jsonl: one message per line.",
        ),
    ] = Format.auto,
    me: Annotated[
        str | None,
        typer.Option(
            "--me", help="Your name in the file, in a chat of several people.", show_default=False
        ),
    ] = None,
    date_order: Annotated[
        DateOrder | None,
        typer.Option(
            "--date-order",
            help="Day, month and year in a WhatsApp file. Default: decided from the whole file.",
            show_default=False,
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone",
            help="Of times without one, such as Europe/Oslo. Default: this machine's.",
            show_default=False,
        ),
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="The conversation of messages that do not name one.")
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            help="Which conversation of a LoCoMo file, such as conv-26; required if it has several."
        ),
    ] = None,
    new_versions: Annotated[
        bool,
        typer.Option(
            "--new-versions",
            help="Store a turn whose text was edited as a new one; the old one stays.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Store nothing; report what would be stored.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    origin: Origin = None,
    privacy: Privacy = "flag",
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Read an export, or remember a file of conversations; --user is required for the latter.

    Importing a file again, also after it has grown, adds only the missing turns. Messages that
    cannot be read, and turns whose text was edited, are named on stderr; the others are stored, and
    the exit code is 1.
    """
    from memkit.govern.portability import is_export

    if format_ is Format.export or (format_ is Format.auto and is_export(file)):
        if (
            any((me, date_order, timezone, session, conversation, new_versions, dry_run, origin))
            or privacy != "flag"
        ):
            raise InvalidInput(
                "an export is restored as it was: leave out --me, --date-order, --timezone, "
                "--session, --conversation, --new-versions, --dry-run, --origin and --privacy"
            )
        _import_export(file, user, store, embedder, passphrase_file, as_json=json_)
        return
    from memkit import importers

    options = importers.ReadOptions(
        user_id=_require(user), me=me, date_order=date_order, timezone=_find_timezone(timezone),
        session_id=session, conversation=conversation,
    )  # fmt: skip
    format_name = None if format_ is Format.auto else format_.value
    source = importers.read_file(file, options, format=format_name)
    _import_messages(
        store, options.user_id, embedder, source,
        new_versions=new_versions, dry_run=dry_run, origin=origin, privacy=privacy, as_json=json_,
    )  # fmt: skip


def _import_export(
    file: Path,
    user: str | None,
    store: str,
    embedder: str | None,
    passphrase_file: Path | None,
    *,
    as_json: bool,
) -> None:
    from memkit.govern.portability import import_from, is_encrypted

    passphrase = _passphrase(passphrase_file, confirm=False) if is_encrypted(file) else None
    with (
        open_memory(store, embedder, create=True) as memory,
        output.progress_bar("importing") as progress,
    ):
        report = import_from(
            memory.store, memory.embedder, file, user_id=user, passphrase=passphrase,
            progress=progress,
        )  # fmt: skip
    restored = output.count_noun(report.users, "user")
    thoughts = output.count_noun(report.thoughts, "thought")
    text = f"{report.turns} turns are new; restored {restored} with {thoughts}"
    output.print_result(asdict(report), text, as_json=as_json)
    _end_with_problems(report.problems, "line", len(report.problems))


def _import_messages(
    store: str,
    user: str,
    embedder: str | None,
    source: "TurnSource",
    *,
    new_versions: bool,
    dry_run: bool,
    origin: Literal["imported", "pasted"] | None,
    privacy: PrivacyAction,
    as_json: bool,
) -> None:
    from memkit import importers

    url = ":memory:" if dry_run and not memory_exists(store) else store
    with open_memory(url, embedder, create=True, privacy=privacy) as memory:
        with output.progress_bar("importing", in_bytes=source.position is not None) as progress:
            result = importers.import_turns(
                memory, source, user_id=user, progress=progress, new_versions=new_versions,
                origin=origin, dry_run=dry_run,
            )  # fmt: skip
        if not dry_run:
            with output.spinner("summarising"):
                memory._think_quietly(user)
    text = f"read {result.read} turns, {result.new} {'would be new' if dry_run else 'new'}"
    if result.empty:
        text += f"; left out {output.count_noun(result.empty, 'empty message')}"
    output.print_result(asdict(result) | {"format": source.format}, text, as_json=as_json)
    if not as_json:
        _print_left(result)
    _end_with_problems(result.problems, "turn", result.failed)


def _print_left(result: "ImportCounts") -> None:
    """Print on stderr what an import left out and why, and its remarks."""
    for left in result.left:
        first = truncate(one_line("; ".join(left.first)), _SHOWN_LOCATIONS)
        output.print_note(f"left out {left.count:,}: {left.reason} ({first})")
    for note in result.notes:
        output.print_note(one_line(note))


def _find_timezone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"no timezone {name!r}; name one such as Europe/Oslo or UTC") from error


def _end_with_problems(problems: tuple[str, ...], noun: str, count: int) -> None:
    if problems:
        for problem in problems[:_SHOWN_PROBLEMS]:
            output.print_note(one_line(problem))
        output.print_note(f"{output.count_noun(count, noun)} not stored")
        raise typer.Exit(1)


def _require(user: str | None) -> str:
    if not user:
        raise ScopeRequired("messages belong to a user, for example --user ann")
    return user


def export(
    *,
    user: MaybeUser = None,
    store: StorePath = DEFAULT_STORE,
    messages: Annotated[
        bool, typer.Option("--messages", help="Only the turns, as chat messages.")
    ] = False,
    session: Session = None,
    agent: Agent = None,
    where: Where = None,
    path: Annotated[
        Path | None,
        typer.Option(
            "--output", help="A file, pipe or device to write. Default: stdout.", show_default=False
        ),
    ] = None,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt it with a passphrase, in the format of age.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    json_: AsJson = False,
) -> None:
    """Write a memory, or one user's part of it, as JSON lines that `memkit import` restores.

    --messages writes only the verbatim turns, in the order they were said; --session, --agent and
    --where are about messages. Exit with 1 if there are none.
    """
    if messages or session or agent or where:
        if encrypt:
            raise InvalidInput("--encrypt is for whole exports: leave out --messages, --session, "
                               "--agent and --where")  # fmt: skip
        from memkit.records import Scope

        scope = Scope(user_id=_require(user), session_id=session, agent_id=agent)
        count = _export_messages(scope, store, parse_where(where), path)
        counts = {"turns": count}
    else:
        from memkit.govern.portability import export_to

        passphrase = _passphrase(passphrase_file, confirm=True) if encrypt else None
        with open_store(store) as backend:
            if all(user not in (None, activity.id) for activity in backend.users()):
                output.end_with_nothing("nothing found")
            with open_target(path, store=getattr(backend, "path", None)) as target:
                counts = asdict(export_to(backend, target, user_id=user, passphrase=passphrase))
    if path is not None:
        text = f"wrote {counts['turns']} turns to {path}"
        output.print_result(counts | {"output": str(path)}, text, as_json=json_)
    if not counts["turns"]:
        output.end_with_nothing("nothing found")


def _export_messages(
    scope: "Scope", store: str, where: dict[str, object] | None, path: Path | None
) -> int:
    """Write turns as messages, and return how many."""
    from memkit.filters import parse_filter
    from memkit.importers import to_line
    from memkit.protocols import Window

    count = 0
    with (
        open_store(store) as backend,
        open_target(path, store=getattr(backend, "path", None)) as target,
    ):
        turns = backend.turns(scope, Window())
        for turn in turns if where is None else parse_filter(where).select(turns):
            line = output.to_json(to_line(turn, user_id=scope.user_id))
            target.write(line.encode() + b"\n")
            count += 1
    return count


def _passphrase(path: Path | None, *, confirm: bool) -> str:
    """Return the passphrase in a file, or ask for it at a terminal."""
    if path is not None:
        try:
            passphrase = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path} cannot be read: {error}") from error
    elif sys.stdin.isatty():
        passphrase = str(
            typer.prompt("passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
        )
    else:
        raise InvalidInput("there is no terminal to ask for the passphrase; pass --passphrase-file")
    if not passphrase:
        raise InvalidInput("the passphrase is empty")
    return passphrase
