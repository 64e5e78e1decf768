"""`recall` against a minimal search: embed the question, search the vectors exactly.

The baseline is the bundled MiniLM and FAISS IndexFlatIP on the same vectors: no full text, no
scope, no rows read. Its parts and memkit's are timed for the same questions in the same rounds.
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
DEPTH = 50  # nearest vectors asked for, as in memkit/retrieval/recall.py
_TARGETS = {
    10_000: Target(bound="≤", value=1.5),
    100_000: Target(bound="≤", value=2.0),
}
_COLUMNS = (
    "turns", "index", "recall p50", "recall p95", "baseline p50", "baseline p95", "embedding p50",
    "timeline p50", "vector search p50", "full-text search p50", "flat search p50",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
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
        claims=[_claim(setup, timings) for timings in measured],
        tables=[_table(measured)],
        notes=_growth_notes(measured),
    )


def _measure(setup: Setup, embedder: MiniLM, size: int) -> Timings:
    path = corpus.make_memory_file(setup.folder, size, setup.seed, real=not setup.quick)
    vectors = corpus.make_vectors(size, setup.seed, real=not setup.quick)
    n = 8 if setup.quick else 100
    questions = corpus.make_questions(corpus.make_texts(size, setup.seed), n, setup.seed)
    with memkit.open(str(path), embedder=embedder) as memory:
        steps = _steps(memory, embedder, questions, vectors)
        times = measure.interleave(steps, n, warm=3)
        return Timings(size=size, kind=_kind(memory), times=times)


def _steps(
    memory: Memory, embedder: MiniLM, questions: list[str], vectors: Vectors
) -> dict[str, Callable[[int], object]]:
    scope = Scope(user_id=USER)
    flat = corpus.exact_index(vectors)
    query_vectors = embedder.embed(questions)

    def nearest(n: int) -> object:
        with memory.store.snapshot(scope) as snapshot:
            return snapshot.nearest(query_vectors[n], DEPTH)

    def postings(n: int) -> object:
        with memory.store.snapshot(scope) as snapshot:
            return [snapshot.postings(word) for word in words(questions[n])]

    def timeline(_: int) -> object:
        with memory.store.snapshot(scope) as snapshot:
            return snapshot.timeline

    return {
        "recall": lambda n: memory.recall(questions[n], user_id=USER, k=K),
        "baseline": lambda n: flat.search(embedder.embed([questions[n]]), K),
        "embedding": lambda n: embedder.embed([questions[n]]),
        "timeline": timeline,
        "vector search": nearest,
        "full-text search": postings,
        "flat search": lambda n: flat.search(query_vectors[n][None], K),
    }


def _kind(memory: Memory) -> str:
    from memkit_sqlite.faiss_index import FLAT_UP_TO

    return "flat" if memory.stats()["chunks"] <= FLAT_UP_TO else "ivf"


def _claim(setup: Setup, timings: Timings) -> Claim:
    return time_claim(
        f"recall at {timings.size:,} turns (p50)",
        timings.times["recall"], timings.times["baseline"],
        against="embedding + IndexFlatIP", seed=setup.seed, target=_TARGETS.get(timings.size),
    )  # fmt: skip


def _table(measured: list[Timings]) -> Table:
    rows: list[list[Cell]] = []
    for timings in measured:
        row: list[Cell] = [timings.size, timings.kind]
        for name, percentiles in (("recall", (50, 95)), ("baseline", (50, 95))):
            row += [measure.milliseconds(timings.times[name], p) for p in percentiles]
        for name in ("embedding", "timeline", "vector search", "full-text search", "flat search"):
            row.append(measure.milliseconds(timings.times[name]))
        rows.append(row)
    return Table(title="milliseconds by step", columns=_COLUMNS, rows=rows)


def _growth_notes(measured: list[Timings]) -> list[str]:
    """Return how the time of the two searches grows, without the embedding."""
    medians = [
        float(np.median(timings.times["vector search"] + timings.times["full-text search"]))
        for timings in measured
    ]
    return [
        f"from {a.size:,} to {b.size:,} turns ({b.size / a.size:g} ×) the two searches take "
        f"{medians[n + 1] / medians[n]:.1f} × as long"
        for n, (a, b) in enumerate(pairwise(measured))
    ]
