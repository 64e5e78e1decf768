"""The demo's tables: how much each system knew, with intervals, and what it cost."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from memkit.demo.dialogue import Dialogue, Question

WINDOW, COMPACT, VECTOR = "(a) last turns", "(b) Compact", "(c) + Vector"
SYSTEMS = (WINDOW, COMPACT, VECTOR)
_BINS = ((0, 50), (50, 100), (100, 150), (150, 300), (300, None))  # turns from fact to question


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question put to one system."""

    system: str
    question: Question
    text: str
    correct: bool
    evidence: bool  # at least one turn with the answer stood in the prompt
    prompt_tokens: int
    first_token_s: float


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share. Source: Wilson, JASA 1927.

    >>> tuple(round(bound, 3) for bound in wilson(0, 32))
    (0.0, 0.107)
    """
    if not n:
        raise ValueError("no interval without observations")
    z, p = 1.959964, right / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max((centre - half) / (1 + z * z / n), 0.0), min((centre + half) / (1 + z * z / n), 1.0)


def summary(answers: Sequence[Answer]) -> dict[str, object]:
    """Return every figure of the table, by system."""
    return {
        "systems": {
            system: _figures([answer for answer in answers if answer.system == system])
            for system in SYSTEMS
        }
    }


def _figures(answers: Sequence[Answer]) -> dict[str, object]:
    right = sum(answer.correct for answer in answers)
    return {
        "n": len(answers),
        "recall": right / len(answers),
        "interval_95": wilson(right, len(answers)),
        "recall_by_distance": {
            _name(span): [sum(one.correct for one in inside), len(inside)]
            for span in _BINS
            if (inside := _inside(answers, span))
        },
        "evidence_in_prompt": sum(answer.evidence for answer in answers) / len(answers),
        "prompt_tokens_median": median(answer.prompt_tokens for answer in answers),
        "prompt_tokens_max": max(answer.prompt_tokens for answer in answers),
        "first_token_s_median": median(answer.first_token_s for answer in answers),
    }


def _inside(answers: Sequence[Answer], span: tuple[int, int | None]) -> list[Answer]:
    first, last = span
    return [
        answer
        for answer in answers
        if first <= answer.question.distance and (last is None or answer.question.distance < last)
    ]


def _name(span: tuple[int, int | None]) -> str:
    return f"{span[0]}+" if span[0] else f"<{span[1]}"


def table(answers: Sequence[Answer], dialogues: Sequence[Dialogue], budget: int) -> None:
    """Print factual recall by distance, its interval, and the cost of each system."""
    turns = sum(len(dialogue.turns) for dialogue in dialogues)
    names = ", ".join(dialogue.name for dialogue in dialogues)
    shown = Table(
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=f"Facts still known after {turns} turns ({escape(names)}), at most {budget} tokens",
        caption="By how many turns ago a fact was said. Known: the answer holds the expected\n"
        "words. Seen: a turn with the answer stood in the prompt. Interval: Wilson.",
    )
    spans = [span for span in _BINS if _inside(answers, span)]
    shown.add_column("system", no_wrap=True)
    for span in spans:
        shown.add_column(_name(span), justify="right", no_wrap=True)
    for column in ("known", "95 %", "seen", "tokens", "1st s"):
        shown.add_column(column, justify="right", no_wrap=True)
    for system in SYSTEMS:
        shown.add_row(*_row(system, [one for one in answers if one.system == system], spans))
    Console().print(shown)


def _row(
    system: str, answers: Sequence[Answer], spans: Sequence[tuple[int, int | None]]
) -> list[str]:
    right = sum(answer.correct for answer in answers)
    low, high = wilson(right, len(answers))
    cells = [
        f"{sum(one.correct for one in inside)}/{len(inside)}"
        for span in spans
        for inside in [_inside(answers, span)]
    ]
    return [
        system,
        *cells,
        f"{right / len(answers):.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{sum(answer.evidence for answer in answers) / len(answers):.0%}",
        f"≤ {max(one.prompt_tokens for one in answers)}",
        f"{median(one.first_token_s for one in answers):.2f}",
    ]


def once_more(question: Question, reply: str) -> None:
    """Print what a new process answered from the file."""
    console = Console()
    console.print(
        f"\nThe memory, opened again in a new process, {question.distance} turns later:\n"
        f"  [bold]{escape(question.text)}[/bold]\n  {escape(reply)}\n"
        f"  (it was: {escape(', '.join(question.answers))})"
    )


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar on stderr; yield what moves it: a label, how many are done, of how many."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("start")

        def move(label: str, done: int, total: int) -> None:
            bar.update(task, description=escape(label), completed=done, total=total)

        yield move
