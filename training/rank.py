"""Train the weights of memkit's ranking: `python -m training.rank --longmemeval FILE`.

Learns from the tuning dialogues of `training/life`, and from the tuning questions of LongMemEval if
its file is given. For each question the candidates are found and scored as `recall` does; the
weights are fitted so that evidence comes above everything else, and newer above outdated.
"""

import argparse
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import memkit
from evals import USER
from evals.data import life, longmemeval
from evals.data.haystack import Haystack, Question
from evals.systems.cache import CachedEmbedder, default_folder
from memkit import Memory, Settings
from memkit.embedders import MiniLM
from memkit.records import Scope
from memkit.retrieval import fusion, ranker, recall
from memkit.retrieval.windows import Floats

LIFE = Path(__file__).parent / "life"
_DEPTH = 50  # hits that a question asks for
_SHARPNESS = 10.0  # of the loss; scores are between 0 and 1
_STALE = 0.5  # how much an outdated turn above the evidence counts
_DECAY = 1e-3  # pulls the slopes to 0
_BATCH, _EPOCHS = 64, 40
_BASE_RATE, _SLOPE_RATE = 0.05, 0.01


@dataclass(frozen=True, slots=True)
class Example:
    """A question, its candidates' signals and its own features, and which rows are right."""

    source: str
    signals: Mapping[str, Floats]  # shape (m,) each
    features: Mapping[str, float]
    right: Tensor  # bool, shape (m,)
    stale: Tensor

    @property
    def table(self) -> Tensor:
        """Return the signals, shape (m, k)."""
        columns = [np.clip(scores, 0, 1) for scores in self.signals.values()]
        return torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)


def read_examples(
    haystacks: Iterable[Haystack], source: str, *, thoughts: bool = True
) -> Iterator[Example]:
    """Yield the questions whose evidence is among their candidates."""
    with CachedEmbedder(MiniLM(), default_folder()) as embedder:
        for haystack in haystacks:
            settings = Settings(background=False, thoughts=thoughts)
            with memkit.open(":memory:", embedder=embedder, settings=settings) as memory:
                memory.remember(haystack.turns, user_id=USER)
                memory.think(user_id=USER)
                for question in haystack.questions:
                    if question.answerable:
                        example = _read_example(memory, question, source)
                        if example.right.any() and not example.right.all():
                            yield example


def _read_example(memory: Memory, question: Question, source: str) -> Example:
    query = recall.RecallQuery(text=question.text, k=_DEPTH, asked_at=question.asked_at)
    vector = memory.embedder.embed([question.text])[0]
    with memory.store.snapshot(Scope(user_id=USER), question.asked_at) as snapshot:
        thoughts = snapshot.thoughts(vector, query.thoughts)
        candidates = recall.find_candidates(snapshot, vector, query, thoughts)
        turns = [match.turn.id for match in snapshot.chunks(candidates.rows)]
    return Example(
        source,
        candidates.signals,
        fusion.question_features(question.text, candidates.signals),
        torch.tensor(np.isin(turns, question.gold.turns)),
        torch.tensor(np.isin(turns, question.expected.stale_turns)),
    )


class Weights(nn.Module):
    """The weights of k signals as functions of q features: positive, not normalised."""

    def __init__(self, signals: int, features: int) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.full((signals,), -1.0))
        self.slopes = nn.Parameter(torch.zeros(signals, features))

    def forward(self, features: Tensor) -> Tensor:
        """Return the weights for standardised features."""
        return functional.softplus(self.base + self.slopes @ features)


def question_loss(weights: Tensor, example: Example) -> Tensor:
    """Return how far evidence is from the top: each evidence row against all other rows."""
    scores = _SHARPNESS * (example.table @ weights)
    others = torch.logsumexp(scores[~example.right], 0)
    loss = -functional.logsigmoid(scores[example.right] - others).mean()
    if example.stale.any():
        lead = scores[example.right].max() - scores[example.stale].max()
        loss = loss + _STALE * functional.softplus(-lead)
    return loss


def train(examples: Sequence[Example], seed: int) -> ranker.Ranker:
    """Return trained weights. All sources count the same."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    features = torch.tensor([list(example.features.values()) for example in examples])
    means, spreads = features.mean(0), features.std(0) + 1e-3
    standardised = (features - means) / spreads
    sources = [example.source for example in examples]
    share = {name: len(sources) / len(set(sources)) / sources.count(name) for name in set(sources)}
    print({name: sources.count(name) for name in sorted(share)}, "questions", flush=True)
    model = Weights(len(examples[0].signals), len(means))
    optimizer = torch.optim.Adam([
        {"params": [model.base], "lr": _BASE_RATE}, {"params": [model.slopes], "lr": _SLOPE_RATE},
    ])  # fmt: skip
    order = list(range(len(examples)))
    for epoch in range(1, _EPOCHS + 1):
        rng.shuffle(order)
        total = 0.0
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            losses = [
                share[sources[n]] * question_loss(model(standardised[n]), examples[n])
                for n in batch
            ]
            loss = torch.stack(losses).mean()
            optimizer.zero_grad()
            (loss + _DECAY * model.slopes.square().sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch} of {_EPOCHS}: {total / len(examples):.4f}", flush=True)
    return ranker.Ranker(
        signals=tuple(examples[0].signals), features=tuple(examples[0].features),
        base=model.base.detach().numpy(), slopes=model.slopes.detach().numpy(),
        means=means.numpy(), spreads=spreads.numpy(),
    )  # fmt: skip


def main() -> None:
    """Train, and write memkit/retrieval/ranker.toml."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--longmemeval", type=Path, help="longmemeval_s_cleaned.json")
    options.add_argument("--out", type=Path, default=ranker.FILE)
    options.add_argument("--seed", type=int, default=1)
    arguments = options.parse_args()
    dialogues = life.read(LIFE).in_split("tuning")
    with_assistant = [each for each in dialogues if any(turn.name is None for turn in each.turns)]
    of_two = [each for each in dialogues if each not in with_assistant]
    examples = [*read_examples(with_assistant, "assistant"), *read_examples(of_two, "two people")]
    if arguments.longmemeval:
        haystacks = longmemeval.read(arguments.longmemeval).in_split("tuning")
        examples += read_examples(haystacks, "longmemeval", thoughts=False)
    trained = train(examples, arguments.seed)
    arguments.out.write_text(ranker.to_toml(trained), encoding="utf-8")


if __name__ == "__main__":
    main()
