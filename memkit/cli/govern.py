"""audit and verify-receipt: commands with which a third party checks a memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memkit.cli import output
from memkit.cli.files import open_target
from memkit.cli.options import DEFAULT_STORE, AsJson, MaybeUser, StorePath, open_store, parse_time
from memkit.errors import InvalidInput

if TYPE_CHECKING:
    from memkit.records import Event

audit = typer.Typer(help="Read and check the ledger: every change of a memory, without content.")

ReceiptPath = Annotated[Path, typer.Argument(metavar="FILE", help="A signed receipt.")]


def read_text(path: Path) -> str:
    """Return the text of a file. Raises InvalidInput."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error


@audit.command()
def verify(
    anchor: Annotated[
        Path | None, typer.Option(help="An anchor that the chain has to go through.")
    ] = None,
    *,
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Check the chain of the ledger: no event was changed, removed or moved.

    Only with an --anchor does it show whether the end was cut off. Exit with 1 if there are faults.
    """
    from memkit.govern.ledger import find_faults, parse_anchor

    expected = None if anchor is None else parse_anchor(read_text(anchor))
    with open_store(store) as backend:
        events = list(backend.events())
    faults = list(find_faults(events, expected))
    text = "\n".join(faults) or f"{output.count_noun(len(events), 'event')}, none was changed"
    output.print_result({"events": len(events), "faults": faults}, text, as_json=json_)
    if faults:
        raise typer.Exit(1)


@audit.command()
def log(
    *,
    user: MaybeUser = None,
    kind: Annotated[str | None, typer.Option(help="Only events of this kind.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this ISO-8601 time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Only up to this ISO-8601 time.")] = None,
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """List the events of the ledger, the oldest first. Exit with 1 if there are none."""
    from dataclasses import asdict
    from datetime import datetime

    from memkit.govern.ledger import digest

    start, end = parse_time(since, "--since"), parse_time(until, "--until")
    with open_store(store) as backend:
        names = {digest(backend.secret, item.id or ""): item.id for item in backend.users()}
        wanted_user = None if user is None else digest(backend.secret, user)
        events = [
            event
            for event in backend.events()
            if (wanted_user is None or event.user == wanted_user)
            and (kind is None or event.kind == kind)
            and (start is None or datetime.fromisoformat(event.at) >= start)
            and (end is None or datetime.fromisoformat(event.at) <= end)
        ]
    if json_:
        for event in events:
            output.print_json(asdict(event))
    elif events:
        columns = ["event", "time", "kind", "user", "source", "counts"]
        output.print_table(columns, [_to_row(event, names) for event in events])
    if not events:
        output.end_with_nothing("nothing found")


def _to_row(event: "Event", names: dict[str, Any]) -> list[str]:
    user = names.get(event.user) or event.user  # a digest where all of a user was forgotten
    return [str(event.seq), event.at[:19], event.kind, user, event.source, _show_counts(event)]


def _show_counts(event: "Event") -> str:
    """Return what an event counts; of a step that was probed, its scores before and after."""
    shown = {}
    for name, count in event.counts.items():
        score, _, when = name.rpartition(" ")
        if when not in ("before", "after"):
            shown[name] = f"{count:,} {name}"
        elif score in shown:
            shown[score] += f" → {count / 1000:.3f}"
        else:
            shown[score] = f"{score} {count / 1000:.3f}"
    return ", ".join(shown.values())


@audit.command()
def anchor(
    output_: Annotated[
        Path | None, typer.Option("--output", help="Write to this file. Default: stdout.")
    ] = None,
    *,
    store: StorePath = DEFAULT_STORE,
) -> None:
    """Write the end of the chain as JSON, to be kept elsewhere and given to `audit verify`."""
    with open_store(store) as backend:
        *_, last = backend.events()
    data = {"seq": last.seq, "at": last.at, "hash": last.hash}
    with open_target(output_, store=Path(store)) as file:
        file.write(output.to_json(data).encode() + b"\n")


def verify_receipt(
    file: ReceiptPath,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete what was forgotten and is stored again.")
    ] = False,
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Check the receipt of a deletion: signature, ledger, and that nothing of it is back.

    Exit with 1 if there are faults.
    """
    from memkit.govern import receipts
    from memkit.records import Scope

    document = receipts.parse(read_text(file))
    with open_store(store) as backend:
        if purge and (returned := receipts.find_returned(document, backend)):
            backend.forget(Scope(user_id=document["user_id"]), returned, source="verify-receipt")
            backend.vacuum()
            output.print_note(f"deleted {output.count_noun(len(returned), 'turn')} again")
        faults = receipts.verify(document, backend)
    text = "\n".join(faults) or "the receipt holds, and nothing that was forgotten is stored"
    output.print_result({"faults": faults}, text, as_json=json_)
    if faults:
        raise typer.Exit(1)
