"""HCAM's chunk attention over stored vectors: select a few chunks, then attend inside those only.

A chunk is a stretch of turns with one key, the mean of its turns. A query is compared with every
key, the k most relevant chunks are opened, attention runs over the turns inside each, and the
results are summed by the chunks' weights. A turn's score is its chunk's weight times its own.

Nothing here is trained: one head, identity projections. A caller with learned projections applies
them to queries, keys and contents beforehand, and layer norm, the residual and `detach()` of the
memory as well (the published code stops the memory's gradient, this module does not).

Shapes: B batch, Q queries, M chunks, C turns in a chunk, D dimension, k selected chunks. Masks are
boolean, true for visible turns; scope, session and `as_of` are masks. A masked turn has weight
exactly 0 and any content. If one query may see it and another may not, it must be finite.

Source: Lampinen, Chan, Banino and Hill, NeurIPS 2021 (arXiv 2105.14039), as DeepMind's published
module computes it: the softmax is over the k selected logits, not over all. docs/concepts/hcam.md
lists where this module differs from that one and from htm-pytorch 0.0.4, on purpose.
"""

from collections.abc import Sequence
from typing import NamedTuple

from memkit._moved import serve_old_names
from memkit.errors import hf_packages

with hf_packages("memkit.attention"):
    import torch
    from torch import Tensor


class ChunkSelection(NamedTuple):
    """The chunks selected for each query, most relevant first."""

    chunks: Tensor  # [B, Q, k] int64; where fewer than k are valid, others follow with weight 0
    weights: Tensor  # [B, Q, k], of sum 1, or all 0 where no chunk is valid


class InnerAttention(NamedTuple):
    """The attention inside each selected chunk."""

    weights: Tensor  # [B, Q, k, C], of sum 1 in each chunk, or all 0 in one without valid turns
    results: Tensor  # [B, Q, k, D]


