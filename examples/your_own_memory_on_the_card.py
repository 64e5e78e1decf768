"""Compare your own memory with memkit: three methods; runs from a checkout."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from evals.card import run
from evals.card.build import build
from evals.card.config import Config, Run
from evals.data.registry import Spec
from evals.stamp import stamp
from memkit import Turn
from memkit.protocols import Embedder


class SharedWords:
    """A memory that ranks turns by the number of words they share with the question."""

    def __init__(self, _: Embedder) -> None:
        self.words: dict[str, set[str]] = {}

    def remember(self, turns: Sequence[Turn]) -> None:
        """Store the words of turns."""
        self.words |= {turn.id or "": set(turn.text.lower().split()) for turn in turns}

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        """Return the ids of the best k turns, each with its score."""
        question = set(text.lower().split())
        scores = {turn_id: float(len(question & words)) for turn_id, words in self.words.items()}
        return sorted(scores.items(), key=lambda score: score[1], reverse=True)[:k]

    def close(self) -> None:
        """There is nothing to release."""


CONFIG = Config(
    name="mine",
    data=[Spec(format="synthetic", name="updates", options={"probe": "updates", "size": "small"})],
    systems=["memkit", "your_own_memory_on_the_card:SharedWords"],
    regimes=["replay"],
)


def main() -> None:
    """Score both memories on questions about facts that changed, and print two metrics."""
    with TemporaryDirectory() as folder:
        done = run.run(CONFIG, Run(folder=Path(folder), cache=Path(folder) / "vectors"))
    # evals.card.report.write makes a page of the card
    card = build(CONFIG, done, stamp([], CONFIG.seed))
    for metric in ("turn recall@10", "share in budget"):
        for figure in card.figures:
            if (figure.metric, figure.group) == (metric, "all"):
                low, high = figure.low, figure.high
                span = "no interval" if low is None else f"{low:.2f}–{high:.2f}"
                name = figure.system.split(":")[-1]
                print(f"{metric:16} {name:12} {figure.value:.2f}  ({span}, n = {figure.n})")


if __name__ == "__main__":
    main()
