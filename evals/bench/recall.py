"""`recall` against a minimal search: embed the question, search the vectors exactly.

The baseline is MiniLM in sentence-transformers and FAISS IndexFlatIP on the same vectors: no full
text, no scope, no rows read. Its parts and memkit's are timed for the same questions in the same
rounds.
"""

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import Step, time_claim
from evals.data import corpus
from evals.stats.interval import Samples
from evals.tables import Cell, Claim, Result, Table, Target
from memkit.embedders import MiniLM, SentenceTransformerEmbedder, minilm_folder
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
_PARTS = ("embedding", "timeline", "vector search", "full-text search", "flat search")
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
        claims.append(
            time_claim(
                f"recall at {size:,} turns (p50)", times["recall"], times["baseline"],
                against="sentence-transformers + IndexFlatIP", seed=setup.seed,
                target=_TARGETS.get(size),
            )
        )  # fmt: skip
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
        times = measure.interleave(_steps(memory, embedder, questions, vectors), n, warm=3)
        return "flat" if memory.stats()["chunks"] <= FLAT_UP_TO else "ivf", times


def _steps(
    memory: Memory, embedder: MiniLM, questions: list[str], vectors: Vectors
) -> dict[str, Step]:
    scope = Scope(user_id=USER)
    flat = corpus.exact_index(vectors)
    theirs = SentenceTransformerEmbedder(str(minilm_folder()), device="cpu")
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
        "baseline": lambda n: flat.search(theirs.embed([questions[n]]), K),
        "embedding": lambda n: embedder.embed([questions[n]]),
        "timeline": timeline,
        "vector search": nearest,
        "full-text search": postings,
        "flat search": lambda n: flat.search(query_vectors[n][None], K),
    }
