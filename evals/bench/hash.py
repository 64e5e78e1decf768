"""Recall of Think-in-Memory's hash for the nearest thoughts, and the share of the store it reads.

Recall@5 is against exhaustive search by cosine; thoughts have the vectors of dialogue turns. With
--data FILE, LoCoMo's or LongMemEval's, or a folder of such files, they are real: those of the
conversations that no setting was chosen on. A store larger than the file is filled up with mixtures
of neighbours. Without a file all vectors are random.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.bench import Setup, measure
from evals.bench.measure import time_claim
from evals.data import locomo, longmemeval
from evals.stats.bootstrap import cells
from evals.stats.interval import Samples, mean_interval
from evals.systems.cache import CachedEmbedder, default_folder
from evals.tables import Cell, Claim, Result, Table, Target
from memkit.embedders import MINILM, MiniLM
from memkit.ingest import chunk
from memkit.protocols import Integers, Vectors
from memkit.testing import HashEmbedder
from memkit.thoughts.lsh import PROBES, TABLES, Groups, Hash, nearest, sized_for

K = 5  # nearest thoughts
QUERIES = 200  # questions, and as many turns that are held back
NOISE = 0.3  # of a mixture, over the spread of the real vectors
OURS, LITERAL, EXHAUSTIVE = "memkit", "literal hash", "exhaustive, numpy"
_AIMED = 10_000  # thoughts from which the targets hold
_RECALL = Target(bound="≥", value=0.95, on="ours")
_SCANNED = Target(bound="≤", value=0.25, on="ours")
_NEIGHBOURS = 10  # of a real vector, one of which it is mixed with
_BATCH = 2000  # mixtures at a time, to bound the similarity matrix
_TOPIC = 20  # random vectors about one topic
_COLUMNS = ("thoughts", "search", f"recall@{K}", "95 %", "scanned", "p50 µs")

Search = Callable[[Vectors], Integers]
# recall, share of the store scanned, and seconds of one way of searching, query by query
Measurement = tuple[Samples, Samples, Samples]


def run(setup: Setup) -> Result:
    """Measure every way of searching at every size, on the same vectors and queries."""
    sizes = setup.choose((1_000, 10_000, 30_000, 100_000), (300,))
    source, real, queries = _make_vectors(setup, max(sizes))
    stored = mix_neighbours(real, max(sizes), setup.seed)
    claims: list[Claim] = []
    rows: list[list[Cell]] = []
    for size in sizes:
        measured = _measure(np.ascontiguousarray(stored[:size]), queries, setup.seed)
        aimed = setup.data is not None and not setup.quick and size >= _AIMED
        claims += _claims(size, measured, setup.seed, aimed=aimed)
        for name, (recalls, scanned, times) in measured.items():
            mean = mean_interval(recalls.tolist(), seed=setup.seed)
            microseconds = 1000 * measure.milliseconds(times)
            rows.append([size, name, *cells(mean), float(scanned.mean()), microseconds])
    return Result(
        name="hash",
        about="Think-in-Memory's hash, against exhaustive search",
        settings={
            "vectors": source,
            "stored, not mixed": min(len(real), max(sizes)),
            "noise of the mixtures": NOISE,
            "tables": TABLES,
            "probes": PROBES,
            "groups": ", ".join(str(sized_for(size)) for size in sizes),
        },
        claims=claims,
        tables=[
            Table(
                title=f"searches, n = {len(queries)} queries",
                columns=_COLUMNS,
                rows=rows,
                note="scanned: share of the vectors that are compared. Literal: Eq. 1, √n groups",
            )
        ],
    )


# ---- what is searched


def _make_vectors(setup: Setup, size: int) -> tuple[str, Vectors, Vectors]:
    if setup.data is None:
        n = 40 if setup.quick else QUERIES
        vectors = topical_vectors(size + n, setup.seed)
        return "drawn around topics", vectors[n:], vectors[:n]
    files = sorted(setup.data.iterdir()) if setup.data.is_dir() else [setup.data]
    # a LoCoMo file ends in .json, one of LongMemEval in .jsonl.gz
    sets = [
        locomo.read(file) if file.suffix == ".json" else longmemeval.read(file) for file in files
    ]
    haystacks = [haystack for data in sets for haystack in data.in_split("report")]
    inner = HashEmbedder() if setup.quick else MiniLM()
    with CachedEmbedder(inner, setup.folder if setup.quick else default_folder()) as embedder:
        turns = [turn for haystack in haystacks for turn in haystack.turns]
        texts = {piece.text for turn in turns for piece in chunk(turn, embedder)}
        questions = {question.text for haystack in haystacks for question in haystack.questions}
        vectors = embedder.embed(_shuffle(texts, setup.seed))
        asked = embedder.embed(_shuffle(questions, setup.seed)[:QUERIES])
    held_back = min(QUERIES, len(vectors) // 5)
    source = f"{' and '.join(data.file for data in sets)}, {inner.fingerprint}"
    return source, vectors[held_back:], np.concatenate([asked, vectors[:held_back]])


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


def hash_search(hash: Hash, groups: Groups, stored: Vectors) -> Search:
    """Return a search that compares a query with the candidates of its hash."""
    return lambda query: nearest(query, stored, groups.candidates(hash.probes_of(query)), K)[0]


# ---- figures


def _measure(stored: Vectors, queries: Vectors, seed: int) -> dict[str, Measurement]:
    size, dimension = stored.shape
    searches = {EXHAUSTIVE: exhaustive(stored)}
    shares: dict[str, Samples] = {EXHAUSTIVE: np.ones(len(queries))}
    # about √n groups; the paper does not say how many
    literal = Hash.literal(seed=seed, dimension=dimension, groups=max(2, sized_for(size) // 4))
    for name, hash in {LITERAL: literal, OURS: Hash.fitted(stored, seed=seed)}.items():
        groups = Groups(tables=hash.tables, groups=hash.groups)
        groups.add(np.arange(size), hash.groups_of(stored))
        searches[name] = hash_search(hash, groups, stored)
        shares[name] = scanned_shares(hash, groups, queries, size)
    steps = {name: lambda n, search=search: search(queries[n]) for name, search in searches.items()}
    times = measure.interleave(steps, len(queries), warm=2)
    truth = [searches[EXHAUSTIVE](query) for query in queries]
    return {
        name: (recall(search, queries, truth), shares[name], times[name])
        for name, search in searches.items()
    }


def recall(search: Search, queries: Vectors, truth: Iterable[Integers]) -> Samples:
    """Return the share of the truth that a search finds, query by query."""
    pairs = zip(queries, truth, strict=True)
    return np.array([np.isin(true, search(query)).mean() for query, true in pairs])


def scanned_shares(hash: Hash, groups: Groups, queries: Vectors, size: int) -> Samples:
    """Return the share of the store that is compared, query by query."""
    return np.array([len(groups.candidates(hash.probes_of(query))) for query in queries]) / size


def _claims(size: int, measured: dict[str, Measurement], seed: int, *, aimed: bool) -> list[Claim]:
    """Return memkit's figures with those of exhaustive search; targets are for real vectors."""
    recalls, scanned, times = measured[OURS]
    shares = ((f"recall@{K}", recalls, _RECALL), ("scanned", scanned, _SCANNED))
    claims = []
    for what, values, aim in shares:
        mean = mean_interval(values.tolist(), seed=seed)
        figures, target = (mean.value, 1.0), aim if aimed else None
        label = f"{size:,}: {what}"
        claims.append(
            measure.make_claim(label, "", figures, mean, against=EXHAUSTIVE, target=target)
        )
    search = f"{size:,}: search"
    exhaustive_times = measured[EXHAUSTIVE][2]
    return [*claims, time_claim(search, times, exhaustive_times, against=EXHAUSTIVE, seed=seed)]
