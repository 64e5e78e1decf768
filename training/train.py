"""Train the thinker's network on the dialogues of this folder: `python -m training.train`.

Prints the losses, writes the adapters. Takes half an hour on two cores that know bfloat16.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from evals.data import talk
from memkit.embedders import MiniLM, minilm_folder
from memkit.encoder import load_tokenizer
from memkit.thoughts.learned import earlier
from memkit.thoughts.network import (
    CLAIM_KINDS,
    RELATIONS,
    TalkNetwork,
    adapters,
    build,
    load,
)
from memkit.thoughts.reader import WEIGHTS, Packed, Reading, collate, pack
from training import examples, holds
from training.examples import UNKNOWN, ClaimExample, PairExample

TALK = Path(__file__).parent / "talk"
RANK = 32  # of the adapters; evals/LOG.md has 16 and 64
_BATCH_TOKENS = 2400  # with padding
_HEAD_FACTOR = 10  # the heads learn faster than the encoder
_WARM_UP = 0.06  # of the steps
_SMOOTHING = 0.02
_RELATION_WEIGHTS = (0.6, 1.0, 1.0, 1.0)  # nine in ten pairs change nothing

Example = tuple[ClaimExample | PairExample, Packed]


def read_examples(seed: int, share: float = 1.0) -> tuple[list[ClaimExample], list[PairExample]]:
    """Return the training examples of a share of the dialogues; they depend on the seed only.

    Months of talk, of which there are few, are always among them.
    """
    rng = random.Random(seed)
    dialogues = [
        dialogue
        for path in sorted(TALK.glob("*.txt"))
        for dialogue in talk.read(path)[0]
        if examples.is_long(dialogue) or rng.random() < share
    ]
    nearest = examples.by_cosine(MiniLM())
    statements = [text for dialogue in dialogues for text in examples.statements(dialogue)]
    claims = [e for dialogue in dialogues for e in examples.claim_examples(dialogue)]
    pairs = [
        e
        for dialogue in dialogues
        for e in examples.pair_examples(dialogue, statements, rng, nearest)
    ]
    for dialogue in holds.training_dialogues():
        claims += holds.claim_examples(dialogue)
        pairs += holds.pair_examples(dialogue)
    kinds = Counter(CLAIM_KINDS[kind] for e in claims for kind in e.kinds if kind != UNKNOWN)
    relations = Counter(
        RELATIONS[r] for e in pairs for row in e.relations for r in row if r != UNKNOWN
    )
    print(len(dialogues), "dialogues,", len(claims), "turns,", dict(kinds))
    print(len(pairs), "pairs,", dict(relations), flush=True)
    return claims, pairs


def claim_loss(network: TalkNetwork, batch: Sequence[Example]) -> Tensor:
    """Return the loss of clauses' kinds, and of whether they change something."""
    packed = [its_packed for _, its_packed in batch]
    ids, segments, mask, _, clauses = map(torch.from_numpy, collate(packed))
    logits = network.claim_logits(network.encode(ids, segments, mask), clauses)
    claims = [example for example, _ in batch if isinstance(example, ClaimExample)]
    kinds = _table([claim.kinds for claim in claims], packed)
    changes = _table([claim.changes for claim in claims], packed)
    loss = functional.cross_entropy(
        logits[..., :-1].flatten(0, 1), kinds.flatten(), ignore_index=UNKNOWN,
        label_smoothing=_SMOOTHING,
    )  # fmt: skip
    is_labelled = (kinds != UNKNOWN) & (changes != UNKNOWN)
    return loss + functional.binary_cross_entropy_with_logits(
        logits[..., -1][is_labelled], changes[is_labelled].float()
    )


