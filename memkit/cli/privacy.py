"""privacy scan: which stored turns have secrets and personal data."""

from typing import TYPE_CHECKING

import typer

from memkit.cli import output
from memkit.cli.ids import shorten_id
from memkit.cli.options import DEFAULT_STORE, Agent, AsJson, Session, StorePath, User, open_store
from memkit.text.role_markers import speaker_label

if TYPE_CHECKING:
    from memkit.records import Turn

privacy = typer.Typer(help="Secrets and personal data in a memory.", no_args_is_help=True)


@privacy.command()
def scan(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    agent: Agent = None,
    json_: AsJson = False,
) -> None:
    """List the turns with secrets or personal data: kinds and positions, never the words.

    Searches all turns, also those stored before memkit flagged them. `memkit forget` deletes turns
    by id. Exit with 1 if there are none.
    """
    from memkit.govern.privacy import Privacy
    from memkit.protocols import Window
    from memkit.records import Scope

    policy = Privacy()
    found = []
    with open_store(store) as backend:
        for turn in backend.turns(
            Scope(user_id=user, session_id=session, agent_id=agent), Window()
        ):
            spans = [(span.kind, span.start, span.end) for span in policy.find(turn.text)]
            if spans or turn.flags:
                found.append((turn, spans))
    if json_:
        for turn, spans in found:
            output.print_json(_to_dict(turn, spans))
    elif found:
        output.print_table(
            ["date", "id", "speaker", "what and where"], [_to_row(*item) for item in found]
        )
    if not found:
        output.end_with_nothing("nothing found")


def _to_dict(turn: "Turn", spans: list[tuple[str, int, int]]) -> dict[str, object]:
    return {
        "id": turn.id,
        "flags": list(turn.flags),
        "spans": [{"kind": kind, "start": start, "end": end} for kind, start, end in spans],
    }


def _to_row(turn: "Turn", spans: list[tuple[str, int, int]]) -> list[str]:
    places = [f"{kind.replace('_', ' ')} at {start} to {end}" for kind, start, end in spans]
    elsewhere = sorted(set(turn.flags) - {kind for kind, _, _ in spans})
    places += [f"{kind.replace('_', ' ')} removed, or in name or metadata" for kind in elsewhere]
    date = f"{turn.said_at:%Y-%m-%d}"
    speaker = speaker_label(turn.name, turn.role)
    return [date, shorten_id(turn.id or ""), speaker, ", ".join(places)]
