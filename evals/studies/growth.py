"""Does a memory of thoughts grow with what is known, rather than with what is said?

A made-up dialogue (facts.py) tells facts, and tells many of them again in other words. How many
thoughts hold for each fact that was understood, and what does thinking cost as the memory grows?
"""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import memkit
from evals import USER
from evals.bench.measure import Interval, Samples, mean_interval, median_ratio
from evals.bench.result import Cell, Result, Table
from evals.data.facts import FACTS, REPEATS, Told, tell
from evals.stats.shares import cells
from evals.studies.filled import Options, StudyResult, prepare, vectors
from evals.systems.cache import CachedEmbedder
from memkit import Settings, Thought
from memkit.errors import InvalidInput
from memkit.protocols import Embedder, Fingerprint, Vectors

STEP = 1_000  # turns remembered, and then thought about, at a time
MOST_PER_FACT, MOST_DEARER = 1.1, 1.5
_ANSWERS = Settings(background=False, thoughts=False)
_THINKS = Settings(background=False)


class Timed:
    """An embedder that says how long it took."""

    def __init__(self, inner: Embedder) -> None:
        self.seconds = 0.0
        self.texts = 0
        self._inner = inner

    @property
    def fingerprint(self) -> Fingerprint:
        """Return the inner embedder's."""
        return self._inner.fingerprint

    def count(self, text: str) -> int:
        """Return how many tokens `inner` counts."""
        return self._inner.count(text)

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return the spans that `inner` would."""
        return self._inner.split(text, header=header)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed, and add how long it took."""
        started = time.perf_counter()
        found = self._inner.embed(texts)
        self.seconds += time.perf_counter() - started
        self.texts += len(texts)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What thinking about a stretch of turns took."""

    size: int  # of the whole dialogue
    repeat: int
    upto: int  # turns that the memory had then
    turns: int
    thinking_s: float
    embedding_s: float  # of the thoughts
    embedded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """How many thoughts there are for the facts that were told."""

    size: int
    facts: int
    extracted: int  # facts that some thought comes from
    holding: int
    idle: int  # thoughts from turns that tell no fact
    spare: Mapping[str, int]  # kind -> thoughts beyond one of each fact
    facts_of: Mapping[str, int]  # kind -> facts extracted
    mixed: int  # thoughts that come from turns of several facts

    @property
    def per_fact(self) -> float:
        """Return the thoughts that hold for one fact that was extracted."""
        return self.holding / self.extracted if self.extracted else float("nan")


def run(options: Options, embedder: Embedder) -> StudyResult:
    """Fill memories of every size, several times, and count what holds in the first."""
    if not options.sizes or min(options.sizes) < 10:
        raise InvalidInput(f"sizes are turns, 10 at least, got {options.sizes}")
    dialogues = {size: tell(size, options.seed) for size in options.sizes}
    costs: list[Cost] = []
    grown: list[Grown] = []
    with vectors(options, embedder) as cached:
        prepare(cached, [told.turns for told in dialogues.values()], [])
        embedder.embed(["loads the model"])
        for repeat in range(options.repeats):
            for told in dialogues.values():
                spent, held = fill(told, cached, Timed(embedder), repeat)
                costs += spent
                grown += [count(told, held)] if repeat == 0 else []
    return StudyResult(
        results=[_result(grown, costs, options, embedder)],
        outcomes=[*map(asdict, grown), *map(asdict, costs)],
    )


def fill(
    told: Told, cached: CachedEmbedder, timed: Timed, repeat: int
) -> tuple[list[Cost], list[Thought]]:
    """Remember a dialogue and think about it step by step; return the costs and what holds.

    Summaries are made before, by a second opening of the file, so that only thoughts are timed.
    """
    costs = []
    with tempfile.TemporaryDirectory(prefix="memkit-growth-") as folder:
        file = str(Path(folder) / "memory.db")
        with (
            memkit.open(file, embedder=cached, settings=_ANSWERS) as answers,
            memkit.open(file, embedder=timed, settings=_THINKS) as thinks,
        ):
            for first in range(0, len(told.turns), STEP):
                step = told.turns[first : first + STEP]
                answers.remember(step, user_id=USER)
                answers.flush()
                before, texts, started = timed.seconds, timed.texts, time.perf_counter()
                thinks.flush()
                took, embedding = time.perf_counter() - started, timed.seconds - before
                costs.append(
                    Cost(
                        size=len(told.turns), repeat=repeat, upto=first + len(step),
                        turns=len(step), thinking_s=took - embedding, embedding_s=embedding,
                        embedded=timed.texts - texts,
                    )
                )  # fmt: skip
            return costs, thinks.thoughts(user_id=USER)


def count(told: Told, held: Sequence[Thought]) -> Grown:
    """Count the thoughts that hold, by the facts that their turns tell."""
    of = [{told.told[turn] for turn in one.turn_ids if turn in told.told} for one in held]
    extracted = set().union(*of)
    thoughts = Counter(told.facts[min(facts)].kind for facts in of if facts)
    facts_of = Counter(told.facts[fact].kind for fact in extracted)
    return Grown(
        size=len(told.turns),
        facts=len(told.facts),
        extracted=len(extracted),
        holding=len(held),
        idle=sum(not facts for facts in of),
        spare={kind: thoughts[kind] - n for kind, n in sorted(facts_of.items())},
        facts_of=dict(sorted(facts_of.items())),
        mixed=sum(len(facts) > 1 for facts in of),
    )


# ---- what is told


def _result(
    grown: Sequence[Grown], costs: Sequence[Cost], options: Options, embedder: Embedder
) -> Result:
    return Result(
        name="growth",
        about="thoughts of a made-up dialogue that repeats itself",
        settings={
            "embedder": str(embedder.fingerprint),
            "new facts, share of turns": FACTS,
            "repeated facts, share of turns": REPEATS,
            "repeats of the timing": options.repeats,
            "turns thought about at a time": STEP,
        },
        tables=[_held(grown), _spare(grown), _spent(costs), _dearer(costs, options)],
        notes=["facts extracted: those that some thought that holds comes from"],
    )


def _held(grown: Sequence[Grown]) -> Table:
    rows: list[list[Cell]] = [
        [
            one.size, one.facts, one.extracted, one.holding, round(one.per_fact, 3),
            f"≤ {MOST_PER_FACT}", "yes" if one.per_fact <= MOST_PER_FACT else "NO", one.idle,
            one.mixed,
        ]
        for one in grown
    ]  # fmt: skip
    return Table(
        title="thoughts that hold, for each fact",
        columns=(
            "turns", "facts told", "extracted", "thoughts", "per fact", "target", "met",
            "from no fact", "of several facts",
        ),
        rows=rows,
        note="counted, not sampled",
    )  # fmt: skip


def _spare(grown: Sequence[Grown]) -> Table:
    kinds = list(dict.fromkeys(kind for one in grown for kind in one.facts_of))
    return Table(
        title="duplicates left, by kind of fact: thoughts beyond one of each fact / facts",
        columns=("kind", *(f"{one.size:,} turns" for one in grown)),
        rows=[
            [kind, *(f"{one.spare.get(kind, 0)} / {one.facts_of.get(kind, 0)}" for one in grown)]
            for kind in kinds
        ],
    )


def per_turn(costs: Sequence[Cost], *, embedding: bool) -> float:
    """Return the seconds that thinking took for a turn."""
    spent = sum(one.thinking_s + one.embedding_s * embedding for one in costs)
    return spent / sum(one.turns for one in costs)


def _samples(costs: Sequence[Cost], size: int, *, embedding: bool, last: bool = False) -> Samples:
    """Return seconds per turn of every repeat; `last`: of its last step alone."""
    found = []
    for repeat in sorted({one.repeat for one in costs}):
        theirs = [one for one in costs if one.size == size and one.repeat == repeat]
        found.append(per_turn(theirs[-1:] if last else theirs, embedding=embedding))
    return np.array(found)


def _spent(costs: Sequence[Cost]) -> Table:
    rows: list[list[Cell]] = []
    for size in dict.fromkeys(one.size for one in costs):
        for what, embedding in (("without embedding", False), ("with embedding", True)):
            for last in (False, True):
                times = 1000 * _samples(costs, size, embedding=embedding, last=last)
                span = mean_interval(times.tolist(), seed=0)
                step = min(STEP, size)
                part = f"the last {step:,}" if last else "all"
                rows.append([size, part, what, *cells(span), len(times)])
    return Table(
        title="thinking, milliseconds a turn",
        columns=("turns", "of them", "what", "ms", "95 %", "n"),
        rows=rows,
        note="mean of the repeats, on a shared machine",
    )


def _dearer(costs: Sequence[Cost], options: Options) -> Table:
    small, large = min(options.sizes), max(options.sizes)
    rows: list[list[Cell]] = []
    for what, embedding in (("without embedding", False), ("with embedding", True)):
        for last in (False, True) if small != large else ():
            base = _samples(costs, small, embedding=embedding)
            ours = _samples(costs, large, embedding=embedding, last=last)
            ratio: Interval = median_ratio(ours, base, seed=options.seed)
            part = f"its last {min(STEP, large):,}" if last else "all its turns"
            met = "yes" if ratio.value <= MOST_DEARER else "NO"
            rows.append([part, what, *cells(ratio), ratio.n, f"≤ {MOST_DEARER}", met])
    return Table(
        title=f"a turn of {large:,} against one of {small:,}",
        columns=("of the larger", "what", "ratio", "95 %", "n", "target", "met"),
        rows=rows,
        note="medians of the repeats, resampled in pairs",
    )
