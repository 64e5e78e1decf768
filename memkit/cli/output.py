"""Output of the commands: sanitised text, JSON, tables, and progress on stderr."""

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


def strip_controls(text: str) -> str:
    """Return `text` without control characters that a terminal would obey."""
    return HARMFUL.sub("", text)


def print_text(text: str, *, end: str = "\n") -> None:
    """Print sanitised text on stdout, never wrapped."""
    typer.echo(strip_controls(text) + end, nl=False)


def print_note(text: str) -> None:
    """Print a remark for people on stderr."""
    typer.echo(strip_controls(text), err=True)


def print_error(error: Exception) -> None:
    """Print an error on one line of stderr."""
    print_note(f"memkit: {one_line(str(error))}")


def to_json(value: object) -> str:
    """Return JSON on one line: UTF-8, with control characters escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def print_json(value: object) -> None:
    """Print JSON on one line of stdout."""
    typer.echo(to_json(value).encode())


def hit_to_dict(hit: "Hit") -> dict[str, object]:
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


def print_hits(hits: "Sequence[Hit]", *, explain: bool = False) -> None:
    """Print hits as a table, best first; `explain` adds each signal's share of the relevance."""
    rows = [
        [
            f"{hit.relevance:.3f}",
            f"{hit.said_at:%Y-%m-%d}",
            hit.speaker,
            f"{hit.text}\n({_shares(hit)})" if explain else hit.text,
        ]
        for hit in hits
    ]
    print_table(["relevance", "date", "speaker", "text"], rows)


def _shares(hit: "Hit") -> str:
    """Return each signal's share of a hit's relevance, largest first."""
    shares = sorted(hit.explain.items(), key=lambda share: -share[1])
    return " + ".join(f"{share:.3f} {signal}" for signal, share in shares if share >= 0.0005)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stdout; the cells' text is never parsed as Rich markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD)
    for n, column in enumerate(columns):
        last = n == len(columns) - 1
        grid.add_column(Text(column), overflow="fold", no_wrap=not last and column != "speaker")
    for row in rows:
        grid.add_row(*(Text(strip_controls(cell)) for cell in row))
    _console().print(grid)


def print_counts(counts: Mapping[str, int]) -> None:
    """Print named numbers as a table."""
    rows = [[name.replace("_", " "), f"{count:,}"] for name, count in counts.items()]
    print_table(["what", "number"], rows)


def count_noun(n: int, noun: str) -> str:
    """Return a number with its noun: "1 turn", "2,000 turns"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


@contextmanager
def spinner(label: str) -> Iterator[None]:
    """Show a spinner on stderr during the block, if stderr is a terminal."""
    with _console(stderr=True).status(label):
        yield


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr, if it is a terminal; yield `update(done, total)`."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = _console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(file=sys.stderr if stderr else sys.stdout, highlight=False, emoji=False)
