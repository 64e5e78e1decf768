"""Train the weights of memkit's ranking: `python -m training.rank --longmemeval FILE`.

Learns from the tuning dialogues of `training/life`, and from the tuning questions of LongMemEval if
its file is given; and from searches for single words of their evidence. First comes the projection
of questions. Then the candidates of each question are found and scored as `recall` does, by a
projection that was trained on other dialogues. The weights are fitted so that evidence comes above
everything else, and newer above outdated. Then the relevance is calibrated on all questions, also
on those without an answer.
"""

import argparse
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

import memkit
from evals import USER
from evals.data import life, longmemeval
from evals.data.haystack import Haystack, Question
from evals.systems.cache import CachedEmbedder, default_folder
from memkit import Memory, Settings
from memkit.embedders import MiniLM
from memkit.protocols import Embedder
from memkit.records import Scope
from memkit.retrieval import fusion, ranker, recall
from memkit.retrieval.projection import FILE as projection_file
from memkit.retrieval.projection import Projection, QuestionVectors, save
from memkit.retrieval.windows import Floats
from training import projection as projections

LIFE = Path(__file__).parent / "life"
# of all that is learned
_SHARES = {"assistant": 0.5, "two people": 0.25, "longmemeval": 0.1, "keywords": 0.15}
_FOLDS = 4  # of the dialogues, for the projection
_MOST_OF_LIFE = 200  # turns of a dialogue of everyday talk
_DEPTH = 50  # hits that a question asks for
_CALIBRATED = 10  # hits of each question that the relevance is fitted on
_FEW = 6  # turns of a small memory
_SHARPNESS = 10.0  # of the loss; scores are between 0 and 1
_STALE = 0.5  # how much an outdated turn above the evidence counts
_DECAY = 1e-2  # pulls the slopes to 0
_BATCH, _EPOCHS = 64, 40
_BASE_RATE, _SLOPE_RATE = 0.05, 0.01


@dataclass(frozen=True, slots=True)
class Example:
    """A question, its m candidates and its own features, and which candidates are right."""

    source: str
    table: Tensor  # the signals, shape (m, k)
    features: Mapping[str, float]
    turns: Sequence[str]  # the turn of each candidate
    right: Tensor  # bool, shape (m,)
    stale: Tensor

    @property
    def is_learned_from(self) -> bool:
        """Return whether there is evidence to rank above something else."""
        return bool(self.right.any()) and not bool(self.right.all())


def read_examples(
    haystack: Haystack, source: str, embedder: Embedder, projection: Projection
) -> Iterator[Example]:
    """Yield the questions with their candidates."""
    settings = Settings(background=False, thoughts=source != "longmemeval")
    with memkit.open(":memory:", embedder=embedder, settings=settings) as memory:
        memory.remember(haystack.turns, user_id=USER)
        memory.think(user_id=USER)
        for question in haystack.questions:
            yield _read_example(memory, question, source, projection)
            if keywords := _keywords(haystack, question):
                other = replace(question, text=keywords)
                yield _read_example(memory, other, "keywords", projection)


def cross_fit(haystacks: Sequence[Haystack], embedder: Embedder, seed: int) -> list[Example]:
    """Return all questions, each with a projection that was not trained on its dialogue."""
    examples: list[Example] = []
    for fold in range(_FOLDS):
        others = [haystack for n, haystack in enumerate(haystacks) if n % _FOLDS != fold]
        dialogues = [projections.read(haystack, embedder) for haystack in _of_life(others)]
        projection = projections.train(dialogues, seed)
        for haystack in haystacks[fold::_FOLDS]:
            examples += read_examples(haystack, _source(haystack), embedder, projection)
    return examples


def _of_life(haystacks: Iterable[Haystack]) -> list[Haystack]:
    """Return the dialogues that fit a batch; those of LongMemEval have hundreds of turns."""
    return [haystack for haystack in haystacks if _source(haystack) != "longmemeval"]


