"""What chunk attention costs and what it adds: beside flat attention, and with and without it.

Cost: one query of `attend` over chunks of four turns, their keys kept beside, against a softmax
over all turns. The vectors are random: times do not depend on what they say.
With --data locomo10.json also what it finds: with and without it on questions with several
evidence turns, and among more sessions than it was tuned on (evals/retrieval/extrapolation.py).
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
from evals.data.haystack import PUBLISHED, SPLITS, DataSet
from evals.metrics import retrieval as metrics
from evals.stats.bootstrap import Floats
from evals.stats.interval import Samples
from evals.studies import extrapolation
from evals.studies.paired import PAIRED, PAIRED_NOTE, Resamples, Served, ask, paired, select
from evals.systems.cache import CachedEmbedder, default_folder
from evals.systems.memkit import OURS, Weighed, only
from evals.systems.protocol import Make
from evals.systems.registry import ABLATIONS
from evals.tables import Cell, Claim, Result, Table
from memkit.attention import attend, chunk_keys, pack
from memkit.embedders import MINILM, MiniLM
from memkit.retrieval import fusion as rank
from memkit.testing import HashEmbedder

CHUNK = 4  # turns; on LoCoMo the 100 tokens of windows.py hold 2.8 on average, 5 at most in 95 %
_SCALE = 10.0  # one over rank.py's temperature
_COLUMNS = (
    "turns", "chunks", "chunk attention p50 ms", "p95", "keys made anew p50", "flat p50", "p95",
    "multiply-adds: logits", "flat", "and values", "flat",
)  # fmt: skip
_ALONE = "attention alone", "cosine alone"
_VARIANTS: dict[str, Make] = {
    OURS: partial(Weighed, rank.WEIGHTS),
    "memkit without attention": ABLATIONS["memkit without attention"],
    _ALONE[0]: partial(Weighed, only("attention")),
    _ALONE[1]: partial(Weighed, only("dense")),
}
_PAIRS = ((OURS, "memkit without attention"), _ALONE)
_METRICS = ("R@5", "R@10", "NDCG@10")


def run(setup: Setup) -> Result:
    """Measure the cost of every size, and with data what is found."""
    sizes = setup.choose((1_000, 10_000, 100_000), (200, 400))
    measured = [_measure(setup, size) for size in sizes]
    settings: dict[str, Cell] = {
        "turns in a chunk": CHUNK,
        "chunks opened": rank.ATTENDED,
        "dimension": MINILM.dimension,
        "threads": torch.get_num_threads(),
    }
    tables = [_costs(measured)]
    if setup.data is not None:
        found, tables_of_data = _found(setup, setup.data)
        settings |= found
        tables += tables_of_data
    return Result(
        name="attention",
        about="chunk attention against flat attention, one query",
        settings=settings,
        claims=[claim for one in measured for claim in _claims(one, setup.seed)],
        tables=tables,
        notes=_growth(measured),
    )


# ---- what it costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Times of one size, by step, and what has to be multiplied."""

    size: int
    chunks: int
    dimension: int
    times: dict[str, Samples]

    @property
    def logits(self) -> tuple[int, int]:
        """Multiply-adds of comparing: keys and what is opened, or every turn."""
        opened = min(rank.ATTENDED, self.chunks) * CHUNK
        return (self.chunks + opened) * self.dimension, self.size * self.dimension

    @property
    def all(self) -> tuple[int, int]:
        """Multiply-adds with adding up the values, and then the chunks."""
        ours, flat = self.logits
        k = min(rank.ATTENDED, self.chunks)
        return ours + (k * CHUNK + k) * self.dimension, 2 * flat


