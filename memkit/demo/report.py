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
from memkit.records import Hit

WINDOW, COMPACT, VECTOR = "(a) last turns", "(b) Compact", "(c) + Vector"
SYSTEMS = (WINDOW, COMPACT, VECTOR)
_EXAMPLES = 3  # questions whose replies are shown
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
        title=f"Facts known after {turns} turns ({escape(names)}), prompts of {budget} tokens",
        caption="In prompt: share of questions with the answer in the prompt, memory's part.\n"
        "Answered: share with the expected words in the reply, the model's part too;\n"
        "then right answers by the number of turns since the fact was said. 95 %: Wilson.",
    )
    spans = [span for span in _RANGES if _inside(answers, span)]
    table.add_column("system", no_wrap=True)
    for column in ("in prompt", "answered", "95 %", *map(_label, spans), "tokens"):
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
        f"{figures['evidence_in_prompt']:.0%}",
        f"{figures['recall']:.0%}",
        f"{low:.0%}–{high:.0%}",
        *(f"{sum(answer.correct for answer in group)}/{len(group)}" for group in groups),
        f"≤ {figures['prompt_tokens_max']}",
    ]


def print_examples(answers: Sequence[Answer]) -> None:
    """Print some questions with the replies without and with memory, evenly spread over all."""
    console = Console()
    with_memory = _of(VECTOR, answers)
    without_memory = {answer.question: answer for answer in _of(WINDOW, answers)}
    step = max(len(with_memory) // _EXAMPLES, 1)
    for answer in with_memory[::step][:_EXAMPLES]:
        question = answer.question
        console.print(
            f"\n[bold]{escape(question.text)}[/bold]  "
            f"({question.distance} turns ago: {escape(', '.join(question.answers))})\n"
            f"  without memory: {escape(without_memory[question].text)}\n"
            f"  with memory:    {escape(answer.text)}\n"
            f"  memory {'put the answer into the prompt' if answer.evidence else 'missed it'}"
        )


def print_second_reply(question: Question, hits: Sequence[Hit], reply: str) -> None:
    """Print what a new process that opened the memory's file recalled and replied."""
    console = Console()
    recalled = "; ".join(f"{hit.said_at:%Y-%m-%d} {hit.speaker}: {hit.text}" for hit in hits)
    console.print(
        f"\nThe memory, opened again in a new process, {question.distance} turns later:\n"
        f"  [bold]{escape(question.text)}[/bold]\n"
        f"  memory recalls: {escape(recalled)}\n"
        f"  the model says: {escape(reply)}"
    )


def print_note(text: str) -> None:
    """Print a remark on stderr."""
    Console(stderr=True, highlight=False).print(escape(text))


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
