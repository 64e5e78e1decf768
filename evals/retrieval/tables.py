"""One split's outcomes as a `Result`: the tables that are printed, kept and shown again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.bench.measure import Interval
from evals.bench.result import Cell, Result, Table
from evals.data.haystack import AUDITED, PUBLISHED, DataSet, Split
from evals.metrics.retrieval import BUDGETS, CUTS, DEPTH, SERVED
from evals.retrieval import confidence, figures
from evals.retrieval.confidence import Confidence
from evals.retrieval.figures import ANSWERABLE, Compared, Figure, Figures
from evals.retrieval.run import Outcome
from evals.stats.bootstrap import RESAMPLES, Difference

_FEW = (1, 5, 10)  # cuts for sessions: a conversation has few of them
_BY_KIND = (
    "turn recall@10", "turn recall@50", "turn NDCG@10", "session any@5",
    "session all@5", "share@1000",
)  # fmt: skip
_RANKED = f"answerable questions; rankings of {DEPTH} turns"
_REFUSED = ("unanswerable refused", "answerable refused")
_COMPARED = (
    "metric", "against", "difference", "95 % by conversation", "p", "95 % inside conversations",
    "p", "n",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one split of a data set."""

    data: DataSet
    split: Split
    outcomes: Sequence[Outcome]  # this split's, of all systems
    figures: Sequence[Figure]
    thresholds: Mapping[str, float]  # by system, chosen on the tuning split
    seed: int  # of what is drawn


def result(
    measured: Measured, embedding_ms: Sequence[float], settings: Mapping[str, Cell]
) -> Result:
    """Return everything that is told of one split.

    Args:
        measured: the outcomes, and what follows from them.
        embedding_ms: what embedding single questions took.
        settings: how it was run.
    """
    data, split = measured.data, measured.split
    systems = list(figures.by_system(measured.outcomes))
    haystacks = data.of(split)
    tables = _tables(measured, systems, embedding_ms)
    turns = sum(len(haystack.turns) for haystack in haystacks)
    questions = sum(len(haystack.questions) for haystack in haystacks)
    return Result(
        name=f"{data.file}, {split} split",
        about=f"retrieval, {data.format}",
        settings={
            "data": data.file, "sha256": data.sha256, "format": data.format, "split": split,
            "conversations": len(haystacks), "turns": turns, "questions": questions,
            "systems": ", ".join(systems), "golds": ", ".join(data.golds), **settings,
        },
        tables=[table for table in tables if table.rows],
        notes=[
            f"{len(haystacks):,} conversations, {turns:,} turns, {questions:,} questions "
            f"(sha256 of the file {data.sha256[:12]}…)",
            *data.notes,
        ],
    )  # fmt: skip


def _tables(
    measured: Measured, systems: Sequence[str], embedding_ms: Sequence[float]
) -> list[Table]:
    data, split, outcomes = measured.data, measured.split, measured.outcomes
    found = figures.table(measured.figures)
    return [
        *_levels(found, systems),
        _kinds(found, systems),
        _budgets(found, systems, outcomes),
        _compared(figures.compare(outcomes, measured.seed)),
        *_confidence(confidence.measured(outcomes, measured.thresholds, measured.seed), split),
        *_golds(found, systems, data),
        _latency(outcomes, embedding_ms),
        _dropped(data, split),
    ]


def _levels(found: Figures, systems: Sequence[str]) -> Iterator[Table]:
    """Yield recall, and any and all, of turns and of sessions."""
    for level, cuts in (("turn", CUTS), ("session", _FEW)):
        columns = [f"{level} recall@{k}" for k in cuts] + [f"{level} MRR", f"{level} NDCG@10"]
        columns += [f"served recall@{SERVED}"] if level == "turn" else []
        yield _table(
            f"{level}s found: fractional recall",
            columns, found, systems, interval=f"{level} recall@10" if level == "turn" else
            f"{level} recall@5",
        )  # fmt: skip
        yield _table(
            f"{level}s found: any of the gold, all of it",
            [f"{level} {name}@{k}" for name in ("any", "all") for k in cuts], found, systems,
        )  # fmt: skip


