"""The cost of one query of chunk attention next to flat attention.

`attend` runs over chunks of four turns, against a softmax over all turns. The vectors are random:
times do not depend on their content. With --data locomo10.json also HCAM's length extrapolation
(evals/studies/extrapolation). `memkit without attention` on a card measures its part in recall.
"""

from functools import partial

import torch
from torch import Tensor

from evals.bench import Setup, measure
from evals.bench.measure import size_claim, time_claim
from evals.data import corpus, locomo
from evals.studies import extrapolation
from evals.systems.cache import CachedEmbedder, default_folder
from evals.tables import Cell, Claim, Result, Table
from memkit.attention import attend, chunk_keys, pack
from memkit.embedders import MINILM, MiniLM
from memkit.retrieval import fusion
from memkit.testing import HashEmbedder

CHUNK = 4  # turns; on LoCoMo the 100 tokens of a window hold 2.8 on average, 5 at most in 95 %
_SCALE = 10.0  # 1 / the temperature of memkit's attention


def run(setup: Setup) -> Result:
    """Measure the cost at every size, and with data the extrapolation."""
    sizes = setup.choose((1_000, 10_000, 100_000), (200, 400))
    settings: dict[str, Cell] = {
        "turns in a chunk": CHUNK,
        "chunks opened": fusion.ATTENDED,
        "dimension": MINILM.dimension,
        "threads": torch.get_num_threads(),
    }
    tables: list[Table] = []
    if setup.data is not None:
        data = locomo.read(setup.data)
        inner = HashEmbedder() if setup.quick else MiniLM()
        with CachedEmbedder(inner, setup.folder if setup.quick else default_folder()) as embedder:
            tables = extrapolation.tables(data.in_split("report"), embedder, setup.seed)
        settings |= {"data": data.file, "sha256": data.sha256, "embedder": str(inner.fingerprint)}
    return Result(
        name="attention",
        about="chunk attention against flat attention, one query",
        settings=settings,
        claims=[claim for size in sizes for claim in _measure(setup, size)],
        tables=tables,
        notes=["memkit keeps no keys: it attends to what its searches found, by their cosines"],
    )


def _measure(setup: Setup, size: int) -> list[Claim]:
    n = 8 if setup.quick else 200
    turns = torch.from_numpy(corpus.make_vectors(size, setup.seed, real=False))
    queries = torch.from_numpy(corpus.make_vectors(n, setup.seed + 1, real=False))
    lengths = [CHUNK] * (size // CHUNK) + [size % CHUNK] * (size % CHUNK > 0)
    contents, mask = (tensor[None] for tensor in pack(turns, lengths))
    keys = chunk_keys(contents, mask)
    read = partial(attend, contents=contents, k=fusion.ATTENDED, mask=mask, scale=_SCALE)
    steps = {
        "keys cached": lambda n: read(queries[n][None, None], keys=keys),
        "keys computed again": lambda n: read(queries[n][None, None]),
        "flat": lambda n: attend_flat(queries[n], turns),
    }
    times = measure.interleave(steps, n, warm=3)
    against = "flat attention"
    logits = [count / 1e6 for count in count_logits(size, len(lengths), turns.shape[1])]
    claims = [
        time_claim(
            f"{size:,} turns, {step}", times[step], times["flat"], against=against, seed=setup.seed
        )
        for step in ("keys cached", "keys computed again")
    ]
    label, unit = f"{size:,} turns, logits", "million multiply-adds"
    return [*claims, size_claim(label, *logits, against=against, unit=unit)]


def attend_flat(query: Tensor, turns: Tensor) -> Tensor:
    """Return the softmax-weighted mean of all turns, [n, D]; [D]."""
    return (turns @ query * _SCALE).softmax(0) @ turns


def count_logits(size: int, chunks: int, dimension: int) -> tuple[int, int]:
    """Return the multiply-adds of the logits: of keys and opened turns, and of all turns."""
    opened = min(fusion.ATTENDED, chunks) * CHUNK
    return (chunks + opened) * dimension, size * dimension
