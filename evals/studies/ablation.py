"""What each arm of memkit's ranking adds: memkit beside itself without the arm.

Both are asked the same questions. Weights are not renormalised and the two searches go on finding
candidates, so this tells what an arm adds to the order of what was found, not to the finding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evals.bench.result import Cell, Table
from evals.data.haystack import PUBLISHED, Asked, DataSet
from evals.metrics import retrieval as metrics
from evals.retrieval import run
from evals.retrieval.figures import by_system, values
from evals.retrieval.run import Outcome, Watch, nobody
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import RESAMPLES, Difference, Floats, Labels
from evals.systems.cache import CachedEmbedder
from evals.systems.registry import ABLATIONS

METRICS = (f"served recall@{metrics.SERVED}", "turn NDCG@10", "session recall@5")
PAIRED = ("difference", "95 % by conversation", "p", "95 % inside conversations", "p", "n")
PAIRED_NOTE = (
    f"percentile bootstrap, {RESAMPLES:,} resamples, p two-sided and not corrected for their "
    "number; by conversation: whole conversations are drawn; inside: questions within each"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """How often each resample takes each question, the two ways of `statistics`."""

    by_conversation: Floats | None
    inside: Floats | None

    @classmethod
    def of(cls, conversations: Labels, seed: int) -> "Draws":
        """Draw for questions of these conversations."""
        return cls(
            by_conversation=statistics.weights(conversations, seed),
            inside=statistics.weights(conversations, seed, within=True),
        )


def paired(ours: Floats, theirs: Floats, draws: Draws) -> list[Cell]:
    """Return a row's cells under `PAIRED`: the mean of ours − theirs, its intervals, and n."""
    by, inside = (
        statistics.paired(ours, theirs, drawn) for drawn in (draws.by_conversation, draws.inside)
    )
    return [f"{by.interval.value:+.3f}", *_range(by), *_range(inside), len(ours)]


def _range(one: Difference) -> tuple[str | None, str | None]:
    low, high = one.interval.low, one.interval.high
    if low is None or high is None or one.p is None:
        return None, None
    return f"{low:+.3f} to {high:+.3f}", f"{one.p:.4f}"


def ask(data: DataSet, embedder: CachedEmbedder, watch: Watch = nobody) -> list[Outcome]:
    """Ask memkit without each arm every answerable question.

    Nothing is packed, and what a search took is not beside memkit's own.
    """
    asked = narrowed(data, lambda question: question.answerable)
    return [_ranked(one) for one in run.run(asked, ABLATIONS, embedder, watch)]


def narrowed(data: DataSet, wanted: Callable[[Asked], bool]) -> DataSet:
    """Return the data with only these questions, and the conversations that have any."""
    kept = [
        replace(haystack, questions=[one for one in haystack.questions if wanted(one)])
        for haystack in data.haystacks
    ]
    return replace(data, haystacks=[haystack for haystack in kept if haystack.questions])


def _ranked(one: Outcome) -> Outcome:
    """Return an outcome without what it packed: nothing was asked, which is not 0."""
    found = {whose: replace(places, packed={}) for whose, places in one.found.items()}
    return replace(one, found=found, packed={})


def table(ours: Sequence[Outcome], ablated: Sequence[Outcome], seed: int) -> Table:
    """Return what each arm adds, over the answerable questions that are scored.

    Args:
        ours: memkit's outcomes of one split.
        ablated: what `ask` returned for the same split.
        seed: of the intervals.
    """
    ours = [one for one in ours if one.answerable]
    rows: list[list[Cell]] = []
    for metric in METRICS:
        whole = _column(ours, metric)
        scored = np.flatnonzero(~np.isnan(whole))
        if not len(scored):
            continue
        draws = Draws.of([ours[n].haystack for n in scored], seed)
        for system, outcomes in by_system(ablated).items():
            part = _column(outcomes, metric)[scored]
            means: list[Cell] = [float(whole[scored].mean()), float(part.mean())]
            rows.append([metric, system, *means, *paired(whole[scored], part, draws)])
    return Table(
        title="what each arm adds: memkit − memkit without it, answerable questions",
        columns=["metric", "system", "memkit", "without", *PAIRED],
        rows=rows,
        note=PAIRED_NOTE,
    )


def _column(outcomes: Sequence[Outcome], metric: str) -> NDArray[np.float64]:
    return values(outcomes, PUBLISHED)[:, metrics.NAMES.index(metric)]
