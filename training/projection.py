"""Train the projection of questions: on whole dialogues, a question against all of its turns.

What is learned with it is how much a person's own words count; only the projection is kept.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from evals.data.haystack import Haystack
from memkit.protocols import Embedder
from memkit.retrieval.projection import Projection

RANK = 8  # evals/LOG.md has others
_EPOCHS, _BATCH, _RATE, _DECAY = 3, 32, 2e-3, 0.1
_SHARPNESS = 20.0  # of the loss; scores are cosines
_STALE = 0.5  # how much an outdated turn above the evidence counts


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The turns of a dialogue, n by d, and its questions with an answer."""

    turns: Tensor
    by_person: Tensor  # 1 or 0, shape (n,)
    questions: Tensor  # shape (q, d)
    right: Tensor  # bool, shape (q, n)
    stale: Tensor


def read(haystack: Haystack, embedder: Embedder) -> Dialogue:
    """Return a dialogue with its vectors."""
    questions = [question for question in haystack.questions if question.answerable]
    ids = [turn.id or "" for turn in haystack.turns]
    right = [np.isin(ids, list(question.gold.turns)) for question in questions]
    stale = [np.isin(ids, question.expected.stale_turns) for question in questions]
    is_person = [turn.role == "user" or turn.name is not None for turn in haystack.turns]
    return Dialogue(
        torch.from_numpy(embedder.embed([turn.text for turn in haystack.turns])),
        torch.tensor(is_person, dtype=torch.float32),
        torch.from_numpy(embedder.embed([question.text for question in questions])),
        torch.tensor(np.stack(right)),
        torch.tensor(np.stack(stale)),
    )


class Network(nn.Module):
    """A projection that adds nothing at first, and what a person's own words count."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, width) * 0.02)
        self.up = nn.Parameter(torch.zeros(RANK, width))
        self.person = nn.Parameter(torch.tensor(0.1))

    def loss(self, dialogue: Dialogue, n: int) -> Tensor:
        """Return how far the evidence of the n-th question is from the top."""
        question = dialogue.questions[n]
        projected = functional.normalize(question + (self.down @ question) @ self.up, dim=0)
        scores = dialogue.turns @ projected + self.person * dialogue.by_person
        scores, right, stale = _SHARPNESS * scores, dialogue.right[n], dialogue.stale[n]
        highest_wrong = torch.logsumexp(scores[~right], 0)
        loss = -functional.logsigmoid(scores[right] - highest_wrong).mean()
        if stale.any():
            loss = loss + _STALE * functional.softplus(scores[stale].max() - scores[right].max())
        return loss


def train(dialogues: Sequence[Dialogue], seed: int) -> Projection:
    """Return the projection that brings evidence to the top, and newer above outdated."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    network = Network(dialogues[0].turns.shape[1])
    optimizer = torch.optim.AdamW([
        {"params": [network.down, network.up], "lr": _RATE, "weight_decay": _DECAY},
        {"params": [network.person], "lr": 3 * _RATE, "weight_decay": 0},
    ])  # fmt: skip
    examples = [(dialogue, n) for dialogue in dialogues for n in range(len(dialogue.questions))]
    for epoch in range(1, _EPOCHS + 1):
        rng.shuffle(examples)
        total = 0.0
        for first in range(0, len(examples), _BATCH):
            batch = examples[first : first + _BATCH]
            loss = torch.stack([network.loss(dialogue, n) for dialogue, n in batch]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"projection, epoch {epoch} of {_EPOCHS}: {total / len(examples):.4f}", flush=True)
    return Projection(network.up.detach().numpy(), network.down.detach().numpy())
