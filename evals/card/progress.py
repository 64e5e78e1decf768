"""Progress bars of a run on the terminal, with the time left for each stage."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from evals.card.run import Watch


@contextmanager
def bars(console: Console) -> Iterator[Watch]:
    """Yield a callback for `run`; a stage that starts again restarts its bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    # transformers would draw its own bars between ours; worker processes inherit the setting
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as progress:

        def watch(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            task = tasks[stage]
            if progress.tasks[progress.task_ids.index(task)].completed > done:
                progress.reset(task)
            progress.update(task, completed=done, total=total)

        yield watch
