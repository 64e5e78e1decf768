"""The commands that need no language model; each calls a method of a memory or its store."""

import io
import sys
from enum import StrEnum
from typing import Annotated, Literal

import typer

from memkit.cli import output
from memkit.cli.ids import find_thought_id, shorten_id
from memkit.cli.options import (
    DEFAULT_STORE,
    Agent,
    AsJson,
    Embedder,
    MaybeUser,
    Origin,
    Privacy,
    Session,
    StorePath,
    Tag,
    User,
    Where,
    check_exists,
    disable_progress_bars,
    open_memory,
    open_store,
    parse_time,
    parse_where,
    read_key,
)
from memkit.errors import InvalidInput
from memkit.text.role_markers import escape_role_markers, known_markers
from memkit.text.sanitise import one_line

Question = Annotated[str, typer.Argument(help="What to look for.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="Only what had been said by this ISO-8601 time.")
]
HeldAt = Annotated[
    str | None, typer.Option("--as-of", help="What held at this ISO-8601 time. Default: now.")
]
Kind = StrEnum("Kind", ["turn", "thought"])
ThoughtId = Annotated[
    str, typer.Argument(metavar="THOUGHT", help="Its id, or the beginning of it.")
]


# ---- turns


def add(
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...", help="What was said, one turn per argument; - reads one from stdin."
        ),
    ],
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Annotated[str | None, typer.Option(help="The conversation it belongs to.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent it was said to.")] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", help="The turn's id: the same id and text again adds nothing."),
    ] = None,
    role: Annotated[str, typer.Option(help="user, assistant, system or tool.")] = "user",
    name: Annotated[str | None, typer.Option(help="Who said it.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A label for filters; may be repeated.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When it was said, in ISO-8601. Default: now.")
    ] = None,
    origin: Origin = None,
    privacy: Privacy = "flag",
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Remember what was said."""
    if id_ is not None and len(texts) > 1:
        raise InvalidInput(f"--id names one turn, got {len(texts)} texts")
    time = parse_time(at, "--at")
    messages = [
        {
            "role": role,
            "content": _stdin() if text == "-" else text,
            "name": name,
            "id": id_,
            "origin": origin,
            "tags": tag,
        }
        | ({} if time is None else {"timestamp": time})
        for text in texts
    ]
    with (
        output.spinner("remembering"),
        open_memory(store, embedder, create=True, privacy=privacy) as memory,
    ):
        ids = memory.remember(messages, user_id=user, session_id=session, agent_id=agent)
        memory._think_quietly(user)
    if not ids:
        output.end_with_nothing("nothing to remember: the text is a memory block")
    short_ids = ", ".join(map(shorten_id, ids))
    text = f"remembered {output.count_noun(len(ids), 'turn')}: {short_ids}"
    output.print_result({"ids": ids}, text, as_json=json_)


def _stdin() -> str:
    """Return all of stdin, without the final newline that a shell adds."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"stdin is not UTF-8 at byte {error.start + 1}") from error


