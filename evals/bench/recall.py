"""Recalling against the least that could be done: embed the question, search the vectors exactly.

The baseline is the bundled MiniLM and FAISS IndexFlatIP on the same vectors: no full text, no
scope, no rows read. Its own parts and ours are timed for the same questions in the same rounds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import time_claim
from evals.data import corpus
from evals.stats.interval import Samples
from evals.tables import Cell, Claim, Result, Table, Target
from memkit.embedders import MiniLM
from memkit.memory import Memory
from memkit.protocols import Vectors
from memkit.records import Scope
from memkit.text.words import words

K = 10
DEPTH = 50  # nearest vectors asked for, as in memkit/read.py
_TARGETS = {
    10_000: Target(bound="≤", value=1.5),
    100_000: Target(bound="≤", value=2.0),
}
_COLUMNS = (
    "turns", "index", "recall p50", "recall p95", "baseline p50", "baseline p95", "embedding p50",
    "timeline p50", "vector arm p50", "full-text arm p50", "flat search p50",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Times of one size, by step."""

    size: int
    kind: str  # of vector index
    times: dict[str, Samples]


def run(setup: Setup) -> Result:
    """Measure every size with the same questions."""
    sizes = setup.choose((1_000, 10_000, 100_000), (200, 400))
    embedder = MiniLM()
    embedder.embed(["warm up"])
    measured = [_measure(setup, embedder, size) for size in sizes]
    return Result(
        name="recall",
        about="recall(k=10) against embedding and exact search",
        settings={"k": K, "nearest vectors": DEPTH, "noise of derived vectors": corpus.NOISE},
        claims=[_claim(setup, one) for one in measured],
        tables=[_split(measured)],
        notes=_growth(measured),
    )


def _measure(setup: Setup, embedder: MiniLM, size: int) -> Measured:
    path = corpus.memory_file(setup.folder, size, setup.seed, real=not setup.quick)
    prepared = corpus.vectors(size, setup.seed, real=not setup.quick)
    n = 8 if setup.quick else 100
    asked = corpus.questions(corpus.texts(size, setup.seed), n, setup.seed)
    with memkit.open(str(path), embedder=embedder) as memory:
        steps = _steps(memory, embedder, asked, prepared)
        times = measure.interleave(steps, n, warm=3)
        return Measured(size=size, kind=_kind(memory), times=times)


def _steps(
    memory: Memory, embedder: MiniLM, asked: list[str], prepared: Vectors
) -> dict[str, Callable[[int], object]]:
    scope = Scope(user_id=USER)
    flat = corpus.exact(prepared)
    asked_vectors = embedder.embed(asked)

    def nearest(n: int) -> object:
        with memory.store.snapshot(scope) as snapshot:
            return snapshot.nearest(asked_vectors[n], DEPTH)

    def postings(n: int) -> object:
        with memory.store.snapshot(scope) as snapshot:
            return [snapshot.postings(word) for word in words(asked[n])]

    def timeline(_: int) -> object:
        with memory.store.snapshot(scope) as snapshot:
            return snapshot.timeline

    return {
        "recall": lambda n: memory.recall(asked[n], user_id=USER, k=K),
        "baseline": lambda n: flat.search(embedder.embed([asked[n]]), K),
        "embedding": lambda n: embedder.embed([asked[n]]),
        "timeline": timeline,
        "vector arm": nearest,
        "full-text arm": postings,
        "flat search": lambda n: flat.search(asked_vectors[n][None], K),
    }


def _kind(memory: Memory) -> str:
    from memkit_sqlite.faiss_index import FLAT_UP_TO

    return "flat" if memory.stats()["chunks"] <= FLAT_UP_TO else "ivf"


def _claim(setup: Setup, one: Measured) -> Claim:
    return time_claim(
        f"recall at {one.size:,} turns (p50)", one.times["recall"], one.times["baseline"],
        against="embedding + IndexFlatIP", seed=setup.seed, target=_TARGETS.get(one.size),
    )  # fmt: skip


def _split(measured: list[Measured]) -> Table:
    rows: list[list[Cell]] = []
    for one in measured:
        row: list[Cell] = [one.size, one.kind]
        for name, percentiles in (("recall", (50, 95)), ("baseline", (50, 95))):
            row += [measure.milliseconds(one.times[name], p) for p in percentiles]
        for name in ("embedding", "timeline", "vector arm", "full-text arm", "flat search"):
            row.append(measure.milliseconds(one.times[name]))
        rows.append(row)
    return Table(title="milliseconds, and where they go", columns=_COLUMNS, rows=rows)


def _growth(measured: list[Measured]) -> list[str]:
    """Say how what is ours grows: the two arms, without the embedding."""
    arms = [
        float(np.median(one.times["vector arm"] + one.times["full-text arm"])) for one in measured
    ]
    return [
        f"from {a.size:,} to {b.size:,} turns ({b.size / a.size:g} ×) the two arms take "
        f"{arms[n + 1] / arms[n]:.1f} × as long"
        for n, (a, b) in enumerate(pairwise(measured))
    ]
