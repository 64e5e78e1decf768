"""The command line: `memkit --help`.

Every command is a thin layer over `memkit.Memory`. Exit codes: 0 success; 1 there was nothing to
print or to do, a question was answered with no, or `doctor` found faults; 2 an error, printed on
one line of stderr.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version as package_version
from typing import Annotated, Any

import typer

from memkit.cli import (
    chat,
    commands,
    govern,
    manage,
    mcp,
    output,
    page,
    privacy,
    retention,
    rollback,
    serve,
    transfer,
    version,
)
from memkit.errors import IncompleteCopyWarning, InvalidInput, MemkitError

app = typer.Typer(
    name="memkit",
    help="A long-term memory for any Hugging Face model: local, no server, no key.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(chat.chat)
app.command()(chat.demo)
app.command()(commands.add)
app.command("import")(transfer.import_)
app.command()(commands.recall)
app.command()(commands.context)
app.command()(commands.summary)
app.command()(commands.thoughts)
app.command()(commands.history)
app.command()(commands.correct)
app.command()(commands.retract)
app.command()(commands.think)
app.command()(manage.users)
app.command()(manage.sessions)
app.command()(manage.show)
app.command()(manage.forget)
app.command()(rollback.rollback)
app.command("verify-receipt")(govern.verify_receipt)
app.add_typer(govern.audit, name="audit")
app.add_typer(retention.retention, name="retention")
app.add_typer(privacy.privacy, name="privacy")
app.command()(page.page)
app.command()(manage.backup)
app.command()(commands.stats)
app.command()(transfer.export)
app.command()(commands.reembed)
app.command()(mcp.mcp)
app.command()(commands.doctor)
app.command()(serve.serve)
app.add_typer(serve.keys, name="keys")


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    *,
    print_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --version: of everything memkit runs on.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="With --version: print JSON.")] = False,
) -> None:
    if print_version:
        _print_version(verbose=verbose, as_json=json_)
        raise typer.Exit
    if verbose or json_:
        raise InvalidInput("--verbose and --json go with --version; --json also after a command")
    if context.invoked_subcommand is None:
        raise InvalidInput("name a command; `memkit --help` lists them")


def _print_version(*, verbose: bool, as_json: bool) -> None:
    if not verbose:
        installed = package_version(version.DISTRIBUTION)
        output.print_result({"memkit": installed}, f"memkit {installed}", as_json=as_json)
        return
    versions = version.collect_versions()
    output.print_result(versions, version.format_versions(versions), as_json=as_json)


def _show_warning(
    show_others: Callable[..., None], message: Warning | str, *where: Any, **options: Any
) -> None:
    """Print our own warnings on one line of stderr, without the place in the code."""
    if isinstance(message, IncompleteCopyWarning):
        output.print_error(message)
    else:
        show_others(message, *where, **options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    try:
        with warnings.catch_warnings():
            show_others = warnings.showwarning
            warnings.showwarning = partial(_show_warning, show_others)
            app(args=arguments)
    except MemkitError as error:
        output.print_error(error)
        sys.exit(2)