class AttentionOutput(NamedTuple):
    """The content that a query read from memory, and the weights with which it read."""

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
) -> AttentionOutput:
    """Attend to the turns inside the k most relevant chunks.

    Args:
        queries: [B, Q, D].
        contents: [B, M, C, D], the turns of each chunk, oldest first.
        k: chunks to open for each query; more than M opens all M.
        mask: visible turns, [B, M, C] or per query [B, Q, M, C]. A chunk is valid if any of its
            turns is visible. None makes all turns visible.
        keys: [B, M, D] or [B, Q, M, D]; the default is `chunk_keys(contents, mask)`. Keys that
            were computed without the mask let masked turns decide which chunks are selected.
        scale: of the dot products on both levels, an inverse temperature; 1/√D if None.
        positions: add `position_code` to contents inside chunks (in keys and values, as published).

    Raises:
        ValueError: shapes that do not match, a mask that is not boolean, k below 1.

    Cost: O(M·D + k·C·D) per query in time and k·C·D in memory, if all queries share the keys; a
    mask per query needs keys per query, M·C·D in time and M·D in memory.

    >>> bees, jazz = [1.0, 0.0], [0.0, 1.0]
    >>> memory = torch.tensor([[[bees, bees], [jazz, bees], [jazz, jazz]]])
    >>> output = attend(torch.tensor([[jazz]]), memory, k=2, scale=10.0)
    >>> output.chunks.tolist(), output.scores.argmax().item()
    ([[[2, 1]]], 0)
    """
    sizes = _check_shapes(
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
    selection = select_chunks(queries, keys, k, turns.any(-1), scale=scale)

    row = torch.arange(sizes["B"], device=contents.device)[:, None, None]
    query = torch.arange(sizes["Q"], device=contents.device)[:, None]
    chunks, visible = contents[row, selection.chunks], turns[row, query, selection.chunks]
    inner = attend_inside(queries, chunks, visible, scale=scale, positions=positions)
    output = torch.einsum("bqk,bqkd->bqd", selection.weights, inner.results)
    return AttentionOutput(output, selection.chunks, selection.weights, inner.weights)


def chunk_keys(contents: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return each chunk's key, the mean of its visible turns; zeros if it has none.

    `contents` is `[B, M, C, D]`. A mask `[B, M, C]` gives `[B, M, D]`; a mask `[B, Q, M, C]` gives
    `[B, Q, M, D]`.
    """
    _check_shapes(contents=(contents, "BMCD"), mask=(mask, "BMC|BQMC"))
    if mask is None:
        mask = contents.new_ones(contents.shape[:-1], dtype=torch.bool)
    seen = mask if mask.dim() == 3 else mask.any(1)
    turns = contents.masked_fill(~seen.unsqueeze(-1), 0)
    total = torch.einsum("b...mc,bmcd->b...md", mask.to(contents.dtype), turns)
    return total / mask.sum(-1, keepdim=True).clamp(min=1)


def select_chunks(
    queries: Tensor, keys: Tensor, k: int, mask: Tensor | None = None, *, scale: float | None = None
) -> ChunkSelection:
    """Select the k chunks most relevant to each query; weigh them by a softmax over these k.

    `queries` is [B, Q, D], `keys` [B, M, D] or [B, Q, M, D], `mask` [B, Q, M]. See `attend`.
    """
    sizes = _check_shapes(queries=(queries, "BQD"), keys=(keys, "BMD|BQMD"), mask=(mask, "BQM"))
    if k < 1:
        raise ValueError(f"k must be at least 1 chunk, got {k}")
    pairs = "bqd,bmd->bqm" if keys.dim() == 3 else "bqd,bqmd->bqm"
    logits = torch.einsum(pairs, queries, keys) * _scale(scale, sizes["D"])
    if mask is None:
        mask = torch.ones_like(logits, dtype=torch.bool)
    lowest = torch.finfo(logits.dtype).min
    top = logits.masked_fill(~mask, lowest).topk(min(k, sizes["M"]), dim=-1)
    return ChunkSelection(top.indices, _softmax(top.values, mask.gather(-1, top.indices)))


def attend_inside(
    queries: Tensor,
    contents: Tensor,
    mask: Tensor | None = None,
    *,
    scale: float | None = None,
    positions: bool = False,
) -> InnerAttention:
    """Attend to the turns inside each selected chunk.

    `queries` is [B, Q, D], `contents` [B, Q, k, C, D], `mask` [B, Q, k, C]. See `attend`.
    """
    sizes = _check_shapes(
        queries=(queries, "BQD"), contents=(contents, "BQkCD"), mask=(mask, "BQkC")
    )
    if mask is None:
        mask = contents.new_ones(contents.shape[:-1], dtype=torch.bool)
    turns = contents.masked_fill(~mask.unsqueeze(-1), 0)  # 0 × NaN would be NaN
    if positions:
        turns = turns + position_code(sizes["C"], sizes["D"], turns.device).to(turns.dtype)
    logits = torch.einsum("bqd,bqkcd->bqkc", queries, turns) * _scale(scale, sizes["D"])
    weights = _softmax(logits, mask)
    return InnerAttention(weights, torch.einsum("bqkc,bqkcd->bqkd", weights, turns))


def position_code(length: int, dimension: int, device: torch.device | None = None) -> Tensor:
    """Return the sinusoidal code of a chunk, [length, dimension]: sines, then cosines.

    Positions count back from the newest turn, which is last and has position 0.
    """
    if dimension % 2:
        raise ValueError(f"a position code needs an even dimension, got {dimension}")
    age = torch.arange(length - 1, -1, -1, dtype=torch.float32, device=device)
    pace = 10_000 ** -(torch.arange(0, dimension, 2, device=device) / dimension)
    angles = age.unsqueeze(-1) * pace
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def pack(turns: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cut `turns`, [T, D], into chunks of these lengths; return [M, C, D] and their mask [M, C].

    Shorter chunks are padded at the front, so that the newest turn of each is last, at position 0.
    Packing `torch.arange(T).unsqueeze(-1)` the same way gives the index of each turn.
    """
    _check_shapes(turns=(turns, "TD"))
    if min(lengths, default=0) < 0 or sum(lengths) != len(turns):
        raise ValueError(f"lengths must be 0 or more and sum to {len(turns)}, got {lengths}")
    sizes = torch.tensor(lengths, dtype=torch.int64, device=turns.device)
    room = max(lengths, default=0)
    mask = torch.arange(room, 0, -1, device=turns.device) <= sizes.unsqueeze(-1)
    empty = turns.new_zeros(len(lengths), room, turns.shape[-1])
    return empty.masked_scatter(mask.unsqueeze(-1), turns), mask


def _softmax(logits: Tensor, valid: Tensor) -> Tensor:
    """Softmax over the valid entries; exactly 0 elsewhere, and everywhere if none is valid."""
    lowest = torch.finfo(logits.dtype).min  # not -inf: a row of -inf gives NaN
    return logits.masked_fill(~valid, lowest).softmax(-1).masked_fill(~valid, 0)


def _scale(scale: float | None, dimension: int) -> float:
    return dimension**-0.5 if scale is None else scale


def _check_shapes(**tensors: tuple[Tensor | None, str]) -> dict[str, int]:
    """Return the size of each dimension of tensors with forms such as "BMC|BQMC" (either)."""
    sizes: dict[str, int] = {}
    for name, (tensor, forms) in tensors.items():
        if tensor is None:
            continue
        if name == "mask" and tensor.dtype != torch.bool:
            raise ValueError(f"mask must be boolean, got {tensor.dtype}")
        shape = tuple(tensor.shape)
        form = next((form for form in forms.split("|") if len(form) == len(shape)), "")
        if not form or any(sizes.get(d, n) != n for d, n in zip(form, shape, strict=True)):
            expected = " or ".join(f"[{', '.join(form)}]" for form in forms.split("|"))
            dimensions = "".join(f", {d} = {n}" for d, n in sizes.items())
            raise ValueError(f"{name} must have shape {expected}{dimensions}; got {list(shape)}")
        sizes |= zip(form, shape, strict=True)
    return sizes


serve_old_names(__name__)
