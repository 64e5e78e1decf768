"""One user with very many turns: recall, the first recall after opening, and memory held.

`--sizes 1000000` takes minutes to fill. No model runs, and every size is measured in a process of
its own: `python -m evals.bench.scale PATH` prints its figures.
"""

import json
import sys
import time

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.fresh import peak_bytes, run_python
from evals.bench.measure import make_claim, size_claim
from evals.data import corpus
from evals.data.corpus import DrawnEmbedder
from evals.stats.interval import Interval
from evals.tables import Claim, Result, Table
from memkit.embedders import MINILM

_QUESTIONS = 50
_COLUMNS = ("turns", "open ms", "first recall ms", "recall p50 ms", "flat search p50 ms", "peak MB")


def run(setup: Setup) -> Result:
    """Measure every size in a fresh process, in CPU time."""
    claims: list[Claim] = []
    rows = []
    for size in setup.choose((100_000,), (300,)):
        path = corpus.make_memory_file(setup.folder, size, setup.seed, real=False)
        ours = json.loads(run_python("-m", "evals.bench.scale", str(path)))
        flat = _search_flat(setup, size)
        rows.append(
            [size, ours["open_ms"], ours["first_ms"], ours["recall_ms"], flat, ours["peak"] / 1e6]
        )
        claims += [
            make_claim(
                f"recall at {size:,} turns without embedding", "ms", (ours["recall_ms"], flat),
                Interval(value=ours["recall_ms"] / flat), against="IndexFlatIP",
            ),
            size_claim(
                f"peak memory at {size:,} turns", ours["peak"], 4 * MINILM.dimension * size,
                unit="bytes", against="vectors",
            ),
        ]  # fmt: skip
    return Result(
        name="scale",
        about="one user, no model, CPU time",
        settings={"questions": _QUESTIONS},
        claims=claims,
        tables=[Table(title="CPU time and memory", columns=_COLUMNS, rows=rows)],
    )


def _search_flat(setup: Setup, size: int) -> float:
    """Return the median milliseconds of an exact search for ten vectors."""
    flat = corpus.exact_index(corpus.make_vectors(size, setup.seed, real=False))
    queries = DrawnEmbedder().embed([str(n) for n in range(_QUESTIONS)])
    steps = {"flat": lambda n: flat.search(queries[n][None], 10)}
    times = measure.interleave(steps, _QUESTIONS, clock=time.process_time)
    return measure.milliseconds(times["flat"])


def main(path: str) -> None:
    """Open a memory, ask questions, and print what that took as one JSON object."""
    questions = corpus.make_questions(corpus.make_texts(1000, 0), _QUESTIONS + 1, 0)
    clock = time.process_time
    started = clock()
    settings = memkit.Settings(background=False)
    with memkit.open(path, embedder=DrawnEmbedder(), settings=settings) as memory:
        opened = clock()
        memory.recall(questions[-1], user_id=USER)
        first = clock()
        steps = {"recall": lambda n: memory.recall(questions[n], user_id=USER)}
        times = measure.interleave(steps, _QUESTIONS, clock=clock)["recall"]
    figures = {
        "open_ms": 1000 * (opened - started), "first_ms": 1000 * (first - opened),
        "recall_ms": float(1000 * np.median(times)), "peak": peak_bytes(),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
