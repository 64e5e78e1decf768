"""HEMA's ablation: what forgetting and the summary of summaries cost and save.

The form of the paper's table (A none, B forgetting, C summary of summaries, D both), through the
public face. All variants get the same dialogue side by side; questions come along the way, so that
"recently retrieved" has an effect. Because the paper's 0.5 % prunes little, larger shares and both
signs of its bonus are run too; evals/LOG.md has more. Summaries are extractive, without a model.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from typing import Literal

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.data import locomo
from evals.data.haystack import SPLITS, Haystack, Question
from evals.data.synthetic.dialogues import plant_facts
from evals.stats.bootstrap import cells
from evals.stats.interval import Samples, mean_interval, median_ratio
from evals.systems.cache import CachedEmbedder, default_folder
from evals.tables import Cell, Result, Table
from memkit import Forgetting
from memkit.background.summary import ExtractiveSummariser
from memkit.embedders import MiniLM
from memkit.ingest import chunk
from memkit.memory import Memory
from memkit.protocols import Counter, Embedder, Vectors
from memkit.records import Scope
from memkit.testing import HashEmbedder

BUDGET = 3500  # tokens of a prompt, the cap of HEMA's paper
_DEEP, _SHORT = 50, 5  # R@50 is the paper's
_PACKED = 4  # every fourth question's memory is packed into the budget too
_ROUNDS = 60  # searches that are timed at the end of a dialogue
_STEP = 100  # turns between two runs of the maintenance
_COLUMNS = (
    "variant", "R@50", "1,000+ turns ago", "R@5", "R@50 - A", "95 %", "prompt tokens",
    "search p50 ms", "÷ A", "95 %", "visible chunks", "of",
)  # fmt: skip
_FAR = 1000  # turns since the evidence: what is forgotten is old


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
        kind = "both" if self.overviews else "forgetting"
        return f"{self.letter} {kind}, {self.fraction:.1%}, {self.sign}"

    @property
    def settings(self) -> memkit.Settings:
        """Return memkit's settings; the constants left out are the paper's."""
        policy = Forgetting(fraction=self.fraction, sign=self.sign) if self.fraction else None
        return memkit.Settings(forgetting=policy, overviews=self.overviews, background=False)


VARIANTS = (
    Variant(letter="A"),
    Variant(letter="B", fraction=0.005),
    Variant(letter="C", overviews=True),
    Variant(letter="D", fraction=0.005, overviews=True),
    # and not the paper's
    Variant(letter="B", fraction=0.02),
    Variant(letter="B", fraction=0.05),
    Variant(letter="B", fraction=0.005, sign="printed"),
)


@dataclass(slots=True)
class Observations:
    """Everything measured of one variant."""

    deep: list[float] = field(default_factory=list)  # share of the evidence among 50 hits
    short: list[float] = field(default_factory=list)  # and among 5
    tokens: list[int] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    times: list[Samples] = field(default_factory=list)
    chunks: int = 0
    hidden: int = 0


def run(setup: Setup) -> Result:
    """Run every dialogue with every variant."""
    tables: list[Table] = []
    cache = (
        nullcontext(HashEmbedder()) if setup.quick else CachedEmbedder(MiniLM(), default_folder())
    )
    with cache as embedder:
        for title, dialogues in _read_dialogues(setup).items():
            observations = {variant: Observations() for variant in VARIANTS}
            for dialogue in dialogues:
                _run_dialogue(dialogue, observations, embedder, 3 if setup.quick else _ROUNDS)
            tables.append(_table(title, observations, setup.seed))
    return Result(
        name="forgetting",
        about="HEMA's ablation",
        settings={"budget": BUDGET, "embedder": "hash" if setup.quick else "all-MiniLM-L6-v2"},
        tables=tables,
    )


def _read_dialogues(setup: Setup) -> dict[str, list[Haystack]]:
    if setup.data is None:
        sizes = setup.choose((2_000, 10_000), (240,))
        facts = 5 if setup.quick else None
        return {f"synthetic, {n:,} turns": [plant_facts(n, setup.seed, facts=facts)] for n in sizes}
    data = locomo.read(setup.data)
    titles = {"report": "LoCoMo, reported conversations", "tuning": "LoCoMo, tuning conversations"}
    return {
        titles[split]: [
            locomo.ask_along_the_way(haystack, setup.seed) for haystack in data.in_split(split)
        ]
        for split in reversed(SPLITS)
        if data.in_split(split)
    }


class _CachedSummariser:
    """The extractive summariser; the variants ask it for the same summaries."""

    def __init__(self, count: Counter) -> None:
        self.count = count
        self._summarise = lru_cache(maxsize=None)(ExtractiveSummariser(count).summarise)

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        return self._summarise(previous, tuple(new), max_tokens=max_tokens)


def _run_dialogue(
    dialogue: Haystack, observations: dict[Variant, Observations], embedder: Embedder, rounds: int
) -> None:
    """Remember the turns, ask the questions in between, then time searches in what is left."""
    if isinstance(embedder, CachedEmbedder):
        texts = [piece.text for turn in dialogue.turns for piece in chunk(turn, embedder)]
        embedder.prepare([*texts, *(question.text for question in dialogue.questions)])
    summariser = _CachedSummariser(embedder.count)
    memories = {
        variant: memkit.open(
            ":memory:", embedder=embedder, summariser=summariser, settings=variant.settings
        )
        for variant in observations
    }
    stops = {question.after or 0 for question in dialogue.questions}
    stops |= {*range(_STEP, len(dialogue.turns), _STEP), len(dialogue.turns)}
    for first, last in pairwise([0, *sorted(stops)]):
        questions = [question for question in dialogue.questions if question.after == last]
        for variant, memory in memories.items():
            memory.remember(dialogue.turns[first:last], user_id=USER)
            if last % _STEP == 0:
                memory.flush()
            for question in questions:
                _ask(memory, question, observations[variant])
    vectors = embedder.embed([question.text for question in dialogue.questions])
    steps = {variant: partial(_search, memory, vectors) for variant, memory in memories.items()}
    times = measure.interleave(steps, rounds, warm=3)
    for variant, memory in memories.items():
        counts = memory.stats()
        observations[variant].times.append(times[variant])
        observations[variant].chunks += counts["chunks"]
        observations[variant].hidden += counts["hidden_chunks"]
        memory.close()


def _search(memory: Memory, vectors: Vectors, n: int) -> None:
    with memory.store.snapshot(Scope(user_id=USER)) as snapshot:
        snapshot.chunks(snapshot.nearest(vectors[n % len(vectors)], _DEEP)[0])


def _ask(memory: Memory, question: Question, observed: Observations) -> None:
    hits = memory.recall(question.text, user_id=USER, k=_DEEP)
    if len(observed.deep) % _PACKED == 0:
        block = memory.context(question.text, user_id=USER, budget_tokens=BUDGET)
        observed.tokens.append(block.tokens)
    ranking, evidence = [hit.turn_ids[0] for hit in hits], question.gold.turns
    for shares, k in ((observed.deep, _DEEP), (observed.short, _SHORT)):
        shares.append(sum(turn in ranking[:k] for turn in evidence) / len(evidence))
    observed.distances.append(question.axes["distance"])


def _table(title: str, observations: dict[Variant, Observations], seed: int) -> Table:
    base = observations[VARIANTS[0]]
    base_times = np.concatenate(base.times)
    rows: list[list[Cell]] = []
    for variant, observed in observations.items():
        change = mean_interval(np.subtract(observed.deep, base.deep).tolist(), seed=seed)
        times = np.concatenate(observed.times)
        ratio = median_ratio(times, base_times, seed=seed)
        pairs = zip(observed.deep, observed.distances, strict=True)
        far = [share for share, distance in pairs if distance >= _FAR]
        recall = (
            float(np.mean(shares)) if shares else None
            for shares in (observed.deep, far, observed.short)
        )
        tokens, visible = round(float(np.mean(observed.tokens))), observed.chunks - observed.hidden
        row: list[Cell] = [str(variant), *recall, *cells(change, signed=True), tokens]
        row += [measure.milliseconds(times), *cells(ratio), visible, observed.chunks]
        rows.append(row)
    note = f"{len(base.deep)} questions; search: {len(base_times)} per variant, at the end"
    return Table(title=title, columns=_COLUMNS, rows=rows, note=note)
