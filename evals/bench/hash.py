"""How many of the nearest thoughts a hash finds, and how little of the store it reads for that.

Recall@5 is against exhaustive search by cosine; thoughts have the vectors of dialogue turns. With
--data FILE, LoCoMo's or LongMemEval's, or a folder of such files, they are real: the settings are
compared on tuning conversations and everything else is measured on the others. A store larger than
the file is filled up with mixtures of neighbours. Without a file all vectors are drawn.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
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

K = 5
ASKED = 200  # queries of a kind
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
_NEIGHBOURS = 10
_BATCH = 2000
_TOPIC = 20  # drawn vectors about one thing
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
    """Vectors to store, and others to look for them with; all of unit length."""

    stored: Vectors
    questions: Vectors  # may be empty
    turns: Vectors  # said by the same people, and not stored

    @property
    def asked(self) -> Vectors:
        """Return all queries, the questions first."""
        return np.concatenate([self.questions, self.turns])


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What one way of searching did, query by query."""

    recall: Samples
    scanned: Samples  # share of the store
    times: Samples


def run(setup: Setup) -> Result:
    """Measure every way of searching at every size, on the same vectors and queries."""
    source, material = _material(setup)
    sizes = setup.choose((1_000, 10_000, 30_000, 100_000), (300,))
    stored = mixed(material["report"].stored, max(sizes), setup.seed)
    reported = replace(material["report"], stored=stored)
    measured = {size: _measure(reported, size, setup.seed) for size in sizes}
    tables = [_table(measured, len(reported.questions), setup.seed)]
    if setup.data is not None:
        tables.append(_settings(material["tuning"], setup))
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
            for size, searched in measured.items()
            for claim in _claims(size, searched, setup.seed, aimed=real and size >= TUNED_AT)
        ],
        tables=tables,
    )


# ---- what is searched


def _material(setup: Setup) -> tuple[str, dict[Split, Material]]:
    """Return where vectors come from, and those of either split."""
    if setup.data is None:
        n = 40 if setup.quick else ASKED
        drawn = drawn_vectors(max(setup.choose((100_000,), (300,))) + n, setup.seed)
        one = Material(stored=drawn[n:], questions=drawn[:0], turns=drawn[:n])
        return "drawn around topics", dict.fromkeys(SPLITS, one)
    inner: Embedder = HashEmbedder() if setup.quick else MiniLM()
    files = sorted(setup.data.iterdir()) if setup.data.is_dir() else [setup.data]
    data = [_read(file) for file in files]
    with CachedEmbedder(inner, setup.folder if setup.quick else default_folder()) as embedder:
        made = {split: _of_split(data, split, embedder, setup.seed) for split in SPLITS}
    return f"{' and '.join(one.file for one in data)}, {inner.fingerprint}", made


def _read(file: Path) -> DataSet:
    """Read a LoCoMo file, which ends in .json, or one of LongMemEval, which does not."""
    return locomo.read(file) if file.suffix == ".json" else longmemeval.read(file)


