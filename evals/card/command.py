"""`python -m evals card`: run a card, compare two cards, measure the agreement of raters."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from memkit.errors import InvalidInput, MemkitError

app = typer.Typer(help=__doc__, invoke_without_command=True, add_completion=False)


Watch = Callable[[str, int, int], None]  # as in `run`

Processes = Annotated[int, typer.Option(help="Conversations done at once.", min=1)]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray", help='Of a cluster whose nodes see the same files; "local" starts one.'),
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder for vectors; ~/.cache/memkit/evals if left out.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do everything again.")]
Seed = Annotated[int, typer.Option(help="Of all random draws.")]


@contextmanager
def errors(status: str = "") -> Iterator[Console]:
    """Yield a console on stderr, with the status on it; on an error of memkit, exit with code 2."""
    console = Console(stderr=True)
    try:
        with console.status(status) if status else nullcontext():
            yield console
    except MemkitError as error:
        notes = (f"({note})" for note in getattr(error, "__notes__", ()))
        message = " ".join([f"evals: {error}", *notes])
        console.print(message, soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(2) from error


@contextmanager
def progress_bars(console: Console) -> Iterator[Watch]:
    """Yield a callback for `run` that draws a bar for each stage, with the time left."""
    # transformers would draw its own bars between ours; worker processes inherit the setting
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        add_task = cache(partial(progress.add_task, total=None))

        def watch(stage: str, done: int, total: int) -> None:
            progress.update(add_task(stage), completed=done, total=total)

        yield watch


@app.callback()
def card(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None, typer.Option(help="TOML file: what is measured. See evals/card/configs.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH: where a data set's file is; repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the card, and for finished tasks; runs/NAME.")
    ] = None,
    processes: Processes = 1,
    ray: RayAddress = None,
    cache: Cache = None,
    fresh: Fresh = False,
) -> None:
    """Score memories in every layer; run again, it goes on where it was interrupted."""
    if context.invoked_subcommand is not None:
        return
    from evals.card import build, report, run
    from evals.card import config as configs
    from evals.stamp import stamp

    with errors() as console:
        if config is None:
            raise InvalidInput("give --config FILE, such as evals/card/configs/small.toml")
        chosen = configs.relocate(configs.read(config), data or ())
        folder = out or Path("runs") / chosen.name
        options = configs.Run(folder=folder, processes=processes, ray=ray, cache=cache, fresh=fresh)
        with progress_bars(console) as watch:
            results = run.run(chosen, options, watch)
        result = build.build(chosen, results, stamp(arguments(), chosen.seed))
        paths = report.write(result, folder)
        report.show(result, Console(width=150))
        for path in paths.values():
            console.print(str(path), highlight=False)


def arguments() -> list[str]:
    """Return the arguments of this command, with file names in place of paths."""
    # the folders in "/home/ann/locomo10.json" and in "locomo=/home/ann/locomo10.json"
    return [re.sub(r"[^=]*/(?=.)", "", argument) for argument in sys.argv[1:]]


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="card.json of before.")],
    b: Annotated[Path, typer.Argument(help="card.json of after.")],
    *,
    thresholds: Annotated[
        Path | None, typer.Option(help="TOML file of pre-registered thresholds.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Compare two cards on the same questions; exit code 1 if a threshold is missed."""
    from evals.card.audit import compare as comparing
    from evals.card.audit import thresholds as registered
    from evals.card.report import load

    with errors():
        rules = registered.read(thresholds) if thresholds else None
        verdict = comparing.compare_cards(load(a), load(b), rules, seed=seed)
        comparing.show(verdict, Console(width=150))
        if not verdict.checks and not verdict.differences:
            raise InvalidInput(
                "the cards share no scored question; compare card.json of two runs of one data set"
            )
    if not verdict.passed:
        raise typer.Exit(1)


@app.command()
def agreement(
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines: item, rater, rating.")],
    *,
    level: Annotated[
        Literal["nominal", "ordinal", "interval"], typer.Option(help="How ratings compare.")
    ] = "nominal",
    seed: Seed = 0,
) -> None:
    """Print Krippendorff's alpha of raters or judges, with its interval."""
    from evals.stats import agreement as agreeing

    with errors():
        result = agreeing.agreement(agreeing.read(file), level, seed=seed)
    typer.echo(json.dumps(asdict(result)))


@app.command()
def summary(
    card: Annotated[Path, typer.Argument(help="card.json of a run.")],
    out: Annotated[Path, typer.Argument(help="Where to write it without its records.")],
) -> None:
    """Write a card without its records: small enough for the repository."""
    from evals.card.report import dumps, load

    with errors():
        keep(out, dumps(replace(load(card), records=())))


@app.command()
def show(
    card: Annotated[Path, typer.Argument(help="card.json of a run, or its summary.")],
    *,
    page: Annotated[Path | None, typer.Option(help="Where to write the page too.")] = None,
) -> None:
    """Print a stored card, and write its page again."""
    from evals.card import report

    with errors():
        stored = report.load(card)
        if page is not None:
            keep(page, report.page(stored))
    report.show(stored, Console(width=150))


def keep(file: Path, text: str) -> None:
    """Write a text to a file.

    Raises:
        InvalidInput: the file cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}; name another") from error
