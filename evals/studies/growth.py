"""Does a memory of thoughts grow with the facts, rather than with the turns?

A synthetic dialogue states facts, and repeats many of them in other words. The study counts the
thoughts per extracted fact, and times thinking as the memory grows.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np

import memkit
from evals import USER
from evals.data.synthetic import dialogues
from evals.data.synthetic.dialogues import RepetitiveDialogue
from evals.stats.bootstrap import cells
from evals.stats.interval import Samples, mean_interval, median_ratio
from evals.systems.baselines import pieces
from evals.systems.cache import CachedEmbedder, default_folder
from evals.tables import Cell, Result, StudyResult, Table
from memkit import Settings, Thought
from memkit.errors import InvalidInput
from memkit.protocols import Embedder, Vectors

STEP = 1_000  # turns that are remembered and then thought about at a time
MOST_PER_FACT, MOST_COSTLIER = 1.1, 1.5  # the aims
_COST_COLUMNS = (
    "turns", "of them", "what", "ms", "95 %", "n", "ratio", "95 %", f"≤ {MOST_COSTLIER}",
)  # fmt: skip
_PARTS = (("without embedding", False), ("with embedding", True))


class TimedEmbedder:
    """An embedder that measures its time and counts its texts."""

    def __init__(self, inner: Embedder) -> None:
        self.seconds = 0.0
        self.texts = 0
        self._inner = inner
        self.fingerprint, self.count, self.split = inner.fingerprint, inner.count, inner.split

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed, and add the duration."""
        started = time.perf_counter()
        vectors = self._inner.embed(texts)
        self.seconds += time.perf_counter() - started
        self.texts += len(texts)
        return vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The time to think about one step of a dialogue."""

    size: int  # turns of the whole dialogue
    repeat: int
    upto: int  # turns of the memory after the step
    turns: int
    thinking_s: float
    embedding_s: float  # of the thoughts
    embedded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtCounts:
    """The current thoughts of a dialogue by the facts that it states."""

    size: int
    facts: int
    extracted: int  # facts that some thought comes from
    holding: int
    idle: int  # thoughts from turns without a fact
    spare: Mapping[str, int]  # kind -> thoughts beyond one per fact
    facts_of: Mapping[str, int]  # kind -> extracted facts
    mixed: int  # thoughts from turns of several facts

    @property
    def per_fact(self) -> float:
        """Return the current thoughts per extracted fact."""
        return self.holding / self.extracted if self.extracted else float("nan")


def run(
    embedder: Embedder, sizes: Sequence[int], repeats: int, *, seed: int = 0,
    cache: Path | None = None,
) -> StudyResult:  # fmt: skip
    """Fill memories of every size, several times, and count the thoughts of the first."""
    if not sizes or min(sizes) < 10:
        raise InvalidInput(f"sizes are turns, 10 at least, got {sizes}")
    made = [dialogues.repeat_facts(size, seed) for size in sizes]
    costs: list[Cost] = []
    counts: list[ThoughtCounts] = []
    with CachedEmbedder(embedder, cache or default_folder()) as cached:
        turns = chain(*(dialogue.turns for dialogue in made))
        cached.prepare(text for turn in turns for text in pieces(turn, cached))
        embedder.embed(["loads the model"])
        for repeat in range(repeats):
            for dialogue in made:
                spent, thoughts = _fill(dialogue, cached, TimedEmbedder(embedder), repeat)
                costs += spent
                counts += [count(dialogue, thoughts)] if repeat == 0 else []
    result = Result(
        name="growth",
        about="thoughts of a made-up dialogue that repeats itself",
        settings={
            "embedder": str(embedder.fingerprint),
            "new facts, share of turns": dialogues.NEW_SHARE,
            "repeated facts, share of turns": dialogues.REPEATED_SHARE,
            "repeats of the timing": repeats,
            "turns thought about at a time": STEP,
        },
        tables=[_count_table(counts), _cost_table(costs, sizes, seed)],
        notes=["facts extracted: those that some thought that holds comes from"],
    )
    return StudyResult(results=[result], outcomes=[*map(asdict, counts), *map(asdict, costs)])


def _fill(
    dialogue: RepetitiveDialogue, cached: CachedEmbedder, timed: TimedEmbedder, repeat: int
) -> tuple[list[Cost], list[Thought]]:
    """Think about a dialogue step by step; another handle makes summaries, off the clock."""
    costs = []
    with tempfile.TemporaryDirectory(prefix="memkit-growth-") as folder:
        file = str(Path(folder) / "memory.db")
        no_thoughts = Settings(background=False, thoughts=False)
        with (
            memkit.open(file, embedder=cached, settings=no_thoughts) as writer,
            memkit.open(file, embedder=timed, settings=Settings(background=False)) as thinker,
        ):
            for first in range(0, len(dialogue.turns), STEP):
                turns = dialogue.turns[first : first + STEP]
                writer.remember(turns, user_id=USER)
                writer.flush()
                before, texts, started = timed.seconds, timed.texts, time.perf_counter()
                thinker.flush()
                duration, embedding = time.perf_counter() - started, timed.seconds - before
                costs.append(
                    Cost(
                        size=len(dialogue.turns), repeat=repeat, upto=first + len(turns),
                        turns=len(turns), thinking_s=duration - embedding, embedding_s=embedding,
                        embedded=timed.texts - texts,
                    )
                )  # fmt: skip
            return costs, thinker.thoughts(user_id=USER)


def count(dialogue: RepetitiveDialogue, thoughts: Sequence[Thought]) -> ThoughtCounts:
    """Count current thoughts by the facts of their source turns."""
    fact_of = dialogue.fact_by_turn
    facts = [{fact_of[turn] for turn in t.turn_ids if turn in fact_of} for t in thoughts]
    extracted = set().union(*facts)
    thoughts_of = Counter(dialogue.facts[min(numbers)].kind for numbers in facts if numbers)
    facts_of = Counter(dialogue.facts[number].kind for number in extracted)
    return ThoughtCounts(
        size=len(dialogue.turns),
        facts=len(dialogue.facts),
        extracted=len(extracted),
        holding=len(thoughts),
        idle=sum(not numbers for numbers in facts),
        spare={kind: thoughts_of[kind] - n for kind, n in sorted(facts_of.items())},
        facts_of=dict(sorted(facts_of.items())),
        mixed=sum(len(numbers) > 1 for numbers in facts),
    )


# ---- tables


def _count_table(counts: Sequence[ThoughtCounts]) -> Table:
    return Table(
        title="thoughts that hold, for each fact",
        columns=(
            "turns", "facts told", "extracted", "thoughts", "per fact", "target", "met",
            "from no fact", "of several facts",
        ),
        rows=[
            [
                c.size, c.facts, c.extracted, c.holding, round(c.per_fact, 3),
                f"≤ {MOST_PER_FACT}", "yes" if c.per_fact <= MOST_PER_FACT else "NO", c.idle,
                c.mixed,
            ]
            for c in counts
        ],
        note="counted, not sampled",
    )  # fmt: skip


def per_turn(costs: Sequence[Cost], *, embedding: bool) -> float:
    """Return the seconds of thinking per turn."""
    seconds = sum(cost.thinking_s + cost.embedding_s * embedding for cost in costs)
    return seconds / sum(cost.turns for cost in costs)


def _samples(costs: Sequence[Cost], size: int, *, embedding: bool, last: bool = False) -> Samples:
    """Return the seconds per turn of every repeat; `last`: of its last step alone."""
    samples = []
    for repeat in sorted({cost.repeat for cost in costs}):
        steps = [cost for cost in costs if (cost.size, cost.repeat) == (size, repeat)]
        samples.append(per_turn(steps[-1:] if last else steps, embedding=embedding))
    return np.array(samples)


def _cost_table(costs: Sequence[Cost], sizes: Sequence[int], seed: int) -> Table:
    smallest = min(sizes)
    rows: list[list[Cell]] = []
    for size in sorted(sizes):
        for what, embedding in _PARTS:
            base = _samples(costs, smallest, embedding=embedding)
            for last in (False, True):
                times = _samples(costs, size, embedding=embedding, last=last)
                mean = mean_interval((1000 * times).tolist(), seed=0)
                part = f"the last {min(STEP, size):,}" if last else "all"
                row: list[Cell] = [size, part, what, *cells(mean), len(times)]
                if size != smallest:
                    ratio = median_ratio(times, base, seed=seed)
                    row += [*cells(ratio), "yes" if ratio.value <= MOST_COSTLIER else "NO"]
                rows.append(row + [None] * (len(_COST_COLUMNS) - len(row)))
    return Table(
        title="thinking, milliseconds a turn",
        columns=_COST_COLUMNS,
        rows=rows,
        note="mean of the repeats, on a shared machine; ratio: medians, resampled in pairs, to all "
        f"turns of {smallest:,}",
    )
