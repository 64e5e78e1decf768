"""`import memkit` in a fresh process, next to a process that imports nothing."""

import subprocess
import sys

from evals import ROOT
from evals.bench import Setup, measure
from evals.bench.measure import time_claim
from evals.tables import Result, Target

_HEAVY = ("torch", "transformers", "sentence_transformers", "faiss", "numpy", "sqlite_utils")
_PRINT_LOADED = f"import sys, memkit; print(*[name for name in {_HEAVY} if name in sys.modules])"


def run(setup: Setup) -> Result:
    """Start processes alternately and time each from start to exit."""
    n = 2 if setup.quick else 21
    times = measure.interleave(
        {
            "memkit": lambda _: _run_python("import memkit"),
            "baseline": lambda _: _run_python("pass"),
        },
        n,
    )
    loaded = _run_python(_PRINT_LOADED)
    claim = time_claim(
        "python -c 'import memkit'", times["memkit"], times["baseline"], unit="s", seed=setup.seed,
        against="python -c pass", target=Target(bound="≤", value=0.2, on="difference"),
    )  # fmt: skip
    return Result(
        name="imports",
        about="the cost of importing memkit in a fresh process",
        settings={"processes each": n, "heavy modules loaded": loaded or "none"},
        claims=[claim],
        notes=[f"heavy modules that it loads: {loaded or 'none'}"],
    )


def _run_python(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()
