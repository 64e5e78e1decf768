"""HEMA's ablation: what forgetting and the summary of summaries cost and save.

The shape of the paper's table (A none, B forgetting, C summary of summaries, D both), through the
public face. All variants live through the same dialogue side by side; questions come along the
way, so that "recently retrieved" means something. Because the paper's 0.5 % prunes little, larger
shares and both signs of its bonus are run too. Summaries are extractive, without a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from typing import Literal

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.data import dialogue
from evals.data import locomo_texts as locomo
from evals.data.corpus import Known
from evals.data.dialogue import Asked, Dialogue
from evals.stats.interval import Samples, mean_interval, median_ratio
from evals.tables import Cell, Result, Table
from memkit import Forgetting
from memkit.background.summary import ExtractiveSummariser
from memkit.embedders import MiniLM
from memkit.ingest import chunk
from memkit.memory import Memory
from memkit.protocols import Counter, Embedder
from memkit.records import Scope
from memkit.testing import HashEmbedder

BUDGET = 3500
_DEEP, _SHORT = 50, 5  # R@50 is the paper's
_PACKED = 4  # every fourth question's memory is packed into the budget too
_ROUNDS = 60  # searches that are timed at the end of a dialogue
_COLUMNS = (
    "variant", "R@50", "R@5", "R@50 - A", "95 %", "prompt tokens", "search p50 ms", "÷ A", "95 %",
    "visible chunks", "of",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the ablation."""

    letter: str
    fraction: float = 0.0  # pruned every 100 turns
    sign: Literal["intended", "printed"] = "intended"
    overviews: bool = False

    def __str__(self) -> str:
        if not self.fraction:
            return f"{self.letter} {'summary of summaries' if self.overviews else 'none'}"
        what = "both" if self.overviews else "forgetting"
        return f"{self.letter} {what}, {self.fraction:.1%}, {self.sign}"

    @property
    def settings(self) -> memkit.Settings:
        """The same as memkit's settings; the constants left out are the paper's."""
        policy = Forgetting(fraction=self.fraction, sign=self.sign) if self.fraction else None
        return memkit.Settings(forgetting=policy, overviews=self.overviews, background=False)


PAPER = (
    Variant(letter="A"),
    Variant(letter="B", fraction=0.005),
    Variant(letter="C", overviews=True),
    Variant(letter="D", fraction=0.005, overviews=True),
)
MORE = (
    Variant(letter="B", fraction=0.02),
    Variant(letter="B", fraction=0.05),
    Variant(letter="B", fraction=0.005, sign="printed"),
    Variant(letter="B", fraction=0.02, sign="printed"),
    Variant(letter="B", fraction=0.05, sign="printed"),
)


@dataclass(slots=True)
class Seen:
    """What was measured of one variant."""

    deep: list[float] = field(default_factory=list)  # share of the evidence among 50 hits
    short: list[float] = field(default_factory=list)  # and among 5
    tokens: list[int] = field(default_factory=list)
    distances: list[int] = field(default_factory=list)
    times: list[Samples] = field(default_factory=list)
    chunks: int = 0
    hidden: int = 0


def run(setup: Setup) -> Result:
    """Live through every dialogue with every variant."""
    variants = (*PAPER, *MORE)
    tables: list[Table] = []
    groups = _groups(setup)
    for title, dialogues in groups.items():
        seen = {variant: Seen() for variant in variants}
        for one in dialogues:
            _live(one, seen, setup)
        tables += [_table(title, seen, setup.seed), _by_distance(title, seen)]
    return Result(
        name="forgetting",
        about="HEMA's ablation",
        settings={"budget": BUDGET, "embedder": "hash" if setup.quick else "all-MiniLM-L6-v2"},
        tables=tables,
    )


def _groups(setup: Setup) -> dict[str, list[Dialogue]]:
    """Return the dialogues by the title of their table."""
    if setup.data is None:
        sizes = setup.choose((2_000, 10_000), (240,))
        return {f"synthetic, {n:,} turns": [dialogue.synthetic(n, setup.seed)] for n in sizes}
    found = locomo.dialogues(setup.data, setup.seed)
    tuning = [one for one in found if one.name in locomo.TUNING]
    rest = [one for one in found if one.name not in locomo.TUNING]
    named = {"LoCoMo, reported conversations": rest, "LoCoMo, tuning conversations": tuning}
    return {title: group for title, group in named.items() if group}


class _Once:
    """The extractive summariser, which all variants ask the same of."""

    def __init__(self, count: Counter) -> None:
        self.count = count
        self._summarise = lru_cache(maxsize=None)(ExtractiveSummariser(count).summarise)

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        return self._summarise(previous, tuple(new), max_tokens=max_tokens)