def pair_loss(network: TalkNetwork, batch: Sequence[Example]) -> Tensor:
    """Return the loss of pairs' relations."""
    packed = [its_packed for _, its_packed in batch]
    ids, segments, mask, older, clauses = map(torch.from_numpy, collate(packed))
    logits = network.pair_logits(network.encode(ids, segments, mask), older, clauses)
    labels = torch.full(logits.shape[:-1], UNKNOWN)
    for n, (example, its_packed) in enumerate(batch):
        assert isinstance(example, PairExample)
        for k, relations in enumerate(example.relations):
            row = _table([relations], [its_packed])[0]
            labels[n, k, : len(row)] = row
    return functional.cross_entropy(
        logits.flatten(0, 2), labels.flatten(),
        ignore_index=UNKNOWN, weight=torch.tensor(_RELATION_WEIGHTS), label_smoothing=_SMOOTHING,
    )  # fmt: skip


def _table(labels: Sequence[Sequence[int]], batch: Sequence[Packed]) -> Tensor:
    """Return labels as a table, unknown where a row has no clause or it was cut off."""
    table = torch.full((len(batch), max(len(packed.clauses) for packed in batch)), UNKNOWN)
    for n, (its_labels, packed) in enumerate(zip(labels, batch, strict=True)):
        for k, (label, span) in enumerate(zip(its_labels, packed.clauses, strict=True)):
            if span is not None:
                table[n, k] = label
    return table


def batches(packed: Sequence[Example], rng: random.Random) -> list[list[Example]]:
    """Return examples in random batches of about equal length."""
    ordered = sorted(packed, key=lambda example: (len(example[1].ids) // 4, rng.random()))
    parts: list[list[Example]] = [[]]
    for example in ordered:
        if parts[-1] and (len(parts[-1]) + 1) * len(example[1].ids) > _BATCH_TOKENS:
            parts.append([])
        parts[-1].append(example)
    rng.shuffle(parts)
    return parts


def train(epochs: int, seed: int, start: Path | None, rate: float, share: float) -> TalkNetwork:
    """Return a trained network; it starts from the adapters in `start`, or from the encoder."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = load_tokenizer(minilm_folder())
    claims, pairs = read_examples(seed, share)
    packed_claims: list[Example] = [
        (e, pack(tokenizer, Reading(earlier(e.before, e.text), e.text, e.spans), pair=False))
        for e in claims
    ]
    packed_pairs: list[Example] = [
        (e, pack(tokenizer, Reading(e.older, e.newer, e.spans), pair=True)) for e in pairs
    ]
    network = (load(start) if start else build()).train()
    network.encoder.embeddings.requires_grad_(False)
    heads = [*network.claims.parameters(), *network.pairs.parameters()]
    layers = [each for each in network.encoder.parameters() if each.requires_grad]
    groups = [{"params": layers, "lr": rate}, {"params": heads, "lr": _HEAD_FACTOR * rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    counting = random.Random(seed)
    steps = epochs * sum(len(batches(each, counting)) for each in (packed_claims, packed_pairs))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min(1, n / (_WARM_UP * steps)) * max(0.02, 1 - n / steps)
    )
    started = time.monotonic()
    for epoch in range(1, epochs + 1):
        work = [(claim_loss, batch) for batch in batches(packed_claims, rng)]
        work += [(pair_loss, batch) for batch in batches(packed_pairs, rng)]
        rng.shuffle(work)
        losses: dict[str, list[float]] = {"claim_loss": [], "pair_loss": []}
        for loss_of, batch in work:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_of(network, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses[loss_of.__name__].append(loss.item())
        means = {name: round(sum(each) / len(each), 4) for name, each in losses.items()}
        seconds = time.monotonic() - started
        print(f"epoch {epoch} of {epochs}: {means}, {seconds:.0f} s", flush=True)
    return network.eval()


def main() -> None:
    """Train, and write the adapters."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=WEIGHTS)
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rate", type=float, default=1e-4)
    options.add_argument("--start", type=Path, help="Adapters to go on from.")
    options.add_argument("--share", type=float, default=1.0, help="Of the short dialogues.")
    arguments = options.parse_args()
    network = train(
        arguments.epochs, arguments.seed, arguments.start, arguments.rate, arguments.share
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(adapters(network, RANK), arguments.out / "thinker.safetensors")


if __name__ == "__main__":
    main()
