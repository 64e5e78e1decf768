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
from typing import Any, Literal

from evals import ROOT, USER

Kind = Literal["memory", "faiss"]
_DIMENSION = 384  # MiniLM's; importing its module would be part of what is measured


def probe(kind: Kind, path: Path) -> dict[str, float]:
    """Open and search a file in a fresh process; return its times and its memory."""
    figures: dict[str, float] = json.loads(run_python("-m", "evals.bench.fresh", kind, str(path)))
    return figures


def run_python(*arguments: str) -> str:
    """Run Python in a fresh process; return what it prints."""
    command = [sys.executable, *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def resident_bytes() -> int:
    """Return the memory this process holds now; without /proc, the most that it held."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts it in bytes


def peak_bytes() -> int:
    """Return the most memory that this process held."""
    status = Path("/proc/self/status")
    if status.exists():  # the kernel's other figure starts with what the parent process held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(kind: str, path: str) -> None:
    """Do in this process what `probe` asks for, and print the figures."""
    started = time.perf_counter()
    opened_file: Any  # stays open to the end, so that its memory is counted
    if kind == "faiss":
        import faiss

        opened_file = faiss.read_index(path)
    else:
        import memkit

        opened_file = memkit.open(path)
    opened = time.perf_counter()
    import numpy as np

    vector = np.full(_DIMENSION, _DIMENSION**-0.5, dtype=np.float32)
    if kind == "faiss":
        opened_file.search(vector[None], 10)
    else:
        from memkit.records import Scope

        with opened_file.store.snapshot(Scope(user_id=USER)) as snapshot:
            snapshot.chunks(snapshot.nearest(vector, 10)[0])
    searched = time.perf_counter()
    figures = {
        "open_s": opened - started,
        "searched_s": searched - started,
        "resident_bytes": resident_bytes(),
        "torch": "torch" in sys.modules,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
