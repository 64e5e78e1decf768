"""The memory of a process that reads a large export of ChatGPT, next to the size of the file.

`python -m evals.bench.importing FILE` reads one file, and prints the figures as JSON.
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals import USER
from evals.bench import Setup
from evals.bench.fresh import peak_bytes, run_python
from evals.bench.measure import make_claim
from evals.stats.interval import Interval
from evals.tables import Claim, Result, Target

_TARGET = Target(bound="≤", value=0.5, on="ratio")
_WORDS = ["garlic", "frost", "shed", "tea", "train", "Oslo", "Rome", "letter", "bees", "spring"]


def run(setup: Setup) -> Result:
    """Read files of several sizes in a process each; nothing is stored."""
    claims: list[Claim] = []
    for size in setup.choose((200,), (2,)):
        path = setup.folder / f"{size}.json"
        write_export(path, size * 2**20, setup.seed)
        turns, grown = json.loads(run_python("-m", "evals.bench.importing", str(path)))
        claims.append(
            make_claim(
                f"peak memory to read {turns:,} turns of {size} MiB", "MiB", (grown, size),
                Interval(value=grown / size), against="the file",
                target=None if setup.quick else _TARGET,
            )
        )  # fmt: skip
    return Result(
        name="import", about="MiB at the peak, less those before", settings={"format": "chatgpt"},
        claims=claims,
    )  # fmt: skip


def main(path: str) -> None:
    """Read a file, and print how many turns it has and by how many MiB the process grew."""
    from memkit.importers import ReadOptions, read_file

    before = peak_bytes()
    source = read_file(Path(path), ReadOptions(user_id=USER))
    turns = sum(located.turn is not None for located in source.turns)
    print(json.dumps([turns, max(peak_bytes() - before, 1) / 2**20]))


def write_export(path: Path, size: int, seed: int) -> None:
    """Write conversations of 40 messages to a file, until it has `size` bytes."""
    rng = random.Random(seed)
    n = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        while file.tell() < size:
            file.write(f"{',' if n else ''}{json.dumps(_make_conversation(n, rng))}")
            n += 1
        file.write("]")


def _make_conversation(n: int, rng: random.Random) -> dict[str, Any]:
    nodes = {str(m): node for m, node in enumerate(_make_nodes(n, rng))}
    return {"id": f"c{n}", "title": f"Talk {n}", "create_time": 1.7e9, "current_node": "39",
            "mapping": nodes}  # fmt: skip


def _make_nodes(n: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    for m in range(40):
        text = " ".join(rng.choices(_WORDS, k=100))
        message = {
            "id": f"c{n}m{m}", "author": {"role": ("user", "assistant")[m % 2]},
            "create_time": 1.7e9 + m, "content": {"content_type": "text", "parts": [text]},
        }  # fmt: skip
        yield {"id": str(m), "parent": str(m - 1) if m else None, "message": message}


if __name__ == "__main__":
    main(sys.argv[1])
