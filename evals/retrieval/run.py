"""Every system asked every question, side by side; what is kept is where the evidence stood."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass

from evals.data.haystack import Asked, DataSet, Haystack, Split
from evals.metrics import retrieval as metrics
from evals.metrics.retrieval import BUDGETS, DEPTH, SERVED, Found
from evals.systems.baselines import pieces
from evals.systems.cache import CachedEmbedder
from evals.systems.protocol import Make, System
from memkit.protocols import Embedder

Watch = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one system made of one question. All figures follow from these."""

    system: str
    haystack: str
    split: Split
    question: str  # its id
    group: str
    answerable: bool
    found: Mapping[str, Found]  # by whose gold
    confidence: float | None  # best score of a user's call; None: nothing was found
    reordered: bool  # a user's call has other turns, or another order, than the deep one
    refused: Mapping[str, bool]  # by the system's own rules
    packed: Mapping[int, int]  # budget -> turns inside it
    search_ms: float  # of a user's call, the question's vector being cached


def nobody(stage: str, done: int, total: int) -> None:
    """Watch, and do nothing about it."""


def run(
    data: DataSet,
    systems: Mapping[str, Make],
    embedder: CachedEmbedder,
    watch: Watch = nobody,
) -> list[Outcome]:
    """Ask every system every question of every haystack.

    Args:
        data: what to ask, and of what.
        systems: by name, as the tables have them.
        embedder: for all of them; first embeds all that is new, so that no search pays for it.
        watch: told how far it is.
    """
    embedder.prepare(
        (text for haystack in data.haystacks for text in texts(haystack, embedder)),
        lambda done, total: watch("embedding", done, total),
    )
    asked = sum(len(haystack.questions) for haystack in data.haystacks)
    found: list[Outcome] = []
    for n, haystack in enumerate(data.haystacks):
        watch("conversations", n, len(data.haystacks))
        for outcomes in _ask_all(haystack, systems, embedder):
            found += outcomes
            watch("questions", len(found) // max(len(systems), 1), asked)
    watch("conversations", len(data.haystacks), len(data.haystacks))
    return found


def texts(haystack: Haystack, embedder: Embedder) -> Iterator[str]:
    """Yield all that is embedded when this conversation is indexed and asked about."""
    for turn in haystack.turns:
        yield from pieces(turn, embedder)
    for question in haystack.questions:
        yield question.text


def _ask_all(
    haystack: Haystack, systems: Mapping[str, Make], embedder: Embedder
) -> Iterator[list[Outcome]]:
    """Index a haystack with every system, then ask them in turns; yield a question's outcomes."""
    session = {turn.id or "": turn.session_id or "" for turn in haystack.turns}
    with ExitStack() as stack:
        made: dict[str, System] = {}
        for name, make in systems.items():
            made[name] = stack.enter_context(closing(make(embedder)))
            made[name].remember(haystack.turns)
            made[name].ask(haystack.questions[0].query, SERVED)  # not timed: indexes may be lazy
        for n, question in enumerate(haystack.questions):
            names = list(made) if n % 2 == 0 else list(reversed(made))
            by_name = {name: _ask(name, made[name], question, haystack, session) for name in names}
            yield [by_name[name] for name in made]


def _ask(
    name: str, system: System, question: Asked, haystack: Haystack, session: Mapping[str, str]
) -> Outcome:
    query = question.query
    started = time.perf_counter()
    served = system.ask(query, SERVED)
    took = time.perf_counter() - started
    deep = [hit.turn_id for hit in system.ask(query, DEPTH)]
    packed = {budget: set(system.pack(query, budget).turns) for budget in BUDGETS}
    short = [hit.turn_id for hit in served]
    return Outcome(
        system=name,
        haystack=haystack.name,
        split=haystack.split,
        question=question.id,
        group=question.group,
        answerable=question.answerable,
        found={
            whose: Found(
                turns=metrics.places(deep, gold.turns),
                sessions=metrics.places(metrics.sessions(deep, session), gold.sessions),
                served=metrics.places(short, gold.turns),
                packed={budget: len(turns & set(gold.turns)) for budget, turns in packed.items()},
            )
            for whose, gold in question.golds.items()
        },
        confidence=max((hit.score for hit in served), default=None),
        reordered=short != deep[:SERVED],
        refused=dict(system.refusals(query)),
        packed={budget: len(turns) for budget, turns in packed.items()},
        search_ms=round(1000 * took, 3),
    )


def embedding_ms(embedder: Embedder, data: DataSet, n: int) -> list[float]:
    """Return how long embedding a question takes, for the first n of them, one call each."""
    questions = [question.text for haystack in data.haystacks for question in haystack.questions]
    if n and questions:
        embedder.embed(questions[:1])  # loads the model
    times = []
    for text in questions[:n]:
        started = time.perf_counter()
        embedder.embed([text])
        times.append(1000 * (time.perf_counter() - started))
    return times
