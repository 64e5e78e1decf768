"""`python -m evals card`: run a card, compare two cards, measure the agreement of raters."""

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
    """The scale of measurement of ratings."""

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
    Path | None, typer.Option(help="Folder for the card, and for finished tasks; runs/NAME.")
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
    options = {"processes": processes, "ray": ray, "cache": cache, "fresh": fresh}
    try:
        _run(config, data or (), out, options, console)
    except MemkitError as error:
        stop(console, error)


def _run(
    file: Path, places: Sequence[str], out: Path | None, options: Mapping[str, Any],
    console: Console,
) -> None:  # fmt: skip
    """Run a card, write it, and show it."""
    from evals.card import build, config, progress, report, run
    from evals.stamp import stamp

    chosen = config.relocate(config.read(file), places)
    folder = out or Path("runs") / chosen.name
    with progress.bars(console) as watch:
        results = run.run(chosen, config.Run(folder=folder, **options), watch)
    result = build.build(chosen, results, stamp(arguments(), chosen.seed))
    paths = report.write(result, folder)
    report.show(result, Console(width=150))
    for path in paths.values():
        console.print(str(path), highlight=False)


def arguments() -> list[str]:
    """Return the arguments of this command, with file names in place of paths."""
    return [without_folders(argument) for argument in sys.argv[1:]]


def without_folders(argument: str) -> str:
    """Return a command's argument with the file's name in place of a path.

    >>> without_folders("locomo=/home/ann/locomo10.json")
    'locomo=locomo10.json'
    """
    head, equals, path = argument.partition("=")
    if equals and "/" not in head:
        return f"{head}={without_folders(path)}"
    return Path(argument).name


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="card.json of before.")],
    b: Annotated[Path, typer.Argument(help="card.json of after.")],
    *,
    thresholds: Annotated[
        Path | None, typer.Option(help="TOML file of pre-registered thresholds.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
) -> None:
    """Compare two cards on the same questions; exit code 1 if a threshold is missed."""
    from evals.card.audit import compare as comparing
    from evals.card.audit import thresholds as registered
    from evals.card.report import load

    console = Console(stderr=True)
    try:
        rules = registered.read(thresholds) if thresholds else None
        verdict = comparing.compare_cards(load(a), load(b), rules, seed=seed)
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
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
) -> None:
    """Print Krippendorff's alpha of raters or judges, with its interval."""
    from evals.stats import agreement as agreeing

    try:
        result = agreeing.agreement(agreeing.read(file), level.value, seed=seed)
    except MemkitError as error:
        stop(Console(stderr=True), error)
    typer.echo(json.dumps(asdict(result)))


@app.command()
def summary(
    card: Annotated[Path, typer.Argument(help="card.json of a run.")],
    out: Annotated[Path, typer.Argument(help="Where to write it without its records.")],
) -> None:
    """Write a card without its records: small enough for the repository."""
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
    """Print a stored card, and write its page again."""
    from evals.card import report

    try:
        stored = report.load(card)
        if page is not None:
            keep(page, report.page(stored))
    except MemkitError as error:
        stop(Console(stderr=True), error)
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


def stop(console: Console, error: MemkitError) -> NoReturn:
    """Print an error with its notes, and exit with code 2."""
    notes = (f"({note})" for note in getattr(error, "__notes__", ()))
    message = " ".join([f"evals: {error}", *notes])
    console.print(message, soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(2) from error
