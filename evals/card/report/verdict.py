"""The findings of a card in a paragraph: the best system by score and margin, and the doubts."""

from collections import Counter
from collections.abc import Iterator, Sequence

from evals.card.records import Card, Compared
from evals.card.report.grids import Grid, Index, Score, glance, lower_is_better

ALPHA = 0.05
LEAST = 5  # questions that a claim about the best system needs


def verdict(card: Card, figures: Index) -> list[str]:
    """Return the findings of a card as sentences, the most general first."""
    questions = {(record.data, record.question) for record in card.records if not record.probe}
    haystacks = {(record.data, record.haystack) for record in card.records}
    systems, data = _count(len(figures.systems), "system"), _count(len(figures.data), "data set")
    size = f": {len(questions):,} questions about {len(haystacks):,} conversations"
    return [
        f"{systems} on {data}{size if questions else ''}.",
        *(sentence for grid in glance(figures) for sentence in _leader(grid)),
        *_differences(card.compared),
        *_doubts(card),
    ]


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _leader(grid: Grid) -> Iterator[str]:
    """Yield on how many data sets each system is best, with its margin on the largest."""
    if len(grid.rows) < 2:
        return
    winners = [  # of every column; none where all are equal
        [system for system, row in grid.rows if (score := row[n]) is not None and score.best]
        for n, _ in enumerate(grid.columns)
    ]
    wins = Counter(system for column in winners for system in column)
    most = max(_n(score) for _, row in grid.rows for score in row)
    if most < LEAST:
        yield f"{grid.title}: too few questions to tell (n = {most})."
        return
    if not wins:
        yield f"{grid.title}: no system is better than another on any data set."
        return
    alone = Counter(column[0] for column in winners if len(column) == 1)
    times = {
        system: f"{n} ({n - alone[system]} shared)" if n > alone[system] else f"{n}"
        for system, n in wins.items()
    }
    leader, *followers = sorted(wins, key=lambda system: (-wins[system], -alone[system]))
    after = "".join(f", {system} on {times[system]}" for system in followers[:2])
    data = _count(len(grid.columns), "data set")
    yield (
        f"{grid.title}: of {data} {leader} is best on {times[leader]}{after}; "
        f"{_example(grid, leader, winners)}."
    )


def _example(grid: Grid, leader: str, winners: Sequence[Sequence[str]]) -> str:
    """Return the leader's figure and the next best, on the largest data set that it wins."""
    row = dict(grid.rows)[leader]
    won = [n for n, column in enumerate(winners) if leader in column]
    alone = [n for n in won if len(winners[n]) == 1]
    column = max(alone or won, key=lambda n: _n(row[n]))
    score = row[column]
    rivals = {name: cells[column] for name, cells in grid.rows if name != leader}
    scored = [(name, rival) for name, rival in rivals.items() if rival is not None]
    if score is None or not scored:
        return "nothing else was measured"
    sign = -1 if lower_is_better(score.figure.metric) else 1
    name, second = max(scored, key=lambda rival: sign * rival[1].figure.value)
    best, next_best = (f"{s.value} {s.interval or '(no interval)'}" for s in (score, second))
    return (
        f"on {grid.columns[column]} {leader} has {best} against {next_best} of {name} "
        f"(n = {score.figure.n:,})"
    )


def _n(score: Score | None) -> int:
    return score.figure.n if score else 0


def _differences(compared: Sequence[Compared]) -> Iterator[str]:
    rivals: dict[str, Counter[str]] = {}
    for row in compared:
        if row.p_holm is not None:
            rivals.setdefault(row.theirs, Counter())[outcome(row)] += 1
    if rivals:
        counts = ", ".join(
            f"than {name} in {words['better']:,} and {words['worse']:,} of {words.total():,}"
            for name, words in rivals.items()
        )
        yield (
            f"Paired differences in which {compared[0].ours} is better and worse after Holm's "
            f"correction: {counts}."
        )


def outcome(row: Compared) -> str:
    """Return the meaning of a paired difference in words."""
    if row.p_holm is None:
        return "too few to test"
    if row.p_holm > ALPHA or row.difference == 0:
        return "no difference shown"
    return "better" if (row.difference < 0) == lower_is_better(row.metric) else "worse"


def _doubts(card: Card) -> Iterator[str]:
    failed = [audit for audit in card.audits if not audit.passed]
    audits = _count(len(card.audits), "audit")
    if failed:
        names = dict.fromkeys(f"{audit.name} ({audit.system or audit.data})" for audit in failed)
        yield f"{len(failed)} of {audits} failed: {', '.join(names)}."
    elif card.audits:
        yield f"All {audits} passed."
    if card.not_run:
        yield f"{_count(len(card.not_run), 'thing')} asked for did not run; the reasons are below."
