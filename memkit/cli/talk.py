"""chat and demo: a language model with a memory."""

import io
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memkit.cli import show
from memkit.cli.options import (
    DEFAULT_STORE,
    AsJson,
    Embedder,
    StorePath,
    User,
    hush,
    memory_at,
    someone,
)
from memkit.errors import MemkitError

if TYPE_CHECKING:
    from memkit.chat import Chat


def chat(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Annotated[
        str, typer.Option(help="The conversation; one that exists is taken up again.")
    ] = "main",
    model: Annotated[
        str | None,
        typer.Option(
            help="A Hugging Face id or path. Left out: the bundled SmolLM2-135M-Instruct.",
            show_default=False,
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of a reply.")] = 256,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Talk with a model that remembers.

    /why shows what the last prompt was made of, /quit ends. Ctrl-C stops an answer.
    """
    from memkit.chat import Chat

    someone(user)
    hush(embedder, model)
    with memory_at(store, embedder, new=True, background=True) as memory:
        with show.working("loading the model"):
            chat = Chat(
                *_load(model), memory, user_id=user, session_id=session,
                max_new_tokens=max_tokens,
            )  # fmt: skip
        failed = _talk(chat, as_json=json_)
    if failed:
        raise typer.Exit(2)


def demo(
    *,
    dialogue: Annotated[
        list[Path] | None, typer.Option(help="A LoCoMo file; may be given again.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Where to keep the demo's memory. Left out: a temporary folder."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the synthetic dialogue.")] = 0,
    json_: AsJson = False,
) -> None:
    """Show what a memory is worth: ask a model about a dialogue far longer than its prompt."""
    from memkit.demo.run import run_demo

    hush()
    run_demo(dialogue=dialogue or [], store=store, seed=seed, as_json=json_)


def _load(model: str | None) -> tuple[Any, Any]:
    from memkit.models import bundled, loading

    return loading.load(model) if model else bundled.smollm2()


def _talk(chat: "Chat", *, as_json: bool) -> bool:
    """Answer line after line; return whether an answer failed."""
    failed = False
    for line in _lines(prompt="" if as_json or not sys.stdin.isatty() else "> "):
        if line == "/quit":
            break
        if line == "/why":
            _why(chat, as_json=as_json)
        elif line:
            try:
                _answer(chat, line, as_json=as_json)
            except MemkitError as error:  # this answer failed, the next one need not
                show.error(error)
                failed = True
    return failed


def _lines(prompt: str) -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if prompt:
        show.note("/why shows what the last prompt was made of, /quit ends, Ctrl-C stops an answer")
        with suppress(ImportError):
            import readline  # noqa: F401 - imported, it gives input() its line editing
    while True:
        try:
            line = input(prompt)
        except (EOFError, KeyboardInterrupt):
            return
        yield line.strip()


def _answer(chat: "Chat", question: str, *, as_json: bool) -> None:
    said: list[str] = []
    stopped = False
    try:
        # closed by hand, so that Ctrl-C stops the model at once wherever it strikes
        with closing(chat.stream(question)) as pieces:
            for piece in pieces:
                said.append(piece)
                if not as_json:
                    show.say(piece, end="")
    except KeyboardInterrupt:
        stopped = True
    if as_json:
        show.emit({"reply": "".join(said).strip(), "stopped": stopped} | _report(chat))
    else:
        show.say(" [stopped]" if stopped else "")


def _why(chat: "Chat", *, as_json: bool) -> None:
    report = chat.report
    if as_json:
        show.emit(_report(chat))
    elif report is None:
        show.say("nothing has been asked yet")
    else:
        if report.prompt.hits:
            show.hits(report.prompt.hits, explain=True)
        else:
            show.say("nothing was recalled")
        usage = report.usage
        show.say(
            f"prompt {usage.prompt_tokens} tokens, {usage.reused:.0%} reused, with "
            f"{report.prompt.history} messages of history; reply {usage.new_tokens} tokens, the "
            f"first after {usage.first_token_s:.1f} s, all after {usage.total_s:.1f} s"
        )


def _report(chat: "Chat") -> dict[str, object]:
    if chat.report is None:
        return {"usage": None, "history": 0, "hits": []}
    prompt = chat.report.prompt
    return {
        "usage": asdict(chat.report.usage),
        "history": prompt.history,
        "hits": [show.hit_record(hit) for hit in prompt.hits],
    }