def _source(haystack: Haystack) -> str:
    if len(haystack.turns) > _MOST_OF_LIFE:
        return "longmemeval"
    is_with_assistant = any(turn.name is None for turn in haystack.turns)
    return "assistant" if is_with_assistant else "two people"


def _keywords(haystack: Haystack, question: Question) -> str:
    """Return one or two words that only a turn of the evidence has, as a person searches for it."""
    evidence = question.gold.turns if question.answerable else ()
    common = {
        word for turn in haystack.turns if turn.id not in evidence for word in _words(turn.text)
    }
    unique = [
        word
        for turn in haystack.turns
        if turn.id in evidence[:1]
        for word in _words(turn.text)
        if word not in common
    ]
    return " ".join(unique[: 1 + len(unique) % 2])


def _words(text: str) -> list[str]:
    """Return the words that tell texts apart: names, numbers and long ones."""
    return [word for word in re.findall(r"\w[\w.@:/-]*\w", text) if len(word) > 3 or word.isdigit()]


def _read_example(
    memory: Memory, question: Question, source: str, projection: Projection
) -> Example:
    query = recall.RecallQuery(text=question.text, k=_DEPTH, asked_at=question.asked_at)
    vector = memory.embedder.embed([question.text])[0]
    vectors = QuestionVectors(vector, projection(vector))
    with memory.store.snapshot(Scope(user_id=USER), question.asked_at) as snapshot:
        thoughts = snapshot.thoughts(vector, query.thoughts)
        candidates = recall.find_candidates(snapshot, vectors, query, thoughts)
        turns = [match.turn.id or "" for match in snapshot.chunks(candidates.rows)]
    evidence = question.gold.turns if question.answerable else ()
    columns = [np.clip(candidates.signals[name], 0, 1) for name in fusion.SIGNALS]
    return Example(
        source,
        torch.tensor(np.stack(columns, axis=1), dtype=torch.float32),
        fusion.question_features(question.text, candidates.signals),
        turns,
        torch.tensor(np.isin(turns, list(evidence))),
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
    highest_wrong = torch.logsumexp(scores[~example.right], 0)
    loss = -functional.logsigmoid(scores[example.right] - highest_wrong).mean()
    if example.stale.any():
        lead = scores[example.right].max() - scores[example.stale].max()
        loss = loss + _STALE * functional.softplus(-lead)
    return loss


def train(examples: Sequence[Example], seed: int) -> ranker.Ranker:
    """Return trained weights, not yet calibrated."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    features = torch.tensor([list(example.features.values()) for example in examples])
    means, spreads = features.mean(0), features.std(0) + 1e-3
    standardised = ((features - means) / spreads).clip(-ranker.WIDEST, ranker.WIDEST)
    emphasis = _emphasis(examples)
    model = Weights(len(fusion.SIGNALS), len(means))
    optimizer = torch.optim.Adam([
        {"params": [model.base], "lr": _BASE_RATE}, {"params": [model.slopes], "lr": _SLOPE_RATE},
    ])  # fmt: skip
    # falls to 0: at a constant rate LoCoMo's recall@10 moves by .015 from seed to seed
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _EPOCHS)
    order = list(range(len(examples)))
    for epoch in range(1, _EPOCHS + 1):
        rng.shuffle(order)
        total = 0.0
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            losses = [
                emphasis[n] * question_loss(model(standardised[n]), examples[n]) for n in batch
            ]
            loss = torch.stack(losses).mean()
            optimizer.zero_grad()
            (loss + _DECAY * model.slopes.square().sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
        schedule.step()
        print(f"epoch {epoch} of {_EPOCHS}: {total / len(examples):.4f}", flush=True)
    return ranker.Ranker(
        signals=fusion.SIGNALS, features=tuple(examples[0].features),
        base=model.base.detach().numpy(), slopes=model.slopes.detach().numpy(),
        means=means.numpy(), spreads=spreads.numpy(),
        calibration=ranker.Calibration(lead=1.0, log_rank=0.0, bias=0.0),
    )  # fmt: skip


def _emphasis(examples: Sequence[Example]) -> list[float]:
    """Return how much each question counts, 1 on average: each source has its share."""
    sources = [example.source for example in examples]
    counts = {name: sources.count(name) for name in sorted(set(sources))}
    print(counts, "questions", flush=True)
    whole = sum(_SHARES[name] for name in counts)
    return [len(sources) * _SHARES[name] / whole / counts[name] for name in sources]


# ---- relevance


def calibrate(trained: ranker.Ranker, examples: Sequence[Example], seed: int) -> ranker.Ranker:
    """Return the ranker with its calibration, fitted on whole and on small memories."""
    rng = random.Random(seed)
    whole = [_calibration_rows(trained, example) for example in examples]
    small = [_calibration_rows(trained, _few_turns(example, rng)) for example in examples]
    predictors, labels = (np.concatenate(parts) for parts in zip(*whole, *small, strict=True))
    model = LogisticRegression(C=100).fit(predictors, labels)
    (lead, log_rank), bias = model.coef_[0], model.intercept_[0]
    fitted = ranker.Calibration(lead=float(lead), log_rank=float(log_rank), bias=float(bias))
    return replace(trained, calibration=fitted)


def _calibration_rows(trained: ranker.Ranker, example: Example) -> tuple[Floats, Floats]:
    """Return lead and logarithm of the rank of the best hits, and which of them are right."""
    weights = trained.weights(example.features)
    columns = dict(zip(fusion.SIGNALS, example.table.numpy().T, strict=True))
    weighted = fusion.weigh_signals(columns, weights)
    scores = np.sum(list(weighted.values()), axis=0)
    order = np.argsort(-scores, kind="stable")
    _, first = np.unique(np.array(example.turns)[order], return_index=True)
    best = order[np.sort(first)]
    leads = fusion.leads(scores[best], fusion.unrelated_score(weighted))[:_CALIBRATED]
    ranks = np.log(np.arange(1, len(leads) + 1))
    return np.stack([leads, ranks], axis=1), example.right.numpy()[best][:_CALIBRATED]


def _few_turns(example: Example, rng: random.Random) -> Example:
    """Return the question asked of a few of the turns, in half of the cases with an answer."""
    turns = sorted(set(example.turns))
    right = sorted(
        {turn for turn, is_right in zip(example.turns, example.right, strict=True) if is_right}
    )
    wrong = [turn for turn in turns if turn not in right]
    chosen = rng.sample(wrong, min(_FEW, len(wrong)))
    if right and (not chosen or rng.random() < 0.5):
        chosen[:1] = right[:1]
    is_chosen = np.isin(example.turns, chosen)
    return replace(
        example, table=example.table[is_chosen], right=example.right[is_chosen],
        stale=example.stale[is_chosen],
        turns=[turn for turn in example.turns if turn in chosen],
    )  # fmt: skip


def main() -> None:
    """Train, calibrate, and write projection.npz and ranker.toml."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--longmemeval", type=Path, help="longmemeval_s_cleaned.json")
    options.add_argument("--out", type=Path, default=ranker.FILE.parent, help="folder")
    options.add_argument("--seed", type=int, default=1)
    arguments = options.parse_args()
    haystacks = life.read(LIFE).in_split("tuning")
    if arguments.longmemeval:
        haystacks += longmemeval.read(arguments.longmemeval).in_split("tuning")
    with CachedEmbedder(MiniLM(), default_folder()) as embedder:
        examples = cross_fit(haystacks, embedder, arguments.seed)
        dialogues = [projections.read(haystack, embedder) for haystack in _of_life(haystacks)]
    projection = projections.train(dialogues, arguments.seed)
    save(projection, arguments.out / projection_file.name)
    trained = train([each for each in examples if each.is_learned_from], arguments.seed)
    calibrated = calibrate(trained, examples, arguments.seed)
    (arguments.out / ranker.FILE.name).write_text(ranker.to_toml(calibrated), encoding="utf-8")


if __name__ == "__main__":
    main()
