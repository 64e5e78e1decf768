"""What a new process pays: `python -m evals.bench.fresh KIND PATH` prints one JSON object.

Times include the imports that the step needs and nothing else has made. The embedder's model is
never loaded; the question's vector is made up.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from evals import ROOT, USER

Kind = Literal["memory", "faiss"]
_DIMENSION = 384  # MiniLM's; importing its module would be part of what is measured


def probe(kind: Kind, path: Path) -> dict[str, float]:
    """Open and search a file in a fresh process; return its times and its memory."""
    run = subprocess.run(
        [sys.executable, "-m", "evals.bench.fresh", kind, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


def resident_bytes() -> int:
    """Return the memory this process holds now; without /proc, the most that it held."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts it in bytes


def main(kind: str, path: str) -> None:
    """Do in this process what `probe` asks for, and print the figures."""
    open_and_search = {"memory": _open_memory, "faiss": _open_faiss}[kind]
    started = time.perf_counter()
    opened, searched, _alive = open_and_search(path)  # kept alive, so that its memory is counted
    figures = {
        "open_s": opened - started,
        "searched_s": searched - started,
        "resident_bytes": resident_bytes(),
        "torch": "torch" in sys.modules,
    }
    print(json.dumps(figures))


def _open_memory(path: str) -> tuple[float, float, object]:
    """Return when the memory was open, when its first search was answered, and the memory."""
    import memkit

    memory = memkit.open(path)
    opened = time.perf_counter()
    import numpy as np

    from memkit.records import Scope

    vector = np.full(_DIMENSION, _DIMENSION**-0.5, dtype=np.float32)
    with memory.store.snapshot(Scope(user_id=USER)) as snapshot:
        snapshot.chunks(snapshot.nearest(vector, 10)[0])
    return opened, time.perf_counter(), memory


def _open_faiss(path: str) -> tuple[float, float, object]:
    """Return the same times for a bare FAISS index file."""
    import faiss
    import numpy as np

    index = faiss.read_index(path)
    opened = time.perf_counter()
    index.search(np.full((1, _DIMENSION), _DIMENSION**-0.5, dtype=np.float32), 10)
    return opened, time.perf_counter(), index


if __name__ == "__main__":
    main(*sys.argv[1:])
