"""How good thoughts are, by name of what is measured. One file each; `run(options)` is the way in.

What a run keeps are ids, places and counts, and no text of the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.bench.result import Result

WHATS: Mapping[str, str] = {  # what is measured -> what --data is; "": nothing is read
    "supersession": "MemoryCode's dialogues.jsonl.gz",
    "updates": "LongMemEval's oracle or S file; repeatable",
    "growth": "",
    "precision": "locomo10.json",
    "gvd": "MemoryBank's folder of memory_bank_en.json and its neighbours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure, and on what."""

    data: Sequence[Path] = ()
    seed: int = 0
    limit: int | None = None  # only the first so many dialogues of each file
    cache: Path | None = None  # folder for vectors
    n: int = 200  # thoughts that are judged
    verdicts: Path | None = None  # a reader's
    sizes: tuple[int, ...] = (1_000, 10_000)  # turns
    repeats: int = 3  # of what is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run found: the tables, and a line for everything they were computed from."""

    results: Sequence[Result]
    outcomes: Sequence[Mapping[str, Any]] = ()
    aside: Sequence[str] = field(default=())  # lines for a reader; may hold text, and is not kept
