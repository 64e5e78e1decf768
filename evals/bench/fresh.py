"""What a new process pays: `python -m evals.bench.fresh WHAT PATH` prints one JSON object.

Times include the imports that the step needs and nothing else has made. The embedder's model is
never loaded; the question's vector is a made-up one.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from evals import ROOT, USER

What = Literal["memory", "faiss"]
_DIMENSION = 384


def probe(what: What, path: Path) -> dict[str, float]:
    """Open and search what lies at `path` in a fresh process; return what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "evals.bench.fresh", what, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def resident_bytes() -> int:
    """Return the memory this process holds now; where that is not told, the most it held."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def main(what: str, path: str) -> None:
    """Do in this process what `probe` asks for, and print what it cost."""
    open_and_search = {"memory": _memory, "faiss": _faiss}[what]
    started = time.perf_counter()
    opened, searched, _alive = open_and_search(path)  # kept, so that its memory is counted
    figures = {
        "open_s": opened - started,
        "searched_s": searched - started,
        "resident_bytes": resident_bytes(),
        "torch": "torch" in sys.modules,
    }
    print(json.dumps(figures))


def _memory(path: str) -> tuple[float, float, object]:
    """Return when the memory was open, when its first search was answered, and the memory."""
    import memkit

    memory = memkit.open(path)
    opened = time.perf_counter()
    import numpy as np

    from memkit.records import Scope

    vector = np.full(_DIMENSION, _DIMENSION**-0.5, dtype=np.float32)
    with memory.store.snapshot(Scope(user_id=USER)) as snapshot:
        snapshot.matches(snapshot.nearest(vector, 10)[0])
    return opened, time.perf_counter(), memory


def _faiss(path: str) -> tuple[float, float, object]:
    """The same for a bare FAISS index file."""
    import faiss
    import numpy as np

    index = faiss.read_index(path)
    opened = time.perf_counter()
    index.search(np.full((1, _DIMENSION), _DIMENSION**-0.5, dtype=np.float32), 10)
    return opened, time.perf_counter(), index


if __name__ == "__main__":
    main(*sys.argv[1:])
