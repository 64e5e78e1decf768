"""The cost of chunk attention next to flat attention, and what it adds to memkit's ranking.

Cost: one query of `attend` over chunks of four turns with their keys kept, against a softmax over
all turns. The vectors are random: times do not depend on their content.
With --data locomo10.json also retrieval: memkit with and without chunk attention on questions with
several evidence turns, and among more sessions than it was tuned on (evals/studies/extrapolation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evals.bench import Setup, measure
from evals.bench.measure import size_claim, time_claim
from evals.data import corpus, locomo
from evals.data.haystack import PUBLISHED, SPLITS
from evals.metrics import retrieval as metrics
from evals.stats.interval import Samples
from evals.studies import extrapolation
from evals.studies.paired import PAIRED, PAIRED_NOTE, Resamples, Served, ask, paired, select
from evals.systems.cache import CachedEmbedder, default_folder
from evals.systems.memkit import OURS, ReweightedMemkit, only
from evals.systems.protocol import MakeSystem
from evals.systems.registry import ABLATIONS
from evals.tables import Cell, Claim, Result, Table
from memkit.attention import attend, chunk_keys, pack
from memkit.embedders import MINILM, MiniLM
from memkit.retrieval import fusion
from memkit.testing import HashEmbedder

CHUNK = 4  # turns; on LoCoMo the 100 tokens of a window hold 2.8 on average, 5 at most in 95 %
_SCALE = 10.0  # 1 / the temperature of memkit's attention
_COLUMNS = (
    "turns", "chunks", "chunk attention p50 ms", "p95", "keys computed again p50", "flat p50",
    "p95", "multiply-adds: logits", "flat", "and values", "flat",
)  # fmt: skip
_ALONE = "attention alone", "cosine alone"
_VARIANTS: dict[str, MakeSystem] = {
    OURS: partial(ReweightedMemkit, fusion.WEIGHTS),
    "memkit without attention": ABLATIONS["memkit without attention"],
    _ALONE[0]: partial(ReweightedMemkit, only("attention")),
    _ALONE[1]: partial(ReweightedMemkit, only("dense")),
}
_PAIRS = ((OURS, "memkit without attention"), _ALONE)
_METRICS = ("R@5", "R@10", "NDCG@10")


def run(setup: Setup) -> Result:
    """Measure the cost of every size, and with data the retrieval."""
    costs = [_measure(setup, size) for size in setup.choose((1_000, 10_000, 100_000), (200, 400))]
    settings: dict[str, Cell] = {
        "turns in a chunk": CHUNK,
        "chunks opened": fusion.ATTENDED,
        "dimension": MINILM.dimension,
        "threads": torch.get_num_threads(),
    }
    tables = [_cost_table(costs)]
    if setup.data is not None:
        data_settings, data_tables = _measure_retrieval(setup, setup.data)
        settings |= data_settings
        tables += data_tables
    return Result(
        name="attention",
        about="chunk attention against flat attention, one query",
        settings=settings,
        claims=[claim for cost in costs for claim in _claims(cost, setup.seed)],
        tables=tables,
        notes=_growth_notes(costs),
    )


# ---- cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Times of one size by step, and counts of multiply-adds."""

    size: int
    chunks: int
    dimension: int
    times: dict[str, Samples]

    @property
    def logits(self) -> tuple[int, int]:
        """Return the multiply-adds of the logits: of keys and opened turns, and of all turns."""
        opened = min(fusion.ATTENDED, self.chunks) * CHUNK
        return (self.chunks + opened) * self.dimension, self.size * self.dimension

    @property
    def all(self) -> tuple[int, int]:
        """Return the multiply-adds including those of the values."""
        chunked, flat = self.logits
        k = min(fusion.ATTENDED, self.chunks)
        return chunked + (k * CHUNK + k) * self.dimension, 2 * flat


