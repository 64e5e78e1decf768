"""What the gate costs beside the same step without it, and which steps it admits and refuses.

The steps are those of LoCoMo's dialogues with `--data`, and of small talk otherwise: the default
thinker, HEMA's pruning and another embedder as they are, and beside them versions that do harm. A
refused harmless step is a false refusal.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import process_time

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import time_claim
from evals.data import locomo
from evals.data.haystack import SPLITS
from evals.data.synthetic.talk import START, small_talk
from evals.tables import Cell, Claim, Result, Table
from memkit import Forgetting, Settings, Turn
from memkit.embedders import MiniLM
from memkit.errors import StepRefused
from memkit.memory import Memory
from memkit.protocols import Embedder, Relation, Thinker, ThoughtPair, WriteBatch
from memkit.records import Event, Scope
from memkit.testing import ClauseThinker, HashEmbedder
from memkit.thoughts.learned import LearnedThinker

_SCOPE = Scope(user_id=USER)
_SCORES = (
    "kept before", "kept after", "worst before", "worst after", "fresh before", "fresh after",
    "superseded before", "superseded after", "likeness after", "changes after",
)  # fmt: skip
_SCORE_COLUMNS = (
    "kept before", "after", "worst before", "after", "fresh before", "after", "superseded before",
    "after", "likeness", "changes per thought",
)  # fmt: skip
_COLUMNS = ("step", "probed", "admitted", "refused", *_SCORE_COLUMNS)
_STEP_COLUMNS = ("step", "number", "decision", *_SCORE_COLUMNS)


class _Decides(ClauseThinker):
    """Believes every clause, and takes each for the same change of the thoughts near it."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation

    def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
        return [self._relation for _ in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A way to maintain a memory."""

    name: str
    thinker: Callable[[], Thinker]
    fraction: float = 0.0  # pruned every 100 turns

    @property
    def settings(self) -> Settings:
        forgetting = Forgetting(fraction=self.fraction) if self.fraction else None
        return Settings(background=False, forgetting=forgetting, overviews=False)


CASES = (
    _Case(name="default thinker", thinker=LearnedThinker),
    _Case(name="prune .5 % (HEMA)", thinker=ClauseThinker, fraction=0.005),
    _Case(name="prune 2 %", thinker=ClauseThinker, fraction=0.02),
    _Case(name="harm: close all that is near", thinker=partial(_Decides, "closes")),
    _Case(name="harm: merge all that is near", thinker=partial(_Decides, "same")),
    _Case(name="harm: prune 20 %", thinker=ClauseThinker, fraction=0.2),
    _Case(name="harm: prune half", thinker=ClauseThinker, fraction=0.5),
)


def run(setup: Setup) -> Result:
    """Time gated and ungated steps, and list what is admitted and refused."""
    embedder = HashEmbedder() if setup.quick else MiniLM()
    dialogues = _read_dialogues(setup)
    first = next(iter(dialogues.values()))[0]
    sizes = setup.choose((1_000, 10_000), (128,))
    claims = [_time_thinking(setup, embedder, first)]
    claims += [_time_prune(setup, embedder, size) for size in sizes]
    tables = [
        table for title, turns in dialogues.items() for table in _tables(title, turns, embedder)
    ]
    return Result(
        name="gate", about="the gate: cost of a step, and steps admitted and refused",
        settings={"embedder": embedder.fingerprint.model}, claims=claims, tables=tables,
    )  # fmt: skip


def _read_dialogues(setup: Setup) -> dict[str, list[list[Turn]]]:
    if setup.data is None:
        texts = islice(small_talk(random.Random(setup.seed)), 128 if setup.quick else 1024)
        turns = [Turn(text=text, id=f"t{n}", said_at=START) for n, text in enumerate(texts)]
        return {"small talk": [turns]}
    data = locomo.read(setup.data)
    return {
        f"LoCoMo, {split} conversations": [
            list(haystack.turns) for haystack in data.in_split(split)
        ]
        for split in reversed(SPLITS)
        if data.in_split(split)
    }


# ---- cost


def _time_thinking(setup: Setup, embedder: Embedder, turns: Sequence[Turn]) -> Claim:
    """Time batches of the default thinker with and without the gate."""
    size = 16
    batches = [turns[n : n + size] for n in range(0, len(turns) - size, size)]
    rounds = min(2 if setup.quick else 24, len(batches) - 1)
    memories = {
        gate: memkit.open(
            ":memory:", embedder=embedder, settings=Settings(background=False, gate=gate)
        )
        for gate in (True, False)
    }

    def think(memory: Memory, n: int) -> None:
        memory.remember(batches[n + 1], user_id=USER)
        memory.think(user_id=USER)

    steps = {gate: partial(think, memory) for gate, memory in memories.items()}
    times = measure.interleave(steps, rounds, clock=process_time)
    for memory in memories.values():
        memory.close()
    return time_claim(
        f"remembering and thinking about {size} turns (CPU)", times[True], times[False],
        against="the same without the gate", seed=setup.seed,
    )  # fmt: skip


def _time_prune(setup: Setup, embedder: Embedder, size: int) -> Claim:
    """Time one prune of .5 % with and without the gate, taken back each time."""
    texts = islice(small_talk(random.Random(setup.seed)), size)
    with memkit.open(":memory:", embedder=embedder, settings=Settings(background=False)) as memory:
        memory.remember([Turn(text=text, id=f"t{n}") for n, text in enumerate(texts)], user_id=USER)
        memory.recall("what", user_id=USER)
        gate = memory._maintenance._gate
        assert gate is not None
        hide = [chunk.id for chunk in memory.store.chunks(_SCOPE)[: max(size // 200, 1)]]
        batch = WriteBatch(hide=hide)
        times = measure.interleave(
            {
                "gated": lambda _: gate.write(_SCOPE, batch),
                "plain": lambda _: memory.store.write(_SCOPE, batch),
            },
            2 if setup.quick else 9,
            between=lambda: memory.restore(user_id=USER),
            clock=process_time,
        )
    return time_claim(
        f"one prune among {size:,} turns (CPU)", times["gated"], times["plain"],
        against="the same without the gate", seed=setup.seed,
    )  # fmt: skip


# ---- what is admitted


def _tables(title: str, dialogues: Sequence[Sequence[Turn]], embedder: Embedder) -> list[Table]:
    """Return the means of each way to maintain a memory, and every step with its scores."""
    events = {case.name: _run_case(case, dialogues, embedder) for case in CASES}
    note = f"{len(dialogues)} dialogues, {sum(map(len, dialogues))} turns"
    return [
        Table(
            title=title, columns=_COLUMNS, note=f"{note}; means over probed steps",
            rows=[_row(name, steps) for name, steps in events.items()],
        ),
        Table(
            title=f"{title}, step by step", columns=_STEP_COLUMNS,
            note=f"{note}; a refused step is tried again in a milder form",
            rows=[
                [name, n, event.kind, *_scores([event])]
                for name, steps in events.items()
                for n, event in enumerate(steps, start=1)
            ],
        ),
    ]  # fmt: skip


def _run_case(case: _Case, dialogues: Sequence[Sequence[Turn]], embedder: Embedder) -> list[Event]:
    """Return the gate's events while dialogues are thought about, a hundred turns at a time."""
    events: list[Event] = []
    for turns in dialogues:
        with memkit.open(
            ":memory:", embedder=embedder, thinker=case.thinker(), settings=case.settings
        ) as memory:
            for first in range(0, len(turns), 100):
                memory.remember(turns[first : first + 100], user_id=USER)
                try:
                    memory.think(user_id=USER)
                except StepRefused:
                    continue  # its turns are parked; the event counts
            events += [e for e in memory.store.events() if e.kind in ("admitted", "refused")]
    return events


def _row(name: str, events: Sequence[Event]) -> list[Cell]:
    refused = sum(event.kind == "refused" for event in events)
    return [name, len(events), len(events) - refused, refused, *_scores(events)]


def _scores(events: Sequence[Event]) -> list[Cell]:
    """Return the mean of each score over the events that have it."""
    return [
        _mean([event.counts[score] for event in events if score in event.counts])
        for score in _SCORES
    ]


def _mean(thousandths: Sequence[int]) -> float | None:
    return sum(thousandths) / len(thousandths) / 1000 if thousandths else None