def _of_split(
    data: Iterable[DataSet], split: Split, embedder: CachedEmbedder, seed: int
) -> Material:
    haystacks = [haystack for one in data for haystack in one.of(split)]
    said = {
        piece.text
        for haystack in haystacks
        for turn in haystack.turns
        for piece in chunk(turn, embedder)
    }
    asked = {question.text for haystack in haystacks for question in haystack.questions}
    turns, questions = (_shuffled(texts, seed) for texts in (said, asked))
    back = min(ASKED, len(turns) // 5)
    vectors = embedder.embed(turns)
    return Material(
        stored=vectors[back:], questions=embedder.embed(questions[:ASKED]), turns=vectors[:back]
    )


def _shuffled(texts: set[str], seed: int) -> list[str]:
    ordered = sorted(texts)
    return [ordered[n] for n in np.random.default_rng(seed).permutation(len(ordered))]


def mixed(real: Vectors, n: int, seed: int) -> Vectors:
    """Return `n` unit vectors: the real ones, then mixtures of two that are near each other.

    A mixture lies between a real vector and one of its ten nearest, with a little noise, so it is
    about what they are about; what lies close together stays on the same few hundred directions.
    """
    rng = np.random.default_rng(seed)
    spread = NOISE * real.std(axis=0)
    parts = [real[:n]]
    for first in range(len(real), n, _BATCH):
        count = min(_BATCH, n - first)
        ones = rng.integers(0, len(real), count)
        near = np.argpartition(-real[ones] @ real.T, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
        others = near[np.arange(count), rng.integers(0, _NEIGHBOURS, count)]
        share = rng.uniform(0.2, 0.8, (count, 1))
        noise = spread * rng.standard_normal((count, real.shape[1]))
        parts.append(_unit(share * real[ones] + (1 - share) * real[others] + noise))
    return np.concatenate(parts)


def drawn_vectors(n: int, seed: int) -> Vectors:
    """Return `n` unit vectors, in any order: a topic, as much of their own, what all share."""
    rng = np.random.default_rng(seed)
    about = rng.integers(0, max(1, n // _TOPIC), n)
    topics = rng.standard_normal((max(1, n // _TOPIC), MINILM.dimension), dtype=np.float32)
    own = rng.standard_normal((n, MINILM.dimension), dtype=np.float32)
    common = 0.5 * rng.standard_normal(MINILM.dimension, dtype=np.float32)
    return _unit(topics[about] + own + common)


def _unit(vectors: NDArray[np.floating[Any]]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


# ---- ways of searching


def exhaustive(stored: Vectors) -> Search:
    """Compare a query with everything."""

    def search(query: Vectors) -> Integers:
        cosines = stored @ query
        best = np.argpartition(-cosines, K)[:K] if len(stored) > K else np.arange(len(stored))
        return best[np.argsort(-cosines[best], kind="stable")]

    return search


def faiss_search(index: Any, stored: Vectors) -> Search:
    """Search with a FAISS index, one query at a time."""
    index.add(stored)
    return lambda query: np.asarray(index.search(query[None], K)[1][0])


def filled(hash: Hash, stored: Vectors) -> Groups:
    """Return the groups of these vectors."""
    groups = Groups(tables=hash.tables, groups=hash.groups)
    groups.add(np.arange(len(stored)), hash.groups_of(stored))
    return groups


def hashed(hash: Hash, groups: Groups, stored: Vectors) -> Search:
    """Compare a query with what its hash finds."""
    return lambda query: nearest(query, stored, groups.candidates(hash.probes_of(query)), K)[0]


def literal_hash(n: int, dimension: int, seed: int) -> Hash:
    """Return the paper's hash with about √n groups; the paper does not say how many."""
    return Hash.literal(seed=seed, dimension=dimension, groups=max(2, sized_for(n) // 4))


# ---- figures


def _measure(material: Material, size: int, seed: int) -> dict[str, Searched]:
    """Ask every query in every way, by turns."""
    import faiss

    faiss.omp_set_num_threads(1)
    stored, asked = np.ascontiguousarray(material.stored[:size]), material.asked
    dimension = stored.shape[1]
    ways = {EXHAUSTIVE: exhaustive(stored)}
    ways["FAISS IndexFlatIP"] = faiss_search(faiss.IndexFlatIP(dimension), stored)
    for bits in (8, 256):
        name = f"FAISS IndexLSH, {bits} bits"
        ways[name] = faiss_search(faiss.IndexLSH(dimension, bits), stored)
    shares: dict[str, Samples] = {}
    hashes = {
        "literal hash": literal_hash(size, dimension, seed),
        OURS: Hash.fitted(stored, seed=seed),
    }
    for name, hash in hashes.items():
        groups = filled(hash, stored)
        ways[name], shares[name] = hashed(hash, groups, stored), scanned(hash, groups, asked, size)
    steps = {name: partial(_ask, search, asked) for name, search in ways.items()}
    times = measure.interleave(steps, len(asked), warm=2)
    truth = [ways[EXHAUSTIVE](query) for query in asked]
    return {
        name: Searched(
            recall=recall(search, asked, truth),
            scanned=shares.get(name, np.ones(len(asked))),
            times=times[name],
        )
        for name, search in ways.items()
    }


def _ask(search: Search, asked: Vectors, n: int) -> None:
    search(asked[n])


def recall(search: Search, asked: Vectors, truth: Iterable[Integers]) -> Samples:
    """Return the share of the truth that is found, query by query."""
    pairs = zip(asked, truth, strict=True)
    return np.array([np.isin(true, search(query)).mean() for query, true in pairs])


def scanned(hash: Hash, groups: Groups, asked: Vectors, size: int) -> Samples:
    """Return which share of the store is compared, query by query."""
    return np.array([len(groups.candidates(hash.probes_of(query))) for query in asked]) / size


def _table(measured: Mapping[int, Mapping[str, Searched]], questions: int, seed: int) -> Table:
    rows: list[list[Cell]] = []
    for size, ways in measured.items():
        for name, one in ways.items():
            found = mean_interval(one.recall.tolist(), seed=seed)
            ratio = median_ratio(one.times, ways[EXHAUSTIVE].times, seed=seed)
            rows.append([
                size, name, found.value, f"{found.low:.3f}–{found.high:.3f}",
                _mean(one.recall[:questions]), _mean(one.recall[questions:]),
                float(one.scanned.mean()), 1000 * measure.milliseconds(one.times),
                ratio.value, f"{ratio.low:.2f}–{ratio.high:.2f}",
            ])  # fmt: skip
    n = len(measured[next(iter(measured))][OURS].recall)
    return Table(title=f"searches, n = {n} queries", columns=_COLUMNS, rows=rows, note=_NOTE)


def _mean(values: Samples) -> float | None:
    return float(values.mean()) if len(values) else None


def _settings(material: Material, setup: Setup) -> Table:
    """Return recall and share of other settings, on tuning conversations."""
    size = min(TUNED_AT, len(material.stored))
    stored, asked = material.stored[:size], material.asked
    truth = [exhaustive(stored)(query) for query in asked]
    ours = Hash.fitted(stored, seed=setup.seed)
    rows: list[list[Cell]] = []
    for times, tables, probes in GRID:
        hash = replace(ours, groups=int(ours.groups * times), tables=tables, probes=probes)
        groups = filled(hash, stored)
        found = recall(hashed(hash, groups, stored), asked, truth)
        interval = mean_interval(found.tolist(), seed=setup.seed)
        share = float(scanned(hash, groups, asked, size).mean())
        chosen = "shipped" if (times, tables, probes) == (1, TABLES, PROBES) else ""
        rows.append([
            hash.groups, tables, probes, interval.value,
            f"{interval.low:.3f}–{interval.high:.3f}", share, chosen,
        ])  # fmt: skip
    return Table(
        title=f"settings, tuning conversations: {size:,} thoughts, n = {len(asked)} queries",
        columns=["groups", "tables", "probes", f"recall@{K}", "95 %", "scanned", ""],
        rows=rows,
    )


def _claims(size: int, searched: Mapping[str, Searched], seed: int, *, aimed: bool) -> list[Claim]:
    """Return ours beside exhaustive search; the targets are for real vectors."""
    ours, theirs = searched[OURS], searched[EXHAUSTIVE]
    return [
        _share_claim(f"{size:,}: recall@{K}", ours.recall, seed, _RECALL if aimed else None),
        _share_claim(f"{size:,}: scanned", ours.scanned, seed, _SCANNED if aimed else None),
        time_claim(f"{size:,}: search", ours.times, theirs.times, against=EXHAUSTIVE, seed=seed),
    ]


def _share_claim(what: str, shares: Samples, seed: int, target: Target | None) -> Claim:
    """Return a claim about a share that is 1 for exhaustive search."""
    mean = mean_interval(shares.tolist(), seed=seed)
    return Claim(
        what=what,
        unit="",
        ours=mean.value,
        against=EXHAUSTIVE,
        baseline=1.0,
        ratio=mean,
        target=target.text("") if target else "",
        met=target.met(mean.value, 1.0, mean.value) if target else None,
    )
