"""HEMA's tables with our figures next to the paper's, and a note on what differs.

Source of the printed figures: Ahn 2025 (arXiv 2504.16754), sections 4.1 and 4.4.
"""

from collections.abc import Sequence

import numpy as np

from evals.card import aggregate
from evals.card.records import Card, Record
from evals.stats import bootstrap as statistics
from evals.tables import Cell, Table
from memkit.errors import InvalidInput

SYSTEMS = {"last turns": "Raw", "compact only": "Compact only", "memkit": "Compact + Vector"}
TURNS = (50, 100, 500)
# of the paper
_PRINTED = {  # P@5, R@50, AUPRC
    "last turns": (0.29, 0.45, 0.19),
    "compact only": (0.62, 0.62, 0.46),
    "memkit": (0.82, 0.74, 0.72),
}
_RECALL = {  # at 50, 100, 500 turns
    "last turns": (0.60, 0.45, 0.20),
    "compact only": (0.75, 0.65, 0.40),
    "memkit": (0.88, 0.80, 0.72),
}
_NOTE = (
    "The paper's 100 queries come from synthetic and Wikipedia dialogues with a manually annotated "
    "relevance oracle, with about 1536-dimensional vectors and a large model; none of it is "
    "published. Ours are drawn from people's own questions about the pooled conversations, with "
    "the published evidence: mostly LoCoMo's, because LongMemEval has one question per "
    "conversation. "
    "Most have one turn of evidence, so that P@5 cannot reach 1; 'at most' is what a perfect "
    "ranking has. AUPRC is average precision over the first 50 turns, a lower bound. Raw ranks the "
    "newest turns first; Compact ranks the turns that its summaries were made of."
)
_RECALL_NOTE = (
    "Ours: synthetic facts so many turns back. 'in prompt': the evidence is in the prompt; "
    "'answered': SmolLM2-135M's reply contains the value. The paper's: exact match of its model."
)


def tables(card: Card) -> list[Table]:
    """Return the two tables, from a card of `configs/hema.toml`.

    Raises:
        InvalidInput: the card is a summary.
    """
    if not card.records:
        raise InvalidInput("the card was written without records; pass the card.json of the run")
    seed = card.config["seed"]
    search: list[list[Cell]] = []
    recall: list[list[Cell]] = []
    for system, name in SYSTEMS.items():
        pooled = [r for r in card.records if (r.data, r.system) == ("pooled", system)]
        figures = [_mean(pooled, metric, seed) for metric in ("P@5", "turn recall@50", "AUPRC")]
        # the P@5 of a ranking with all gold first
        most = [min(record.relevant, 5) / 5 for record in pooled if "P@5" in record.scores]
        best = round(float(np.mean(most)), 3) if most else None
        search.append([name, *figures, best, *_PRINTED[system]])
    for n, turns in enumerate(TURNS):
        for system, name in SYSTEMS.items():
            far = [
                r
                for r in card.records
                if (r.data, r.system) == ("distance", system) and r.axes["distance"] == turns
            ]
            figures = [_mean(far, metric, seed) for metric in ("share in budget", "contains")]
            recall.append([f"{turns} turns", name, *figures, _RECALL[system][n]])
    printed = [f"{metric}, paper" for metric in ("P@5", "R@50", "AUPRC")]
    return [
        Table(
            title="search in one memory of 10,000 turns",
            columns=["system", "P@5", "R@50", "AUPRC", "P@5 at most", *printed],
            rows=search,
            note=_NOTE,
        ),
        Table(
            title="recall by distance",
            columns=["said", "system", "in prompt", "answered", "paper"],
            rows=recall,
            note=_RECALL_NOTE,
        ),
    ]


def _mean(records: Sequence[Record], metric: str, seed: int) -> str:
    scored = [record for record in records if metric in record.scores]
    if not scored:
        return "not run"
    values = np.array([[record.scores[metric]] for record in scored])
    tasks = [record.task for record in scored]
    single = len(set(tasks)) == 1  # one conversation: resample its questions
    (mean,) = statistics.means(values, statistics.weights(tasks, seed, within=single))
    mean = aggregate.exact(mean, len(scored) if single else len(set(tasks)))
    low, high = aggregate.ends(mean)
    interval = "no interval" if low is None else f"[{low:.3f}, {high:.3f}]"
    return f"{mean.value:.3f} {interval} (n {mean.n})"
