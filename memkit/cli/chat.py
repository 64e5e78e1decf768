"""chat, demo: commands that run a language model with a memory."""

import io
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memkit.cli import output
from memkit.cli.options import (
    DEFAULT_STORE,
    AsJson,
    Embedder,
    StorePath,
    User,
    disable_progress_bars,
    open_memory,
)
from memkit.errors import MemkitError

if TYPE_CHECKING:
    from memkit.chat import Chat


def chat(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Annotated[
        str, typer.Option(help="The conversation; an existing one is continued.")
    ] = "main",
    model: Annotated[
        str | None,
        typer.Option(
            help="A Hugging Face id or path. Default: the bundled SmolLM2-135M-Instruct.",
            show_default=False,
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of a reply.")] = 256,
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Talk with a model that remembers.

    /why shows what went into the last prompt, /quit ends the chat, Ctrl-C stops a reply.
    """
    from memkit.chat import Chat
    from memkit.models import bundled, huggingface

    disable_progress_bars(embedder, model)
    with open_memory(store, embedder, create=True, background=True) as memory:
        with output.spinner("loading the model"):
            loaded = huggingface.load(model) if model else bundled.smollm2()
            chat = Chat(
                *loaded, memory, user_id=user, session_id=session, max_new_tokens=max_tokens
            )
        failed = _run_chat(chat, as_json=json_)
    if failed:
        raise typer.Exit(2)


def demo(
    *,
    dialogue: Annotated[
        list[Path] | None, typer.Option(help="A LoCoMo file; repeat the option for several.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder for the demo's memory. Default: a temporary one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic dialogue.")] = 0,
    json_: AsJson = False,
) -> None:
    """Ask a model about a dialogue far longer than its prompt, with and without a memory."""
    from memkit.demo.run import run_demo

    disable_progress_bars()
    run_demo(dialogue=dialogue or [], store=store, seed=seed, as_json=json_)


def _run_chat(chat: "Chat", *, as_json: bool) -> bool:
    """Answer each line of stdin; return whether a reply failed."""
    failed = False
    for line in _lines(prompt="" if as_json or not sys.stdin.isatty() else "> "):
        if line == "/quit":
            break
        if line == "/why":
            _print_report(chat, as_json=as_json)
        elif line:
            try:
                _answer(chat, line, as_json=as_json)
            except MemkitError as error:  # the next reply may succeed
                output.print_error(error)
                failed = True
    return failed


def _lines(prompt: str) -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if prompt:
        output.print_note(
            "/why shows what went into the last prompt, /quit ends the chat, Ctrl-C stops a reply"
        )
        with suppress(ImportError):
            import readline  # noqa: F401 - its import gives input() line editing
    while True:
        try:
            line = input(prompt)
        except (EOFError, KeyboardInterrupt):
            return
        yield line.strip()


def _answer(chat: "Chat", question: str, *, as_json: bool) -> None:
    reply: list[str] = []
    stopped = False
    try:
        # closing the generator stops the model at once, wherever Ctrl-C interrupts this
        with closing(chat.stream(question)) as pieces:
            for piece in pieces:
                reply.append(piece)
                if not as_json:
                    output.print_text(piece, end="")
    except KeyboardInterrupt:
        stopped = True
    if as_json:
        output.print_json({"reply": "".join(reply).strip(), "stopped": stopped} | _report(chat))
    else:
        output.print_text(" [stopped]" if stopped else "")


def _print_report(chat: "Chat", *, as_json: bool) -> None:
    report = chat.report
    if as_json:
        output.print_json(_report(chat))
    elif report is None:
        output.print_text("nothing has been asked yet")
    else:
        if report.prompt.hits:
            output.print_hits(report.prompt.hits, explain=True)
        else:
            output.print_text("nothing was recalled")
        usage = report.usage
        output.print_text(
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
        "hits": [output.hit_to_dict(hit) for hit in prompt.hits],
    }
