"""A card as a long run would make it, with figures out of a seed: for tests of the report."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.card.records import (
    REGIMES,
    Audit,
    Card,
    Compared,
    Curve,
    Figure,
    Funnel,
    NotRun,
    Record,
    Regime,
)  # fmt: skip
from evals.metrics.catalogue import METRICS

SYSTEMS = (
    "memkit", "no memory", "last turns", "full history", "compact only", "BM25", "dense", "mem0",
    "langchain",
)  # fmt: skip
DATA = ("locomo", "longmemeval", "memorycode", "synthetic distance", "synthetic updates", "chats")
SCORES = (
    "turn recall@10", "MRR", "share in budget", "contains", "F1", "citation coverage",
    "unsupported claims", "abstention", "freshness hit", "out-of-date use", "WC accuracy",
    "prompt tokens", "search ms",
)  # fmt: skip
KINDS = ("all", "single fact", "several facts", "when", "unanswerable")
STAGES = ("stored", "retrieved", "packed", "used", "right")
_AXES = {
    "position in prompt": (["0–0.2", "0.2–0.4", "0.4–0.6"], [0.1, 0.3, 0.5]),
    "position": (["0–0.2", "0.2–0.4", "0.4–0.6", "0.6–0.8", "0.8–1"], [0.1, 0.3, 0.5, 0.7, 0.9]),
    "distance": (["0–9", "10–49", "50–99", "100–199", "400+"], [0, 10, 50, 100, 400]),
    "distractors": (["0", "2", "10", "20"], [0, 2, 10, 20]),
    "over time": (["1", "2", "3", "4", "5", "6", "7", "8"], [1, 2, 3, 4, 5, 6, 7, 8]),
    "risk-coverage": ([""] * 20, [n / 20 for n in range(1, 21)]),
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large a card to make up."""

    systems: Sequence[str] = SYSTEMS
    data: Sequence[str] = DATA
    regimes: Sequence[Regime] = REGIMES
    scores: Sequence[str] = SCORES
    kinds: Sequence[str] = KINDS
    config: dict[str, Any] = field(default_factory=lambda: {"seed": 7, "systems": list(SYSTEMS)})


def made_up(size: Size | None = None) -> Card:
    """Return a card with something in each of its parts."""
    size, drawn = size or Size(), random.Random(7)
    places = [(d, r, s) for d in size.data for r in size.regimes for s in _of(r, size)]
    return Card(
        name="made up",
        config=size.config,
        stamp={"command": "python -m evals card --config x.toml", "versions": {"numpy": "2"}},
        disclosure={"study_id": "made up", "missing": ["owner: unknown"]},
        data=[{"name": one, "sha256": "ab" * 32, "turns": 5882} for one in size.data],
        figures=[
            _figure(place, kind, metric, drawn)
            for place in places
            for kind in size.kinds
            for metric in size.scores
        ],
        not_run=[
            NotRun(what="answers", data=one, why="no model: add a [model] to the config")
            for one in size.data[-2:]
        ],
        curves=[_curve(name, p, drawn) for name in (*_AXES, "cost-quality") for p in places],
        funnels=[_funnel(place, kind, drawn) for place in places for kind in size.kinds],
        compared=[_compared(p, m, drawn) for p in places for m in size.scores if p[2] != "memkit"],
        audits=[
            Audit(name="answer leaked", data=data, system=system, checked=1986, violations=bad,
                  passed=not bad, note="text nobody said" if bad else "")
            for data, regime, system in places if regime == "replay"
            for bad in [17 if (data, system) == ("locomo", "mem0") else 0]
        ],
        records=[
            Record(data=size.data[0], haystack=f"talk {n % 5}", question=f"q{n}", kind="when",
                   answerable=True, regime="replay", system="memkit", places=(n, None),
                   axes={"distance": n / 3}, scores={"F1": 1 / 3}, costs={"search ms": n / 7})
            for n in range(50)
        ],
    )  # fmt: skip


def _of(regime: str, size: Size) -> Sequence[str]:
    own = {"parametric": "no memory", "long context": "full history"}.get(regime)
    return [own] if own in size.systems else size.systems


def _quality(system: str, drawn: random.Random) -> float:
    strength = {"memkit": 0.8, "no memory": 0.05}.get(system, 0.35 + 0.04 * len(system) % 0.3)
    return min(max(strength + drawn.uniform(-0.08, 0.08), 0.01), 0.99)


def _figure(place: tuple[str, Regime, str], kind: str, metric: str, drawn: random.Random) -> Figure:
    data, regime, system = place
    known = METRICS.get(metric)
    value = _quality(system, drawn) * (1 if known is None or known.unit == "share" else 700)
    return Figure(
        layer=known.layer if known else "external", metric=metric, data=data, group=kind,
        regime=regime, system=system, value=value, low=value * 0.93, high=value * 1.05, n=1986,
    )  # fmt: skip


def _curve(name: str, place: tuple[str, Regime, str], drawn: random.Random) -> Curve:
    data, regime, system = place
    level = _quality(system, drawn)
    labels, xs = _AXES.get(
        name, (["memory tokens"], [0 if system == "no memory" else 90 * len(system)])
    )
    points = []
    for n, (label, x) in enumerate(zip(labels, xs, strict=True)):
        y = max(level * (1 - 0.06 * n) + drawn.uniform(-0.05, 0.05), 0)
        ends = (None, None) if name == "risk-coverage" else (max(y - 0.05, 0), min(y + 0.05, 1))
        points.append({"x": x, "label": label, "y": y, "low": ends[0], "high": ends[1], "n": 90})
    return Curve(
        name=name, data=data, regime=regime, system=system, metric="contains", points=points
    )


def _funnel(place: tuple[str, Regime, str], kind: str, drawn: random.Random) -> Funnel:
    data, regime, system = place
    counts, left = {}, 400
    for stage in STAGES:
        left = int(left * drawn.uniform(0.6, 1))
        counts[stage] = left
    told = counts | ({"stored": None} if system == "langchain" else {})
    return Funnel(data=data, group=kind, regime=regime, system=system, asked=400, **told)


def _compared(place: tuple[str, Regime, str], metric: str, drawn: random.Random) -> Compared:
    data, regime, system = place
    gap, p = drawn.uniform(-0.1, 0.4), drawn.random() / 10
    return Compared(
        metric=metric, data=data, regime=regime, ours="memkit", theirs=system, difference=gap,
        low=gap - 0.04, high=gap + 0.04, p=p, p_holm=min(3 * p, 1), family=f"{data} × {regime}",
        effect=gap, n=1986,
    )  # fmt: skip
