"""Questions that take more than one card, or a table of their own: `python -m evals card NAME`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evals.bench import report
from evals.bench.result import Result, Table, stamp
from evals.card.command import (
    Cache,
    Fresh,
    Processes,
    RayAddress,
    app,
    arguments,
    keep,
    stop,
)
from evals.studies.filled import Options
from memkit.errors import InvalidInput, MemkitError

__all__ = ["app", "studies"]

studies = typer.Typer(help="Studies that are no card.", no_args_is_help=True, add_completion=False)

_Json = Annotated[Path | None, typer.Option("--json", help="Where to write the tables.")]


@app.command()
def hema(
    card: Annotated[Path, typer.Argument(help="card.json of a run of configs/hema.toml.")],
    *,
    json_file: _Json = None,
) -> None:
    """Print HEMA's tables, ours beside the paper's."""
    from evals.card.report import load
    from evals.studies import hema as study

    try:
        tables = study.tables(load(card))
    except MemkitError as error:
        stop(Console(stderr=True), error)
    _told("card hema", "HEMA's tables, ours beside the paper's", tables, json_file)


@app.command()
def minimal(
    cards: Annotated[list[Path], typer.Argument(help="card.json of several runs.")],
    *,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    json_file: _Json = None,
) -> None:
    """Print which scores put systems in the same order, so that one of them is enough."""
    from evals.card.report import load
    from evals.studies import redundancy

    try:
        tables = redundancy.tables([load(one) for one in cards], seed)
    except MemkitError as error:
        stop(Console(stderr=True), error)
    _told("card minimal", "which scores of a card say the same", tables, json_file)


@app.command()
def frontier(
    *,
    config: Annotated[Path, typer.Option(help="TOML file with a [model].")],
    data: Annotated[list[str] | None, typer.Option(help="NAME=PATH; repeatable.")] = None,
    budgets: Annotated[str, typer.Option(help="Tokens.")] = "128,256,512,1024,2048",
    out: Annotated[Path, typer.Option(help="Folder for what is done so far.")] = Path(
        "runs/frontier"
    ),
    processes: Processes = 1,
    ray: RayAddress = None,
    cache: Cache = None,
    fresh: Fresh = False,
    json_file: _Json = None,
) -> None:
    """Print replaying against reading the raw history, at the same number of tokens."""
    from evals.card import config as configs
    from evals.card import progress
    from evals.studies import frontier as study

    console = Console(stderr=True)
    try:
        chosen = configs.relocate(configs.read(config), data or ())
        how = configs.Run(folder=out, processes=processes, ray=ray, cache=cache, fresh=fresh)
        with progress.bars(console) as watch:
            found = study.run(chosen, how, _numbers(budgets), watch)
        tables = [study.table(found, chosen.ours, chosen.seed), study.targets(found, chosen.ours)]
    except MemkitError as error:
        stop(console, error)
    _told("card frontier", "replaying against reading, at equal tokens", tables, json_file)


def _numbers(budgets: str) -> list[int]:
    found = [int(one) for one in budgets.split(",") if one.strip().isdecimal()]
    if len(found) != budgets.count(",") + 1 or 0 in found:
        raise InvalidInput(f"--budgets {budgets!r} are not tokens, such as 128,256")
    return found


def _told(name: str, about: str, tables: Sequence[Table], json_file: Path | None) -> None:
    result = asdict(Result(name=name, about=about, settings={}, tables=tables))
    report.show(Console(width=150), result)
    if json_file is not None:
        kept = {**stamp(arguments(), 0), "results": [result]}
        try:
            keep(json_file, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        except MemkitError as error:
            stop(Console(stderr=True), error)


@studies.command()
def growth(
    *,
    sizes: Annotated[str, typer.Option(help="Turns.")] = "1000,10000",
    repeats: Annotated[int, typer.Option(help="Timed runs.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
    cache: Cache = None,
    json_file: _Json = None,
) -> None:
    """Print how many thoughts a fact has, and the cost of thinking, as a memory grows."""
    options = Options(
        sizes=tuple(int(size) for size in sizes.split(",")), repeats=repeats, seed=seed, cache=cache
    )
    _study("growth", options, json_file)


@studies.command()
def precision(
    data: Annotated[Path, typer.Argument(help="locomo10.json")],
    *,
    n: Annotated[int, typer.Option(help="Thoughts to judge.", min=1)] = 200,
    limit: Annotated[int | None, typer.Option(help="Conversations.", min=1)] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="A reader's verdicts: number -> [bool, reason].")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
    cache: Cache = None,
    json_file: _Json = None,
) -> None:
    """Print a sample of thoughts for a reader to judge, or the share that a reader judged right."""
    options = Options(data=[data], n=n, limit=limit, verdicts=verdicts, seed=seed, cache=cache)
    _study("precision", options, json_file)


def _study(name: str, options: Options, json_file: Path | None) -> None:
    """Run a study of thoughts, print its tables, and write them with its outcomes."""
    from importlib import import_module

    from memkit.embedders import MiniLM

    console = Console(stderr=True)
    try:
        with console.status(f"{name} …"):
            study = import_module(f"evals.studies.{name}").run(options, MiniLM())
    except MemkitError as error:
        stop(console, error)
    results = [asdict(result) for result in study.results]
    for result in results:
        report.show(Console(width=150), result)
    for line in study.aside:
        typer.echo(line)
    if json_file is not None:
        table = {
            **stamp(arguments(), options.seed), "results": results, "outcomes": study.outcomes
        }  # fmt: skip
        keep(json_file, json.dumps(table, indent=1, ensure_ascii=False) + "\n")
