"""HCAM's chunk attention over stored vectors: choose a few chunks, then look inside those only.

A chunk is a stretch of turns with one key, the mean of its turns. A query is compared with every
key, the k most relevant chunks are opened, attention runs over the turns inside each, and what it
finds is added up by the chunks' relevance. A turn's score is its chunk's weight times its own.

Nothing here is trained: one head, identity projections. Learned ones are the caller's, applied to
queries, keys and contents beforehand; so are layer norm, the residual and `detach()` of the memory
(the published code stops its gradient, this one does not).

Shapes: B batch, Q queries, M chunks, C turns in a chunk, D dimension, k chosen chunks. Masks are
boolean, true for what may be seen; scope, session and `as_of` are masks. What is masked has weight
exactly 0 and may hold anything; only where one query may see it and another not, it must be finite.

Source: Lampinen, Chan, Banino and Hill, NeurIPS 2021 (arXiv 2105.14039), as DeepMind's published
module computes it: the softmax is over the k chosen logits, not over all. On purpose it differs
from that module (a) and from htm-pytorch 0.0.4 (b), as tests/test_attention.py shows for (b):

* Where every chunk is masked the result is 0. In (a) and (b) k equal logits give weights of 1/k,
  so what is masked is read: its contents, or with (b)'s turn mask the position code.
* A key is the mean of exactly the turns a query may see. In (b) it is sum / (count + 1e-5), and no
  mask is per query and turn; in (a) keys come from outside and a mask hides whole chunks only.
* Chunks are the caller's and may differ in length. (b) cuts them itself, counting from the newest
  turn, and pads the oldest with zeros that are attended to like turns unless a mask is passed.
* k may exceed M. Chosen chunks are gathered by index; (b) copies all of M for every query.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Selected(NamedTuple):
    """The chunks chosen for each query, most relevant first."""

    chunks: Tensor  # [B, Q, k] int64; where fewer than k are valid, others follow with weight 0
    weights: Tensor  # [B, Q, k], of sum 1, or all 0 where no chunk is valid


class Inside(NamedTuple):
    """What attention inside each chosen chunk found."""

    weights: Tensor  # [B, Q, k, C], of sum 1 in each chunk, or all 0 in one without valid turns
    results: Tensor  # [B, Q, k, D]


class Attended(NamedTuple):
    """What a query read from memory, and from where."""

    output: Tensor  # [B, Q, D]
    chunks: Tensor  # [B, Q, k] int64
    chunk_weights: Tensor  # [B, Q, k]
    turn_weights: Tensor  # [B, Q, k, C], within their chunk

    @property
    def scores(self) -> Tensor:
        """Chunk weight × turn weight, [B, Q, k, C]: 0 to 1, of sum 1 over all turns of a query."""
        return self.chunk_weights.unsqueeze(-1) * self.turn_weights


def attend(
    queries: Tensor,
    contents: Tensor,
    *,
    k: int,
    mask: Tensor | None = None,
    keys: Tensor | None = None,
    scale: float | None = None,
    positions: bool = False,
) -> Attended:
    """Read from the k most relevant chunks what is relevant inside them.

    Args:
        queries: [B, Q, D].
        contents: [B, M, C, D], the turns of each chunk, oldest first.
        k: chunks to open for each query; more than M opens all M.
        mask: turns that may be seen, [B, M, C] or, for each query its own, [B, Q, M, C]. A chunk
            is valid if any of its turns is. None shows all.
        keys: [B, M, D] or [B, Q, M, D], if not `chunk_keys(contents, mask)`. Keys made without the
            mask let masked turns decide which chunks are chosen.
        scale: of the dot products on both levels, an inverse temperature; 1/√D if None.
        positions: add `position_code` to contents inside chunks (in keys and values, as published).

    Raises:
        ValueError: shapes that do not fit, a mask that is not boolean, k below 1.

    Cost: O(M·D + k·C·D) per query in time and k·C·D in memory, if the keys are given or shared;
    a mask per query makes keys of its own, M·C·D in time and M·D in memory.

    >>> bees, jazz = [1.0, 0.0], [0.0, 1.0]
    >>> memory = torch.tensor([[[bees, bees], [jazz, bees], [jazz, jazz]]])
    >>> read = attend(torch.tensor([[jazz]]), memory, k=2, scale=10.0)
    >>> read.chunks.tolist(), read.scores.argmax().item()
    ([[[2, 1]]], 0)
    """
    sizes = _fit(
        queries=(queries, "BQD"),
        contents=(contents, "BMCD"),
        mask=(mask, "BMC|BQMC"),
        keys=(keys, "BMD|BQMD"),
    )
    if mask is None:
        mask = contents.new_ones(contents.shape[:-1], dtype=torch.bool)
    if keys is None:
        keys = chunk_keys(contents, mask)
    turns = mask if mask.dim() == 4 else mask.unsqueeze(1).expand(-1, sizes["Q"], -1, -1)
    chosen = select(queries, keys, k, turns.any(-1), scale=scale)

    row = torch.arange(sizes["B"], device=contents.device)[:, None, None]
    query = torch.arange(sizes["Q"], device=contents.device)[:, None]
    opened, visible = contents[row, chosen.chunks], turns[row, query, chosen.chunks]
    found = inside(queries, opened, visible, scale=scale, positions=positions)
    output = torch.einsum("bqk,bqkd->bqd", chosen.weights, found.results)
    return Attended(output, chosen.chunks, chosen.weights, found.weights)


def chunk_keys(contents: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return each chunk's key, the mean of its visible turns; zeros if it has none.

    `contents` is `[B, M, C, D]`. A mask `[B, M, C]` gives `[B, M, D]`; a mask `[B, Q, M, C]` gives
    `[B, Q, M, D]`.
    """
    _fit(contents=(contents, "BMCD"), mask=(mask, "BMC|BQMC"))
    if mask is None:
        mask = contents.new_ones(contents.shape[:-1], dtype=torch.bool)
    seen = mask if mask.dim() == 3 else mask.any(1)
    turns = contents.masked_fill(~seen.unsqueeze(-1), 0)
    total = torch.einsum("b...mc,bmcd->b...md", mask.to(contents.dtype), turns)
    return total / mask.sum(-1, keepdim=True).clamp(min=1)


