"""Which FAISS index at which size: build, add one, search, and recall@10 against exact search.

FLAT_UP_TO and _PROBED in memkit_sqlite/faiss_index.py were chosen by it. The row "memkit" is the
index as shipped, at that size. Recall is a mean over queries; exact search is its baseline.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from memkit_sqlite.faiss_index import FLAT_UP_TO, State, VectorIndex

from evals.bench import Setup, measure
from evals.data import corpus, locomo
from evals.stats.interval import Interval, mean_interval
from evals.tables import Cell, Result, Table
from memkit.embedders import MiniLM
from memkit.ingest import chunk
from memkit.protocols import Vectors

K = 10
_QUERIES = 300
_SHARES = (0.04, 0.08, 0.16)  # of the inverted lists that are searched
_LISTS = (1, 2, 4)  # numbers of inverted lists, times √n
_EF = (64, 128)  # HNSW's search depth
_COLUMNS = ("turns", "index", "build s", "add 1 ms", "search p50 ms", "× flat", "recall@10", "95 %")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of index with one setting."""

    name: str
    index: Any
    build_s: float
    add_ms: float
    parameters: Any = None


def run(setup: Setup) -> Result:
    """Measure every kind at every size on the same vectors and queries."""
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
        about="kinds of FAISS index",
        settings={
            "source": source,
            "real vectors": len(real),
            "noise of the others": corpus.NOISE,
            "queries": len(queries),
            "FLAT_UP_TO": FLAT_UP_TO,
            "threads": faiss.omp_get_max_threads(),
        },
        tables=[Table(title=f"kinds of index, {source}", columns=_COLUMNS, rows=rows)],
    )


def _make_material(setup: Setup) -> tuple[Vectors, Vectors, str]:
    """Return real vectors, vectors of questions about them, and where they come from."""
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
    truth = corpus.exact_index(vectors).search(queries, K)[1]
    rows: list[list[Cell]] = []
    flat_ms: float | None = None
    for case in _make_cases(vectors, quick=setup.quick):
        results, median_ms = _search(case, queries)
        flat_ms = flat_ms or median_ms
        recall = _recall(results, truth, setup.seed)
        row: list[Cell] = [label, case.name, case.build_s, case.add_ms, median_ms]
        row += [median_ms / flat_ms, recall.value, f"{recall.low:.3f}–{recall.high:.3f}"]
        rows.append(row)
    return rows


def _recall(results: list[list[int]], truth: Any, seed: int) -> Interval:
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(results, truth.tolist(), strict=True)]
    return mean_interval(shares, seed=seed)


def _search(case: Case, queries: Vectors) -> tuple[list[list[int]], float]:
    """Search for one query at a time, as recall does; return the rows and the median time."""
    results, times = [], []
    for query in queries:
        started = time.perf_counter()
        if isinstance(case.index, VectorIndex):
            rows = [row for row, _ in case.index.search(query, K)]
        else:
            rows = case.index.search(query[None], K, params=case.parameters)[1][0].tolist()
        times.append(time.perf_counter() - started)
        results.append(rows)
    return results, measure.milliseconds(np.array(times))


def _make_cases(vectors: Vectors, *, quick: bool) -> Iterator[Case]:
    import faiss

    dimension = vectors.shape[1]
    yield _build("flat", faiss.IndexFlatIP(dimension), vectors)
    yield _build_shipped(vectors)
    for times in _LISTS:
        lists = max(1, int(times * np.sqrt(len(vectors))))
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT
        )
        # train with few vectors without a warning, and with many in bounded time
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = 64
        built = _build("", index, vectors, train=True)
        for share in _SHARES:
            probes = max(1, round(share * lists))
            yield Case(
                name=f"IVF {times}√n = {lists}, {share:.0%} probed",
                index=index,
                build_s=built.build_s,
                add_ms=built.add_ms,
                parameters=faiss.SearchParametersIVF(nprobe=probes),
            )
    if not quick:
        yield from _make_graphs(vectors)


def _make_graphs(vectors: Vectors) -> Iterator[Case]:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    built = _build("", index, vectors)
    for depth in _EF:
        yield Case(
            name=f"HNSW 32, ef {depth}",
            index=index,
            build_s=built.build_s,
            add_ms=built.add_ms,
            parameters=faiss.SearchParametersHNSW(efSearch=depth),
        )


def _build(name: str, index: Any, vectors: Vectors, *, train: bool = False) -> Case:
    """Build all but the last vectors, then add those one by one."""
    singles = max(1, min(50, len(vectors) // 10))
    started = time.perf_counter()
    if train:
        index.train(vectors)
    index.add(np.ascontiguousarray(vectors[:-singles]))
    build_s = time.perf_counter() - started
    added = [measure.seconds(lambda v=v: index.add(v[None])) for v in vectors[-singles:]]  # type: ignore[misc]
    return Case(
        name=name, index=index, build_s=build_s, add_ms=measure.milliseconds(np.array(added))
    )


def _build_shipped(vectors: Vectors) -> Case:
    """Build the index as memkit does, from one batch; then add vectors one by one."""
    state = State(store_id="", embedder="", user_id="", layout=0, newest=0)
    index = VectorIndex(vectors.shape[1], state)
    singles = max(1, min(50, len(vectors) // 10))
    rows = np.arange(len(vectors), dtype=np.int64)
    started = time.perf_counter()
    index.add(rows[:-singles], vectors[:-singles])
    build_s = time.perf_counter() - started
    added = [
        measure.seconds(lambda n=n: index.add(rows[n : n + 1], vectors[n : n + 1]))  # type: ignore[misc]
        for n in range(len(rows) - singles, len(rows))
    ]
    return Case(
        name=f"memkit ({index.kind})",
        index=index,
        build_s=build_s,
        add_ms=measure.milliseconds(np.array(added)),
    )
