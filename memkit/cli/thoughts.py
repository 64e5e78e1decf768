"""thoughts, history, think: commands for what was concluded from turns."""

from typing import TYPE_CHECKING, Annotated

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
    parse_time,
    require_user,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memkit.records import Thought

HeldAt = Annotated[
    str | None, typer.Option("--as-of", help="What held at this ISO-8601 time. Default: now.")
]


def thoughts(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    as_of: HeldAt = None,
    json_: AsJson = False,
) -> None:
    """Print the thoughts that hold, in the order they were concluded.

    Exit with 1 if there are none.
    """
    from memkit.records import Scope

    scope = Scope(user_id=require_user(user), session_id=session)
    time = parse_time(as_of, "--as-of")
    with open_store(store) as backend:
        current = list(backend.thoughts(scope, time))
    _print_thoughts(current, as_json=json_)
    if not current:
        output.print_note("no thoughts; `memkit think` draws them from turns that wait")
        raise typer.Exit(1)


def history(
    thought: Annotated[str, typer.Argument(help="The thought's id.")],
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Print a thought with those it replaced and those that replaced it, oldest first."""
    from memkit.errors import InvalidInput
    from memkit.records import Scope

    scope = Scope(user_id=require_user(user))
    with open_store(store) as backend:
        versions = backend.history(scope, thought)
    if not versions:
        raise InvalidInput(
            f"{user!r} has no thought {thought!r}; see `memkit thoughts --user {user}`"
        )
    _print_thoughts(versions, as_json=json_)


def think(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    retry: Annotated[
        bool, typer.Option("--retry", help="Also try turns again that were given up.")
    ] = False,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Draw thoughts from a user's waiting turns now, and update the summaries."""
    require_user(user)
    disable_progress_bars(embedder)
    with output.spinner("thinking"), open_memory(store, embedder) as memory:
        before = memory.stats(user_id=user)
        memory.think(user_id=user, retry=retry)
        after = memory.stats(user_id=user)
    done = before["waiting_turns"] + before["parked_turns"]
    done -= after["waiting_turns"] + after["parked_turns"]
    if json_:
        output.print_json({"turns": done, "thoughts": after["thoughts"]})
    else:
        turns = output.count_noun(done, "turn")
        total = output.count_noun(after["thoughts"], "thought")
        output.print_text(f"thought about {turns}; {total} in all")


def _print_thoughts(thoughts: "Sequence[Thought]", *, as_json: bool) -> None:
    if as_json:
        for thought in thoughts:
            output.print_json(_to_dict(thought))
    elif thoughts:
        rows = [
            [
                f"{thought.valid_from:%Y-%m-%d}",
                f"{thought.valid_to:%Y-%m-%d}" if thought.valid_to else "",
                str(thought.support),
                thought.id,
                f"{thought.text} (may contradict another)" if thought.conflicts else thought.text,
            ]
            for thought in thoughts
        ]
        output.print_table(["since", "until", "said", "id", "thought"], rows)


def _to_dict(thought: "Thought") -> dict[str, object]:
    """Return a thought as a JSON object."""
    names = ("said_at", "repeated_at", "valid_from", "valid_to", "closed_at", "recorded_at")
    times = {name: getattr(thought, name) for name in names}
    return {
        "id": thought.id,
        "text": thought.text,
        "head": thought.head,
        "relation": thought.relation,
        "tail": thought.tail,
        "slot": thought.slot,
        "said_by": thought.said_by,
        "role": thought.role,
        "sources": [
            {"turn_id": source.turn_id, "start": source.start, "end": source.end}
            for source in thought.sources
        ],
        "support": thought.support,
        **{name: time and time.isoformat() for name, time in times.items()},
        "closed_by": thought.closed_by,
        "conflicts": list(thought.conflicts),
    }
