"""What people see: text made harmless, JSON, tables, and progress on stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from memkit.text.sanitise import HARMFUL, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from memkit.records import Hit


def clean(text: str) -> str:
    """Return `text` without what could command a terminal."""
    return HARMFUL.sub("", text)


def say(text: str, *, end: str = "\n") -> None:
    """Print text on stdout, made harmless, and never wrapped."""
    typer.echo(clean(text) + end, nl=False)


def note(text: str) -> None:
    """Print a remark for people on stderr."""
    typer.echo(clean(text), err=True)


def error(error: Exception) -> None:
    """Print an error on one line of stderr."""
    note(f"memkit: {one_line(str(error))}")


def to_json(value: object) -> str:
    """Return JSON on one line: UTF-8, with control characters escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def emit(value: object) -> None:
    """Print JSON on one line of stdout."""
    typer.echo(to_json(value).encode())


def hit_record(hit: "Hit") -> dict[str, object]:
    """Return a hit as a JSON object."""
    return {
        "text": hit.text,
        "relevance": hit.relevance,
        "kind": hit.kind,
        "said_at": hit.said_at.isoformat(),
        "turn_ids": list(hit.turn_ids),
        "role": hit.role,
        "name": hit.name,
        "session_id": hit.session_id,
        "explain": dict(hit.explain),
    }


def hits(found: "Sequence[Hit]", *, explain: bool = False) -> None:
    """Print hits as a table, best first; with `explain`, each arm's share of the relevance."""
    rows = [
        [
            f"{hit.relevance:.3f}",
            f"{hit.said_at:%Y-%m-%d}",
            hit.speaker,
            f"{hit.text}\n({_shares(hit)})" if explain else hit.text,
        ]
        for hit in found
    ]
    table(["relevance", "date", "speaker", "text"], rows)


def _shares(hit: "Hit") -> str:
    """Return each arm's share of a hit's relevance, the greatest first."""
    shares = sorted(hit.explain.items(), key=lambda share: -share[1])
    return " + ".join(f"{share:.3f} {arm}" for arm, share in shares if share >= 0.0005)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stdout; the cells' text is shown as it is, never read as markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD)
    for n, column in enumerate(columns):
        last = n == len(columns) - 1
        grid.add_column(Text(column), overflow="fold", no_wrap=not last and column != "speaker")
    for row in rows:
        grid.add_row(*(Text(clean(cell)) for cell in row))
    _console().print(grid)


def counts(values: Mapping[str, int]) -> None:
    """Print named numbers as a table."""
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in values.items()]
    table(["what", "number"], rows)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal's stderr that something is being done."""
    with _console(stderr=True).status(what):
        yield


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal's stderr; yields what is told `done` and `total`."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = _console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(file=sys.stderr if stderr else sys.stdout, highlight=False, emoji=False)
