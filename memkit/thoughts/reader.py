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
_MOST_BEFORE, _MOST_OLDER, _MOST_CLAUSE, _MOST_TURN = 32, 56, 48, 160  # tokens
_AROUND = 80  # characters on either side of an older clause
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A clause with the words around it."""

    text: str
    span: Span  # of the clause


@dataclass(frozen=True, slots=True)
class Reading:
    """A turn with its clauses, and the texts that are read with it.

    For claims, `earlier` is the turn before, if it is needed. For pairs, it is older thoughts.
    """

    earlier: tuple[Excerpt, ...]
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """A reading as tokens. Ranges are of token positions; None: the clause was cut off."""

    ids: list[int]
    segments: list[int]
    earlier: list[Span]
    clauses: list[Span | None]


def opening(speaker: str, question: str | None) -> str:
    """Return what is read before the words of a speaker: "Any allergies? user: "."""
    return f"{question} {speaker}: " if question else f"{speaker}: "


def whole(text: str) -> Excerpt:
    """Return a text without anything around it."""
    return Excerpt(text, (0, len(text)))


def in_context(speaker: str, text: str, span: Span, question: str | None = None) -> Excerpt:
    """Return a clause with its speaker, the words around it, and the question that it answers."""
    start, end = span
    left, right = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    if start > _AROUND:
        left = left.partition(" ")[2]  # no half word
    if end + _AROUND < len(text):
        right = right.rpartition(" ")[0]
    prefix = opening(speaker, question) + left
    clause = text[start:end]
    return Excerpt(prefix + clause + right, (len(prefix), len(prefix) + len(clause)))


def pack(tokenizer: "Tokenizer", reading: Reading, *, pair: bool) -> Packed:
    """Return "[CLS] earlier [SEP] ... text [SEP]".

    Of a long older thought the start is read, and of a long turn before the end.
    """
    ids = [_CLS]
    earlier: list[Span] = []
    for excerpt in reading.earlier:
        encoding = tokenizer.encode(excerpt.text, add_special_tokens=False)
        if pair:
            first, last, clause = _clip(encoding.offsets, excerpt.span)
        else:
            first, last, clause = len(encoding.ids) - _MOST_BEFORE, len(encoding.ids), (0, 0)
        earlier.append((len(ids) + clause[0], len(ids) + clause[1]))
        ids += [*encoding.ids[max(0, first) : last], _SEP]
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


def _clip(offsets: Sequence[Span], span: Span) -> tuple[int, int, Span]:
    """Return which tokens of an excerpt are read, from and until, and where its clause is there.

    A long clause is cut at its end; what is before it gets two thirds of the room left.
    """
    inside = [n for n, (left, right) in enumerate(offsets) if left < span[1] and right > span[0]]
    start, end = (inside[0], inside[-1] + 1) if inside else (0, 0)
    end = min(end, start + _MOST_CLAUSE)
    first = max(0, start - 2 * (_MOST_OLDER - (end - start)) // 3)
    return first, first + _MOST_OLDER, (start - first, end - first)


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