def _live(one: Dialogue, seen: dict[Variant, Seen], setup: Setup) -> None:
    """Say the turns, ask the questions where they belong, then time searches in what is left."""
    embedder = _embedder(one, quick=setup.quick)
    summariser = _Once(embedder.count)
    memories = {
        variant: memkit.open(
            ":memory:", embedder=embedder, summariser=summariser, settings=variant.settings
        )
        for variant in seen
    }
    stops = {question.after for question in one.questions}
    stops |= {*range(100, len(one.turns), 100), len(one.turns)}
    said = 0
    for stop in sorted(stops):
        asked = [question for question in one.questions if question.after == stop]
        for variant, memory in memories.items():
            memory.remember(one.turns[said:stop], user_id=USER)
            if stop % 100 == 0:
                memory.flush()
            for question in asked:
                _ask(memory, question, seen[variant])
        said = stop
    _finish(memories, one, seen, embedder, quick=setup.quick)


def _embedder(one: Dialogue, *, quick: bool) -> Embedder:
    if quick:
        return HashEmbedder()
    inner = MiniLM()
    indexed = [piece.text for turn in one.turns for piece in chunk(turn, inner)]
    return Known([*indexed, *(question.text for question in one.questions)], inner)


def _ask(memory: Memory, question: Asked, seen: Seen) -> None:
    hits = memory.recall(question.text, user_id=USER, k=_DEEP)
    if len(seen.deep) % _PACKED == 0:
        block = memory.context(question.text, user_id=USER, budget_tokens=BUDGET)
        seen.tokens.append(block.tokens)
    found = [hit.turn_ids[0] for hit in hits]
    for kept, k in ((seen.deep, _DEEP), (seen.short, _SHORT)):
        kept.append(sum(turn in found[:k] for turn in question.evidence) / len(question.evidence))
    seen.distances.append(question.distance)


def _finish(
    memories: dict[Variant, Memory],
    one: Dialogue,
    seen: dict[Variant, Seen],
    embedder: Embedder,
    *,
    quick: bool,
) -> None:
    """Time the vector search of all variants in turns, count their chunks, and close them."""
    vectors = embedder.embed([question.text for question in one.questions])

    def search(memory: Memory, n: int) -> object:
        with memory.store.snapshot(Scope(user_id=USER)) as snapshot:
            return snapshot.matches(snapshot.nearest(vectors[n % len(vectors)], _DEEP)[0])

    steps = {str(variant): partial(search, memory) for variant, memory in memories.items()}
    times = measure.interleave(steps, 3 if quick else _ROUNDS, warm=3)
    for variant, memory in memories.items():
        counts = memory.stats()
        seen[variant].times.append(times[str(variant)])
        seen[variant].chunks += counts["chunks"]
        seen[variant].hidden += counts["hidden_chunks"]
        memory.close()


def _table(title: str, seen: dict[Variant, Seen], seed: int) -> Table:
    base = seen[PAPER[0]]
    base_times = np.concatenate(base.times)
    rows: list[list[Cell]] = []
    for variant, one in seen.items():
        change = mean_interval(np.subtract(one.deep, base.deep).tolist(), seed=seed)
        times = np.concatenate(one.times)
        ratio = median_ratio(times, base_times, seed=seed)
        rows.append(
            [
                str(variant),
                float(np.mean(one.deep)),
                float(np.mean(one.short)),
                f"{change.value:+.3f}",
                f"{change.low:+.3f} to {change.high:+.3f}",
                round(float(np.mean(one.tokens))),
                measure.milliseconds(times),
                ratio.value,
                f"{ratio.low:.2f}–{ratio.high:.2f}",
                one.chunks - one.hidden,
                one.chunks,
            ]
        )
    note = f"{len(base.deep)} questions; search: {len(base_times)} per variant, at the end"
    return Table(title=title, columns=_COLUMNS, rows=rows, note=note)


def _by_distance(title: str, seen: dict[Variant, Seen]) -> Table:
    """Return R@50 by how long ago the answer was said: what is forgotten is old."""
    bounds = [0, 100, 350, 1000, 10**9]
    names = ["under 100", "100–349", "350–999", "1,000 and more"]
    rows: list[list[Cell]] = []
    for variant, one in seen.items():
        row: list[Cell] = [str(variant)]
        for low, high in pairwise(bounds):
            kept = [r for r, d in zip(one.deep, one.distances, strict=True) if low <= d < high]
            row.append(f"{np.mean(kept):.3f} ({len(kept)})" if kept else None)
        rows.append(row)
    return Table(
        title=f"{title}: R@50 by turns since the evidence (questions)",
        columns=["variant", *names],
        rows=rows,
    )
