"""Replaying a small window against reading the raw history, at equal token cost.

The survey's open proposition D: can good retrieval with small-window replay beat direct reading of
a long context, and under what conditions? Every budget is run as a card of its own, in which the
memory's part of the prompt and the raw history get the same number of tokens.
Source: Zhang et al. 2025 (arXiv 2509.18868), section 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from evals.bench.result import Cell, Table
from evals.card import run as running
from evals.card.config import Config, Run
from evals.card.records import Record
from evals.card.run import Watch, ignore
from evals.metrics import cost
from evals.stats import testing
from evals.stats.testing import Comparison
from memkit.errors import InvalidInput

READING = ("long context", "full history")
METRICS = ("share in budget", "contains")
_EDGES = (0, 50, 200, 10**9)  # turns since the evidence
_COLUMNS = (
    "tokens", "evidence said", "score", "replayed", "read", "difference", "95 %", "p", "p Holm",
    "n", "prompt, replayed", "prompt, read",
)  # fmt: skip


def run(
    config: Config, how: Run, budgets: Sequence[int], watch: Watch = ignore
) -> dict[int, Sequence[Record]]:
    """Return the records of every budget; each is a run that can be interrupted and goes on."""
    if config.model is None:
        raise InvalidInput("a frontier needs a [model], whose window is varied")
    found = {}
    for budget in budgets:
        model = replace(config.model, window=budget)
        one = replace(config, budget=budget, model=model, regimes=("long context", "replay"))
        found[budget] = running.run(one, replace(how, folder=_folder(how, budget)), watch).records
    return found


def _folder(how: Run, budget: int) -> Path:
    return how.folder / str(budget)


def table(found: Mapping[int, Sequence[Record]], ours: str, seed: int) -> Table:
    """Return replay − reading for every budget, by how long ago the evidence was said."""
    compared = [
        one for budget, records in found.items() for one in _compared(budget, records, ours, seed)
    ]
    corrected = testing.holm([one.p for _, one in compared])
    prompts: dict[Cell, tuple[Cell, Cell]] = {
        budget: _prompts(records, ours) for budget, records in found.items()
    }
    rows = [
        [*cells, *_cells(one), _rounded(p), one.n, *prompts[cells[0]]]
        for (cells, one), p in zip(compared, corrected, strict=True)
    ]
    return Table(
        title=f"{ours} replaying against reading the newest history, at equal tokens",
        columns=_COLUMNS,
        rows=rows,
        note="Paired differences on the same questions; intervals draw conversations, p-values "
        "flip whole ones; Holm over the whole table. Distance in turns between the newest evidence "
        "and the question. Tokens are the embedder's and of the memory alone; the prompts are in "
        "the model's own, means.",
    )


def _prompts(records: Sequence[Record], ours: str) -> tuple[float | None, float | None]:
    """Return the mean lengths of the prompts that were answered, replayed and read."""

    def mean(regime: str, system: str) -> float | None:
        of = [one for one in records if (one.regime, one.system) == (regime, system)]
        lengths = [one.costs["prompt tokens"] for one in of if "prompt tokens" in one.costs]
        return round(float(np.mean(lengths)), 1) if lengths else None

    return mean("replay", ours), mean(*READING)


def targets(found: Mapping[int, Sequence[Record]], ours: str) -> Table:
    """Return in how many tokens each side reaches what reading reaches in the largest budget.

    A target of 0, which nothing has to be paid for, is left out.
    """
    sides = {"replayed": ("replay", ours), "read": READING}
    rows: list[list[Cell]] = []
    for metric in METRICS:
        points = {name: _points(found, *side, metric) for name, side in sides.items()}
        target = max(points["read"], default=None)
        if target is not None and target[1] > 0:
            needs = (cost.cost_at_target(points[name], target[1]) for name in sides)
            rows.append([metric, round(target[1], 3), *needs, _count(found, metric)])
    return Table(
        title="Tokens that reach what reading reaches in the largest budget (Cost@Target)",
        columns=("score", "target", *sides, "n"),
        rows=rows,
        note="Of the budgets that were run; empty where none reaches it. All distances together. "
        "By means alone: the intervals of their differences are in the table above.",
    )


def _count(found: Mapping[int, Sequence[Record]], metric: str) -> int:
    """Return of how many questions the target is the mean."""
    records = found[max(found)]
    return sum((one.regime, one.system) == READING and metric in one.scores for one in records)


def _points(
    found: Mapping[int, Sequence[Record]], regime: str, system: str, metric: str
) -> list[tuple[float, float]]:
    """Return budget and mean score of one side, for every budget."""
    scores = {
        budget: [
            one.scores[metric]
            for one in records
            if (one.regime, one.system) == (regime, system) and metric in one.scores
        ]
        for budget, records in found.items()
    }
    return [(budget, float(np.mean(some))) for budget, some in scores.items() if some]


def _compared(
    budget: int, records: Sequence[Record], ours: str, seed: int
) -> Iterator[tuple[list[Cell], Comparison]]:
    """Yield what is compared, with both means, and the difference."""
    replayed = _by_question(records, "replay", ours)
    read = _by_question(records, *READING)
    both = [(replayed[key], read[key]) for key in replayed if key in read]
    for low, high in pairwise(_EDGES):
        near = [pair for pair in both if low <= pair[0].axes.get("distance", -1) < high]
        for metric in METRICS:
            pairs = [pair for pair in near if all(metric in one.scores for one in pair)]
            if pairs:
                mine, theirs = (
                    np.array([pair[n].scores[metric] for pair in pairs]) for n in (0, 1)
                )
                tasks = [f"{one.data}/{one.task}" for one, _ in pairs]
                means: list[Cell] = [round(float(of.mean()), 3) for of in (mine, theirs)]
                told = [budget, _span(low, high), metric, *means]
                yield told, testing.compare(mine, theirs, tasks, seed)


def _by_question(
    records: Sequence[Record], regime: str, system: str
) -> dict[tuple[str, str], Record]:
    return {
        (one.data, one.question): one
        for one in records
        if (one.regime, one.system) == (regime, system)
    }


def _cells(one: Comparison) -> list[Cell]:
    told = one.low is not None and one.low != one.high
    span = f"{one.low:+.3f} … {one.high:+.3f}" if told else "no interval"
    return [round(one.difference, 3), span, _rounded(one.p)]


def _rounded(p: float | None) -> float | None:
    return None if p is None else round(p, 4)


def _span(low: int, high: int) -> str:
    return f"{low}+ turns ago" if high == _EDGES[-1] else f"{low}–{high - 1} turns ago"
