"""What the images for `rollback` cost: writing beside the same without the triggers, and disk.

Embedder and thinker need no model, so that the share of the store is as large as it gets.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import size_claim, time_claim
from evals.data.synthetic.talk import START, small_talk
from evals.stats.interval import Samples
from evals.tables import Claim, Result, Target
from memkit import Turn
from memkit.memory import Memory
from memkit.testing import open_memory

BATCH = 16  # turns that are remembered and thought about together
_WITHOUT = "without images"
_WARM = 4
_REMEMBER, _THINK = Target(bound="≤", value=1.05), Target(bound="≤", value=1.1)

Batches = list[list[Turn]]
Step = Callable[[Memory, list[Turn]], object]


def run(setup: Setup) -> Result:
    """Remember batch by batch, remember and think batch by batch, and roll back."""
    size = setup.choose((1920,), (160,))[0]
    texts = islice(small_talk(random.Random(setup.seed)), size)
    turns = [Turn(text=text, id=f"t{n}", said_at=START) for n, text in enumerate(texts)]
    batches = [turns[first : first + BATCH] for first in range(0, size, BATCH)]
    remembered = _compare(setup.folder / "remember", batches, _remember)
    thought = _compare(setup.folder / "think", batches, _remember_and_think)
    files = [setup.folder / f"think-{name}.db" for name in ("images", _WITHOUT)]
    ours, theirs = (file.stat().st_size / 2**20 for file in files)
    claim = partial(time_claim, seed=setup.seed, against=_WITHOUT)
    return Result(
        name="undo",
        about="what the images for rollback cost",
        settings={"turns": size, "batch": BATCH, "times": "of the processor"},
        claims=[
            claim(f"remember, {BATCH} turns", *remembered, target=_REMEMBER),
            claim(f"remember and think, {BATCH} turns", *thought, target=_THINK),
            size_claim("the file", ours, theirs, against=_WITHOUT, unit="MB"),
            _rollback_claim(setup, files[0], thought[0]),
        ],
    )


def _remember(memory: Memory, batch: list[Turn]) -> None:
    memory.remember(batch, user_id=USER)


def _remember_and_think(memory: Memory, batch: list[Turn]) -> None:
    memory.remember(batch, user_id=USER)
    memory.think(user_id=USER)


def _compare(path: Path, batches: Batches, step: Step) -> tuple[Samples, Samples]:
    """Time a step for each batch with images and without."""
    with (
        open_memory(f"{path}-images.db") as memory,
        open_memory(f"{path}-{_WITHOUT}.db") as plain,
    ):
        _drop_triggers(plain)
        memories = {"images": memory, _WITHOUT: plain}
        times = measure.interleave(
            {name: partial(_run, step, each, batches) for name, each in memories.items()},
            len(batches) - _WARM,
            warm=_WARM,
            clock=time.process_time,
        )
    return times["images"], times[_WITHOUT]


def _run(step: Step, memory: Memory, batches: Batches, n: int) -> None:
    step(memory, batches[n])


def _drop_triggers(memory: Memory) -> None:
    fetch = memory.store._connection.fetch  # type: ignore[attr-defined]
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'undo%'"
    for (name,) in fetch(triggers):
        fetch(f"DROP TRIGGER {name}")


def _rollback_claim(setup: Setup, path: Path, thought: Samples) -> Claim:
    """Time rollbacks over the last batches, and back again."""
    n = min(10, len(thought))
    with open_memory(str(path)) as memory:
        events = [event for event in memory.store.events() if event.kind == "remember"]
        points: list[int | str] = [events[-n].seq - 1, memory.checkpoint()]
        times = measure.interleave(
            {"rollback": lambda n: memory.rollback(user_id=USER, to=points[n % 2])},
            n,
            warm=2,
            clock=time.process_time,
        )
    return time_claim(
        f"rollback of {n} batches", times["rollback"], n * thought[-n:],
        against="remembering and thinking about them", seed=setup.seed,
    )  # fmt: skip
