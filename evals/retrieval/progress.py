"""How far a run is, on the terminal: a bar with the time left for each stage."""

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

from evals.retrieval.run import Watch


@contextmanager
def bars(console: Console) -> Iterator[Watch]:
    """Yield what a run tells how far it is; a stage that starts anew restarts its bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    # other bars, of loading weights, would be drawn into ours; processes inherit it
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
