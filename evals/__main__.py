"""`python -m evals bench`, `retrieval`, `thoughts`, `card`: measure, print, keep the figures."""

import json
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evals.bench import BENCHMARKS, Setup, report
from evals.bench.result import stamp
from evals.studies.command import app as card
from memkit.errors import MemkitError

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


_Cache = Annotated[
    Path | None, typer.Option(help="Folder for vectors; ~/.cache/memkit/evals if left out.")
]
_Json = Annotated[Path | None, typer.Option("--json", help="Where to write the results.")]


@app.callback()
def evals() -> None:
    """Measure memkit from a checkout."""


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(BENCHMARKS))] = None,
    *,
    quick: Annotated[bool, typer.Option(help="Small sizes, for a test of the benchmark.")] = False,
    sizes: Annotated[str, typer.Option(help="Turns, such as 1000,10000.")] = "",
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--dialogue",
            help="Real text, where taken: locomo10.json, or (index) lines of a .txt.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where to write the results.")
    ] = None,
) -> None:
    """Run benchmarks, all of them if none is named; exit code 1 if a target was missed."""
    chosen = names or list(BENCHMARKS)
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        raise typer.BadParameter(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    given = tuple(int(size) for size in sizes.split(",")) if sizes else None
    console = Console(stderr=True)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="memkit-bench-") as folder:
        setup = Setup(folder=Path(folder), quick=quick, sizes=given, seed=seed, data=data)
        for name in chosen:
            with console.status(f"{name} …"):
                module = import_module(f"evals.bench.{name}")
                found.append(asdict(module.run(setup)))
            report.show(Console(width=150), found[-1])
    if json_file is not None:
        written = {**stamp(sys.argv[1:], seed), "quick": quick, "results": found}
        json_file.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    missed = [claim["what"] for one in found for claim in one["claims"] if claim["met"] is False]
    if missed and not quick:
        console.print(f"missed: {'; '.join(missed)}")
        raise typer.Exit(1)


@app.command()
def retrieval(
    *,
    data: Annotated[list[str], typer.Option(help="locomo=PATH or longmemeval=PATH; repeatable.")],
    audit: Annotated[
        Path | None, typer.Option(help="Errata of LoCoMo's evidence: locomo-audit's errors.json.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first so many conversations of each file.", min=1)
    ] = None,
    system: Annotated[
        list[str] | None, typer.Option(help="Only this one; repeatable, the first is ours.")
    ] = None,
    ablate: Annotated[bool, typer.Option("--ablate", help="Also without each arm.")] = False,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for vectors; ~/.cache/memkit/evals if left out.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where to write the results.")
    ] = None,
) -> None:
    """Measure which turns are found for questions with known evidence, beside baselines."""
    from evals.retrieval import command, progress
    from memkit.embedders import MiniLM

    options = command.Options(
        data=data, audit=audit, limit=limit, seed=seed, systems=system or (), ablate=ablate,
        cache=cache,
    )  # fmt: skip
    console = Console(stderr=True)
    try:
        with progress.bars(console) as watch:
            found = command.measure(options, MiniLM(), watch)
    except MemkitError as error:
        console.print(f"evals: {error}", soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(2) from error
    for one in found["results"]:
        report.show(Console(width=150), one)
    if json_file is not None:
        json_file.write_text(command.written(_stamp(seed), found))


def _stamp(seed: int) -> dict[str, object]:
    """Return what this run was, without the folders of its arguments."""
    from evals.retrieval.command import without_folders

    return stamp([without_folders(argument) for argument in sys.argv[1:]], seed)


@app.command()
def thoughts(
    what: Annotated[
        str, typer.Argument(help="supersession, updates, growth, precision or gvd: evals/thoughts.")
    ],
    *,
    data: Annotated[list[Path] | None, typer.Option(help="A data set; repeatable.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first so many dialogues of each file.", min=1)
    ] = None,
    n: Annotated[int, typer.Option(help="Of precision: thoughts to judge.", min=1)] = 200,
    verdicts: Annotated[
        Path | None, typer.Option(help="Of precision: a reader's, number -> [bool, reason].")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Of growth: turns.")] = "1000,10000",
    repeats: Annotated[int, typer.Option(help="Of growth: of what is timed.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    cache: _Cache = None,
    json_file: _Json = None,
) -> None:
    """Measure thoughts: are they right, what replaces what, does the memory grow."""
    from evals.thoughts import Options, command
    from memkit.embedders import MiniLM

    options = Options(
        data=data or (), seed=seed, limit=limit, cache=cache, n=n, verdicts=verdicts,
        sizes=tuple(int(size) for size in sizes.split(",")), repeats=repeats,
    )  # fmt: skip
    console = Console(stderr=True)
    try:
        with console.status(f"{what} …"):
            found = command.measure(what, options, MiniLM())
    except MemkitError as error:
        console.print(f"evals: {error}", soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(2) from error
    for one in found.results:
        report.show(Console(width=150), asdict(one))
    for line in found.aside:
        print(line)
    if json_file is not None:
        json_file.write_text(command.written(_stamp(seed), found))


app.add_typer(card, name="card")


@app.command()
def show(files: Annotated[list[Path], typer.Argument(help="Result files.")]) -> None:
    """Print result files as Markdown, for evals/LOG.md."""
    for file in files:
        kept = json.loads(file.read_text())
        print(f"`{kept['command']}`, {kept['date']}, commit {kept['commit'][:12]}\n")
        for result in kept["results"]:
            print(report.markdown(result) + "\n")


if __name__ == "__main__":
    app(prog_name="python -m evals")
