"""Output of the commands: sanitised text, JSON, tables, and progress on stderr."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from memkit.cli.ids import shorten_id
from memkit.text.role_markers import escape_role_markers, speaker_label
from memkit.text.sanitise import HARMFUL, one_line, truncate

if TYPE_CHECKING:
    from rich.console import Console

    from memkit.records import Hit, Thought, Turn


def strip_controls(text: str) -> str:
    """Return `text` without control characters that a terminal would obey."""
    return HARMFUL.sub("", text)


def print_text(text: str, *, end: str = "\n") -> None:
    """Print sanitised text on stdout, never wrapped."""
    typer.echo(strip_controls(text) + end, nl=False)


class WordWrapper:
    """Breaks streamed text into lines at white space, by the cells that a terminal needs.

    Only white space at a break changes. A word that is longer than a line is left to the terminal.
    """

    def __init__(self, width: int) -> None:
        self._width, self._column = width, 0
        self._gap, self._word = "", ""  # white space and a word that are not printed yet

    def feed(self, text: str) -> str:
        """Return what can be printed when `text` has come in; the last word may grow."""
        return "".join(map(self._feed_character, text))

    def end(self) -> str:
        """Return what is left at the end of the text."""
        return self._take_word() + self._gap

    def _feed_character(self, character: str) -> str:
        from rich.cells import cell_len

        if character == "\n":
            line = self._take_word()
            gap = self._gap if self._column + len(self._gap) <= self._width else ""
            self._gap, self._column = "", 0
            return line + gap + character
        if character.isspace():
            line = self._take_word()
            self._gap += character
            return line
        if cell_len(character) > 1:  # Chinese, for example, may be broken before any character
            line = self._take_word()
            self._word = character
            return line + self._take_word()
        self._word += character
        return ""

    def _take_word(self) -> str:
        from rich.cells import cell_len

        if not self._word:
            return ""
        cells = cell_len(self._word)
        fits = self._column + len(self._gap) + cells <= self._width
        before = self._gap if fits or not self._column else "\n"
        self._column = cells + (0 if before == "\n" else self._column + len(self._gap))
        line = before + self._word
        self._gap = self._word = ""
        return line


def stream_wrapper(file: TextIO) -> WordWrapper:
    """Return a wrapper for text on `file`: at the terminal's width, or never if it is none."""
    return WordWrapper(shutil.get_terminal_size().columns if file.isatty() else sys.maxsize)


def wrap(text: str, file: TextIO) -> str:
    """Return sanitised text, broken at words if `file` is a terminal."""
    wrapper = stream_wrapper(file)
    return wrapper.feed(strip_controls(text)) + wrapper.end()


def print_note(text: str) -> None:
    """Print a remark for people on stderr, broken at words if that is a terminal."""
    typer.echo(wrap(text, sys.stderr), err=True)


def end_with_nothing(note: str) -> NoReturn:
    """Print a remark on stderr, and end with exit code 1: there was nothing to print or to do."""
    print_note(note)
    raise typer.Exit(1)


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


def print_result(data: object, text: str, *, as_json: bool) -> None:
    """Print a command's result as JSON or as text."""
    if as_json:
        print_json(data)
    else:
        print_text(text)


_HIT_FIELDS = (
    "text", "relevance", "kind", "said_at", "turn_ids", "role", "name", "session_id", "thought_id",
    "source", "tags", "explain",
)  # fmt: skip
_THOUGHT_FIELDS = (
    "id", "text", "head", "relation", "tail", "slot", "said_by", "role", "sources", "support",
    "said_at", "repeated_at", "valid_from", "valid_to", "closed_at", "recorded_at", "closed_by",
    "conflicts",
)  # fmt: skip

_RECALLED = frozenset(("text", "name", "said_by", "head", "relation", "tail"))


def hit_to_dict(hit: "Hit") -> dict[str, object]:
    """Return a hit as a JSON object."""
    return {name: _to_json_value(name, getattr(hit, name)) for name in _HIT_FIELDS}


