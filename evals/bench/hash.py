"""Recall of Think-in-Memory's hash for the nearest thoughts, and the share of the store it reads.

Recall@5 is against exhaustive search by cosine; thoughts have the vectors of dialogue turns. With
--data FILE, LoCoMo's or LongMemEval's, or a folder of such files, they are real: the settings are
compared on tuning conversations and everything else is measured on the others. A store larger than
the file is filled up with mixtures of neighbours. Without a file all vectors are random.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.bench import Setup, measure
from evals.bench.measure import time_claim
from evals.data import locomo, longmemeval
from evals.data.haystack import SPLITS, DataSet, Split
from evals.stats.interval import Samples, mean_interval, median_ratio
from evals.systems.cache import CachedEmbedder, default_folder
from evals.tables import Cell, Claim, Result, Table, Target
from memkit.embedders import MINILM, MiniLM
from memkit.ingest import chunk
from memkit.protocols import Embedder, Integers, Vectors
from memkit.testing import HashEmbedder
from memkit.thoughts.lsh import PROBES, TABLES, Groups, Hash, nearest, sized_for

K = 5  # nearest thoughts
QUERIES = 200  # of either kind
NOISE = 0.3  # of a mixture, over the spread of the real vectors
OURS, EXHAUSTIVE = "memkit", "exhaustive, numpy"
TUNED_AT = 10_000
GRID = (  # groups as a multiple of memkit's, tables, probes; the share scanned is about alike
    (0.5, TABLES, PROBES // 2), (1, TABLES // 2, 2 * PROBES), (1, TABLES, PROBES - 2),
    (1, TABLES, PROBES), (1, TABLES, PROBES + 2), (1, 2 * TABLES, PROBES // 2),
    (2, TABLES, 2 * PROBES),
)  # fmt: skip
_RECALL, _SCANNED = (
    Target(bound="≥", value=0.95, on="ours"),
    Target(bound="≤", value=0.25, on="ours"),
)
_NEIGHBOURS = 10  # of a real vector, one of which it is mixed with
_BATCH = 2000  # mixtures at a time, to bound the similarity matrix
_TOPIC = 20  # random vectors about one topic
_COLUMNS = (
    "thoughts", "search", f"recall@{K}", "95 %", "of questions", "of turns", "scanned",
    "p50 µs", f"÷ {EXHAUSTIVE}", "95 %",
)  # fmt: skip
_NOTE = (
    "scanned: share of the vectors that are compared; IndexLSH compares every code instead, of as "
    "many bits as it says. Literal: Eq. 1 with about √n groups"
)

Search = Callable[[Vectors], Integers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Vectors to store, and others to search for them with; all of unit length."""

    stored: Vectors
    questions: Vectors  # may be empty
    turns: Vectors  # of the same conversations, not stored

    @property
    def queries(self) -> Vectors:
        """Return all queries, the questions first."""
        return np.concatenate([self.questions, self.turns])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Recall, share scanned and time of one way of searching, query by query."""

    recall: Samples
    scanned: Samples  # share of the store
    times: Samples


def run(setup: Setup) -> Result:
    """Measure every way of searching at every size, on the same vectors and queries."""
    source, material = _make_material(setup)
    sizes = setup.choose((1_000, 10_000, 30_000, 100_000), (300,))
    stored = mix_neighbours(material["report"].stored, max(sizes), setup.seed)
    reported = replace(material["report"], stored=stored)
    measured = {size: _measure(reported, size, setup.seed) for size in sizes}
    tables = [_table(measured, len(reported.questions), setup.seed)]
    if setup.data is not None:
        tables.append(_settings_table(material["tuning"], setup))
    real = setup.data is not None and not setup.quick
    return Result(
        name="hash",
        about="Think-in-Memory's hash, against exhaustive search",
        settings={
            "vectors": source,
            "stored, not mixed": min(len(material["report"].stored), max(sizes)),
            "noise of the mixtures": NOISE,
            "questions": len(reported.questions),
            "turns held back": len(reported.turns),
            "tables": TABLES,
            "probes": PROBES,
            "groups": ", ".join(str(sized_for(size)) for size in sizes),
        },
        claims=[
            claim
            for size, measurements in measured.items()
            for claim in _claims(size, measurements, setup.seed, aimed=real and size >= TUNED_AT)
        ],
        tables=tables,
    )


# ---- what is searched


def _make_material(setup: Setup) -> tuple[str, dict[Split, Material]]:
    """Return the source of the vectors, and those of either split."""
    if setup.data is None:
        n = 40 if setup.quick else QUERIES
        vectors = topical_vectors(max(setup.choose((100_000,), (300,))) + n, setup.seed)
        material = Material(stored=vectors[n:], questions=vectors[:0], turns=vectors[:n])
        return "drawn around topics", dict.fromkeys(SPLITS, material)
    inner: Embedder = HashEmbedder() if setup.quick else MiniLM()
    files = sorted(setup.data.iterdir()) if setup.data.is_dir() else [setup.data]
    # a LoCoMo file ends in .json, one of LongMemEval in .jsonl.gz
    sets = [
        locomo.read(file) if file.suffix == ".json" else longmemeval.read(file) for file in files
    ]
    with CachedEmbedder(inner, setup.folder if setup.quick else default_folder()) as embedder:
        by_split = {split: _embed_split(sets, split, embedder, setup.seed) for split in SPLITS}
    return f"{' and '.join(data.file for data in sets)}, {inner.fingerprint}", by_split


def _embed_split(
    sets: Iterable[DataSet], split: Split, embedder: CachedEmbedder, seed: int
) -> Material:
    haystacks = [haystack for data in sets for haystack in data.in_split(split)]
    pieces = {
        piece.text
        for haystack in haystacks
        for turn in haystack.turns
        for piece in chunk(turn, embedder)
    }
    questions = {question.text for haystack in haystacks for question in haystack.questions}
    vectors = embedder.embed(_shuffle(pieces, seed))
    held_back = min(QUERIES, len(vectors) // 5)
    return Material(
        stored=vectors[held_back:],
        questions=embedder.embed(_shuffle(questions, seed)[:QUERIES]),
        turns=vectors[:held_back],
    )


def _shuffle(texts: set[str], seed: int) -> list[str]:
    ordered = sorted(texts)
    return [ordered[n] for n in np.random.default_rng(seed).permutation(len(ordered))]


def mix_neighbours(real: Vectors, n: int, seed: int) -> Vectors:
    """Return `n` unit vectors: the real ones, then mixtures of two that are near each other.

    A mixture lies between a real vector and one of its ten nearest, with a little noise, so it is
    about the same things; neighbours stay on the same few hundred directions.
    """
    rng = np.random.default_rng(seed)
    spread = NOISE * real.std(axis=0)
    parts = [real[:n]]
    for first in range(len(real), n, _BATCH):
        count = min(_BATCH, n - first)
        left = rng.integers(0, len(real), count)
        near = np.argpartition(-real[left] @ real.T, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
        right = near[np.arange(count), rng.integers(0, _NEIGHBOURS, count)]
        share = rng.uniform(0.2, 0.8, (count, 1))
        noise = spread * rng.standard_normal((count, real.shape[1]))
        parts.append(_normalise(share * real[left] + (1 - share) * real[right] + noise))
    return np.concatenate(parts)


def topical_vectors(n: int, seed: int) -> Vectors:
    """Return `n` unit vectors, each the sum of a topic, an individual and a common part."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, max(1, n // _TOPIC), n)
    topics = rng.standard_normal((max(1, n // _TOPIC), MINILM.dimension), dtype=np.float32)
    individual = rng.standard_normal((n, MINILM.dimension), dtype=np.float32)
    common = 0.5 * rng.standard_normal(MINILM.dimension, dtype=np.float32)
    return _normalise(topics[topic] + individual + common)


def _normalise(vectors: NDArray[np.floating[Any]]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


# ---- ways of searching


def exhaustive(stored: Vectors) -> Search:
    """Return a search that compares a query with everything."""

    def search(query: Vectors) -> Integers:
        cosines = stored @ query
        best = np.argpartition(-cosines, K)[:K] if len(stored) > K else np.arange(len(stored))
        return best[np.argsort(-cosines[best], kind="stable")]

    return search


def faiss_search(index: Any, stored: Vectors) -> Search:
    """Return a search with a FAISS index, one query at a time."""
    index.add(stored)
    return lambda query: np.asarray(index.search(query[None], K)[1][0])


def make_groups(hash: Hash, stored: Vectors) -> Groups:
    """Return the groups of these vectors."""
    groups = Groups(tables=hash.tables, groups=hash.groups)
    groups.add(np.arange(len(stored)), hash.groups_of(stored))
    return groups


def hash_search(hash: Hash, groups: Groups, stored: Vectors) -> Search:
    """Return a search that compares a query with the candidates of its hash."""
    return lambda query: nearest(query, stored, groups.candidates(hash.probes_of(query)), K)[0]


def literal_hash(n: int, dimension: int, seed: int) -> Hash:
    """Return the paper's hash with about √n groups; the paper does not say how many."""
    return Hash.literal(seed=seed, dimension=dimension, groups=max(2, sized_for(n) // 4))


# ---- figures


def _measure(material: Material, size: int, seed: int) -> dict[str, Measurement]:
    """Search for every query in every way, alternately."""
    import faiss

    faiss.omp_set_num_threads(1)
    stored, queries = np.ascontiguousarray(material.stored[:size]), material.queries
    dimension = stored.shape[1]
    searches = {EXHAUSTIVE: exhaustive(stored)}
    searches["FAISS IndexFlatIP"] = faiss_search(faiss.IndexFlatIP(dimension), stored)
    for bits in (8, 256):
        name = f"FAISS IndexLSH, {bits} bits"
        searches[name] = faiss_search(faiss.IndexLSH(dimension, bits), stored)
    shares: dict[str, Samples] = {}
    hashes = {
        "literal hash": literal_hash(size, dimension, seed),
        OURS: Hash.fitted(stored, seed=seed),
    }
    for name, hash in hashes.items():
        groups = make_groups(hash, stored)
        searches[name] = hash_search(hash, groups, stored)
        shares[name] = scanned_shares(hash, groups, queries, size)
    steps = {name: partial(_run_search, search, queries) for name, search in searches.items()}
    times = measure.interleave(steps, len(queries), warm=2)
    truth = [searches[EXHAUSTIVE](query) for query in queries]
    return {
        name: Measurement(
            recall=recall(search, queries, truth),
            scanned=shares.get(name, np.ones(len(queries))),
            times=times[name],
        )
        for name, search in searches.items()
    }


def _run_search(search: Search, queries: Vectors, n: int) -> None:
    search(queries[n])


def recall(search: Search, queries: Vectors, truth: Iterable[Integers]) -> Samples:
    """Return the share of the truth that a search finds, query by query."""
    pairs = zip(queries, truth, strict=True)
    return np.array([np.isin(true, search(query)).mean() for query, true in pairs])


def scanned_shares(hash: Hash, groups: Groups, queries: Vectors, size: int) -> Samples:
    """Return the share of the store that is compared, query by query."""
    return np.array([len(groups.candidates(hash.probes_of(query))) for query in queries]) / size


def _table(by_size: Mapping[int, Mapping[str, Measurement]], questions: int, seed: int) -> Table:
    rows: list[list[Cell]] = []
    for size, measurements in by_size.items():
        for name, measured in measurements.items():
            mean = mean_interval(measured.recall.tolist(), seed=seed)
            ratio = median_ratio(measured.times, measurements[EXHAUSTIVE].times, seed=seed)
            rows.append([
                size, name, mean.value, f"{mean.low:.3f}–{mean.high:.3f}",
                _mean(measured.recall[:questions]), _mean(measured.recall[questions:]),
                float(measured.scanned.mean()), 1000 * measure.milliseconds(measured.times),
                ratio.value, f"{ratio.low:.2f}–{ratio.high:.2f}",
            ])  # fmt: skip
    n = len(next(iter(by_size.values()))[OURS].recall)
    return Table(title=f"searches, n = {n} queries", columns=_COLUMNS, rows=rows, note=_NOTE)


def _mean(values: Samples) -> float | None:
    return float(values.mean()) if len(values) else None


def _settings_table(material: Material, setup: Setup) -> Table:
    """Return recall and share scanned of other settings, on tuning conversations."""
    size = min(TUNED_AT, len(material.stored))
    stored, queries = material.stored[:size], material.queries
    truth = [exhaustive(stored)(query) for query in queries]
    shipped = Hash.fitted(stored, seed=setup.seed)
    rows: list[list[Cell]] = []
    for times, tables, probes in GRID:
        hash = replace(shipped, groups=int(shipped.groups * times), tables=tables, probes=probes)
        groups = make_groups(hash, stored)
        recalls = recall(hash_search(hash, groups, stored), queries, truth)
        mean = mean_interval(recalls.tolist(), seed=setup.seed)
        share = float(scanned_shares(hash, groups, queries, size).mean())
        mark = "shipped" if (times, tables, probes) == (1, TABLES, PROBES) else ""
        rows.append([
            hash.groups, tables, probes, mean.value, f"{mean.low:.3f}–{mean.high:.3f}", share, mark,
        ])  # fmt: skip
    return Table(
        title=f"settings, tuning conversations: {size:,} thoughts, n = {len(queries)} queries",
        columns=["groups", "tables", "probes", f"recall@{K}", "95 %", "scanned", ""],
        rows=rows,
    )


def _claims(
    size: int, measurements: Mapping[str, Measurement], seed: int, *, aimed: bool
) -> list[Claim]:
    """Return memkit's figures with those of exhaustive search; targets are for real vectors."""
    hashed, full = measurements[OURS], measurements[EXHAUSTIVE]
    return [
        _share_claim(f"{size:,}: recall@{K}", hashed.recall, seed, _RECALL if aimed else None),
        _share_claim(f"{size:,}: scanned", hashed.scanned, seed, _SCANNED if aimed else None),
        time_claim(f"{size:,}: search", hashed.times, full.times, against=EXHAUSTIVE, seed=seed),
    ]


def _share_claim(label: str, shares: Samples, seed: int, target: Target | None) -> Claim:
    """Return a claim about a share that is 1 for exhaustive search."""
    mean = mean_interval(shares.tolist(), seed=seed)
    figures = (mean.value, 1.0)
    return measure.make_claim(label, "", figures, mean, against=EXHAUSTIVE, target=target)
