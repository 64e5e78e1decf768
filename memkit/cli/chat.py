"""chat, demo: commands that run a language model with a memory."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from memkit.cli import output
from memkit.cli.options import (
    DEFAULT_STORE,
    AsJson,
    Embedder,
    Privacy,
    StorePath,
    User,
    disable_progress_bars,
    open_memory,
)
from memkit.cli.slash import SlashCommands, is_command, report_to_dict, unescape_slash
from memkit.errors import MemkitError
from memkit.text.sanitise import one_line, truncate

if TYPE_CHECKING:
    from memkit.chat import Chat, Remember

Remembered = StrEnum("Remembered", ["both", "user", "none"])
_RECALLED = 70  # characters of the recalled turn that is shown after a reply


ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A folder, a Hugging Face id, ollama:NAME, openai:NAME (at OPENAI_BASE_URL), or "
        "smollm2. Default: a server of this machine if there is one, else the bundled smollm2.",
        show_default=False,
    ),
]


def chat(
    *,
    user: User = "",
    store: StorePath = DEFAULT_STORE,
    session: Annotated[
        str, typer.Option(help="The conversation; an existing one is continued.")
    ] = "main",
    model: ModelName = None,
    remember: Annotated[
        Remembered, typer.Option(help="Which side of the conversation is stored.")
    ] = Remembered.both,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Most tokens of a reply. Default: 256; 60 for the bundled model."),
    ] = None,
    privacy: Privacy = "flag",
    embedder: Embedder = None,
    json_: AsJson = False,
) -> None:
    """Talk with a model that remembers.

    A line that begins with a slash is a command and is not remembered: /help lists them. Ctrl-C
    stops a reply. Exit with 2 if a reply failed.
    """
    from memkit.chat import SYSTEM, Chat
    from memkit.models.available import choose_model

    disable_progress_bars(embedder, model)
    with open_memory(store, embedder, create=True, background=True, privacy=privacy) as memory:
        with output.spinner("loading the model"):
            chosen = choose_model(model)
            chat = Chat(
                chosen.model, None, memory, user_id=user, session_id=session,
                system=chosen.system or SYSTEM, remember=cast("Remember", remember.value),
                max_new_tokens=chosen.max_new_tokens if max_tokens is None else max_tokens,
            )  # fmt: skip
        output.print_note(f"model: {chosen.description}")  # before a message is sent
        failed = _run_chat(chat, chosen.stop, as_json=json_)
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
    model: ModelName = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic dialogue.")] = 0,
    json_: AsJson = False,
) -> None:
    """Ask a model about a dialogue far longer than its prompt, with and without a memory."""
    from memkit.demo.run import run_demo

    disable_progress_bars(model)
    run_demo(dialogue=dialogue or [], store=store, seed=seed, as_json=json_, model_name=model)


def _run_chat(chat: "Chat", stop: Sequence[str], *, as_json: bool) -> bool:
    """Answer each line of stdin, or run it as a command; return whether one of them failed."""
    interactive = sys.stdin.isatty() and not as_json
    commands = SlashCommands(chat, as_json=as_json, interactive=interactive)
    failed = False
    for line in _lines(prompt="> " if interactive else ""):
        try:
            if is_command(line):
                commands.run(line)
            elif line:
                _answer(chat, unescape_slash(line), stop, as_json=as_json)
        except MemkitError as error:  # the next line may succeed
            output.print_error(error)
            failed = True
        if commands.ended:
            break
    return failed


def _lines(prompt: str) -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if prompt:
        output.print_note("/help lists the commands, /quit ends the chat, Ctrl-C stops a reply")
        with suppress(ImportError):
            import readline  # noqa: F401 - its import gives input() line editing
    while True:
        try:
            line = input(prompt)
        except (EOFError, KeyboardInterrupt):
            return
        yield line.strip()


def _answer(chat: "Chat", question: str, stop: Sequence[str], *, as_json: bool) -> None:
    reply: list[str] = []
    wrapper = output.stream_wrapper(sys.stdout)
    stopped = False
    try:
        # closing the generator stops the model at once, wherever Ctrl-C interrupts this
        with closing(chat.stream(question, stop=stop)) as pieces:
            for piece in pieces:
                reply.append(piece)
                if not as_json:
                    output.print_text(wrapper.feed(output.strip_controls(piece)), end="")
    except KeyboardInterrupt:
        stopped = True
    if as_json:
        data = {"reply": "".join(reply).strip(), "stopped": stopped}
        output.print_json(data | report_to_dict(chat))
    else:
        output.print_text(wrapper.end() + (" [stopped]" if stopped else ""))
        _print_recalled(chat)


def _print_recalled(chat: "Chat") -> None:
    """Print memory's part of a reply on stderr: how much was recalled, and the best of it."""
    hits = chat.report.prompt.hits if chat.report else ()
    if hits:
        # an earlier question is often the most similar turn, and answers nothing
        best = max(hits, key=lambda hit: (not hit.text.rstrip().endswith("?"), hit.relevance))
        text = truncate(one_line(best.text), _RECALLED)
        quotes = output.count_noun(len(hits), "quote")
        output.print_note(
            f"  [memory: {quotes}, best {best.said_at:%Y-%m-%d} {best.speaker}: {text}; /why]"
        )
