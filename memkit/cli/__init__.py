"""The command line: `memkit --help`.

Every command is a thin layer over `memkit.Memory`. Exit codes: 0 fine, 1 nothing found (recall) or
faults found (doctor), 2 an error, which stands on one line of stderr.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version

import typer

from memkit.cli import files, memory, show, talk, thoughts, upkeep
from memkit.errors import MemkitError

app = typer.Typer(
    name="memkit",
    help="A long-term memory for any Hugging Face model: local, no server, no key.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(talk.chat)
app.command()(talk.demo)
app.command()(memory.add)
app.command("import")(files.import_)
app.command()(memory.recall)
app.command()(memory.context)
app.command()(memory.summary)
app.command()(thoughts.thoughts)
app.command()(thoughts.history)
app.command()(thoughts.think)
app.command()(upkeep.stats)
app.command()(files.export)
app.command()(upkeep.reembed)
app.command()(upkeep.doctor)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"memkit {version('memkit-llm')}")
        raise typer.Exit


@app.callback()
def _main(
    _: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app(args=arguments)
    except MemkitError as error:
        show.error(error)
        sys.exit(2)