def _measure(setup: Setup, size: int) -> Cost:
    n = 8 if setup.quick else 200
    turns = torch.from_numpy(corpus.make_vectors(size, setup.seed, real=False))
    queries = torch.from_numpy(corpus.make_vectors(n, setup.seed + 1, real=False))
    lengths = [CHUNK] * (size // CHUNK) + [size % CHUNK] * (size % CHUNK > 0)
    contents, mask = (tensor[None] for tensor in pack(turns, lengths))
    keys = chunk_keys(contents, mask)
    read = partial(attend, contents=contents, k=fusion.ATTENDED, mask=mask, scale=_SCALE)
    steps = {
        "chunks": lambda n: read(queries[n][None, None], keys=keys),
        "no keys": lambda n: read(queries[n][None, None]),
        "flat": lambda n: attend_flat(queries[n], turns),
    }
    times = measure.interleave(steps, n, warm=3)
    return Cost(size=size, chunks=len(lengths), dimension=turns.shape[1], times=times)


def attend_flat(query: Tensor, turns: Tensor) -> Tensor:
    """Return the softmax-weighted mean of all turns, [n, D]; [D]."""
    return (turns @ query * _SCALE).softmax(0) @ turns


def _claims(cost: Cost, seed: int) -> list[Claim]:
    against = "flat attention"
    return [
        time_claim(
            f"{cost.size:,} turns, keys cached", cost.times["chunks"], cost.times["flat"],
            against=against, seed=seed,
        ),
        time_claim(
            f"{cost.size:,} turns, keys computed again", cost.times["no keys"], cost.times["flat"],
            against=against, seed=seed,
        ),
        size_claim(
            f"{cost.size:,} turns, logits", cost.logits[0] / 1e6, cost.logits[1] / 1e6,
            against=against, unit="million multiply-adds",
        ),
    ]  # fmt: skip


def _cost_table(costs: Sequence[Cost]) -> Table:
    rows: list[list[Cell]] = []
    for cost in costs:
        row: list[Cell] = [cost.size, cost.chunks]
        for step, percentiles in (("chunks", (50, 95)), ("no keys", (50,)), ("flat", (50, 95))):
            row += [measure.milliseconds(cost.times[step], p) for p in percentiles]
        rows.append([*row, *cost.logits, *cost.all])
    return Table(
        title="one query",
        columns=_COLUMNS,
        rows=rows,
        note="multiply-adds: M·D + k·C·D against n·D for the logits, and with the values. memkit "
        "keeps no keys: it attends to what its searches found, by cosines it has already",
    )


def _growth_notes(costs: Sequence[Cost]) -> list[str]:
    notes = []
    for a, b in pairwise(costs):
        times = [np.median(b.times[step]) / np.median(a.times[step]) for step in ("chunks", "flat")]
        notes.append(
            f"from {a.size:,} to {b.size:,} turns ({b.size / a.size:g} ×) chunk attention takes "
            f"{times[0]:.1f} × as long with {b.logits[0] / a.logits[0]:.1f} × the multiply-adds, "
            f"flat attention {times[1]:.1f} × as long"
        )
    return notes


# ---- retrieval


def _measure_retrieval(setup: Setup, path: Path) -> tuple[dict[str, Cell], list[Table]]:
    """Return settings and tables of a LoCoMo file; vectors are cached unless it is quick."""
    data = select(
        locomo.read(path),
        lambda question: question.answerable and bool(question.golds[PUBLISHED].turns),
    )
    inner = HashEmbedder() if setup.quick else MiniLM()
    folder = setup.folder if setup.quick else default_folder()
    tables: list[Table] = []
    with CachedEmbedder(inner, folder) as embedder:
        results = ask(data, _VARIANTS, embedder)
        chosen, extrapolation_tables = extrapolation.tables(data.haystacks, embedder, setup.seed)
    for split in reversed(SPLITS):
        if data.in_split(split):
            title = f"with and without chunk attention, {split} conversations of {data.file}"
            of_split = {
                name: [result for result in of_system if result.split == split]
                for name, of_system in results.items()
            }
            tables += _compare_variants(title, of_split, setup.seed)
    settings: dict[str, Cell] = {
        "data": data.file,
        "sha256": data.sha256,
        "embedder": str(inner.fingerprint),
        "attended when extrapolating": str(chosen),
    }
    return settings, [*tables, *extrapolation_tables]


def _compare_variants(title: str, results: dict[str, list[Served]], seed: int) -> list[Table]:
    """Return the figures of every variant by number of evidence turns, and paired differences."""
    scores = {
        name: np.array([_score(result) for result in of_variant])
        for name, of_variant in results.items()
    }
    figures: list[list[Cell]] = []
    differences: list[list[Cell]] = []
    for group, rows in _group_by_evidence(results[OURS]).items():
        for name in _VARIANTS:
            figures.append([group, name, *scores[name][rows].mean(axis=0).tolist(), len(rows)])
        resamples = Resamples.of([results[OURS][n].haystack for n in rows], seed)
        for a, b in _PAIRS:
            for c, metric in enumerate(_METRICS):
                cells = paired(scores[a][rows, c], scores[b][rows, c], resamples)
                differences.append([group, f"{a} − {b}", metric, *cells])
    return [
        Table(
            title=title,
            columns=["evidence", "system", *_METRICS, "n"],
            rows=figures,
            note=f"recall({metrics.SERVED} turns); alone: by this signal and no other",
        ),
        Table(
            title=f"paired differences, {title}",
            columns=["evidence", "what − what", "metric", *PAIRED],
            rows=differences,
            note=PAIRED_NOTE,
        ),
    ]


def _score(result: Served) -> list[float]:
    """Return the figures under `_METRICS`."""
    places = result.places
    return [metrics.recall(places, 5), metrics.recall(places, 10), metrics.ndcg(places, 10)]


def _group_by_evidence(results: Sequence[Served]) -> dict[str, list[int]]:
    """Return the question numbers of each group; the groups overlap."""
    counts = [(len(result.places), result.sessions) for result in results]
    groups = {
        "two turns or more": [n for n, (turns, _) in enumerate(counts) if turns > 1],
        "of these, all in one session": [
            n for n, (turns, sessions) in enumerate(counts) if turns > 1 == sessions
        ],
        "one turn": [n for n, (turns, _) in enumerate(counts) if turns == 1],
    }
    return {name: numbers for name, numbers in groups.items() if numbers}