def _table(
    title: str,
    metrics: Sequence[str],
    found: Figures,
    systems: Sequence[str],
    *,
    interval: str | None = None,
) -> Table:
    """Return a table of the published gold, a row per system that has figures."""
    rows: list[list[Cell]] = []
    for system in systems:
        key = (PUBLISHED, ANSWERABLE, system)
        if (*key, metrics[0]) not in found:
            continue
        row: list[Cell] = [system, *(found[*key, metric].value for metric in metrics)]
        if interval is not None:
            row.append(_range(found[*key, interval]))
        rows.append([*row, found[*key, metrics[0]].n])
    extra = [] if interval is None else [f"{_short(interval)}, 95 %"]
    columns = ["system", *map(_short, metrics), *extra, "n"]
    return Table(title=title, columns=columns, rows=rows, note=_RANKED)


def _short(metric: str) -> str:
    bare = metric.removeprefix("turn ").removeprefix("session ")
    return bare.replace("recall@", "R@").replace("served", f"k={SERVED}:")


def _kinds(found: Figures, systems: Sequence[str]) -> Table:
    groups = dict.fromkeys(group for gold, group, _, _ in found if gold == PUBLISHED)
    rows: list[list[Cell]] = []
    for group in groups:
        for system in systems if group != ANSWERABLE else ():
            told = {metric: found.get((PUBLISHED, group, system, metric)) for metric in _BY_KIND}
            ns = [_n(told["turn recall@10"]), _n(told["session any@5"])]
            rows.append([group, system, *map(_value, told.values()), *ns])
    columns = [name.replace("turn recall", "turn R") for name in _BY_KIND]
    return Table(
        title="by kind of question",
        columns=["kind", "system", *columns, "n turns", "n sessions"],
        rows=rows,
        note="of unanswerable questions: whether the related turns that the data name are found",
    )


def _budgets(found: Figures, systems: Sequence[str], outcomes: Sequence[Outcome]) -> Table:
    by_system = figures.by_system([one for one in outcomes if one.answerable])
    rows: list[list[Cell]] = []
    for system in systems:
        row: list[Cell] = [system]
        for budget in BUDGETS:
            share = found.get((PUBLISHED, ANSWERABLE, system, f"share@{budget}"))
            turns = [one.packed[budget] for one in by_system.get(system, ())]
            if share is not None:
                row += [share.value, _range(share), round(float(np.mean(turns)), 1)]
        rows += [row] if len(row) > 1 else []
    columns = [part for budget in BUDGETS for part in (f"in {budget:,} tokens", "95 %", "turns")]
    return Table(
        title="share of the evidence inside a token budget",
        columns=["system", *columns],
        rows=rows,
        note="tokens of the embedder; memkit pays for its frame and summaries too, others for "
        "their lines only",
    )


def _compared(compared: Sequence[Compared]) -> Table:
    rows: list[list[Cell]] = [
        [
            one.metric,
            one.against,
            f"{one.by_conversation.interval.value:+.3f}",
            *_difference(one.by_conversation),
            *_difference(one.inside_conversations),
            one.by_conversation.interval.n,
        ]
        for one in compared
    ]
    return Table(
        title="paired differences, the first system − another, answerable questions",
        columns=_COMPARED,
        rows=rows,
        note=f"percentile bootstrap, {RESAMPLES:,} resamples, p two-sided; by conversation: whole "
        "conversations are drawn; inside: questions within each, the conversations staying",
    )


def _difference(one: Difference) -> tuple[str | None, str | None]:
    low, high = one.interval.low, one.interval.high
    if low is None or high is None or one.p is None:
        return None, None
    return f"{low:+.3f} to {high:+.3f}", f"{one.p:.4f}"


