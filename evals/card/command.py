"""`python -m evals card`: run a card, compare two, ask whether raters agree."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from memkit.errors import InvalidInput, MemkitError

app = typer.Typer(help=__doc__, invoke_without_command=True, add_completion=False)


class Level(Enum):
    """What two ratings are compared by."""

    nominal = "nominal"
    ordinal = "ordinal"
    interval = "interval"


Processes = Annotated[int, typer.Option(help="Conversations done at once.", min=1)]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray", help='Of a cluster whose nodes see the same files; "local" starts one.'),
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder for vectors; ~/.cache/memkit/evals if left out.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do everything again.")]
_Out = Annotated[
    Path | None, typer.Option(help="Folder for the card, and for what is done so far; runs/NAME.")
]


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
    out: _Out = None,
    processes: Processes = 1,
    ray: RayAddress = None,
    cache: Cache = None,
    fresh: Fresh = False,
) -> None:
    """Score memories in every layer; run again, it goes on where it was interrupted."""
    if context.invoked_subcommand is not None:
        return
    console = Console(stderr=True)
    if config is None:
        console.print("evals: give --config FILE, such as evals/card/configs/small.toml")
        raise typer.Exit(2)
    how = {"processes": processes, "ray": ray, "cache": cache, "fresh": fresh}
    try:
        _run(config, data or (), out, how, console)
    except MemkitError as error:
        stop(console, error)


def _run(
    file: Path, places: Sequence[str], out: Path | None, how: Mapping[str, Any], console: Console
) -> None:
    """Run a card, write it, and show it."""
    from evals.bench.result import stamp
    from evals.card import build, config, report, run
    from evals.retrieval import progress
    from evals.retrieval.command import without_folders

    chosen = config.placed(config.read(file), places)
    folder = out or Path("runs") / chosen.name
    with progress.bars(console) as watch:
        done = run.run(chosen, config.Run(folder=folder, **how), watch)
    command = [without_folders(argument) for argument in sys.argv[1:]]
    made = build.build(chosen, done, stamp(command, chosen.seed))
    paths = report.write(made, folder)
    report.show(made, Console(width=150))
    for path in paths.values():
        console.print(str(path), highlight=False)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="card.json of before.")],
    b: Annotated[Path, typer.Argument(help="card.json of after.")],
    *,
    thresholds: Annotated[
        Path | None, typer.Option(help="TOML file of pre-registered thresholds.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
) -> None:
    """Compare two cards on the same questions; exit code 1 if a threshold is missed."""
    from evals.card.audit import compare as comparing
    from evals.card.audit import thresholds as registered
    from evals.card.report import load

    console = Console(stderr=True)
    try:
        given = registered.read(thresholds) if thresholds else None
        verdict = comparing.compare_cards(load(a), load(b), given, seed=seed)
    except MemkitError as error:
        stop(console, error)
    comparing.show(verdict, Console(width=150))
    if not verdict.checks and not verdict.differences:
        stop(
            console,
            InvalidInput(
                "the cards share no scored question; compare card.json of two runs of one data set"
            ),
        )
    if not verdict.passed:
        raise typer.Exit(1)


@app.command()
def agreement(
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines: item, rater, rating.")],
    *,
    level: Annotated[Level, typer.Option(help="How ratings compare.")] = Level.nominal,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
) -> None:
    """Print Krippendorff's alpha of raters or judges, with its interval."""
    from evals.stats import agreement as agreeing

    try:
        found = agreeing.agreement(agreeing.read(file), level.value, seed=seed)
    except MemkitError as error:
        stop(Console(stderr=True), error)
    typer.echo(json.dumps(asdict(found)))


@app.command()
def summary(
    card: Annotated[Path, typer.Argument(help="card.json of a run.")],
    out: Annotated[Path, typer.Argument(help="Where to write it without its records.")],
) -> None:
    """Write a card without a line per question: small enough to be kept with the code."""
    from evals.card.report import dumps, load

    try:
        keep(out, dumps(replace(load(card), records=())))
    except MemkitError as error:
        stop(Console(stderr=True), error)


@app.command()
def show(
    card: Annotated[Path, typer.Argument(help="card.json of a run, or its summary.")],
    *,
    page: Annotated[Path | None, typer.Option(help="Where to write the page too.")] = None,
) -> None:
    """Print a card that was kept, and write its page again."""
    from evals.card import report

    try:
        found = report.load(card)
        if page is not None:
            keep(page, report.page(found))
    except MemkitError as error:
        stop(Console(stderr=True), error)
    report.show(found, Console(width=150))


def keep(file: Path, text: str) -> None:
    """Write a text to a file.

    Raises:
        InvalidInput: it cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}; name another") from error


def stop(console: Console, error: MemkitError) -> NoReturn:
    """Say what is wrong and end with exit code 2."""
    told = " ".join([f"evals: {error}", *(f"({note})" for note in getattr(error, "__notes__", ()))])
    console.print(told, soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(2) from error