def _measure(setup: Setup, size: int) -> Measured:
    n = 8 if setup.quick else 200
    turns = torch.from_numpy(corpus.vectors(size, setup.seed, real=False))
    asked = torch.from_numpy(corpus.vectors(n, setup.seed + 1, real=False))
    lengths = [CHUNK] * (size // CHUNK) + [size % CHUNK] * (size % CHUNK > 0)
    contents, mask = (made[None] for made in pack(turns, lengths))
    keys = chunk_keys(contents, mask)
    read = partial(attend, contents=contents, k=rank.ATTENDED, mask=mask, scale=_SCALE)
    steps = {
        "chunks": lambda n: read(asked[n][None, None], keys=keys),
        "keys anew": lambda n: read(asked[n][None, None]),
        "flat": lambda n: flat(asked[n], turns),
    }
    times = measure.interleave(steps, n, warm=3)
    return Measured(size=size, chunks=len(lengths), dimension=turns.shape[1], times=times)


def flat(query: Tensor, turns: Tensor) -> Tensor:
    """Read from all turns, [n, D], by a softmax over all of them; [D]."""
    return (turns @ query * _SCALE).softmax(0) @ turns


def _claims(one: Measured, seed: int) -> list[Claim]:
    against = "flat attention"
    return [
        time_claim(
            f"{one.size:,} turns, keys kept beside", one.times["chunks"], one.times["flat"],
            against=against, seed=seed,
        ),
        time_claim(
            f"{one.size:,} turns, keys made anew", one.times["keys anew"], one.times["flat"],
            against=against, seed=seed,
        ),
        size_claim(
            f"{one.size:,} turns, logits", one.logits[0] / 1e6, one.logits[1] / 1e6,
            against=against, unit="million multiply-adds",
        ),
    ]  # fmt: skip


def _costs(measured: Sequence[Measured]) -> Table:
    rows: list[list[Cell]] = []
    for one in measured:
        row: list[Cell] = [one.size, one.chunks]
        for step, percentiles in (("chunks", (50, 95)), ("keys anew", (50,)), ("flat", (50, 95))):
            row += [measure.milliseconds(one.times[step], p) for p in percentiles]
        rows.append([*row, *one.logits, *one.all])
    return Table(
        title="one query",
        columns=_COLUMNS,
        rows=rows,
        note="multiply-adds: M·D + k·C·D against n·D for the logits, and with the values. memkit "
        "keeps no keys: it attends to what its searches found, by cosines it has already",
    )


def _growth(measured: Sequence[Measured]) -> list[str]:
    """Say how the time of either grows."""
    told = []
    for a, b in pairwise(measured):
        times = [np.median(b.times[step]) / np.median(a.times[step]) for step in ("chunks", "flat")]
        told.append(
            f"from {a.size:,} to {b.size:,} turns ({b.size / a.size:g} ×) chunk attention takes "
            f"{times[0]:.1f} × as long with {b.logits[0] / a.logits[0]:.1f} × the multiply-adds, "
            f"flat attention {times[1]:.1f} × as long"
        )
    return told


# ---- what it finds


def _found(setup: Setup, path: Path) -> tuple[dict[str, Cell], list[Table]]:
    """Return settings and tables of a LoCoMo file, vectors being cached unless it is quick."""
    read = locomo.read(path)
    data = select(read, lambda one: one.answerable and bool(one.golds[PUBLISHED].turns))
    inner = HashEmbedder() if setup.quick else MiniLM()
    folder = setup.folder if setup.quick else default_folder()
    with CachedEmbedder(inner, folder) as embedder:
        outcomes = ask(data, _VARIANTS, embedder)
        chosen, tables = extrapolation.tables(data.haystacks, embedder, setup.seed)
    settings: dict[str, Cell] = {
        "data": data.file,
        "sha256": data.sha256,
        "embedder": str(inner.fingerprint),
        "attended when extrapolating": str(chosen),
    }
    return settings, [*_with_and_without(data, outcomes, setup.seed), *tables]


def _with_and_without(data: DataSet, outcomes: dict[str, list[Served]], seed: int) -> list[Table]:
    tables = []
    for split in reversed(SPLITS):
        of_split = {
            name: [result for result in results if result.split == split]
            for name, results in outcomes.items()
        }
        if of_split[OURS]:
            title = f"with and without chunk attention, {split} conversations of {data.file}"
            tables += _tables(title, of_split, seed)
    return tables


def _tables(title: str, outcomes: dict[str, list[Served]], seed: int) -> list[Table]:
    """Return the figures of every variant by kind of evidence, and what the arm adds."""
    figures: list[list[Cell]] = []
    differences: list[list[Cell]] = []
    for group, numbers in _groups(outcomes[OURS]).items():
        scored = {
            name: np.array([_scores(results[n]) for n in numbers])
            for name, results in outcomes.items()
        }
        for name, scores in scored.items():
            figures.append([group, name, *scores.mean(axis=0).tolist(), len(numbers)])
        draws = Resamples.of([outcomes[OURS][n].haystack for n in numbers], seed)
        differences += _differences(group, scored, draws)
    return [
        Table(
            title=title,
            columns=["evidence", "system", *_METRICS, "n"],
            rows=figures,
            note=f"recall({metrics.SERVED} turns); alone: by this arm and no other",
        ),
        Table(
            title=f"paired differences, {title}",
            columns=["evidence", "what − what", "metric", *PAIRED],
            rows=differences,
            note=PAIRED_NOTE,
        ),
    ]


def _groups(results: Sequence[Served]) -> dict[str, list[int]]:
    """Return which questions have how many evidence turns; the groups overlap."""
    gold = [(len(result.places), result.sessions) for result in results]
    groups = {
        "two turns or more": [n for n, (turns, _) in enumerate(gold) if turns > 1],
        "of these, all in one session": [
            n for n, (turns, sessions) in enumerate(gold) if turns > 1 == sessions
        ],
        "one turn": [n for n, (turns, _) in enumerate(gold) if turns == 1],
    }
    return {name: numbers for name, numbers in groups.items() if numbers}


def _scores(result: Served) -> list[float]:
    """Return the figures under `_METRICS`, of a user's call."""
    return [
        metrics.recall(result.places, 5),
        metrics.recall(result.places, 10),
        metrics.ndcg(result.places, 10),
    ]


def _differences(group: str, scored: dict[str, Floats], draws: Resamples) -> list[list[Cell]]:
    return [
        [group, f"{a} − {b}", metric, *paired(scored[a][:, c], scored[b][:, c], draws)]
        for a, b in _PAIRS
        for c, metric in enumerate(_METRICS)
    ]
