"""rollback: undo what changed in a user's derived data after an event."""

from datetime import datetime
from typing import Annotated

import typer

from memkit.cli import output
from memkit.cli.options import DEFAULT_STORE, AsJson, StorePath, User, open_store, parse_time


def rollback(
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="EVENT|TIME",
            help="The last event to keep, by its number or hash in `audit log`, or an ISO-8601 "
            "time.",
            show_default=False,
        ),
    ],
    user: User = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would change.")
    ] = False,
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Undo what changed in thoughts, summaries and pruning after an event; turns stay.

    Turns remembered since wait for `think`. Roll back to the event before the rollback to undo it.
    Exit with 1 if nothing has changed since.
    """
    from dataclasses import asdict

    from memkit.govern.rollback import find_event
    from memkit.records import Scope

    with open_store(store) as backend:
        event = find_event(backend.events(), _parse_target(to))
        done = backend.rollback(Scope(user_id=user), event.seq, dry_run=dry_run)
    if not done.undone:
        output.end_with_nothing(f"nothing of {user} has changed since event {event.seq}")
    parts = ("thoughts", "summaries", "chunks")
    changed = ", ".join(f"{getattr(done, part):,} {part}" for part in parts)
    text = (
        f"{'would undo' if dry_run else 'undid'} {output.count_noun(done.undone, 'event')}: "
        f"{changed}; {output.count_noun(done.queued, 'turn')} queued for thinking"
    )
    output.print_result(asdict(done), text, as_json=json_)


def _parse_target(text: str) -> int | str | datetime:
    """Return a number, a hash or a time."""
    if text.isdigit():
        return int(text)
    return text if text.isalnum() else parse_time(text, "--to") or text
