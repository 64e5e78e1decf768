"""Paired differences between systems, by the gold among the turns of a call as users make it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from evals.card.run import texts
from evals.data.haystack import PUBLISHED, DataSet, Question, Split
from evals.metrics import retrieval as metrics
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import RESAMPLES, Difference, Floats, Labels
from evals.systems.cache import CachedEmbedder
from evals.systems.protocol import MakeSystem
from evals.tables import Cell

PAIRED = ("difference", "95 % by conversation", "p", "95 % inside conversations", "p", "n")
PAIRED_NOTE = (
    f"percentile bootstrap, {RESAMPLES:,} resamples, p two-sided and not corrected for their "
    "number; by conversation: whole conversations are drawn; inside: questions within each"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The places of a question's gold in a system's call for `SERVED` turns."""

    haystack: str
    split: Split
    places: tuple[int | None, ...]
    sessions: int  # number of gold sessions


def ask(
    data: DataSet, systems: Mapping[str, MakeSystem], embedder: CachedEmbedder
) -> dict[str, list[Served]]:
    """Ask every system every question; return their results by system, in one order."""
    embedder.prepare(
        (text for haystack in data.haystacks for text in texts(haystack, embedder)),
        lambda _, __: None,
    )
    results: dict[str, list[Served]] = {name: [] for name in systems}
    for haystack in data.haystacks:
        for name, make in systems.items():
            system = make(embedder)
            system.remember(haystack.turns)
            for question in haystack.questions:
                gold = question.golds[PUBLISHED]
                ranking = [hit.turn_id for hit in system.ask(question.query, metrics.SERVED)]
                places = metrics.places(ranking, gold.turns)
                results[name].append(
                    Served(
                        haystack=haystack.name, split=haystack.split, places=places,
                        sessions=len(gold.sessions),
                    )
                )  # fmt: skip
            system.close()
    return results


def select(data: DataSet, condition: Callable[[Question], bool]) -> DataSet:
    """Return the data with only some questions, and the conversations that have any of them."""
    haystacks = [
        replace(
            haystack, questions=[question for question in haystack.questions if condition(question)]
        )
        for haystack in data.haystacks
    ]
    return replace(data, haystacks=[haystack for haystack in haystacks if haystack.questions])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resamples:
    """How often each resample takes each question, in the two ways of `statistics`."""

    by_conversation: Floats | None
    inside: Floats | None

    @classmethod
    def of(cls, conversations: Labels, seed: int) -> "Resamples":
        """Draw for questions of these conversations."""
        return cls(
            by_conversation=statistics.weights(conversations, seed),
            inside=statistics.weights(conversations, seed, within=True),
        )


def paired(scores: Floats, baseline: Floats, resamples: Resamples) -> list[Cell]:
    """Return a row's cells under `PAIRED`: the mean of scores − baseline, its intervals, and n."""
    by, inside = (
        statistics.paired(scores, baseline, weights)
        for weights in (resamples.by_conversation, resamples.inside)
    )
    return [f"{by.interval.value:+.3f}", *_range(by), *_range(inside), len(scores)]


def _range(difference: Difference) -> tuple[str | None, str | None]:
    low, high = difference.interval.low, difference.interval.high
    if low is None or high is None or difference.p is None:
        return None, None
    return f"{low:+.3f} to {high:+.3f}", f"{difference.p:.4f}"
