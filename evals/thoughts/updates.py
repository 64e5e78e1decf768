"""What thoughts change for turns: is what was said last found before what it replaced?

LongMemEval's knowledge-update questions have evidence in several sessions: does a turn of the
newest of them stand above all evidence of the older ones? And temporal-reasoning questions: how
much of their evidence is found, with thoughts and without.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from evals.bench.result import Cell, Result, Table
from evals.data import longmemeval
from evals.data.haystack import PUBLISHED, SPLITS, Asked, Haystack, Split
from evals.metrics import retrieval as metrics
from evals.stats.shares import cells, difference, share
from evals.systems.memkit import OURS, Memkit
from evals.systems.protocol import Make, System
from evals.systems.registry import SYSTEMS
from evals.thoughts import Measured, Options
from evals.thoughts.filled import prepare, vectors
from memkit import Settings
from memkit.errors import InvalidInput
from memkit.protocols import Embedder

UPDATE, TIME = "knowledge-update", "temporal-reasoning"
TOP, DEEP = 10, 50  # hits that a user's call asks for, and of a deep one
WITHOUT = f"{OURS} without thoughts"
_BARE = Settings(background=False, thoughts=False)
COMPARED: Mapping[str, Make] = {
    OURS: partial(Memkit, thresholds=()),
    WITHOUT: partial(Memkit, settings=_BARE, thresholds=()),
    **{name: SYSTEMS[name] for name in ("dense", "BM25", "RRF")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where one system had the evidence of one question, among the hits of a user's call."""

    data: str
    split: Split
    question: str
    kind: str
    system: str
    newest: tuple[int | None, ...]  # places of the turns of the newest session with evidence
    older: tuple[int | None, ...]  # and of the others
    newest_deep: tuple[int | None, ...]
    older_deep: tuple[int | None, ...]


def newest_first(newest: metrics.Places, older: metrics.Places) -> bool:
    """Return whether some turn of the newest session stands above every older one.

    >>> newest_first([3, 1], [2, None]), newest_first([None], [None]), newest_first([2], [1])
    (True, False, False)
    """
    found = [place for place in newest if place is not None]
    return bool(found) and min(found) < min((place for place in older if place), default=DEEP + 1)


def run(options: Options, embedder: Embedder) -> Measured:
    """Ask every system the questions of both kinds, of every file."""
    results: list[Result] = []
    outcomes: list[Outcome] = []
    for path in options.data:
        data = longmemeval.read(path, limit=options.limit)
        chosen = [one for one in data.haystacks if _counts(one.questions[0])]
        if not chosen:
            raise InvalidInput(f"{path} has no {UPDATE} and no {TIME} questions")
        with vectors(options, embedder) as cached:
            prepare(
                cached, [one.turns for one in chosen], [one.questions[0].text for one in chosen]
            )
            found = [outcome for one in chosen for outcome in ask(data.file, one, cached)]
        settings: dict[str, Cell] = {
            "data": data.file,
            "sha256": data.sha256,
            "embedder": str(embedder.fingerprint),
        }
        for split in SPLITS:
            if theirs := [one for one in found if one.split == split]:
                results.append(_result(split, theirs, settings, options.seed))
        outcomes += found
    return Measured(results=results, outcomes=[asdict(one) for one in outcomes])


def _counts(question: Asked) -> bool:
    gold = question.golds[PUBLISHED].turns
    return question.answerable and question.kind in (UPDATE, TIME) and bool(gold)


def ask(data: str, haystack: Haystack, embedder: Embedder) -> Iterator[Outcome]:
    """Yield where each system has the evidence of a haystack's question."""
    (question,) = haystack.questions
    newest, older = evidence(haystack, question)
    for name, make in COMPARED.items():
        system = make(embedder)
        system.remember(haystack.turns)
        top, deep = (_ranking(system, question, k) for k in (TOP, DEEP))
        system.close()
        yield Outcome(
            data=data, split=haystack.split, question=question.id, kind=question.kind, system=name,
            newest=metrics.places(top, newest), older=metrics.places(top, older),
            newest_deep=metrics.places(deep, newest), older_deep=metrics.places(deep, older),
        )  # fmt: skip