def thought_to_dict(thought: "Thought") -> dict[str, object]:
    """Return a thought as a JSON object."""
    return {name: _to_json_value(name, getattr(thought, name)) for name in _THOUGHT_FIELDS}


def _to_json_value(name: str, value: Any) -> object:
    if name in _RECALLED and value is not None:  # the reader may put it into a prompt
        return escape_role_markers(value)
    if name == "tags":
        return list(map(escape_role_markers, value))
    if isinstance(value, tuple):  # of ids, or of sources
        return [item if isinstance(item, str) else asdict(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else value


def print_hits(hits: "Sequence[Hit]", *, explain: bool = False) -> None:
    """Print hits with short ids, best first; `explain` adds the share of each signal."""
    rows = []
    for hit in hits:
        largest_first = sorted(hit.explain.items(), key=lambda share: -share[1])
        shares = (f"{share:.3f} {signal}" for signal, share in largest_first if share >= 0.0005)
        text = f"{hit.text}\n({' + '.join(shares)}; {hit.source})" if explain else hit.text
        if hit.tags:
            text += f"\n[{', '.join(hit.tags)}]"
        item_id = shorten_id(hit.thought_id or ", ".join(hit.turn_ids))
        date = f"{hit.said_at:%Y-%m-%d}"
        rows.append(
            [f"{hit.relevance:.3f}", date, item_id, speaker_label(hit.name, hit.role), text]
        )
    print_table(["relevance", "date", "id", "speaker", "text"], rows)


def print_thoughts(thoughts: "Sequence[Thought]", *, as_json: bool = False) -> None:
    """Print thoughts with short ids: since when each holds, how often it was said, and by whom."""
    if as_json:
        for thought in thoughts:
            print_json(thought_to_dict(thought))
    elif thoughts:
        rows = []
        for thought in thoughts:
            until = f"{thought.valid_to:%Y-%m-%d}" if thought.valid_to else ""
            later = "".join(f" · {quote.said_at:%Y-%m-%d}: {quote.text}" for quote in thought.later)
            text = f"{'in doubt: ' if thought.doubt else ''}{thought.text}{later}"
            since, times = f"{thought.valid_from:%Y-%m-%d}", str(thought.support)
            rows.append(
                [
                    since,
                    until,
                    times,
                    shorten_id(thought.id),
                    speaker_label(thought.said_by, thought.role),
                    text,
                ]
            )
        print_table(["since", "until", "times", "id", "speaker", "thought"], rows)


def preview_turn(turn: "Turn") -> str:
    """Return date, speaker and the beginning of a turn's text on one line."""
    speaker = speaker_label(turn.name, turn.role)
    return f"{turn.said_at:%Y-%m-%d} {speaker}: {truncate(one_line(turn.text), _PREVIEW)}"


_PREVIEW = 100  # characters of a turn in a preview
_WRAPPED = ("id", "speaker", "source")  # columns that are wrapped although they are not the last


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stdout: role markers are escaped, Rich markup is never parsed."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD)
    for n, column in enumerate(columns):
        last = n == len(columns) - 1
        grid.add_column(Text(column), overflow="fold", no_wrap=not last and column not in _WRAPPED)
    for row in rows:
        grid.add_row(*(Text(strip_controls(escape_role_markers(cell))) for cell in row))
    _console().print(grid)


def count_noun(n: int, noun: str) -> str:
    """Return a number with its noun: "1 turn", "2,000 turns"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


@contextmanager
def spinner(label: str) -> Iterator[None]:
    """Show a spinner on stderr during the block, if stderr is a terminal."""
    with _console(stderr=True).status(label):
        yield


@contextmanager
def progress_bar(label: str, *, in_bytes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr, if it is a terminal; yield `update(done, total)`."""
    from rich import progress

    console = _console(stderr=True)
    columns = (
        progress.TextColumn(label), progress.BarColumn(),
        progress.DownloadColumn() if in_bytes else progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )  # fmt: skip
    with progress.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(file=sys.stderr if stderr else sys.stdout, highlight=False, emoji=False)
