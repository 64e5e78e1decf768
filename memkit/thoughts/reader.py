"""Run the learned thinker's network: clauses and pairs of clauses in, probabilities out.

The encoder is the bundled all-MiniLM-L6-v2; its adapters and heads are in `weights/`. `training/`
has the data, the script and the model card. Loaded at first use.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memkit.protocols import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from memkit.thoughts.network import TalkNetwork

Span = tuple[int, int]
WEIGHTS = Path(__file__).parent / "weights"

_CLS, _SEP = 101, 102  # BERT's special tokens
_MOST_BEFORE, _MOST_OLDER, _MOST_TURN = 40, 48, 160  # tokens
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """Two texts to read together: what was said before, and a turn with its clauses.

    For claims, `first` is the turn before. For pairs, it is the older clause.
    """

    first: str
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """A reading as tokens. Ranges are of token positions; None: the clause was cut off."""

    ids: list[int]
    segments: list[int]
    first: Span
    clauses: list[Span | None]


def pack(tokenizer: "Tokenizer", reading: Reading, *, pair: bool) -> Packed:
    """Return "[CLS] first [SEP] text [SEP]"; of a long first text the end counts, or the start."""
    first = tokenizer.encode(reading.first, add_special_tokens=False).ids
    first = first[:_MOST_OLDER] if pair else first[-_MOST_BEFORE:]
    encoding = tokenizer.encode(reading.text, add_special_tokens=False)
    text, offsets = encoding.ids[:_MOST_TURN], encoding.offsets[:_MOST_TURN]
    shift = len(first) + 2
    clauses: list[Span | None] = []
    for start, end in reading.spans:
        inside = [n for n, (left, right) in enumerate(offsets) if left < end and right > start]
        clauses.append((shift + inside[0], shift + inside[-1] + 1) if inside else None)
    return Packed(
        ids=[_CLS, *first, _SEP, *text, _SEP],
        segments=[0] * shift + [1] * (len(text) + 1),
        first=(1, 1 + len(first)),
        clauses=clauses,
    )


def collate(batch: Sequence[Packed], *, pair: bool) -> "tuple[Tensor, Tensor, Tensor, Tensor]":
    """Return ids, segments and mask, shape (n, tokens), and pools, shape (n, clauses, tokens).

    A pool averages the tokens of a clause. For pairs, the first pool is that of the older clause.
    """
    import torch

    width = max(len(packed.ids) for packed in batch)
    rows = max(len(packed.clauses) for packed in batch) + int(pair)
    ids, segments, mask = (torch.zeros(len(batch), width, dtype=torch.long) for _ in range(3))
    pools = torch.zeros(len(batch), rows, width)
    for n, packed in enumerate(batch):
        length = len(packed.ids)
        ids[n, :length] = torch.tensor(packed.ids)
        segments[n, :length] = torch.tensor(packed.segments)
        mask[n, :length] = 1
        ranges = [packed.first, *packed.clauses] if pair else packed.clauses
        for row, span in enumerate(ranges):
            if span is not None and span[1] > span[0]:
                pools[n, row, slice(*span)] = 1 / (span[1] - span[0])
    return ids, segments, mask, pools


class TalkReader:
    """Reads clauses and pairs with the trained network. Thread-safe."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._weights = weights
        self._lock = threading.Lock()  # fast tokenizers are not safe to share between threads

    @cached_property
    def _network(self) -> "TalkNetwork":
        from memkit.thoughts.network import load

        return load(self._weights / "thinker.safetensors")

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from memkit.thoughts.network import load_tokenizer

        return load_tokenizer()

    def claims(self, readings: Sequence[Reading]) -> list[Vectors]:
        """Return, for each turn, the probabilities of its clauses' kinds, shape (clauses, 7).

        The last column is the probability that the clause changes something said earlier.
        """
        return self._read(readings, pair=False)

    def pairs(self, readings: Sequence[Reading]) -> list[Vectors]:
        """Return, for each pair, the probabilities of its clauses' relations, (clauses, 4)."""
        return self._read(readings, pair=True)

    def _read(self, readings: Sequence[Reading], *, pair: bool) -> list[Vectors]:
        with self._lock:
            packed = [pack(self._tokenizer, reading, pair=pair) for reading in readings]
            order = sorted(range(len(packed)), key=lambda n: len(packed[n].ids))
            results: list[Any] = [None] * len(packed)
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH]
                probabilities = self._run([packed[n] for n in rows], pair=pair)
                for n, row in zip(rows, probabilities, strict=True):
                    results[n] = row[: len(packed[n].clauses)]
        return results

    def _run(self, batch: Sequence[Packed], *, pair: bool) -> Vectors:
        import torch

        with torch.inference_mode():
            ids, segments, mask, pools = collate(batch, pair=pair)
            hidden = self._network.encode(ids, segments, mask)
            if pair:
                logits = self._network.pair_logits(hidden, pools).softmax(-1)
            else:
                both = self._network.claim_logits(hidden, pools)
                logits = torch.cat([both[..., :-1].softmax(-1), both[..., -1:].sigmoid()], dim=-1)
        return np.asarray(logits.numpy(), dtype=np.float32)


@lru_cache(maxsize=1)
def bundled_reader() -> TalkReader:
    """Return the reader with the bundled weights, one for the whole process."""
    return TalkReader()
