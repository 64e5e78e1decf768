"""Opening a memory again: how long until the first search is answered, in a fresh process.

The vector index is read from its file, or rebuilt from the rows where the file is gone. No model
is loaded. Baselines: an empty memory (the cost of Python's imports and SQLite) and a bare FAISS
file of the same vectors.
"""

import shutil
from pathlib import Path

import numpy as np

import memkit
from evals.bench import Setup
from evals.bench.fresh import Kind, probe
from evals.bench.measure import time_claim
from evals.data import corpus
from evals.stats.interval import Samples
from evals.tables import Claim, Result, Target

_LIMIT = Target(bound="≤", value=1.0, on="ours")  # s, without the models
_OPEN, _SEARCHED = "open_s", "searched_s"

Probes = dict[str, list[dict[str, float]]]  # by case


def run(setup: Setup) -> Result:
    """Measure alternately: empty, a memory, one without its index file, bare FAISS."""
    size = setup.choose((100_000,), (300,))[0]
    n = 2 if setup.quick else 11
    cases = _make_cases(setup, size)
    index_file = Path(f"{cases['rebuilt'][1]}.index")
    probes: Probes = {name: [] for name in cases}
    for turn in range(-1, n):  # the first round warms the page cache
        for name, (kind, path) in cases.items():
            shutil.rmtree(index_file, ignore_errors=True)
            figures = probe(kind, path)
            if turn >= 0:
                probes[name].append(figures)
    loads_torch = any(figures["torch"] for rounds in probes.values() for figures in rounds)
    return Result(
        name="reopen",
        about=f"a memory of {size:,} turns in a fresh process, no model",
        settings={"turns": size, "processes each": n, "page cache": "warm"},
        claims=_claims(probes, setup.seed),
        notes=[f"times include imports; torch was {'' if loads_torch else 'not '}loaded"],
    )


def _make_cases(setup: Setup, size: int) -> dict[str, tuple[Kind, Path]]:
    import faiss

    real = not setup.quick
    full = corpus.make_memory_file(setup.folder, size, setup.seed, real=real)
    empty, bare = setup.folder / "empty.db", setup.folder / "bare.db"
    memkit.open(str(empty)).close()
    shutil.copy(full, bare)
    flat = setup.folder / "flat.faiss"
    vectors = corpus.make_vectors(size, setup.seed, real=real)
    faiss.write_index(corpus.exact_index(vectors), str(flat))
    return {
        "empty": ("memory", empty),
        "loaded": ("memory", full),
        "rebuilt": ("memory", bare),
        "faiss": ("faiss", flat),
    }


def _claims(probes: Probes, seed: int) -> list[Claim]:
    def times(name: str, figure: str) -> Samples:
        return np.array([figures[figure] for figures in probes[name]])

    return [
        time_claim(
            "memkit.open", times("loaded", _OPEN), times("empty", _OPEN), unit="s", seed=seed,
            against="opening an empty memory", target=_LIMIT,
        ),
        time_claim(
            "open + first search, index from its file", times("loaded", _SEARCHED),
            times("faiss", _SEARCHED), unit="s", seed=seed,
            against="faiss.read_index of the bare vectors + search", target=_LIMIT,
        ),
        time_claim(
            "open + first search, index rebuilt from rows", times("rebuilt", _SEARCHED),
            times("loaded", _SEARCHED), unit="s", seed=seed, against="index from its file",
        ),
    ]  # fmt: skip
