"""memkit's FAISS index against exact search: build, add one, search, and recall@10.

FLAT_UP_TO and the share of inverted lists in memkit_sqlite/faiss_index.py were chosen by it; the
variants that were compared are in evals/LOG.md. Recall is a mean over queries.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from memkit_sqlite.faiss_index import FLAT_UP_TO, State, VectorIndex

from evals.bench import Setup, measure
from evals.data import corpus, locomo
from evals.stats.bootstrap import cells
from evals.stats.interval import mean_interval
from evals.tables import Cell, Result, Table
from memkit.embedders import MiniLM
from memkit.ingest import chunk
from memkit.protocols import Vectors

K = 10
_QUERIES = 300
_SINGLES = 50  # vectors that are added one by one, at most a tenth
_COLUMNS = ("turns", "index", "build s", "add 1 ms", "search p50 ms", "× flat", "recall@10", "95 %")


def run(setup: Setup) -> Result:
    """Measure both at every size on the same vectors and queries."""
    import faiss

    real, queries, source = _make_material(setup)
    sizes = setup.choose((1_000, 10_000, 20_000, 50_000, 100_000), (300,))
    rows: list[list[Cell]] = []
    if setup.data is not None:
        rows += _rows(setup, f"{len(real):,} (all real)", real, queries)
    for size in sizes:
        vectors = corpus.derive_vectors(real, size, setup.seed)
        rows += _rows(setup, f"{size:,}", vectors, queries)
    return Result(
        name="index",
        about="memkit's index and exact search",
        settings={
            "source": source,
            "real vectors": len(real),
            "noise of the others": corpus.NOISE,
            "queries": len(queries),
            "FLAT_UP_TO": FLAT_UP_TO,
            "threads": faiss.omp_get_max_threads(),
        },
        tables=[Table(title=f"vector search, {source}", columns=_COLUMNS, rows=rows)],
    )


def _make_material(setup: Setup) -> tuple[Vectors, Vectors, str]:
    if setup.quick:
        vectors = corpus.make_vectors(400, setup.seed, real=False)
        return vectors[:300], vectors[300:320], "random vectors"
    embedder = MiniLM()
    texts, questions, source = _read_texts(setup, embedder)
    chosen = np.random.default_rng(setup.seed).permutation(len(questions))[:_QUERIES]
    queries = corpus.embed_texts(questions, embedder)[chosen]
    return corpus.embed_texts(texts, embedder), queries, source


def _read_texts(setup: Setup, embedder: MiniLM) -> tuple[list[str], list[str], str]:
    """Return texts, questions or texts held back from them, and where they come from."""
    if setup.data is None:
        texts = corpus.make_texts(corpus.REALLY_EMBEDDED, setup.seed)
        return texts, corpus.make_questions(texts, _QUERIES, setup.seed), "made-up sentences"
    if setup.data.suffix == ".txt":
        lines = setup.data.read_text().splitlines()
        return lines[_QUERIES:], lines[:_QUERIES], "the lines of a file"
    haystacks = locomo.read(setup.data).haystacks
    turns = [turn for haystack in haystacks for turn in haystack.turns]
    texts = [piece.text for turn in turns for piece in chunk(turn, embedder)]
    questions = [question.text for haystack in haystacks for question in haystack.questions]
    return texts, questions, "LoCoMo's turns and questions"


def _rows(setup: Setup, label: str, vectors: Vectors, queries: Vectors) -> list[list[Cell]]:
    import faiss

    exact = faiss.IndexFlatIP(vectors.shape[1])
    state = State(store_id="", embedder="", user_id="", layout=0, newest=0)
    shipped = VectorIndex(vectors.shape[1], state)
    exact_cost = _build(lambda _, part: exact.add(part), vectors)
    shipped_cost = _build(shipped.add, vectors)
    truth, flat_ms = _search(lambda query: exact.search(query[None], K)[1][0].tolist(), queries)
    results, median_ms = _search(
        lambda query: [row for row, _ in shipped.search(query, K)], queries
    )
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(results, truth, strict=True)]
    recall = cells(mean_interval(shares, seed=setup.seed))
    return [
        [label, "flat", *exact_cost, flat_ms, 1.0, "1.000", None],
        [label, f"memkit ({shipped.kind})", *shipped_cost, median_ms, median_ms / flat_ms, *recall],
    ]


def _build(add: Callable[[Any, Vectors], object], vectors: Vectors) -> tuple[float, float]:
    """Return the seconds of a batch of most vectors, and the milliseconds of a single one."""
    cut = len(vectors) - max(1, min(_SINGLES, len(vectors) // 10))
    rows, vectors = np.arange(len(vectors), dtype=np.int64), np.ascontiguousarray(vectors)
    build_s = measure.seconds(lambda: add(rows[:cut], vectors[:cut]))
    added = [
        measure.seconds(lambda n=n: add(rows[n : n + 1], vectors[n : n + 1]))  # type: ignore[misc]
        for n in range(cut, len(rows))
    ]
    return build_s, measure.milliseconds(np.array(added))


def _search(
    search: Callable[[Vectors], Sequence[int]], queries: Vectors
) -> tuple[list[Sequence[int]], float]:
    """Search for one query at a time, as recall does; return the rows and the median time."""
    results, times = [], []
    for query in queries:
        started = time.perf_counter()
        results.append(search(query))
        times.append(time.perf_counter() - started)
    return results, measure.milliseconds(np.array(times))
