"""thoughts, history, think: what was concluded from what was said."""

from typing import TYPE_CHECKING, Annotated

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
    moment,
    someone,
    store_at,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memkit.records import Thought

HeldAt = Annotated[
    str | None, typer.Option("--as-of", help="What held at this ISO-8601 time. Left out: now.")
]


def thoughts(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    as_of: HeldAt = None,
    json_: AsJson = False,
) -> None:
    """Print what is believed to hold, in the order it was concluded.

    Exits with 1 if there is nothing.
    """
    from memkit.records import Scope

    scope, time = Scope(user_id=someone(user), session_id=session), moment(as_of, "--as-of")
    with store_at(store) as opened:
        found = list(opened.thoughts(scope, time))
    _print(found, as_json=json_)
    if not found:
        show.note("no thoughts: `memkit think` draws them from turns that wait")
        raise typer.Exit(1)


def history(
    thought: Annotated[str, typer.Argument(help="The thought's id.")],
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Print a thought with all that it replaced and that replaced it, oldest first."""
    from memkit.errors import InvalidInput
    from memkit.records import Scope

    scope = Scope(user_id=someone(user))
    with store_at(store) as opened:
        found = opened.history(scope, thought)
    if not found:
        raise InvalidInput(f"{user!r} has no thought {thought!r}; see `memkit thoughts --user …`")
    _print(found, as_json=json_)


def think(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what was given up, too.")
    ] = False,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Think about a user's waiting turns now, and bring the summaries up to date."""
    someone(user)
    hush(embedder)
    with show.working("thinking"), memory_at(store, embedder) as memory:
        before = memory.stats(user_id=user)
        memory.think(user_id=user, retry=retry)
        after = memory.stats(user_id=user)
    done = before["waiting_turns"] + before["parked_turns"]
    done -= after["waiting_turns"] + after["parked_turns"]
    if json_:
        show.emit({"turns": done, "thoughts": after["thoughts"]})
    else:
        show.say(f"thought about {_of(done, 'turn')}; {_of(after['thoughts'], 'thought')} in all")


def _of(n: int, what: str) -> str:
    return f"1 {what}" if n == 1 else f"{n:,} {what}s"


def _print(found: "Sequence[Thought]", *, as_json: bool) -> None:
    if as_json:
        for one in found:
            show.emit(_record(one))
    elif found:
        rows = [
            [
                f"{one.valid_from:%Y-%m-%d}",
                f"{one.valid_to:%Y-%m-%d}" if one.valid_to else "",
                str(one.support),
                one.id,
                f"{one.text} (may contradict another)" if one.conflicts else one.text,
            ]
            for one in found
        ]
        show.table(["since", "until", "said", "id", "thought"], rows)


def _record(thought: "Thought") -> dict[str, object]:
    """Return a thought as a JSON object."""
    times = ("said_at", "repeated_at", "valid_from", "valid_to", "closed_at", "recorded_at")
    known = {name: getattr(thought, name) for name in times}
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
            {"turn_id": one.turn_id, "start": one.start, "end": one.end} for one in thought.sources
        ],
        "support": thought.support,
        **{name: time and time.isoformat() for name, time in known.items()},
        "closed_by": thought.closed_by,
        "conflicts": list(thought.conflicts),
    }
