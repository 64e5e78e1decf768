"""Benchmarks of memkit next to a baseline: functions that take a `Setup` and return a `Result`."""

from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = {  # name -> module here and its function
    "ingest": ("ingest", "run"),
    "recall": ("recall", "run"),
    "peers": ("peers", "run"),
    "size": ("size", "run"),
    "load": ("load", "run"),
    "scale": ("scale", "run"),
    "encoder": ("encoder", "run"),
    "reopen": ("process", "measure_reopening"),
    "imports": ("process", "measure_imports"),
    "prefix": ("prefix", "run"),
    "footprint": ("process", "measure_footprint"),
    "filters": ("filters", "run"),
    "index": ("index", "run"),
    "forgetting": ("forgetting", "run"),
    "deletion": ("deletion", "run"),
    "purge": ("purge", "run"),
    "gate": ("gate", "run"),
    "attention": ("attention", "run"),
    "hash": ("hash", "run"),
    "thinking": ("thinking", "run"),
    "waiting": ("waiting", "run"),
    "undo": ("undo", "run"),
    "privacy": ("privacy", "run"),
    "encryption": ("encryption", "run"),
    "import": ("importing", "run"),
    "serve": ("serve", "run"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The options of a benchmark."""

    folder: Path  # for its files; removed afterwards
    quick: bool = False  # small sizes: checks the benchmark, measures nothing
    sizes: tuple[int, ...] | None = None  # turns, in place of the benchmark's own
    seed: int = 0
    data: Path | None = None  # locomo10.json; for `index` also a .txt with a text per line

    def choose(self, full: tuple[int, ...], quick: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sizes to run: the requested ones, or else the benchmark's own."""
        return self.sizes or (quick if self.quick else full)
