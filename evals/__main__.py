"""`python -m evals bench`, `card`, `study`, `show`: measure, print, write the figures."""

import json
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evals import tables as report
from evals.bench import BENCHMARKS, Setup
from evals.card.command import Seed
from evals.card.command import app as card
from evals.stamp import stamp
from evals.studies.command import Json, studies

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.add_typer(card, name="card")
app.add_typer(studies, name="study")


@app.callback()
def evals() -> None:
    """Measure memkit from a checkout."""


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(BENCHMARKS))] = None,
    *,
    quick: Annotated[bool, typer.Option(help="Small sizes, for a test of the benchmark.")] = False,
    sizes: Annotated[str, typer.Option(help="Turns, such as 1000,10000.")] = "",
    seed: Seed = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Real text, for benchmarks that use it: locomo10.json, or (index) a .txt.",
        ),
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Print all ratios as one table; draw them in this file.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Run benchmarks, all of them if none is named; exit code 1 if a target was missed."""
    chosen = names or list(BENCHMARKS)
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        raise typer.BadParameter(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    turns = tuple(int(size) for size in sizes.split(",")) if sizes else None
    console = Console(stderr=True)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="memkit-bench-") as folder:
        setup = Setup(folder=Path(folder), quick=quick, sizes=turns, seed=seed, data=data)
        for name in chosen:
            with console.status(f"{name} …"):
                module, function = BENCHMARKS[name]
                run = getattr(import_module(f"evals.bench.{module}"), function)
                results.append(asdict(run(setup)))
            report.show(Console(width=150), results[-1])
    if chart is not None:
        from evals.bench.summary import draw, summarise

        report.show(Console(width=150), asdict(summarise(results)))
        draw(results, chart)
    if json_file is not None:
        table = {**stamp(sys.argv[1:], seed), "quick": quick, "results": results}
        json_file.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    claims = [claim for result in results for claim in result["claims"]]
    missed = [claim["what"] for claim in claims if claim["met"] is False]
    if missed and not quick:
        console.print(f"missed: {'; '.join(missed)}")
        raise typer.Exit(1)


@app.command()
def show(files: Annotated[list[Path], typer.Argument(help="Result files.")]) -> None:
    """Print result files as Markdown, for evals/LOG.md."""
    for file in files:
        table = json.loads(file.read_text())
        print(f"`{table['command']}`, {table['date']}, commit {table['commit'][:12]}\n")
        for result in table["results"]:
            print(report.markdown(result) + "\n")


_REPLACED = {  # commands of 0.4.0
    "retrieval": "card --config evals/card/configs/retrieval.toml",
    "thoughts": "card --config evals/card/configs/memorycode.toml (or updates.toml), study growth, "
    "study precision",
}
_ANY_ARGUMENTS = {"ignore_unknown_options": True, "allow_extra_args": True}


@app.command("retrieval", hidden=True, context_settings=_ANY_ARGUMENTS)
@app.command("thoughts", hidden=True, context_settings=_ANY_ARGUMENTS)
def replaced(context: typer.Context) -> None:
    """Say which card or study replaces the command of 0.4.0."""
    name = context.info_name or ""
    typer.echo(f"evals: {name} is now: python -m evals {_REPLACED[name]}", err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app(prog_name="python -m evals")