def select(
    queries: Tensor, keys: Tensor, k: int, mask: Tensor | None = None, *, scale: float | None = None
) -> Selected:
    """Choose the k chunks most relevant to each query; weigh them by a softmax over these k.

    `queries` is [B, Q, D], `keys` [B, M, D] or [B, Q, M, D], `mask` [B, Q, M]. See `attend`.
    """
    sizes = _fit(queries=(queries, "BQD"), keys=(keys, "BMD|BQMD"), mask=(mask, "BQM"))
    if k < 1:
        raise ValueError(f"k must be at least 1 chunk, got {k}")
    pairs = "bqd,bmd->bqm" if keys.dim() == 3 else "bqd,bqmd->bqm"
    logits = torch.einsum(pairs, queries, keys) * _scale(scale, sizes["D"])
    if mask is None:
        mask = torch.ones_like(logits, dtype=torch.bool)
    lowest = torch.finfo(logits.dtype).min
    top = logits.masked_fill(~mask, lowest).topk(min(k, sizes["M"]), dim=-1)
    return Selected(top.indices, _softmax(top.values, mask.gather(-1, top.indices)))


def inside(
    queries: Tensor,
    contents: Tensor,
    mask: Tensor | None = None,
    *,
    scale: float | None = None,
    positions: bool = False,
) -> Inside:
    """Attend to the turns inside each chosen chunk.

    `queries` is [B, Q, D], `contents` [B, Q, k, C, D], `mask` [B, Q, k, C]. See `attend`.
    """
    sizes = _fit(queries=(queries, "BQD"), contents=(contents, "BQkCD"), mask=(mask, "BQkC"))
    if mask is None:
        mask = contents.new_ones(contents.shape[:-1], dtype=torch.bool)
    turns = contents.masked_fill(~mask.unsqueeze(-1), 0)  # 0 × NaN would be NaN
    if positions:
        turns = turns + position_code(sizes["C"], sizes["D"], turns.device).to(turns.dtype)
    logits = torch.einsum("bqd,bqkcd->bqkc", queries, turns) * _scale(scale, sizes["D"])
    weights = _softmax(logits, mask)
    return Inside(weights, torch.einsum("bqkc,bqkcd->bqkd", weights, turns))


def position_code(length: int, dimension: int, device: torch.device | None = None) -> Tensor:
    """Return the sinusoidal code of a chunk, [length, dimension]: sines, then cosines.

    Positions count back from the newest turn, which stands last and has position 0.
    """
    if dimension % 2:
        raise ValueError(f"a position code needs an even dimension, got {dimension}")
    age = torch.arange(length - 1, -1, -1, dtype=torch.float32, device=device)
    pace = 10_000 ** -(torch.arange(0, dimension, 2, device=device) / dimension)
    angles = age.unsqueeze(-1) * pace
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def pack(turns: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cut `turns`, [T, D], into chunks of these lengths; return [M, C, D] and their mask [M, C].

    Shorter chunks are padded in front, so that the newest turn of each stands last, at position 0.
    Packing `torch.arange(T).unsqueeze(-1)` in the same way tells which turn stands where.
    """
    _fit(turns=(turns, "TD"))
    if min(lengths, default=0) < 0 or sum(lengths) != len(turns):
        raise ValueError(f"lengths must be 0 or more and sum to {len(turns)}, got {lengths}")
    sizes = torch.tensor(lengths, dtype=torch.int64, device=turns.device)
    room = max(lengths, default=0)
    mask = torch.arange(room, 0, -1, device=turns.device) <= sizes.unsqueeze(-1)
    empty = turns.new_zeros(len(lengths), room, turns.shape[-1])
    return empty.masked_scatter(mask.unsqueeze(-1), turns), mask


def _softmax(logits: Tensor, valid: Tensor) -> Tensor:
    """Softmax over what is valid; exactly 0 elsewhere, and everywhere if nothing is valid."""
    lowest = torch.finfo(logits.dtype).min  # not -inf: a row of it is a row of NaN
    return logits.masked_fill(~valid, lowest).softmax(-1).masked_fill(~valid, 0)


def _scale(given: float | None, dimension: int) -> float:
    return dimension**-0.5 if given is None else given


def _fit(**tensors: tuple[Tensor | None, str]) -> dict[str, int]:
    """Return the size of each dimension, or say which tensor does not fit those before it."""
    sizes: dict[str, int] = {}
    for name, (tensor, forms) in tensors.items():
        if tensor is None:
            continue
        if name == "mask" and tensor.dtype != torch.bool:
            raise ValueError(f"mask must be boolean, got {tensor.dtype}")
        shape = tuple(tensor.shape)
        form = next((form for form in forms.split("|") if len(form) == len(shape)), "")
        if not form or any(sizes.get(d, n) != n for d, n in zip(form, shape, strict=True)):
            wanted = " or ".join(f"[{', '.join(form)}]" for form in forms.split("|"))
            known = "".join(f", {d} = {n}" for d, n in sizes.items())
            raise ValueError(f"{name} must have shape {wanted}{known}; got {list(shape)}")
        sizes |= zip(form, shape, strict=True)
    return sizes
