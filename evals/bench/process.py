"""The cost of a fresh process: importing memkit, opening a memory again, bytes on disk and held.

No model is loaded. `evals.bench.fresh` opens and searches a file in a process of its own.
"""

import shutil
from pathlib import Path

import numpy as np

import memkit
from evals.bench import Setup, measure
from evals.bench.fresh import Kind, probe, run_python
from evals.bench.measure import size_claim, time_claim
from evals.data import corpus
from evals.stats.interval import Samples
from evals.tables import Claim, Result, Table, Target
from memkit.embedders import MINILM

_HEAVY = ("torch", "transformers", "sentence_transformers", "faiss", "numpy", "sqlite_utils")
_PRINT_LOADED = f"import sys, memkit; print(*[name for name in {_HEAVY} if name in sys.modules])"
_VECTOR_BYTES = 4 * MINILM.dimension
_COLUMNS = ("turns", "texts", "vectors", "database", "index file", "resident")


# ---- importing memkit


def measure_imports(setup: Setup) -> Result:
    """Time `import memkit`, next to a process that imports nothing, from start to exit."""
    n = 2 if setup.quick else 21
    steps = {
        "memkit": lambda _: run_python("-c", "import memkit"),
        "nothing": lambda _: run_python("-c", "pass"),
    }
    times = measure.interleave(steps, n)
    loaded = run_python("-c", _PRINT_LOADED) or "none"
    claim = time_claim(
        "python -c 'import memkit'", *times.values(), unit="s", seed=setup.seed,
        against="python -c pass", target=Target(bound="≤", value=0.2, on="difference"),
    )  # fmt: skip
    return Result(
        name="imports",
        about="the cost of importing memkit in a fresh process",
        settings={"processes each": n, "heavy modules loaded": loaded},
        claims=[claim],
        notes=[f"heavy modules that it loads: {loaded}"],
    )


# ---- opening


def measure_reopening(setup: Setup) -> Result:
    """Time until the first search is answered: an empty memory, a memory, a bare FAISS file.

    The vector index is read from its file, or rebuilt from the rows where the file is gone.
    """
    size = setup.choose((100_000,), (300,))[0]
    n = 2 if setup.quick else 11
    cases = _make_cases(setup, size)
    index_file = Path(f"{cases['rebuilt'][1]}.index")
    probes: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    for turn in range(-1, n):  # the first round warms the page cache
        for name, (kind, path) in cases.items():
            shutil.rmtree(index_file, ignore_errors=True)
            figures = probe(kind, path)
            if turn >= 0:
                probes[name].append(figures)

    def claim(label: str, figure: str, case: str, baseline: str, against: str) -> Claim:
        times: list[Samples] = [
            np.array([figures[figure] for figures in probes[name]]) for name in (case, baseline)
        ]
        target = Target(bound="≤", value=1.0, on="ours") if case == "loaded" else None
        return time_claim(
            label, *times, unit="s", seed=setup.seed, against=against, target=target
        )  # fmt: skip

    search = "open + first search, index"
    bare = "faiss.read_index of the bare vectors + search"
    loads_torch = any(figures["torch"] for rounds in probes.values() for figures in rounds)
    return Result(
        name="reopen",
        about=f"a memory of {size:,} turns in a fresh process, no model",
        settings={"turns": size, "processes each": n, "page cache": "warm"},
        claims=[
            claim("memkit.open", "open_s", "loaded", "empty", "opening an empty memory"),
            claim(f"{search} from its file", "searched_s", "loaded", "faiss", bare),
            claim(
                f"{search} rebuilt from rows", "searched_s", "rebuilt", "loaded",
                "index from its file",
            ),
        ],
        notes=[f"times include imports; torch was {'' if loads_torch else 'not '}loaded"],
    )  # fmt: skip


def _make_cases(setup: Setup, size: int) -> dict[str, tuple[Kind, Path]]:
    import faiss

    real = not setup.quick
    full = corpus.make_memory_file(setup.folder, size, setup.seed, real=real)
    bare, flat = setup.folder / "bare.db", setup.folder / "flat.faiss"
    shutil.copy(full, bare)
    vectors = corpus.make_vectors(size, setup.seed, real=real)
    faiss.write_index(corpus.exact_index(vectors), str(flat))
    return {
        "empty": ("memory", _make_empty(setup)),
        "loaded": ("memory", full),
        "rebuilt": ("memory", bare),
        "faiss": ("faiss", flat),
    }


def _make_empty(setup: Setup) -> Path:
    path = setup.folder / "empty.db"
    memkit.open(str(path)).close()
    return path


# ---- bytes


def measure_footprint(setup: Setup) -> Result:
    """Count bytes on disk and in memory, next to those of the texts and of the vectors alone.

    Memory is what a process holds after one search, less what it holds with an empty memory. All
    figures are kB per 1,000 turns, which is bytes per turn.
    """
    empty = probe("memory", _make_empty(setup))["resident_bytes"]
    claims: list[Claim] = []
    rows = []
    for size in setup.choose((1_000, 10_000, 100_000), (200, 400)):
        path = corpus.make_memory_file(setup.folder, size, setup.seed, real=not setup.quick)
        texts = sum(len(text.encode()) for text in corpus.make_texts(size, setup.seed)) / size
        database = path.stat().st_size / size
        index = sum(file.stat().st_size for file in Path(f"{path}.index").iterdir()) / size
        resident = (probe("memory", path)["resident_bytes"] - empty) / size
        rows.append([size, texts, _VECTOR_BYTES, database, index, resident])
        claims += [
            size_claim(
                f"on disk at {size:,} turns", database + index, texts + _VECTOR_BYTES,
                unit="kB/1,000", against="texts and vectors",
            ),
            size_claim(
                f"in memory at {size:,} turns", resident, _VECTOR_BYTES, unit="kB/1,000",
                against="vectors",
            ),
        ]  # fmt: skip
    return Result(
        name="footprint",
        about="kB per 1,000 turns",
        settings={"vector bytes": _VECTOR_BYTES},
        claims=claims,
        tables=[Table(title="kB per 1,000 turns", columns=_COLUMNS, rows=rows)],
    )
