"""The demo's tables: how many facts each system knew, with intervals, and the cost."""

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
Range = tuple[int, int | None]
_RANGES: tuple[Range, ...] = ((0, 50), (50, 100), (100, 150), (150, 300), (300, None))  # of turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A system's answer to a question."""

    system: str
    question: Question
    text: str
    correct: bool
    evidence: bool  # whether the prompt had at least one turn with the answer
    prompt_tokens: int
    first_token_s: float


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion. Source: Wilson, JASA 1927.

    >>> tuple(round(bound, 3) for bound in wilson(0, 32))
    (0.0, 0.107)
    """
    if not n:
        raise ValueError("no interval without observations")
    z, p = 1.959964, correct / n  # z: the 97.5 % quantile of the normal distribution
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max((centre - half) / (1 + z * z / n), 0.0), min((centre + half) / (1 + z * z / n), 1.0)


def summarise(answers: Sequence[Answer]) -> dict[str, object]:
    """Return every figure of the table, by system."""
    return {"systems": {system: _figures(_of(system, answers)) for system in SYSTEMS}}


def _of(system: str, answers: Sequence[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.system == system]


def _figures(answers: Sequence[Answer]) -> dict[str, object]:
    correct = sum(answer.correct for answer in answers)
    return {
        "n": len(answers),
        "recall": correct / len(answers),
        "interval_95": wilson(correct, len(answers)),
        "recall_by_distance": {
            _label(span): [sum(answer.correct for answer in inside), len(inside)]
            for span in _RANGES
            if (inside := _inside(answers, span))
        },
        "evidence_in_prompt": sum(answer.evidence for answer in answers) / len(answers),
        "prompt_tokens_median": median(answer.prompt_tokens for answer in answers),
        "prompt_tokens_max": max(answer.prompt_tokens for answer in answers),
        "first_token_s_median": median(answer.first_token_s for answer in answers),
    }


def _inside(answers: Sequence[Answer], span: Range) -> list[Answer]:
    first, last = span
    return [
        answer
        for answer in answers
        if first <= answer.question.distance and (last is None or answer.question.distance < last)
    ]


def _label(span: Range) -> str:
    return f"{span[0]}+" if span[0] else f"<{span[1]}"


def print_table(answers: Sequence[Answer], dialogues: Sequence[Dialogue], budget: int) -> None:
    """Print factual recall by distance, its interval, and the cost of each system."""
    turns = sum(len(dialogue.turns) for dialogue in dialogues)
    names = ", ".join(dialogue.name for dialogue in dialogues)
    table = Table(
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=f"Facts still known after {turns} turns ({escape(names)}), at most {budget} tokens",
        caption="By the number of turns since a fact was stated. Known: the answer contains the\n"
        "expected words. Seen: the prompt contained a turn with the answer. Interval: Wilson.",
    )
    spans = [span for span in _RANGES if _inside(answers, span)]
    table.add_column("system", no_wrap=True)
    for column in (*map(_label, spans), "known", "95 %", "seen", "tokens", "1st s"):
        table.add_column(column, justify="right", no_wrap=True)
    for system in SYSTEMS:
        table.add_row(*_row(system, _of(system, answers), spans))
    Console().print(table)


def _row(system: str, answers: Sequence[Answer], spans: Sequence[Range]) -> list[str]:
    figures = _figures(answers)
    low, high = wilson(sum(answer.correct for answer in answers), len(answers))
    groups = [_inside(answers, span) for span in spans]
    return [
        system,
        *(f"{sum(answer.correct for answer in group)}/{len(group)}" for group in groups),
        f"{figures['recall']:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{figures['evidence_in_prompt']:.0%}",
        f"≤ {figures['prompt_tokens_max']}",
        f"{figures['first_token_s_median']:.2f}",
    ]


def print_second_reply(question: Question, reply: str) -> None:
    """Print the reply of a new process that opened the memory's file."""
    console = Console()
    console.print(
        f"\nThe memory, opened again in a new process, {question.distance} turns later:\n"
        f"  [bold]{escape(question.text)}[/bold]\n  {escape(reply)}\n"
        f"  (it was: {escape(', '.join(question.answers))})"
    )


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar on stderr; yield `update(label, done, total)`."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("start")

        def update(label: str, done: int, total: int) -> None:
            bar.update(task, description=escape(label), completed=done, total=total)

        yield update