def recall(
    question: Question,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    agent: Agent = None,
    kind: Annotated[
        Kind, typer.Option(help="turn: what was said. thought: what memkit concluded from it.")
    ] = Kind.turn,
    k: Annotated[int, typer.Option("-k", help="Most hits to print.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Show each signal's share.")] = False,
    as_of: AsOf = None,
    where: Where = None,
    tag: Tag = None,
    min_relevance: Annotated[
        str, typer.Option(help='Leave out hits below it: 0 to 1, or "auto".')
    ] = "0",
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Print what was said, or concluded, that is most relevant to a question, best first.

    Exit with 1 if nothing is found.
    """
    time, threshold = parse_time(as_of, "--as-of"), _parse_relevance(min_relevance)
    with output.spinner("recalling"), open_memory(store, embedder) as memory:
        hits = memory.recall(
            question, user_id=user, k=k, session_id=session, agent_id=agent, as_of=time,
            min_relevance=threshold, kind="thought" if kind is Kind.thought else "turn",
            where=parse_where(where, tag),
        )  # fmt: skip
    if json_:
        for hit in hits:
            output.print_json(output.hit_to_dict(hit))
    elif hits:
        output.print_hits(hits, explain=explain)
    if not hits:
        output.end_with_nothing("nothing found")


def _parse_relevance(text: str) -> float | Literal["auto"]:
    try:
        return "auto" if text == "auto" else float(text)
    except ValueError as error:
        raise InvalidInput(f'--min-relevance must be a number or "auto", got {text!r}') from error


def context(
    question: Question,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    agent: Agent = None,
    budget: Annotated[int, typer.Option(help="Most tokens of the block.")] = 3500,
    as_of: AsOf = None,
    where: Where = None,
    tag: Tag = None,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Print the memory block for a question, within a token budget.

    Exit with 1 if nothing is found.
    """
    time = parse_time(as_of, "--as-of")
    with output.spinner("recalling"), open_memory(store, embedder) as memory:
        block = memory.context(
            question, user_id=user, budget_tokens=budget, session_id=session, agent_id=agent,
            as_of=time, where=parse_where(where, tag),
        )  # fmt: skip
    if not block.text:
        output.end_with_nothing("nothing found that fits into the budget")
    hits = [output.hit_to_dict(hit) for hit in block.hits]
    data = {"text": block.text, "tokens": block.tokens, "hits": hits}
    output.print_result(data, block.text, as_json=json_)


def summary(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Bring the Compact Memory up to date and print it, the summary of summaries first.

    Exit with 1 if there is none.
    """
    with output.spinner("summarising"), open_memory(store, embedder) as memory:
        if user in memory.store.pending():
            memory.think(user_id=user)
        summaries = memory.summaries(user_id=user)
    for summary in summaries:
        names = ("level", "text", "tokens", "through")
        data = {name: getattr(summary, name) for name in names}
        data["text"] = escape_role_markers(summary.text, known_markers(labels=False))
        data["created_at"] = summary.created_at.isoformat()
        text = f"{'Lately' if summary.level == 1 else 'Before that'}: {data['text']}"
        output.print_result(data, text, as_json=json_)
    if not summaries:
        output.end_with_nothing(f"no summary yet: {user!r} has no turns")


# ---- thoughts


def thoughts(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    agent: Agent = None,
    as_of: HeldAt = None,
    doubted: Annotated[
        bool, typer.Option("--doubted", help="Only those that later words may have changed.")
    ] = False,
    json_: AsJson = False,
) -> None:
    """Print the thoughts that hold, in the order they were concluded.

    Exit with 1 if there are none.
    """
    from memkit.records import Scope

    time = parse_time(as_of, "--as-of")
    with open_store(store) as backend:
        scope = Scope(user_id=user, session_id=session, agent_id=agent)
        current = list(backend.thoughts(scope, time))
    if doubted:
        current = [thought for thought in current if thought.doubt]
    output.print_thoughts(current, as_json=json_)
    if not current:
        hint = "`memkit think` draws thoughts from turns that wait"
        output.end_with_nothing("no thought is in doubt" if doubted else f"no thoughts; {hint}")


def correct(
    thought: ThoughtId,
    text: Annotated[str, typer.Argument(help="What holds instead.")],
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Replace a thought by what you write; the old one stays in its history."""
    with output.spinner("remembering"), open_memory(store, embedder) as memory:
        thought_id = find_thought_id(memory.store, user, thought)
        corrected = memory.correct(thought_id, text, user_id=user)
    data = output.thought_to_dict(corrected)
    line = f"{shorten_id(corrected.id)} replaces {shorten_id(thought_id)}"
    output.print_result(data, line, as_json=json_)


def retract(
    thought: ThoughtId,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Mark a thought as wrong; its turns stay, and what it replaced holds again."""
    with open_memory(store, embedder) as memory:
        thought_id = find_thought_id(memory.store, user, thought)
        memory.retract(thought_id, user_id=user)
    line = f"retracted {shorten_id(thought_id)}"
    output.print_result({"retracted": thought_id}, line, as_json=json_)


def history(
    thought: ThoughtId,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    json_: AsJson = False,
) -> None:
    """Print a thought with those it replaced and those that replaced it, oldest first."""
    from memkit.records import Scope

    with open_store(store) as backend:
        thought_id = find_thought_id(backend, user, thought)
        versions = backend.history(Scope(user_id=user), thought_id)
    output.print_thoughts(versions, as_json=json_)


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
    with output.spinner("thinking"), open_memory(store, embedder) as memory:
        before = memory.stats(user_id=user)
        memory.think(user_id=user, retry=retry)
        after = memory.stats(user_id=user)
    done = sum(before[name] - after[name] for name in ("waiting_turns", "parked_turns"))
    total = after["thoughts"]
    turns, all_thoughts = output.count_noun(done, "turn"), output.count_noun(total, "thought")
    text = f"thought about {turns}; {all_thoughts} in all"
    output.print_result({"turns": done, "thoughts": total}, text, as_json=json_)


# ---- for operators


def stats(user: MaybeUser = None, store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """Count turns, chunks, summaries and users; bytes are those of the whole memory."""
    from memkit.records import Scope

    if user is not None:
        Scope(user_id=user)  # checks it
    with open_store(store) as backend:
        counts = backend.stats(user)
    if json_:
        output.print_json(counts)
    else:
        rows = [[name.replace("_", " "), f"{count:,}"] for name, count in counts.items()]
        output.print_table(["what", "number"], rows)


def reembed(
    store: StorePath = DEFAULT_STORE,
    embedder: Embedder = None,
    *,
    gate: Annotated[bool, typer.Option(help="Move only if as much is found as before.")] = True,
    json_: AsJson = False,
) -> None:
    """Move the whole memory to another embedder.

    The old vectors are used until the end; an interrupted run continues where it stopped.
    """
    import memkit
    from memkit import Settings, embedders

    disable_progress_bars(embedder)
    check_exists(store)
    target = embedders.resolve_embedder(embedder)
    with output.progress_bar("embedding") as progress:
        settings = Settings(gate=gate)
        count = memkit.reembed(store, target, progress, settings=settings, key=read_key())
    data = {"chunks": count, "embedder": str(target.fingerprint)}
    text = f"{count} chunks are now embedded with {target.fingerprint}"
    output.print_result(data, text, as_json=json_)


def doctor(store: StorePath = DEFAULT_STORE, json_: AsJson = False) -> None:
    """Check that rows, full text and vector indexes agree; exit with 1 if they do not."""
    with output.spinner("checking"), open_store(store) as backend:
        faults = backend.check()
    text = "\n".join(map(one_line, faults or ["all is well"]))
    output.print_result({"ok": not faults, "faults": faults}, text, as_json=json_)
    if faults:
        raise typer.Exit(1)
