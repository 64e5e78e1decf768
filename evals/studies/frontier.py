"""Replay of a small window against reading of the raw history, at equal token cost.

The survey's open proposition D: can good retrieval with small-window replay beat direct reading of
a long context, and under what conditions? Each budget is a card of its own, in which the memory's
part of the prompt and the raw history have the same number of tokens.
Source: Zhang et al. 2025 (arXiv 2509.18868), section 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from evals.card import run as running
from evals.card.config import Config, Run
from evals.card.records import Record
from evals.card.run import Watch
from evals.stats import testing
from evals.stats.testing import Comparison
from evals.tables import Cell, Table
from memkit.errors import InvalidInput

READING = ("long context", "full history")  # regime and system
METRICS = ("share in budget", "contains")
_EDGES = (0, 50, 200, 10**9)  # turns since the evidence
_COLUMNS = (
    "tokens", "evidence said", "score", "replayed", "read", "difference", "95 %", "p", "p Holm",
    "n", "prompt, replayed", "prompt, read",
)  # fmt: skip

Records = Mapping[int, Sequence[Record]]  # by budget


def run(
    config: Config, options: Run, budgets: Sequence[int], watch: Watch = lambda *_: None
) -> Records:
    """Return the records of every budget; an interrupted run of a budget can be continued."""
    if config.model is None:
        raise InvalidInput("a frontier needs a [model] with a window to vary; add it to the config")
    records = {}
    for budget in budgets:
        model = replace(config.model, window=budget)
        card = replace(config, budget=budget, model=model, regimes=("long context", "replay"))
        inside = replace(options, folder=options.folder / str(budget))
        records[budget] = running.run(card, inside, watch).records
    return records


def table(by_budget: Records, system: str, seed: int) -> Table:
    """Return replay − reading for every budget, by distance of the evidence."""
    compared = [
        row
        for budget, records in by_budget.items()
        for row in _compare(budget, records, system, seed)
    ]
    corrected = testing.holm([comparison.p for _, comparison in compared])
    rows: list[list[Cell]] = []
    for (cells, result), p in zip(compared, corrected, strict=True):
        has_interval = result.low is not None and result.low != result.high
        interval = f"{result.low:+.3f} … {result.high:+.3f}" if has_interval else "no interval"
        records = by_budget[int(cells[0] or 0)]
        prompts = (_prompt_tokens(records, side) for side in (("replay", system), READING))
        difference = round(result.difference, 3)
        ps = (None if value is None else round(value, 4) for value in (result.p, p))
        rows.append([*cells, difference, interval, *ps, result.n, *prompts])
    return Table(
        title=f"{system} replaying against reading the newest history, at equal tokens",
        columns=_COLUMNS,
        rows=rows,
        note="Paired differences on the same questions; intervals draw conversations, p-values "
        "flip whole ones; Holm over the whole table. Distance in turns between the newest evidence "
        "and the question. Tokens are the embedder's and of the memory alone; the prompts are in "
        "the model's own, means.",
    )


def _compare(
    budget: int, records: Sequence[Record], system: str, seed: int
) -> Iterator[tuple[list[Cell], Comparison]]:
    """Yield the first cells of a row, with both means, and the comparison."""
    replayed, read = (
        {(record.data, record.question): record for record in _side(records, side)}
        for side in (("replay", system), READING)
    )
    both = [(replayed[key], read[key]) for key in replayed if key in read]
    for low, high in pairwise(_EDGES):
        near = [pair for pair in both if low <= pair[0].axes.get("distance", -1) < high]
        span = f"{low}+ turns ago" if high == _EDGES[-1] else f"{low}–{high - 1} turns ago"
        for metric in METRICS:
            pairs = [pair for pair in near if all(metric in record.scores for record in pair)]
            if pairs:
                scores = np.array([[record.scores[metric] for record in pair] for pair in pairs])
                tasks = [f"{record.data}/{record.task}" for record, _ in pairs]
                means: list[Cell] = [round(float(mean), 3) for mean in scores.mean(axis=0)]
                result = testing.compare(scores[:, 0], scores[:, 1], tasks, seed)
                yield [budget, span, metric, *means], result


def _side(records: Sequence[Record], side: tuple[str, str]) -> list[Record]:
    return [record for record in records if (record.regime, record.system) == side]


def _prompt_tokens(records: Sequence[Record], side: tuple[str, str]) -> float | None:
    costs = (record.costs for record in _side(records, side))
    lengths = [cost["prompt tokens"] for cost in costs if "prompt tokens" in cost]
    return round(float(np.mean(lengths)), 1) if lengths else None


def targets(by_budget: Records, system: str) -> Table:
    """Return the tokens by which each side reaches the score of reading in the largest budget.

    A target of 0, which costs nothing, is left out.
    """
    sides = {"replayed": ("replay", system), "read": READING}
    rows: list[list[Cell]] = []
    for metric in METRICS:
        points: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        n = 0
        for budget, records in sorted(by_budget.items()):
            for name, side in sides.items():
                of_side = _side(records, side)
                scores = [record.scores[metric] for record in of_side if metric in record.scores]
                if scores:
                    points[name].append((budget, float(np.mean(scores))))
                    n = len(scores) if name == "read" else n
        target = max(points["read"], default=None)
        if target is not None and target[1] > 0:
            tokens = (
                min((budget for budget, score in points[name] if score >= target[1]), default=None)
                for name in sides
            )
            rows.append([metric, round(target[1], 3), *tokens, n])
    return Table(
        title="Tokens that reach what reading reaches in the largest budget (Cost@Target)",
        columns=("score", "target", *sides, "n"),
        rows=rows,
        note="Of the budgets that were run; empty where none reaches it. All distances together. "
        "By means alone: the intervals of their differences are in the table above.",
    )
