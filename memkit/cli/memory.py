"""add, recall, context, summary: commands that call one method of a memory."""

import io
import sys
from typing import Annotated, Literal

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
    parse_time,
    require_user,
)
from memkit.errors import InvalidInput

Question = Annotated[str, typer.Argument(help="What to look for.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Only what had been said by this ISO-8601 time."),
]


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
    role: Annotated[str, typer.Option(help="user, assistant, system or tool.")] = "user",
    name: Annotated[str | None, typer.Option(help="Who said it.")] = None,
    at: Annotated[
        str | None, typer.Option(help="When it was said, in ISO-8601. Default: now.")
    ] = None,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Remember what was said."""
    require_user(user)
    disable_progress_bars(embedder)
    time = parse_time(at, "--at")
    messages = [
        {"role": role, "content": _stdin() if text == "-" else text, "name": name}
        | ({} if time is None else {"timestamp": time})
        for text in texts
    ]
    with output.spinner("remembering"), open_memory(store, embedder, create=True) as memory:
        ids = memory.remember(messages, user_id=user, session_id=session)
        memory._think_quietly(user)
    if json_:
        output.print_json({"ids": ids})
    elif ids:
        output.print_text(f"remembered {output.count_noun(len(ids), 'turn')}: {', '.join(ids)}")
    else:
        output.print_text("nothing to remember: the text is empty, or a memory block")


def recall(
    question: Question,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    k: Annotated[int, typer.Option("-k", help="Most hits to print.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Show each signal's share.")] = False,
    as_of: AsOf = None,
    min_relevance: Annotated[
        str, typer.Option(help='Leave out hits below it: 0 to 1, or "auto".')
    ] = "0",
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Print what was said that is most relevant to a question, best first.

    Exit with 1 if nothing is found.
    """
    require_user(user)
    disable_progress_bars(embedder)
    time, threshold = parse_time(as_of, "--as-of"), _parse_relevance(min_relevance)
    with output.spinner("recalling"), open_memory(store, embedder) as memory:
        hits = memory.recall(
            question, user_id=user, k=k, session_id=session, as_of=time, min_relevance=threshold
        )
    if json_:
        for hit in hits:
            output.print_json(output.hit_to_dict(hit))
    elif hits:
        output.print_hits(hits, explain=explain)
    if not hits:
        output.print_note("nothing found")
        raise typer.Exit(1)


def _parse_relevance(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f'--min-relevance must be a number or "auto", got {text!r}') from error


def context(
    question: Question,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    budget: Annotated[int, typer.Option(help="Most tokens of the block.")] = 3500,
    as_of: AsOf = None,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Print the memory block for a question, within a token budget."""
    require_user(user)
    disable_progress_bars(embedder)
    time = parse_time(as_of, "--as-of")
    with output.spinner("recalling"), open_memory(store, embedder) as memory:
        block = memory.context(
            question, user_id=user, budget_tokens=budget, session_id=session, as_of=time
        )
    if json_:
        hits = [output.hit_to_dict(hit) for hit in block.hits]
        output.print_json({"text": block.text, "tokens": block.tokens, "hits": hits})
    elif block.text:
        output.print_text(block.text)
    else:
        output.print_note("nothing found that fits into the budget")


def summary(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Bring the Compact Memory up to date and print it, the summary of summaries first."""
    require_user(user)
    disable_progress_bars(embedder)
    with output.spinner("summarising"), open_memory(store, embedder) as memory:
        if user in memory.store.pending():
            memory.think(user_id=user)
        summaries = memory.summaries(user_id=user)
    for summary in summaries:
        if json_:
            output.print_json(
                {
                    "level": summary.level,
                    "text": summary.text,
                    "tokens": summary.tokens,
                    "through": summary.through,
                    "created_at": summary.created_at.isoformat(),
                }
            )
        else:
            output.print_text(
                f"{'Lately' if summary.level == 1 else 'Before that'}: {summary.text}"
            )
    if not summaries:
        output.print_note(f"no summary yet: {user!r} has no turns")


def _stdin() -> str:
    """Return all of stdin, without the final newline that a shell adds."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"stdin is not UTF-8 at byte {error.start + 1}") from error
