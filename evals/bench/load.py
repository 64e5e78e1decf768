"""Many threads on one memory: what each operation takes while others recall, write and forget.

No model runs: vectors are prepared, so the times are the store's own and those of waiting for it.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.data import corpus
from evals.data.corpus import DrawnEmbedder
from evals.stats.interval import Interval
from evals.tables import Cell, Result, Table, Target
from memkit.memory import Memory

THREADS = 32
_SHARES = {"recall": 0.8, "remember": 0.18, "forget": 0.02}  # of all operations
_COLUMNS = ("operation", "n", "p50 ms", "p99 ms", "longest ms")


def run(setup: Setup) -> Result:
    """Run a mix of operations in all threads, and report each one's times."""
    size = setup.choose((50_000,), (300,))[0]
    threads, n = (4, 5) if setup.quick else (THREADS, 40)
    path = corpus.make_memory_file(setup.folder, size, setup.seed, real=not setup.quick)
    settings = memkit.Settings(background=False)
    with memkit.open(str(path), embedder=DrawnEmbedder(), settings=settings) as memory:
        memory.recall("warm up", user_id=USER)
        steps = _steps(memory, corpus.make_texts(n * threads, setup.seed + 1), size)
        with ThreadPoolExecutor(threads) as pool:
            runs = [pool.submit(_work, steps, n, setup.seed + t) for t in range(threads)]
            times = [timed for run in runs for timed in run.result()]
    by_name = {
        name: np.array([seconds for other, seconds in times if other == name]) for name in steps
    }
    rows: list[list[Cell]] = [
        [name, len(samples), *(measure.milliseconds(samples, p) for p in (50, 99, 100))]
        for name, samples in by_name.items()
        if len(samples)
    ]
    p50, p99 = (measure.milliseconds(by_name["recall"], p) for p in (50, 99))
    longest = max(seconds for _, seconds in times)
    return Result(
        name="load",
        about=f"{threads} threads on one user of {size:,} turns, no model",
        settings={"threads": threads, "turns": size, **_SHARES},
        claims=[
            measure.make_claim(
                "recall under load, p99", "ms", (p99, p50), Interval(value=p99 / p50),
                against="its median", target=Target(bound="≤", value=5),
            ),
            measure.make_claim(
                "longest operation", "s", (longest, p50 / 1000),
                Interval(value=1000 * longest / p50), against="the median of recall",
                target=Target(bound="≤", value=3, on="ours"),
            ),
        ],
        tables=[Table(title="wall time of operations", columns=_COLUMNS, rows=rows)],
    )  # fmt: skip


def _steps(memory: Memory, texts: list[str], size: int) -> dict[str, Callable[[int], object]]:
    """Return the operations; each gets a random number."""

    def choose(number: int) -> str:
        return texts[number % len(texts)]

    return {
        "recall": lambda number: memory.recall(choose(number), user_id=USER),
        "remember": lambda number: memory.remember(choose(number), user_id=USER),
        "forget": lambda number: memory.forget(user_id=USER, turn_ids=[f"t{number % size}"]),
    }


def _work(steps: dict[str, Callable[[int], object]], n: int, seed: int) -> list[tuple[str, float]]:
    """Do `n` random operations one after the other; return the name and seconds of each."""
    rng = random.Random(seed)
    times = []
    for name in rng.choices(list(_SHARES), list(_SHARES.values()), k=n):
        number, started = rng.randrange(10**9), time.perf_counter()
        steps[name](number)
        times.append((name, time.perf_counter() - started))
    return times