def _confidence(measured: Sequence[Confidence], split: Split) -> Iterator[Table]:
    """Yield how confidence orders questions, and what comes of rules that refuse."""
    yield Table(
        title="best score as confidence",
        columns=["system", "AUROC", "95 %", "AURC", "95 %", "excess", "answerable", "not"],
        rows=[
            [
                one.system,
                *_with_range(one.auroc),
                *_with_range(one.aurc),
                one.excess_aurc,
                one.answerable,
                one.unanswerable,
            ]
            for one in measured
        ],
        note="AUROC: answerable above unanswerable, .5 is chance. AURC: risk over coverage, lower "
        f"is better; an error is an unanswerable question, or no gold among {SERVED} turns; "
        "excess: above the ideal order of the same answers",
    )
    yield Table(
        title="what is refused",
        columns=["system", "rule", "coverage", "risk", *_REFUSED],
        rows=[
            [
                one.system, rule, done.coverage, done.risk, done.unanswerable_refused,
                done.answerable_refused,
            ]
            for one in measured
            for rule, done in one.rules.items()
        ],
        note="coverage: share answered; risk: share of errors among these"
        + ("; thresholds were chosen on these very questions" if split == "tuning" else ""),
    )  # fmt: skip


def _golds(found: Figures, systems: Sequence[str], data: DataSet) -> Iterator[Table]:
    """Yield the same rankings on both golds."""
    if AUDITED not in data.golds:
        return
    golds, metrics = (PUBLISHED, AUDITED), figures.HEADLINES[:-1]
    rows: list[list[Cell]] = []
    for system in systems:
        row: list[Cell] = [system]
        for metric in metrics:
            row += [_value(found.get((gold, ANSWERABLE, system, metric))) for gold in golds]
        ns = [found.get((gold, ANSWERABLE, system, metrics[0])) for gold in golds]
        rows.append([*row, *map(_n, ns)])
    columns = [part for name in metrics for part in (name.replace("recall", "R"), "audited")]
    yield Table(
        title="the same rankings on published and on audited gold",
        columns=["system", *columns, "n", "n audited"],
        rows=rows,
    )


def _latency(outcomes: Sequence[Outcome], embedding_ms: Sequence[float]) -> Table:
    rows: list[list[Cell]] = []
    for system, theirs in figures.by_system(outcomes).items():
        times = [one.search_ms for one in theirs]
        moved: Cell = float(np.mean([one.reordered for one in theirs]))
        rows.append([system, *_percentiles(times), len(times), moved])
    if embedding_ms:
        rows.append(["embedding a question", *_percentiles(embedding_ms), len(embedding_ms), None])
    return Table(
        title=f"one search for {SERVED} turns",
        columns=["system", "p50 ms", "p95 ms", "n", f"other first {SERVED} than of {DEPTH}"],
        rows=rows,
        note="without embedding the question, which is cached: all but BM25 and the last turns add "
        f"it. The last column: share of questions where asking for {DEPTH} turns, as the "
        "rankings here were, puts others first",
    )


def _percentiles(times: Sequence[float]) -> list[Cell]:
    return [float(np.percentile(times, 50)), float(np.percentile(times, 95))]


def _dropped(data: DataSet, split: Split) -> Table:
    rows: list[list[Cell]] = [[what, int(n)] for what, n in data.counts[split].items()]
    return Table(title="what of the data was odd", columns=["what", "n"], rows=rows)


def _value(interval: Interval | None) -> float | None:
    return None if interval is None else interval.value


def _n(interval: Interval | None) -> int:
    return 0 if interval is None else interval.n


def _with_range(interval: Interval | None) -> tuple[float | None, str | None]:
    return (None, None) if interval is None else (interval.value, _range(interval))


def _range(interval: Interval) -> str | None:
    if interval.low is None or interval.high is None:
        return None
    return f"{interval.low:.3f}–{interval.high:.3f}"
