"""HEMA's table beside ours: the same rows and columns, and what is not the same about them.

Source of the printed figures: Ahn 2025 (arXiv 2504.16754), sections 4.1 and 4.4.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from evals.bench.result import Cell, Table
from evals.card import aggregate as layers
from evals.card.records import Card, Record
from evals.stats import bootstrap as statistics
from memkit.errors import InvalidInput

SYSTEMS: Mapping[str, str] = {  # ours -> the paper's
    "last turns": "Raw", "compact only": "Compact only", "memkit": "Compact + Vector",
}  # fmt: skip
TURNS = (50, 100, 500)
_PRINTED: Mapping[str, tuple[float, float, float]] = {  # P@5, R@50, AUPRC
    "last turns": (0.29, 0.45, 0.19),
    "compact only": (0.62, 0.62, 0.46),
    "memkit": (0.82, 0.74, 0.72),
}
_RECALL: Mapping[str, tuple[float, float, float]] = {  # at 50, 100, 500 turns
    "last turns": (0.60, 0.45, 0.20),
    "compact only": (0.75, 0.65, 0.40),
    "memkit": (0.88, 0.80, 0.72),
}
_SEARCH = ("P@5", "turn recall@50", "AUPRC")
_NOTE = (
    "The paper's 100 queries come from synthetic and Wikipedia dialogues with a manually annotated "
    "relevance oracle, with about 1536-dimensional vectors and a large model; none of it is "
    "published. Ours are drawn from people's own questions about the pooled conversations, with "
    "the published evidence: mostly LoCoMo's, for LongMemEval has one question a conversation. "
    "Most have one turn of evidence, so that P@5 cannot reach 1; 'at most' is what a perfect "
    "ranking has. AUPRC is average precision over the first 50 turns, a lower bound. Raw ranks the "
    "newest turns first; Compact ranks the turns that its summaries were made of."
)
_RECALL_NOTE = (
    "Ours: synthetic facts so many turns back. 'in prompt': the evidence stands in the prompt; "
    "'answered': SmolLM2-135M's reply contains the value. The paper's: exact match of its model."
)


def tables(card: Card) -> list[Table]:
    """Return the two tables, from a card run on `configs/hema.toml`.

    Raises:
        InvalidInput: the card is a summary.
    """
    if not card.records:
        raise InvalidInput("the card was written without records; pass the card.json of the run")
    return [_search(card), _recall(card)]


def _search(card: Card) -> Table:
    rows: list[list[Cell]] = [
        [
            theirs,
            *(_cell(card, "pooled", metric, ours) for metric in _SEARCH),
            _most(card, ours),
            *_PRINTED[ours],
        ]
        for ours, theirs in SYSTEMS.items()
    ]
    printed = [f"{metric}, paper" for metric in ("P@5", "R@50", "AUPRC")]
    columns = ["system", "P@5", "R@50", "AUPRC", "P@5 at most", *printed]
    return Table(
        title="search in one memory of 10,000 turns", columns=columns, rows=rows, note=_NOTE
    )


def _recall(card: Card) -> Table:
    rows: list[list[Cell]] = [
        [
            f"{turns} turns", theirs,
            _at(card, "share in budget", ours, turns),
            _at(card, "contains", ours, turns),
            _RECALL[ours][n],
        ]
        for n, turns in enumerate(TURNS)
        for ours, theirs in SYSTEMS.items()
    ]  # fmt: skip
    columns = ["said", "system", "in prompt", "answered", "paper"]
    return Table(title="recall by distance", columns=columns, rows=rows, note=_RECALL_NOTE)


def _most(card: Card, system: str) -> float | None:
    """Return the P@5 of a ranking that puts all gold first."""
    of = [one for one in card.records if (one.data, one.system) == ("pooled", system)]
    firsts = [min(one.relevant, 5) / 5 for one in of if "P@5" in one.scores]
    return round(float(np.mean(firsts)), 3) if firsts else None


def _cell(card: Card, data: str, metric: str, system: str) -> str:
    asked = [one for one in card.records if (one.data, one.system) == (data, system)]
    return _mean(asked, metric, card.config["seed"])


def _at(card: Card, metric: str, system: str, turns: int) -> str:
    asked = [
        one
        for one in card.records
        if one.data == "distance" and one.system == system and one.axes["distance"] == turns
    ]
    return _mean(asked, metric, card.config["seed"])


def _mean(records: Sequence[Record], metric: str, seed: int) -> str:
    scored = [one for one in records if metric in one.scores]
    if not scored:
        return "not run"
    values = np.array([[one.scores[metric]] for one in scored])
    one_memory = len({one.task for one in scored}) == 1  # then there are only questions to draw
    drawn = statistics.weights([one.task for one in scored], seed, within=one_memory)
    (mean,) = statistics.means(values, drawn)
    found = layers.exact(mean, len(scored) if one_memory else len({one.task for one in scored}))
    low, high = layers.ends(found)
    span = "no interval" if low is None else f"[{low:.3f}, {high:.3f}]"
    return f"{found.value:.3f} {span} (n {found.n})"