def evidence(haystack: Haystack, question: Asked) -> tuple[list[str], list[str]]:
    """Return the evidence of the newest session that has some, and that of the others."""
    gold = set(question.golds[PUBLISHED].turns)
    turns = [turn.id or "" for turn in haystack.turns if turn.id in gold]
    session = turns[-1].rpartition("#")[0]
    newest = [turn for turn in turns if turn.rpartition("#")[0] == session]
    return newest, [turn for turn in turns if turn not in newest]


def _ranking(system: System, question: Asked, k: int) -> list[str]:
    return [hit.turn_id for hit in system.ask(question.query, k)]


# ---- what is told

Score = Callable[[Outcome], float]
_UPDATES: Mapping[str, Score] = {
    f"newest first@{TOP}": lambda one: newest_first(one.newest, one.older),
    f"newest first@{DEEP}": lambda one: newest_first(one.newest_deep, one.older_deep),
}
_TIMES: Mapping[str, Score] = {
    "recall@5": lambda one: metrics.recall([*one.newest, *one.older], 5),
    "recall@10": lambda one: metrics.recall([*one.newest, *one.older], 10),
}


def _result(
    split: Split, outcomes: Sequence[Outcome], settings: Mapping[str, Cell], seed: int
) -> Result:
    updates = [one for one in outcomes if one.kind == UPDATE and one.older]
    single = [one for one in outcomes if one.kind == UPDATE and not one.older]
    times = [one for one in outcomes if one.kind == TIME]
    tables = [
        _shares(f"{UPDATE}: the newest evidence above the older", updates, _UPDATES, seed),
        _shares(f"{TIME}: share of the evidence found", times, _TIMES, seed),
        _paired({**_differences(updates, _UPDATES), **_differences(times, _TIMES)}, seed),
    ]
    asked = len({one.question for one in outcomes})
    return Result(
        name=f"updates, {settings['data']}, {split} split",
        about="LongMemEval: what was updated, and when it was",
        settings={**settings, "split": split, "questions": asked},
        tables=[table for table in tables if table.rows],
        notes=[
            f"{len({one.question for one in single})} {UPDATE} questions have evidence in one "
            "session only and are not scored; of several evidence turns of the newest session one "
            "is enough",
        ],
    )


def _by_system(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(one.system, []).append(one)
    return found


def _shares(
    title: str, outcomes: Sequence[Outcome], scores: Mapping[str, Score], seed: int
) -> Table:
    rows: list[list[Cell]] = []
    for system, theirs in _by_system(outcomes).items():
        groups = [one.question for one in theirs]
        figures = [share([score(one) for one in theirs], groups, seed) for score in scores.values()]
        rows.append([system, *(cell for one in figures for cell in cells(one)), len(theirs)])
    columns = [part for name in scores for part in (name, "95 %")]
    return Table(title=title, columns=["system", *columns, "n"], rows=rows)


_Pairs = tuple[list[float], list[float], list[str]]  # ours, theirs, of which questions


def _differences(
    outcomes: Sequence[Outcome], scores: Mapping[str, Score]
) -> dict[tuple[str, str], _Pairs]:
    """Return the scores of memkit beside each other system's, by metric and system."""
    systems = _by_system(outcomes)
    ours = systems.pop(OURS, [])
    groups = [one.question for one in ours]
    return {
        (name, other): ([score(one) for one in ours], [score(one) for one in theirs], groups)
        for other, theirs in systems.items()
        for name, score in scores.items()
    }


def _paired(pairs: Mapping[tuple[str, str], _Pairs], seed: int) -> Table:
    rows: list[list[Cell]] = [
        [name, other, *cells(difference(ours, theirs, groups, seed), signed=True), len(groups)]
        for (name, other), (ours, theirs, groups) in pairs.items()
    ]
    return Table(
        title=f"paired differences, {OURS} − another",
        columns=("metric", "against", "difference", "95 %", "n"),
        rows=rows,
    )
