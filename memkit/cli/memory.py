"""add, recall, context, summary: a memory's own verbs."""

import io
import sys
from typing import Annotated, Literal

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
            metavar="TEXT...", help="What was said, each argument a turn; - reads one from stdin."
        ),
    ],
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Annotated[str | None, typer.Option(help="The conversation it belongs to.")] = None,
    role: Annotated[str, typer.Option(help="user, assistant, system or tool.")] = "user",
    name: Annotated[str | None, typer.Option(help="Who said it.")] = None,
    at: Annotated[str | None, typer.Option(help="When, in ISO-8601. Left out: now.")] = None,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Remember what was said."""
    someone(user)
    hush(embedder)
    time = moment(at, "--at")
    messages = [
        {"role": role, "content": _stdin() if text == "-" else text, "name": name}
        | ({} if time is None else {"timestamp": time})
        for text in texts
    ]
    with show.working("remembering"), memory_at(store, embedder, new=True) as memory:
        ids = memory.remember(messages, user_id=user, session_id=session)
        memory._think_quietly(user)
    if json_:
        show.emit({"ids": ids})
    else:
        show.say(f"remembered {_turns(len(ids))}: {', '.join(ids)}" if ids else "nothing to keep")


def recall(
    question: Question,
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Session = None,
    k: Annotated[int, typer.Option("-k", help="Most hits to print.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Show each arm's share.")] = False,
    as_of: AsOf = None,
    min_relevance: Annotated[
        str, typer.Option(help='Leave out hits below it: 0 to 1, or "auto".')
    ] = "0",
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Print what was said that is most relevant to a question, best first.

    Exits with 1 if nothing is found.
    """
    someone(user)
    hush(embedder)
    time, least = moment(as_of, "--as-of"), _relevance(min_relevance)
    with show.working("recalling"), memory_at(store, embedder) as memory:
        hits = memory.recall(
            question, user_id=user, k=k, session_id=session, as_of=time, min_relevance=least
        )
    if json_:
        for hit in hits:
            show.emit(show.hit_record(hit))
    elif hits:
        show.hits(hits, explain=explain)
    if not hits:
        show.note("nothing found")
        raise typer.Exit(1)


def _relevance(given: str) -> float | Literal["auto"]:
    if given == "auto":
        return "auto"
    try:
        return float(given)
    except ValueError as error:
        raise InvalidInput(f'--min-relevance must be a number or "auto", got {given!r}') from error


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
    """Print the block that memory puts in front of a question, within a token budget."""
    someone(user)
    hush(embedder)
    time = moment(as_of, "--as-of")
    with show.working("recalling"), memory_at(store, embedder) as memory:
        block = memory.context(
            question, user_id=user, budget_tokens=budget, session_id=session, as_of=time
        )
    if json_:
        hits = [show.hit_record(hit) for hit in block.hits]
        show.emit({"text": block.text, "tokens": block.tokens, "hits": hits})
    elif block.text:
        show.say(block.text)
    else:
        show.note("nothing found that fits into the budget")


def summary(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Bring the Compact Memory up to date and print it, the summary of summaries first."""
    someone(user)
    hush(embedder)
    with show.working("summarising"), memory_at(store, embedder) as memory:
        if user in memory.store.pending():
            memory.think(user_id=user)
        summaries = memory.summaries(user_id=user)
    for one in summaries:
        if json_:
            show.emit(
                {
                    "level": one.level,
                    "text": one.text,
                    "tokens": one.tokens,
                    "through": one.through,
                    "created_at": one.created_at.isoformat(),
                }
            )
        else:
            show.say(f"{'Lately' if one.level == 1 else 'Before that'}: {one.text}")
    if not summaries:
        show.note("no summary yet: nothing is remembered of this user")


def _turns(n: int) -> str:
    return "1 turn" if n == 1 else f"{n} turns"


def _stdin() -> str:
    """Return all of stdin, without the newline that a shell puts at its end."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"stdin is not UTF-8 at byte {error.start + 1}") from error
