"""`recall` against a minimal search: embed the question, search the vectors exactly.

The baseline is MiniLM in sentence-transformers and FAISS IndexFlatIP on the same vectors: no full
text, no scope, no rows read. Its parts and memkit's are timed for the same questions in the same
rounds, in CPU time. "Own time" is recall with prepared vectors of the questions, and its baseline
the exact search alone.
"""

import time
from collections.abc import Sequence

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import Step, time_claim
from evals.data import corpus
from evals.stats.interval import Samples
from evals.tables import Cell, Claim, Result, Table, Target
from memkit.embedders import MINILM, MiniLM, SentenceTransformerEmbedder, minilm_folder
from memkit.memory import Memory
from memkit.protocols import Vectors
from memkit.records import Scope
from memkit.text.words import words

K = 10
DEPTH = 50  # nearest vectors asked for, as in memkit/retrieval/recall.py
_TARGETS = {
    10_000: Target(bound="≤", value=0.6),
    100_000: Target(bound="≤", value=0.7),
}
_OWN_TARGETS = {100_000: Target(bound="≤", value=1.2)}
_PARTS = ("own time", "embedding", "timeline", "vector search", "full-text search", "flat search")
_COLUMNS = (
    "turns", "index", "recall p50", "recall p95", "baseline p50", "baseline p95",
    *(f"{part} p50" for part in _PARTS),
)  # fmt: skip


def run(setup: Setup) -> Result:
    """Measure every size with the same questions."""
    embedder = MiniLM()
    embedder.embed(["warm up"])
    claims: list[Claim] = []
    rows: list[list[Cell]] = []
    for size in setup.choose((1_000, 10_000, 100_000), (200, 400)):
        kind, times = _measure(setup, embedder, size)
        claims += [
            time_claim(
                f"recall at {size:,} turns (p50)", times["recall"], times["baseline"],
                against="sentence-transformers + IndexFlatIP", seed=setup.seed,
                target=_TARGETS.get(size),
            ),
            time_claim(
                f"own time at {size:,} turns (p50)", times["own time"], times["flat search"],
                against="IndexFlatIP", seed=setup.seed, target=_OWN_TARGETS.get(size),
            ),
        ]  # fmt: skip
        whole = [times[name] for name in ("recall", "baseline")]
        figures = [measure.milliseconds(samples, p) for samples in whole for p in (50, 95)]
        rows.append([size, kind, *figures, *(measure.milliseconds(times[part]) for part in _PARTS)])
    return Result(
        name="recall",
        about="recall(k=10) against embedding and exact search",
        settings={"k": K, "nearest vectors": DEPTH, "noise of derived vectors": corpus.NOISE},
        claims=claims,
        tables=[Table(title="milliseconds by step", columns=_COLUMNS, rows=rows)],
    )


def _measure(setup: Setup, embedder: MiniLM, size: int) -> tuple[str, dict[str, Samples]]:
    """Return the kind of vector index, and the times by step."""
    from memkit_sqlite.faiss_index import FLAT_UP_TO

    path = corpus.make_memory_file(setup.folder, size, setup.seed, real=not setup.quick)
    vectors = corpus.make_vectors(size, setup.seed, real=not setup.quick)
    n = 8 if setup.quick else 100
    questions = corpus.make_questions(corpus.make_texts(size, setup.seed), n, setup.seed)
    with memkit.open(str(path), embedder=embedder) as memory:
        steps = _steps(memory, embedder, questions, vectors)
        times = measure.interleave(steps, n, warm=3, clock=time.process_time)
        return "flat" if memory.stats()["chunks"] <= FLAT_UP_TO else "ivf", times


class _Prepared:
    """An embedder that knows the vectors of some texts."""

    fingerprint = MINILM

    def __init__(self, vectors: dict[str, Vectors]) -> None:
        self._vectors = vectors

    def count(self, text: str) -> int:
        return len(text.split())

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:  # noqa: ARG002
        return [(0, len(text))]

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._vectors[text] for text in texts])


def _steps(
    memory: Memory, embedder: MiniLM, questions: list[str], vectors: Vectors
) -> dict[str, Step]:
    scope = Scope(user_id=USER)
    flat = corpus.exact_index(vectors)
    theirs = SentenceTransformerEmbedder(str(minilm_folder()), device="cpu")
    query_vectors = embedder.embed(questions)
    prepared = Memory(
        memory.store, _Prepared(dict(zip(questions, query_vectors, strict=True))),
        settings=memkit.Settings(background=False),
    )  # fmt: skip

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
        "own time": lambda n: prepared.recall(questions[n], user_id=USER, k=K),
        "baseline": lambda n: flat.search(theirs.embed([questions[n]]), K),
        "embedding": lambda n: embedder.embed([questions[n]]),
        "timeline": timeline,
        "vector search": nearest,
        "full-text search": postings,
        "flat search": lambda n: flat.search(query_vectors[n][None], K),
    }
