"""Run the learned thinker's network: clauses and pairs of clauses in, probabilities out.

The encoder is the bundled all-MiniLM-L6-v2; its adapters and heads are in `weights/`. `training/`
has the data, the script and the model card. Loaded at first use.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memkit.embedders import minilm_folder
from memkit.encoder import load_tokenizer, pad
from memkit.protocols import Integers, Vectors
from memkit.thoughts.inference import TalkModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Span = tuple[int, int]
WEIGHTS = Path(__file__).parent / "weights"

_CLS, _SEP = 101, 102  # BERT's special tokens
_MOST_BEFORE, _MOST_OLDER, _MOST_CLAUSE, _MOST_TURN = 32, 56, 48, 160  # tokens
_AROUND = 80  # characters on either side of an older clause
_MOST_QUESTION = 300  # characters


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
    """Return what is read before the words of a speaker: "Any allergies? user: ".

    Of a very long question the end is read, so that the answer is never cut off.
    """
    return f"{question[-_MOST_QUESTION:]} {speaker}: " if question else f"{speaker}: "


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

    Of a long excerpt the clause and the nearest words are read, of a long turn before the end.
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


def collate(batch: Sequence[Packed]) -> tuple[Integers, Integers, Integers, Vectors, Vectors]:
    """Return ids, segments and mask, shape (n, tokens), and two pools, shape (n, ranges, tokens).

    A pool averages the tokens of each range: of earlier texts, and of the turn's clauses.
    """
    ids = pad([packed.ids for packed in batch])
    segments = pad([packed.segments for packed in batch])
    mask = pad([[1] * len(packed.ids) for packed in batch])
    earlier = _pools([packed.earlier for packed in batch], ids.shape[1])
    return ids, segments, mask, earlier, _pools([packed.clauses for packed in batch], ids.shape[1])


def _pools(rows: Sequence[Sequence[Span | None]], width: int) -> Vectors:
    pools = np.zeros((len(rows), max(map(len, rows)), width), dtype=np.float32)
    for n, ranges in enumerate(rows):
        for k, span in enumerate(ranges):
            if span is not None and span[1] > span[0]:
                pools[n, k, slice(*span)] = 1 / (span[1] - span[0])
    return pools


class TalkReader:
    """Reads clauses and pairs with the trained network. Thread-safe.

    Args:
        weights: the folder of the trained weights.
        int8: compute in int8, in half the time; docs/benchmarks/thoughts.md has what it changes.
    """

    def __init__(self, weights: Path = WEIGHTS, *, int8: bool = True) -> None:
        self._weights = weights
        self._int8 = int8
        self._lock = threading.Lock()  # so that threads that come first do not load it twice

    @cached_property
    def _network(self) -> TalkModel:
        return TalkModel(self._weights / "thinker.safetensors", int8=self._int8)

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        return load_tokenizer(minilm_folder())

    def claims(self, readings: Sequence[Reading]) -> list[Vectors]:
        """Return, for each turn, the probabilities of its clauses' kinds, shape (clauses, 7).

        The last column is the probability that the clause changes something said earlier.
        """
        return self._read(readings, pair=False)

    def pairs(self, readings: Sequence[Reading]) -> list[Vectors]:
        """Return the probabilities of relations for each reading, shape (earlier, clauses, 4)."""
        return self._read(readings, pair=True)

    def _read(self, readings: Sequence[Reading], *, pair: bool) -> list[Vectors]:
        with self._lock:
            network, tokenizer = self._network, self._tokenizer
        return [_run(network, pack(tokenizer, reading, pair=pair), pair) for reading in readings]


def _run(network: TalkModel, packed: Packed, pair: bool) -> Vectors:
    """Return the probabilities of one reading, so that no other reading can change them."""
    ids, segments, mask, earlier, clauses = collate([packed])
    hidden = network.encode(ids, segments, mask)
    rows = network.pairs(hidden, earlier, clauses) if pair else network.claims(hidden, clauses)
    return np.asarray(rows[0])


@lru_cache(maxsize=1)
def bundled_reader() -> TalkReader:
    """Return the reader with the bundled weights, one for the whole process."""
    return TalkReader()
