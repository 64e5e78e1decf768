"""Measure a memory of your own beside memkit: three methods, run from a checkout."""

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
    """A memory that ranks turns by how many words they share with the question."""

    def __init__(self, _: Embedder) -> None:
        self.said: dict[str, set[str]] = {}

    def remember(self, turns: Sequence[Turn]) -> None:
        """Take in turns."""
        self.said |= {one.id or "": set(one.text.lower().split()) for one in turns}

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        """Return the ids of the best k turns, each with its score."""
        words = set(text.lower().split())
        shared = {turn_id: float(len(words & said)) for turn_id, said in self.said.items()}
        return sorted(shared.items(), key=lambda one: one[1], reverse=True)[:k]

    def close(self) -> None:
        """Release nothing."""


CONFIG = Config(
    name="mine",
    data=[Spec(format="synthetic", name="updates", options={"probe": "updates", "size": "small"})],
    systems=["memkit", "your_own_memory_on_the_card:SharedWords"],
    regimes=["replay"],
)


def main() -> None:
    """Make a card of both on questions about facts that were revised, and print two lines of it."""
    with TemporaryDirectory() as folder:
        done = run.run(CONFIG, Run(folder=Path(folder), cache=Path(folder) / "vectors"))
    card = build(CONFIG, done, stamp([], CONFIG.seed))  # evals.card.report.write makes a page of it
    for metric in ("turn recall@10", "share in budget"):
        for one in card.figures:
            if (one.metric, one.group) == (metric, "all"):
                span = "no interval" if one.low is None else f"{one.low:.2f}–{one.high:.2f}"
                name = one.system.split(":")[-1]
                print(f"{metric:16} {name:12} {one.value:.2f}  ({span}, n = {one.n})")


if __name__ == "__main__":
    main()
