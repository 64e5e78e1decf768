"""Commands of the studies: `python -m evals card NAME` on cards, `python -m evals study NAME`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evals import tables as report
from evals.card.command import (
    Cache,
    Fresh,
    Processes,
    RayAddress,
    Seed,
    app,
    arguments,
    errors,
    keep,
    progress_bars,
)
from evals.stamp import stamp
from evals.tables import Result, StudyResult, Table
from memkit.errors import InvalidInput

studies = typer.Typer(help="Studies that are no card.", no_args_is_help=True, add_completion=False)

Json = Annotated[Path | None, typer.Option("--json", help="Where to write the results.")]


@app.command()
def hema(
    card: Annotated[Path, typer.Argument(help="card.json of a run of configs/hema.toml.")],
    *,
    json_file: Json = None,
) -> None:
    """Print HEMA's tables with our figures next to the paper's."""
    from evals.card.report import load
    from evals.studies import hema as study

    with errors():
        tables = study.tables(load(card))
        _print_tables("card hema", "HEMA's tables, ours and the paper's", tables, json_file)


@app.command()
def minimal(
    cards: Annotated[list[Path], typer.Argument(help="card.json of several runs.")],
    *,
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """Print which scores rank systems alike, so that one of them is enough."""
    from evals.card.report import load
    from evals.studies import redundancy

    with errors():
        tables = redundancy.tables([load(card) for card in cards], seed)
        _print_tables("card minimal", "redundant scores of a card", tables, json_file)


@app.command()
def frontier(
    *,
    config: Annotated[Path, typer.Option(help="TOML file with a [model].")],
    data: Annotated[list[str] | None, typer.Option(help="NAME=PATH; repeatable.")] = None,
    budgets: Annotated[str, typer.Option(help="Tokens.")] = "128,256,512,1024,2048",
    out: Annotated[Path, typer.Option(help="Folder of unfinished runs.")] = Path("runs/frontier"),
    processes: Processes = 1,
    ray: RayAddress = None,
    cache: Cache = None,
    fresh: Fresh = False,
    json_file: Json = None,
) -> None:
    """Print replay against reading of the raw history, at the same number of tokens."""
    from evals.card import config as configs
    from evals.studies import frontier as study

    with errors() as console:
        settings = configs.relocate(configs.read(config), data or ())
        options = configs.Run(folder=out, processes=processes, ray=ray, cache=cache, fresh=fresh)
        with progress_bars(console) as watch:
            records = study.run(settings, options, _numbers("--budgets", budgets), watch)
        tables = [
            study.table(records, settings.ours, settings.seed),
            study.targets(records, settings.ours),
        ]
        _print_tables("card frontier", "replay against reading, at equal tokens", tables, json_file)


@studies.command()
def growth(
    *,
    sizes: Annotated[str, typer.Option(help="Turns.")] = "1000,10000",
    repeats: Annotated[int, typer.Option(help="Timed runs.", min=1)] = 3,
    seed: Seed = 0,
    cache: Cache = None,
    json_file: Json = None,
) -> None:
    """Print how many thoughts a fact has, and the cost of thinking, as a memory grows."""
    from evals.studies import growth as study
    from memkit.embedders import MiniLM

    with errors("growth …"):
        turns = _numbers("--sizes", sizes)
        _print(study.run(MiniLM(), turns, repeats, seed=seed, cache=cache), seed, json_file)


@studies.command()
def precision(
    data: Annotated[Path, typer.Argument(help="locomo10.json")],
    *,
    n: Annotated[int, typer.Option(help="Thoughts to judge.", min=1)] = 200,
    limit: Annotated[int | None, typer.Option(help="Conversations.", min=1)] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="A reader's verdicts: number -> [bool, reason].")
    ] = None,
    seed: Seed = 0,
    cache: Cache = None,
    json_file: Json = None,
) -> None:
    """Print a sample of thoughts for a reader to judge, or the share that a reader judged right."""
    from evals.studies import precision as study
    from memkit.embedders import MiniLM

    with errors("precision …"):
        result = study.run(
            MiniLM(), data, n, limit=limit, verdict_file=verdicts, seed=seed, cache=cache
        )
        _print(result, seed, json_file)


@studies.command()
def months(
    data: Annotated[list[Path], typer.Argument(help="Marked months of talk.")],
    *,
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """Print what is believed, stale and doubted after months of talk."""
    from evals.studies import months as study

    with errors("months …"):
        _print(study.run(data, seed), seed, json_file)


@studies.command()
def holds(
    data: Annotated[list[Path], typer.Argument(help="Dialogues with what holds after them.")],
    *,
    baseline: Annotated[
        str | None, typer.Option(help="The Python of another version, to compare with.")
    ] = None,
    whole: Annotated[
        bool, typer.Option(help="Also the dialogues that the thinker was trained on.")
    ] = False,
    curve: Annotated[
        bool, typer.Option(help="Other thresholds of doubt, in place of ablations.")
    ] = False,
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """Print what is believed after people talk: facts, changes, stale facts, jokes."""
    from evals.studies import holds as study

    with errors("holds …"):
        _print(study.run(data, baseline, whole=whole, curve=curve, seed=seed), seed, json_file)


@studies.command()
def summary(
    data: Annotated[Path, typer.Argument(help="Folder of dialogues.")] = Path("training/life"),
    *,
    tuning: Annotated[
        bool, typer.Option(help="The tuning dialogues in place of the validation ones.")
    ] = False,
    seed: Seed = 0,
    json_file: Json = None,
) -> None:
    """Print how many of the most asked-about facts the Compact Memory holds."""
    from evals.studies import summary as study
    from memkit.embedders import MiniLM

    with errors("summary …"):
        result = study.run(data, MiniLM(), split="tuning" if tuning else "report", seed=seed)
        _print(result, seed, json_file)


def _numbers(option: str, text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    if len(numbers) != text.count(",") + 1 or 0 in numbers:
        raise InvalidInput(f"{option} {text!r} is no list of numbers; give one such as 128,256")
    return numbers


def _print_tables(name: str, about: str, tables: Sequence[Table], json_file: Path | None) -> None:
    result = Result(name=name, about=about, settings={}, tables=tables)
    _print(StudyResult(results=[result]), 0, json_file)


def _print(study: StudyResult, seed: int, json_file: Path | None) -> None:
    results = [asdict(result) for result in study.results]
    for result in results:
        report.show(Console(width=150), result)
    for line in study.aside:
        typer.echo(line)
    if json_file is not None:
        document = {**stamp(arguments(), seed), "results": results}
        if study.outcomes:
            document["outcomes"] = study.outcomes
        keep(json_file, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
