"""What a card says, in a paragraph: who is best at what, by how much, and what to doubt."""

from collections import Counter
from collections.abc import Iterator, Sequence

from evals.card.records import Card, Compared
from evals.card.report.grids import Grid, Index, Score, glance, lower_is_better

ALPHA = 0.05
LEAST = 5  # questions, to say who is best


def verdict(card: Card, found: Index) -> list[str]:
    """Return the card's findings as sentences, the first the most general."""
    return [
        _size(card, found),
        *(sentence for grid in glance(found) for sentence in _leads(grid)),
        *_differences(card.compared),
        *_doubts(card),
    ]


def _size(card: Card, found: Index) -> str:
    asked = {(one.data, one.question) for one in card.records if not one.probe}
    talks = {(one.data, one.haystack) for one in card.records}
    told = f": {len(asked):,} questions about {len(talks):,} conversations" if asked else ""
    return f"{_count(len(found.systems), 'system')} on {_count(len(found.data), 'data set')}{told}."


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _leads(grid: Grid) -> Iterator[str]:
    """Say on how many data sets each system is best, and by how much where most was asked.

    Of one system alone there is nothing to say.
    """
    if len(grid.rows) < 2:
        return
    winners = _winners(grid)
    best = Counter(system for some in winners for system in some)
    most = max(_n(score) for _, row in grid.rows for score in row)
    if most < LEAST:
        yield f"{grid.title}: too few questions to tell (n = {most})."
        return
    if not best:
        yield f"{grid.title}: no system is better than another on any data set."
        return
    alone = Counter(some[0] for some in winners if len(some) == 1)
    ranked = sorted(best, key=lambda system: (-best[system], -alone[system]))
    times = {
        system: f"{n} ({n - alone[system]} shared)" if n > alone[system] else f"{n}"
        for system, n in best.items()
    }
    leader, *others = ranked
    after = "".join(f", {system} on {times[system]}" for system in others[:2])
    told = f"of {_count(len(grid.columns), 'data set')} {leader} is best on {times[leader]}{after}"
    yield f"{grid.title}: {told}; {_example(grid, leader)}."


def _winners(grid: Grid) -> list[list[str]]:
    """Return for every column who is best in it; nobody where all are equal."""
    return [
        [system for system, row in grid.rows if (score := row[n]) is not None and score.best]
        for n, _ in enumerate(grid.columns)
    ]


def _example(grid: Grid, leader: str) -> str:
    """Return the leader's figure beside the next best one's, where most questions were asked.

    Where it is best alone, if there is such a data set.
    """
    row = dict(grid.rows)[leader]
    best = [n for n, some in enumerate(_winners(grid)) if leader in some]
    alone = [n for n in best if len(_winners(grid)[n]) == 1]
    column = max(alone or best, key=lambda n: _n(row[n]))
    rivals = [(name, cells[column]) for name, cells in grid.rows if name != leader]
    shown = [(name, score) for name, score in rivals if score is not None]
    score = row[column]
    if score is None or not shown:
        return "nothing else was measured"
    way = -1 if lower_is_better(score.figure.metric) else 1
    name, second = max(shown, key=lambda pair: way * pair[1].figure.value)
    return (
        f"on {grid.columns[column]} {leader} has {_told(score)} against {_told(second)} of {name} "
        f"(n = {score.figure.n:,})"
    )


def _n(score: Score | None) -> int:
    return score.figure.n if score else 0


def _told(score: Score) -> str:
    interval = score.interval
    return f"{score.value} {interval}" if interval else f"{score.value} (no interval)"


def _differences(compared: Sequence[Compared]) -> Iterator[str]:
    """Say how often ours is better or worse than each other system: some are easy to beat."""
    rivals: dict[str, Counter[str]] = {}
    for one in compared:
        if one.p_holm is not None:
            rivals.setdefault(one.theirs, Counter())[outcome(one)] += 1
    if rivals:
        told = ", ".join(
            f"than {name} in {words['better']:,} and {words['worse']:,} of {words.total():,}"
            for name, words in rivals.items()
        )
        yield (
            f"Paired differences in which {compared[0].ours} is better and worse after Holm's "
            f"correction: {told}."
        )


def outcome(one: Compared) -> str:
    """Say in words what a paired difference shows."""
    if one.p_holm is None:
        return "too few to test"
    if one.p_holm > ALPHA or one.difference == 0:
        return "no difference shown"
    return "better" if (one.difference < 0) == lower_is_better(one.metric) else "worse"


def _doubts(card: Card) -> Iterator[str]:
    failed = [one for one in card.audits if not one.passed]
    if card.audits:
        names = ", ".join(dict.fromkeys(f"{one.name} ({one.system or one.data})" for one in failed))
        yield (
            f"{len(failed)} of {_count(len(card.audits), 'audit')} failed: {names}."
            if failed
            else f"All {_count(len(card.audits), 'audit')} passed."
        )
    if card.not_run:
        yield f"{_count(len(card.not_run), 'thing')} asked for did not run; the reasons are below."
