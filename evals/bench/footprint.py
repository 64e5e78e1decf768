"""Bytes on disk and in memory, next to the bytes of the texts and of the vectors alone.

Memory is what a fresh process holds after opening and one search, less what the same process
holds with an empty memory; no model is loaded.
"""

from pathlib import Path

import memkit
from evals.bench import Setup
from evals.bench.fresh import probe
from evals.bench.measure import size_claim
from evals.data import corpus
from evals.tables import Claim, Result, Table
from memkit.embedders import MINILM

_COLUMNS = ("turns", "texts", "vectors", "database", "index file", "resident")
_VECTOR_BYTES = 4 * MINILM.dimension


def run(setup: Setup) -> Result:
    """Measure every size; all figures are kB per 1,000 turns."""
    empty = setup.folder / "nothing.db"
    memkit.open(str(empty)).close()
    sizes = setup.choose((1_000, 10_000, 100_000), (200, 400))
    bytes_by_size = {size: _measure(setup, empty, size) for size in sizes}
    rows = [
        [size, *(counts[column] / size for column in _COLUMNS[1:])]
        for size, counts in bytes_by_size.items()
    ]
    return Result(
        name="footprint",
        about="kB per 1,000 turns",
        settings={"vector bytes": _VECTOR_BYTES},
        claims=[claim for item in bytes_by_size.items() for claim in _claims(*item)],
        tables=[Table(title="kB per 1,000 turns", columns=_COLUMNS, rows=rows)],
    )


def _measure(setup: Setup, empty: Path, size: int) -> dict[str, float]:
    path = corpus.make_memory_file(setup.folder, size, setup.seed, real=not setup.quick)
    texts = corpus.make_texts(size, setup.seed)
    resident = probe("memory", path)["resident_bytes"] - probe("memory", empty)["resident_bytes"]
    return {
        "texts": sum(len(text.encode()) for text in texts),
        "vectors": _VECTOR_BYTES * size,
        "database": path.stat().st_size,
        "index file": sum(file.stat().st_size for file in Path(f"{path}.index").iterdir()),
        "resident": resident,
    }


def _claims(size: int, counts: dict[str, float]) -> list[Claim]:
    raw = counts["texts"] + counts["vectors"]
    disk = counts["database"] + counts["index file"]
    return [
        size_claim(
            f"on disk at {size:,} turns", disk / size, raw / size, unit="kB/1,000",
            against="texts and vectors",
        ),
        size_claim(
            f"in memory at {size:,} turns", counts["resident"] / size, counts["vectors"] / size,
            unit="kB/1,000", against="vectors",
        ),
    ]  # fmt: skip
