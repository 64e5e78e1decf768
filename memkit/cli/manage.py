"""users, sessions, show, forget, backup: commands with which people look after their memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memkit.cli import output
from memkit.cli.deletion import (
    check_can_sign,
    confirm_deletion,
    count_parts,
    describe_purge,
    receipt_to_dict,
    select_turns,
)
from memkit.cli.files import open_target
from memkit.cli.ids import find_id, shorten_id
from memkit.cli.options import (
    DEFAULT_STORE,
    Agent,
    AsJson,
    Embedder,
    Session,
    StorePath,
    User,
    Where,
    Yes,
    open_memory,
    open_store,
    parse_time,
    parse_where,
)
from memkit.errors import InvalidInput
from memkit.text.sanitise import one_line

if TYPE_CHECKING:
    from memkit.protocols import Activity, Backend, ItemKind
    from memkit.records import Scope, Turn

_ITEMS: "tuple[ItemKind, ...]" = ("turn", "thought")


def users(store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """List the users of a memory, the one who said something last first.

    Exit with 1 if there are none.
    """
    with open_store(store) as backend:
        _print_activities("user_id", backend.users(), as_json=json_)


def sessions(
    user: User = "", store: StorePath = DEFAULT_STORE, agent: Agent = None, json_: AsJson = False
) -> None:
    """List a user's conversations, the latest first.

    Exit with 1 if there are none.
    """
    from memkit.records import Scope

    with open_store(store) as backend:
        activities = backend.sessions(Scope(user_id=user, agent_id=agent))
    _print_activities("session_id", activities, as_json=json_)


def _print_activities(key: str, activities: "Sequence[Activity]", *, as_json: bool) -> None:
    if as_json:
        for activity in activities:
            last = activity.last_said_at.isoformat()
            output.print_json({key: activity.id, "turns": activity.turns, "last_said_at": last})
    elif activities:
        rows = [
            [f"{item.turns:,}", f"{item.last_said_at:%Y-%m-%d}", item.id or "(no session)"]
            for item in activities
        ]
        output.print_table(["turns", "last", key.removesuffix("_id")], rows)
    if not activities:
        output.end_with_nothing("nothing found")


# ---- show


def show(
    item: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="A turn's or a thought's id, or its beginning. Default: list the newest turns.",
            show_default=False,
        ),
    ] = None,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    agent: Agent = None,
    last: Annotated[int, typer.Option(help="How many of the newest turns to list.")] = 20,
    json_: AsJson = False,
) -> None:
    """Print a turn or a thought in full, or list the newest turns with their ids.

    Exit with 1 if there are no turns.
    """
    from memkit.protocols import Window
    from memkit.records import Scope

    if last < 1:
        raise InvalidInput(f"--last must be at least 1, got {last}")
    with open_store(store) as backend:
        if item is None:
            scope = Scope(user_id=user, session_id=session, agent_id=agent)
            _print_turns(list(backend.turns(scope, Window(last=last))), user, as_json=json_)
            return
        kind, item_id = find_id(backend, user, item, kinds=_ITEMS)
        if kind == "turn":
            _show_turn(backend, Scope(user_id=user), item_id, as_json=json_)
        else:
            _show_thought(backend, Scope(user_id=user), item_id, as_json=json_)


def _print_turns(turns: "Sequence[Turn]", user: str, *, as_json: bool) -> None:
    from memkit.importers import to_line

    if as_json:
        for turn in turns:
            output.print_json(to_line(turn, user_id=user))
    elif turns:
        rows = [
            [shorten_id(turn.id or ""), f"{turn.said_at:%Y-%m-%d}", turn.speaker, turn.text]
            for turn in turns
        ]
        output.print_table(["id", "date", "speaker", "text"], rows)
    if not turns:
        output.end_with_nothing("nothing found")


def _show_turn(backend: "Backend", scope: "Scope", turn_id: str, *, as_json: bool) -> None:
    from memkit.importers import to_line
    from memkit.protocols import Window

    (turn,) = backend.turns(scope, Window(ids=[turn_id]))
    thoughts = [thought for thought in backend.thoughts(scope) if turn_id in thought.turn_ids]
    data = {"kind": "turn", **to_line(turn, user_id=scope.user_id)}
    data["thoughts"] = [output.thought_to_dict(thought) for thought in thoughts]
    facts = {
        "turn": turn_id,
        "said": f"{turn.said_at:%Y-%m-%d %H:%M %z} by {turn.speaker} ({turn.role})",
        "session": turn.session_id,
        "agent": turn.agent_id,
    }
    if as_json:
        output.print_json(data)
        return
    _print_facts(facts)
    output.print_text(turn.text)
    for thought in thoughts:
        output.print_text(f"  → thought {shorten_id(thought.id)}: {one_line(thought.text)}")


def _show_thought(backend: "Backend", scope: "Scope", thought_id: str, *, as_json: bool) -> None:
    from memkit.protocols import Window

    versions = backend.history(scope, thought_id)
    thought = next(version for version in versions if version.id == thought_id)
    turns = list(backend.turns(scope, Window(ids=thought.turn_ids)))
    if as_json:
        turn_lines = [{"id": turn.id, "role": turn.role, "text": turn.text} for turn in turns]
        data = {"kind": "thought", **output.thought_to_dict(thought), "turns": turn_lines}
        output.print_json(data)
        return
    until = f" until {thought.valid_to:%Y-%m-%d}" if thought.valid_to else ""
    _print_facts(
        {
            "thought": thought_id,
            "holds": f"since {thought.valid_from:%Y-%m-%d}{until}",
            "said by": thought.said_by,
            "in doubt": "; ".join(quote.text for quote in thought.later) or None,
            "replaced by": thought.closed_by,
        }
    )
    output.print_text(thought.text)
    for turn in turns:
        output.print_text(f"  ← turn {shorten_id(turn.id or '')}: {output.preview_turn(turn)}")


def _print_facts(facts: dict[str, str | None]) -> None:
    for name, value in facts.items():
        if value is not None:
            output.print_text(f"{name + ':':13}{one_line(value)}")


# ---- forget


def forget(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...",
            help="Turns to delete, by id or its beginning; a thought's id means all its turns.",
            show_default=False,
        ),
    ] = None,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    agent: Agent = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was said at this ISO-8601 time or later.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only what was said at this ISO-8601 time or earlier.")
    ] = None,
    query: Annotated[
        str | None, typer.Option(help="Only what this question recalls with relevance .5 or more.")
    ] = None,
    where: Where = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="All that the user ever said.")
    ] = False,
    receipt_file: Annotated[
        Path | None, typer.Option("--receipt", help="Write a signed receipt to this file.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    yes: Yes = False,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Delete turns with all that is derived from them. This cannot be undone.

    Name the turns by their ids, by --session, --agent, --since, --until, --query and --where, or by
    --everything. Exit with 1 if there are none, or if you do not confirm.
    """
    conditions: dict[str, Any] = {
        "session_id": session, "agent_id": agent, "query": query,
        "since": parse_time(since, "--since"), "until": parse_time(until, "--until"),
        "where": parse_where(where),
    }  # fmt: skip
    limited = any(value is not None for value in conditions.values())
    if [bool(ids), limited, everything].count(True) != 1:
        raise InvalidInput(
            "say what to forget in one way: ids, or any of --session, --agent, --since, --until, "
            "--query and --where, or --everything"
        )
    with open_memory(store, embedder) as memory:
        if receipt_file is not None:
            check_can_sign(memory)
        named = {"everything": True} if everything else conditions
        if ids:
            named = {"turn_ids": select_turns(memory, user, ids)}
        receipt = memory.forget(user_id=user, **named, dry_run=True)
        if not receipt.turn_ids:
            output.end_with_nothing(f"{user!r} has no such turns")
        if not dry_run:
            if not confirm_deletion(memory, receipt, yes=yes):
                raise typer.Exit(1)
            same = named if everything else {"turn_ids": receipt.turn_ids}
            receipt = memory.forget(user_id=user, **same, probe=receipt_file is not None)
            if receipt_file is not None:
                with open_target(receipt_file, store=Path(store)) as file:
                    file.write(memory.sign(receipt).encode() + b"\n")
    verb = "would delete" if dry_run else "deleted"
    text = f"{verb} {count_parts(receipt)}{'' if dry_run else describe_purge(receipt)}"
    output.print_result(receipt_to_dict(receipt), text, as_json=json_)


# ---- backup


def backup(
    file: Annotated[str, typer.Argument(help="The new file; nothing is ever replaced.")],
    *,
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Copy a whole memory into one file, also while other programs use it.

    Copying the file of an open memory by other means may lose its newest turns.
    """
    with output.spinner("copying"), open_store(store) as backend:
        backend.backup(file)
    size = Path(file).stat().st_size
    data = {"output": file, "bytes": size}
    output.print_result(data, f"wrote {file}, {size:,} bytes", as_json=json_)
