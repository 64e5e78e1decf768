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

from memkit.protocols import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from memkit.thoughts.network import TalkNetwork

Span = tuple[int, int]
WEIGHTS = Path(__file__).parent / "weights"

_CLS, _SEP = 101, 102  # BERT's special tokens
_MOST_BEFORE, _MOST_OLDER, _MOST_TURN = 32, 48, 160  # tokens
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """A turn with its clauses, and the texts that are read with it.

    For claims, `earlier` is the turn before, if it is needed. For pairs, it is older thoughts.
    """

    earlier: tuple[str, ...]
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """A reading as tokens. Ranges are of token positions; None: the clause was cut off."""

    ids: list[int]
    segments: list[int]
    earlier: list[Span]
    clauses: list[Span | None]


def pack(tokenizer: "Tokenizer", reading: Reading, *, pair: bool) -> Packed:
    """Return "[CLS] earlier [SEP] ... text [SEP]".

    Of a long older thought the start is read, and of a long turn before the end.
    """
    ids = [_CLS]
    earlier: list[Span] = []
    for each in reading.earlier:
        tokens = tokenizer.encode(each, add_special_tokens=False).ids
        tokens = tokens[:_MOST_OLDER] if pair else tokens[-_MOST_BEFORE:]
        earlier.append((len(ids), len(ids) + len(tokens)))
        ids += [*tokens, _SEP]
    encoding = tokenizer.encode(reading.text, add_special_tokens=False)
    text, offsets = encoding.ids[:_MOST_TURN], encoding.offsets[:_MOST_TURN]
    shift = len(ids)
    clauses: list[Span | None] = []
    for start, end in reading.spans:
        inside = [n for n, (left, right) in enumerate(offsets) if left < end and right > start]
        clauses.append((shift + inside[0], shift + inside[-1] + 1) if inside else None)
    return Packed(
        ids=[*ids, *text, _SEP],
        segments=[0] * shift + [1] * (len(text) + 1),
        earlier=earlier,
        clauses=clauses,
    )


def collate(batch: Sequence[Packed]) -> "tuple[Tensor, Tensor, Tensor, Tensor, Tensor]":
    """Return ids, segments and mask, shape (n, tokens), and two pools, shape (n, ranges, tokens).

    A pool averages the tokens of each range: of earlier texts, and of the turn's clauses.
    """
    import torch

    width = max(len(packed.ids) for packed in batch)
    ids, segments, mask = (torch.zeros(len(batch), width, dtype=torch.long) for _ in range(3))
    for n, packed in enumerate(batch):
        length = len(packed.ids)
        ids[n, :length] = torch.tensor(packed.ids)
        segments[n, :length] = torch.tensor(packed.segments)
        mask[n, :length] = 1
    earlier = _pools([packed.earlier for packed in batch], width)
    return ids, segments, mask, earlier, _pools([packed.clauses for packed in batch], width)


def _pools(rows: Sequence[Sequence[Span | None]], width: int) -> "Tensor":
    import torch

    pools = torch.zeros(len(rows), max(map(len, rows)), width)
    for n, ranges in enumerate(rows):
        for k, span in enumerate(ranges):
            if span is not None and span[1] > span[0]:
                pools[n, k, slice(*span)] = 1 / (span[1] - span[0])
    return pools


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
        """Return the probabilities of relations for each reading, shape (earlier, clauses, 4)."""
        return self._read(readings, pair=True)

    def _read(self, readings: Sequence[Reading], *, pair: bool) -> list[Vectors]:
        run = self._run_pairs if pair else self._run_claims
        with self._lock:
            packed = [pack(self._tokenizer, reading, pair=pair) for reading in readings]
            order = sorted(range(len(packed)), key=lambda n: len(packed[n].ids))
            results: list[Any] = [None] * len(packed)
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH]
                for n, row in zip(rows, run([packed[n] for n in rows]), strict=True):
                    results[n] = row
        return results

    def _run_claims(self, batch: Sequence[Packed]) -> list[Vectors]:
        import torch

        with torch.inference_mode():
            ids, segments, mask, _, clauses = collate(batch)
            logits = self._network.claim_logits(self._network.encode(ids, segments, mask), clauses)
            rows = torch.cat([logits[..., :-1].softmax(-1), logits[..., -1:].sigmoid()], dim=-1)
        return [row[: len(packed.clauses)] for row, packed in zip(rows.numpy(), batch, strict=True)]

    def _run_pairs(self, batch: Sequence[Packed]) -> list[Vectors]:
        import torch

        with torch.inference_mode():
            ids, segments, mask, earlier, clauses = collate(batch)
            hidden = self._network.encode(ids, segments, mask)
            rows = self._network.pair_logits(hidden, earlier, clauses).softmax(-1).numpy()
        return [
            row[: len(packed.earlier), : len(packed.clauses)]
            for row, packed in zip(rows, batch, strict=True)
        ]


@lru_cache(maxsize=1)
def bundled_reader() -> TalkReader:
    """Return the reader with the bundled weights, one for the whole process."""
    return TalkReader()
