"""Bytes on disk and in memory, beside the bytes of the texts and of the vectors alone.

Memory is what a fresh process holds after opening and one search, less what the same process
holds with an empty memory; no model is loaded.
"""

from pathlib import Path

import memkit
from evals.bench import Setup
from evals.bench.fresh import probe
from evals.bench.measure import size_claim
from evals.data import corpus
from evals.tables import Cell, Claim, Result, Table

_COLUMNS = ("turns", "texts", "vectors", "database", "index file", "resident")


def run(setup: Setup) -> Result:
    """Measure every size; all figures are kB per 1,000 turns."""
    sizes = setup.choose((1_000, 10_000, 100_000), (200, 400))
    empty = setup.folder / "nothing.db"
    memkit.open(str(empty)).close()
    rows = [_measure(setup, empty, size) for size in sizes]
    return Result(
        name="footprint",
        about="kB per 1,000 turns",
        settings={"vector bytes": 4 * 384},
        claims=[claim for row in rows for claim in _claims(*row)],
        tables=[
            Table(title="kB per 1,000 turns", columns=_COLUMNS, rows=[_row(*row) for row in rows])
        ],
    )


def _measure(setup: Setup, empty: Path, size: int) -> tuple[int, dict[str, float]]:
    path = corpus.memory_file(setup.folder, size, setup.seed, real=not setup.quick)
    texts = corpus.texts(size, setup.seed)
    resident = probe("memory", path)["resident_bytes"] - probe("memory", empty)["resident_bytes"]
    index = sum(file.stat().st_size for file in Path(f"{path}.index").iterdir())
    return size, {
        "texts": sum(len(text.encode()) for text in texts),
        "vectors": 4 * 384 * size,
        "database": path.stat().st_size,
        "index file": index,
        "resident": resident,
    }


def _row(size: int, found: dict[str, float]) -> list[Cell]:
    return [size, *(found[column] / size for column in _COLUMNS[1:])]


def _claims(size: int, found: dict[str, float]) -> list[Claim]:
    raw = found["texts"] + found["vectors"]
    disk = found["database"] + found["index file"]
    return [
        size_claim(
            f"on disk at {size:,} turns", disk / size, raw / size, unit="kB/1,000",
            against="texts and vectors",
        ),
        size_claim(
            f"in memory at {size:,} turns", found["resident"] / size, found["vectors"] / size,
            unit="kB/1,000", against="vectors",
        ),
    ]  # fmt: skip
