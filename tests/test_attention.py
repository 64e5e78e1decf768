"""What chunk attention promises: HCAM's arithmetic, and not a trace of what is masked."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from memkit.attention import (
    AttentionOutput,
    attend,
    attend_inside,
    chunk_keys,
    pack,
    position_code,
    select_chunks,
)
from memkit.retrieval import fusion

Array = NDArray[np.float64]
POSITIONS = pytest.mark.parametrize("positions", [False, True])


class Case(NamedTuple):
    queries: Tensor
    contents: Tensor
    mask: Tensor | None
    k: int
    positions: bool


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def coin(*shape: int, chance: float = 0.5, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < chance


@st.composite
def cases(draw: st.DrawFn, masks: tuple[str, ...] = ("none", "shared", "per query")) -> Case:
    b, q, m, c, k = (draw(st.integers(1, high)) for high in (3, 3, 6, 5, 7))
    d, seed = draw(st.sampled_from([2, 4, 8])), draw(st.integers(0, 999))
    kind, chance = draw(st.sampled_from(masks)), draw(st.sampled_from([0.0, 0.1, 0.5, 0.9]))
    shape = (b, q, m, c) if kind == "per query" else (b, m, c)
    mask = None if kind == "none" else coin(*shape, chance=chance, seed=seed)
    contents = normal(b, m, c, d, seed=seed + 1)
    return Case(normal(b, q, d, seed=seed), contents, mask, k, draw(st.booleans()))


def run(case: Case, **changed: Any) -> AttentionOutput:
    case = case._replace(**changed)
    return attend(
        case.queries, case.contents, k=case.k, mask=case.mask, positions=case.positions, scale=0.7
    )


def spread(read: AttentionOutput, chunks: int) -> Tensor:
    """The scores of all turns, [B, Q, M, C]; 0 for chunks that were not opened."""
    b, q, _, c = read.turn_weights.shape
    index = read.chunks.unsqueeze(-1).expand_as(read.turn_weights)
    return torch.zeros(b, q, chunks, c).scatter_add(2, index, read.scores)


# ---- the arithmetic, once more with loops


def softmax(numbers: list[float]) -> list[float]:
    powers = [math.exp(number - max(numbers)) for number in numbers]
    return [power / sum(powers) for power in powers]


def read_one(query: Array, memory: Array, mask: NDArray[np.bool_], case: Case) -> tuple[Array, Any]:
    """One query's output [D] and scores [M, C]."""
    chunks, turns, size = memory.shape
    visible = [[c for c in range(turns) if mask[m, c]] for m in range(chunks)]
    logit = {
        m: 0.7 * float(query @ (sum(memory[m, c] for c in visible[m]) / len(visible[m])))
        for m in range(chunks)
        if visible[m]
    }
    chosen = sorted(logit, key=lambda m: -logit[m])[: case.k]
    output, scores = np.zeros(size), np.zeros((chunks, turns))
    for m, weight in zip(chosen, softmax([logit[m] for m in chosen]), strict=True):
        seen = {c: memory[m, c] + code(turns - 1 - c, size) * case.positions for c in visible[m]}
        shares = softmax([0.7 * float(query @ vector) for vector in seen.values()])
        for (c, vector), share in zip(seen.items(), shares, strict=True):
            output += weight * share * vector
            scores[m, c] = weight * share
    return output, scores


def code(age: int, size: int) -> Array:
    angles = [age / 10_000 ** (2 * i / size) for i in range(size // 2)]
    return np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


@settings(max_examples=200)
@given(cases())
def test_output_and_scores_are_those_of_the_plain_loops(case: Case) -> None:
    read = run(case)
    scores = spread(read, case.contents.shape[1])
    mask = torch.ones(scores.shape, dtype=torch.bool)
    if case.mask is not None:
        mask = (case.mask if case.mask.dim() == 4 else case.mask[:, None]).expand_as(mask)
    for b, q in np.ndindex(*case.queries.shape[:2]):
        query, memory = case.queries[b, q].double().numpy(), case.contents[b].double().numpy()
        output, expected = read_one(query, memory, mask[b, q].numpy(), case)
        np.testing.assert_allclose(read.output[b, q].numpy(), output, atol=1e-5)
        np.testing.assert_allclose(scores[b, q].numpy(), expected, atol=1e-5)


def test_the_position_code_is_the_one_worked_out_by_hand() -> None:
    expected = [  # sin(p), sin(p / 100), cos(p), cos(p / 100) for the positions 2, 1, 0
        [0.909297, 0.019999, -0.416147, 0.999800],
        [0.841471, 0.010000, 0.540302, 0.999950],
        [0.0, 0.0, 1.0, 1.0],
    ]
    assert position_code(3, 4).tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


def test_the_default_scale_is_one_over_the_root_of_the_dimension() -> None:
    queries, contents = normal(1, 2, 16), normal(1, 5, 3, 16, seed=1)
    read, expected = attend(queries, contents, k=3), attend(queries, contents, k=3, scale=0.25)
    assert torch.equal(read.scores, expected.scores)


@given(cases())
def test_the_scores_of_a_query_sum_to_one_or_to_zero_if_it_may_see_nothing(case: Case) -> None:
    total = run(case).scores.sum((-2, -1))
    one = torch.ones_like(total)
    if case.mask is not None:
        one = case.mask.flatten(-2).any(-1).float().reshape(len(total), -1).expand_as(total)
    assert torch.allclose(total, one, atol=1e-5)


def test_the_chunks_come_in_the_order_of_their_relevance() -> None:
    keys = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [2.0, 0.0], [-1.0, 0.0]]])
    chosen = select_chunks(torch.tensor([[[1.0, 0.0]]]), keys, 3, scale=1.0)
    assert chosen.chunks.tolist() == [[[1, 2, 0]]]
    assert chosen.weights[0, 0].tolist() == pytest.approx(softmax([3.0, 2.0, 1.0]))


# ---- the one in recall


@given(st.lists(st.integers(1, 6), max_size=30), st.integers(0, 999))
def test_recalls_attention_over_cosines_is_this_one(lengths: list[int], seed: int) -> None:
    cosines = normal(sum(lengths), seed=seed).double().tanh()
    chunks = np.repeat(np.arange(len(lengths)) * 3, lengths)
    scores = fusion.attention_scores(chunks, cosines.numpy())
    contents, mask = pack(cosines[:, None], lengths)
    read = attend(
        contents.new_ones(1, 1, 1), contents[None], k=fusion.ATTENDED, mask=mask[None], scale=10
    )
    expected = torch.zeros(mask.shape).double()
    expected[read.chunks[0, 0]] = read.scores[0, 0]
    top = expected.max() if lengths else 1
    np.testing.assert_allclose(scores, (expected[mask] / top).numpy(), atol=1e-12)


# ---- the published package, htm-pytorch, with projections that change nothing


def published(size: int, k: int, *, chunk: int, positions: bool, eps: float) -> Any:
    htm = pytest.importorskip("htm_pytorch").HTMAttention(
        size, 1, topk_mems=k, mem_chunk_size=chunk, dim_head=size, add_pos_enc=positions, eps=eps
    )
    with torch.no_grad():
        for parameter in htm.parameters():
            one = torch.eye(size) if parameter.dim() == 2 else torch.zeros(size)
            parameter.copy_(one.repeat(len(parameter) // size, *[1] * (one.dim() - 1)))
    return htm.requires_grad_(False)


def theirs(case: Case, *, eps: float = 0.0, **masks: Tensor) -> Tensor:
    _, _, chunk, size = case.contents.shape
    htm = published(size, case.k, chunk=chunk, positions=case.positions, eps=eps)
    answer: Tensor = htm(case.queries, case.contents.flatten(1, 2), **masks)
    return answer


def ours(case: Case) -> Tensor:
    queries, contents, mask, k, positions = case
    return attend(queries, contents, k=k, mask=mask, positions=positions).output


def example(*, positions: bool, mask: Tensor | None = None, k: int = 3) -> Case:
    return Case(normal(2, 4, 8), normal(2, 6, 5, 8, seed=2), mask, k, positions)


@POSITIONS
@pytest.mark.parametrize("k", [1, 3, 6])
def test_without_a_mask_the_output_is_that_of_htm_pytorch(k: int, positions: bool) -> None:
    case = example(positions=positions, k=k)
    assert torch.allclose(ours(case), theirs(case), atol=1e-5)


@POSITIONS
def test_with_a_turn_mask_the_output_is_that_of_htm_pytorch_without_its_epsilon(
    positions: bool,
) -> None:
    mask = coin(2, 6, 5, chance=0.4)
    mask[:, 1] = False  # a chunk without turns
    mask[1, 1:5] = False  # fewer than k chunks with turns
    case = example(positions=positions, mask=mask)
    assert torch.allclose(ours(case), theirs(case, mask=mask.flatten(1)), atol=1e-5)


@POSITIONS
def test_with_a_mask_over_chunks_the_output_is_that_of_htm_pytorch(positions: bool) -> None:
    chunks = coin(2, 4, 6)
    assert chunks.any(-1).all()
    case = example(positions=positions, mask=chunks.unsqueeze(-1).expand(-1, -1, -1, 5))
    assert torch.allclose(ours(case), theirs(case, chunk_attn_mask=chunks), atol=1e-5)


def test_htm_pytorch_reads_what_is_masked_where_every_chunk_is() -> None:
    nothing = torch.zeros(2, 4, 6, dtype=torch.bool)
    case = example(positions=False, mask=nothing.unsqueeze(-1).expand(-1, -1, -1, 5))
    other = case._replace(contents=case.contents + 1)
    leaked = theirs(other, chunk_attn_mask=nothing) - theirs(case, chunk_attn_mask=nothing)
    assert torch.allclose(leaked, torch.ones(()))
    assert not ours(case).any()
    assert not ours(other).any()


def test_htm_pytorch_answers_with_the_position_code_where_every_turn_is_masked() -> None:
    mask = torch.zeros(2, 6, 5, dtype=torch.bool)
    case = example(positions=True, mask=mask)
    answer = theirs(case, mask=mask.flatten(1))
    assert torch.allclose(answer, position_code(5, 8).mean(0).expand_as(answer))
    assert not ours(case).any()


def test_htm_pytorch_shrinks_the_mean_by_its_epsilon() -> None:
    mask = torch.ones(2, 6, 5, dtype=torch.bool)
    case = example(positions=False, mask=mask)
    with_eps = theirs(case, eps=1.0, mask=mask.flatten(1))
    shrunk = chunk_keys(case.contents, mask) * 5 / (5 + 1.0)
    read = attend(case.queries, case.contents, k=3, keys=shrunk)
    assert torch.allclose(with_eps, read.output, atol=1e-5)
    assert not torch.allclose(with_eps, ours(case), atol=1e-3)


def test_htm_pytorch_attends_to_its_padding_unless_a_mask_is_passed() -> None:
    turns, queries = normal(13, 8), normal(1, 4, 8, seed=1)
    htm = published(8, 3, chunk=5, positions=True, eps=0.0)
    contents, mask = (made.unsqueeze(0) for made in pack(turns, [3, 5, 5]))

    def ours(mask: Tensor | None) -> Tensor:
        return attend(queries, contents, k=3, mask=mask, positions=True).output

    everything = torch.ones(1, 13, dtype=torch.bool)
    assert torch.allclose(htm(queries, turns.unsqueeze(0), mask=everything), ours(mask), atol=1e-5)
    assert torch.allclose(htm(queries, turns.unsqueeze(0)), ours(None), atol=1e-5)
    assert not torch.allclose(ours(None), ours(mask), atol=1e-3)


def test_htm_pytorch_refuses_to_choose_more_chunks_than_there_are() -> None:
    case = example(positions=False, k=7)
    with pytest.raises(RuntimeError, match="out of range"):
        theirs(case)
    assert torch.equal(ours(case), ours(case._replace(k=6)))


# ---- masks


@given(cases(masks=("shared", "per query")), st.integers(0, 999))
def test_what_no_query_may_see_changes_nothing_whatever_it_is(case: Case, seed: int) -> None:
    assert case.mask is not None
    seen = case.mask if case.mask.dim() == 3 else case.mask.any(1)
    for other in (normal(*case.contents.shape, seed=seed) * 100, torch.tensor(math.nan)):
        contents = torch.where(seen.unsqueeze(-1), case.contents, other)
        before, after = run(case), run(case, contents=contents)
        assert torch.equal(before.output, after.output)
        assert torch.equal(before.scores, after.scores)


@given(cases(masks=("per query",)), st.integers(0, 999))
def test_what_only_another_query_may_see_changes_nothing(case: Case, seed: int) -> None:
    assert case.mask is not None
    seen = case.mask[:, 0].unsqueeze(-1)
    other = torch.where(seen, case.contents, normal(*case.contents.shape, seed=seed) * 100)
    before, after = run(case), run(case, contents=other)
    assert torch.equal(before.output[:, 0], after.output[:, 0])
    assert torch.equal(before.scores[:, 0], after.scores[:, 0])


@given(cases(masks=("shared", "per query")))
def test_masked_turns_and_chunks_have_weights_of_exactly_zero(case: Case) -> None:
    assert case.mask is not None
    read, mask = run(case), case.mask
    mask = (mask if mask.dim() == 4 else mask.unsqueeze(1)).expand(-1, read.chunks.shape[1], -1, -1)
    opened = torch.take_along_dim(mask, read.chunks.unsqueeze(-1), 2)
    assert not read.turn_weights[~opened].any()
    assert not read.chunk_weights[~opened.any(-1)].any()
    assert read.chunk_weights[opened.any(-1)].all()


@given(cases(masks=("shared",)))
def test_a_mask_for_all_queries_is_the_same_mask_for_each(case: Case) -> None:
    assert case.mask is not None
    each = case.mask.unsqueeze(1).repeat(1, case.queries.shape[1], 1, 1)
    assert torch.allclose(run(case).output, run(case, mask=each).output, atol=1e-5)


def test_a_valid_chunk_is_chosen_before_any_masked_one_however_bad_it_is() -> None:
    keys = torch.tensor([[[9.0], [-1e30], [8.0]]])
    chosen = select_chunks(torch.ones(1, 1, 1), keys, 2, torch.tensor([[[False, True, False]]]))
    assert chosen.chunks[0, 0, 0] == 1
    assert chosen.weights.tolist() == [[[1.0, 0.0]]]


def test_a_chunk_without_turns_has_a_key_of_zeros() -> None:
    keys = chunk_keys(normal(1, 2, 3, 4), torch.tensor([[[False] * 3, [True] * 3]]))
    assert not keys[0, 0].any()
    assert keys[0, 1].all()


# ---- shapes


@given(cases(), st.integers(7, 50))
def test_more_chunks_than_there_are_means_all_of_them(case: Case, k: int) -> None:
    chunks = case.contents.shape[1]
    read = run(case, k=k)
    assert (
        read.chunks.sort(-1).values.tolist() == torch.arange(chunks).expand_as(read.chunks).tolist()
    )
    assert torch.equal(read.output, run(case, k=chunks).output)


@pytest.mark.parametrize(("chunks", "turns"), [(0, 3), (2, 0), (0, 0)])
def test_an_empty_memory_gives_zeros(chunks: int, turns: int) -> None:
    read = attend(normal(2, 3, 4), torch.zeros(2, chunks, turns, 4), k=5, positions=True)
    assert read.scores.shape == (2, 3, chunks, turns)
    assert torch.equal(read.output, torch.zeros(2, 3, 4))


@given(cases())
def test_a_batch_reads_what_each_of_its_rows_and_queries_reads_alone(case: Case) -> None:
    together, masks = run(case), case.mask
    for b, q in np.ndindex(*case.queries.shape[:2]):
        mask = None
        if masks is not None:
            mask = masks[b : b + 1, q : q + 1] if masks.dim() == 4 else masks[b : b + 1]
        query = case.queries[b : b + 1, q : q + 1]
        alone = run(case, queries=query, contents=case.contents[b : b + 1], mask=mask)
        assert torch.allclose(alone.output[0, 0], together.output[b, q], atol=1e-5)


@given(cases(masks=("none", "shared")), st.randoms(use_true_random=False))
def test_chunks_in_another_order_are_chosen_by_their_new_numbers(case: Case, random: Any) -> None:
    order = list(range(case.contents.shape[1]))
    random.shuffle(order)
    mask = None if case.mask is None else case.mask[:, order]
    before, after = run(case), run(case, contents=case.contents[:, order], mask=mask)
    assert torch.allclose(before.output, after.output, atol=1e-5)
    assert torch.allclose(
        spread(before, len(order))[:, :, order], spread(after, len(order)), atol=1e-5
    )


def test_turns_packed_into_chunks_stand_at_the_end_of_theirs() -> None:
    contents, mask = pack(torch.arange(1, 7).unsqueeze(-1), [2, 0, 3, 1])
    assert contents.squeeze(-1).tolist() == [[0, 1, 2], [0, 0, 0], [3, 4, 5], [0, 0, 6]]
    assert torch.equal(mask, contents.squeeze(-1) > 0)


@given(st.lists(st.integers(0, 5), max_size=6))
def test_packed_turns_come_back_in_order(lengths: list[int]) -> None:
    turns = normal(sum(lengths), 3)
    contents, mask = pack(turns, lengths)
    assert torch.equal(contents[mask], turns)
    assert mask.sum(-1).tolist() == lengths


@pytest.mark.parametrize("lengths", [[2, 2], [6, -1], []])
def test_lengths_that_do_not_add_up_to_the_turns_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match=r"sum to 5, got \["):
        pack(normal(5, 2), lengths)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"queries": normal(3, 4)}, r"queries must have shape \[B, Q, D\]; got \[3, 4\]"),
        ({"contents": normal(1, 5, 2, 9)}, r"contents .* D = 4; got \[1, 5, 2, 9\]"),
        ({"contents": normal(1, 2, 4)}, r"contents must have shape \[B, M, C, D\]"),
        ({"mask": coin(1, 5)}, r"mask .* \[B, M, C\] or \[B, Q, M, C\].* M = 5, C = 2; got"),
        ({"mask": coin(1, 2, 5, 2)}, r"mask .* Q = 3"),
        ({"mask": torch.ones(1, 5, 2)}, r"mask must be boolean, got torch.float32"),
        ({"keys": normal(1, 4, 4)}, r"keys .* got \[1, 4, 4\]"),
        ({"k": 0}, r"k must be at least 1 chunk, got 0"),
        ({"queries": normal(1, 3, 5), "contents": normal(1, 5, 2, 5)}, r"even dimension, got 5"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    right: dict[str, Any] = {"queries": normal(1, 3, 4), "contents": normal(1, 5, 2, 4), "k": 2}
    with pytest.raises(ValueError, match=message):
        attend(**(right | wrong), positions=True)


# ---- precision, gradients, cost


@POSITIONS
def test_half_precision_gives_the_same_to_its_own_accuracy(positions: bool) -> None:
    case = example(positions=positions, mask=coin(2, 6, 5))
    half = case._replace(queries=case.queries.bfloat16(), contents=case.contents.bfloat16())
    rounded = half._replace(queries=half.queries.float(), contents=half.contents.float())
    assert run(half).output.dtype == run(half).scores.dtype == torch.bfloat16
    assert torch.allclose(run(half).output.float(), run(rounded).output, atol=0.03)


@POSITIONS
def test_every_tensor_is_made_where_the_inputs_are(positions: bool) -> None:
    there = torch.device("meta")  # refuses to work with tensors on another device
    contents, mask = pack(torch.empty(9, 8, device=there), [4, 2, 3])
    queries = torch.empty(1, 2, 8, device=there)
    for shown in (None, mask.unsqueeze(0)):
        read = attend(queries, contents.unsqueeze(0), k=2, mask=shown, positions=positions)
        assert {part.device for part in (*read, read.scores)} == {there}


@POSITIONS
@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_gradients_reach_queries_and_contents_on_both_levels(
    chance: float, positions: bool
) -> None:
    mask = coin(2, 4, 3, chance=chance)
    queries, contents = normal(2, 2, 4).double(), normal(2, 4, 3, 4, seed=2).double()

    def output(queries: Tensor, contents: Tensor) -> Tensor:
        return attend(queries, contents, k=2, mask=mask, positions=positions).output

    memory = (queries.requires_grad_(), contents.requires_grad_())
    assert torch.autograd.gradcheck(output, memory, fast_mode=True)


def test_chunks_that_are_not_chosen_are_not_opened() -> None:
    queries, contents = normal(1, 1, 8), normal(1, 6, 5, 8, seed=2)
    keys = chunk_keys(contents)
    read = attend(queries, contents, k=2, keys=keys)
    unopened = torch.ones(6, dtype=torch.bool)
    unopened[read.chunks.flatten()] = False
    contents[:, unopened] = math.nan
    assert torch.equal(attend(queries, contents, k=2, keys=keys).output, read.output)


def test_given_keys_decide_which_chunks_are_opened() -> None:
    queries, contents = torch.ones(1, 1, 8), torch.ones(1, 6, 5, 8)
    keys = torch.zeros(1, 6, 8)
    keys[0, 4] = 1
    assert attend(queries, contents, k=1, keys=keys).chunks.item() == 4
    each = torch.stack([keys, keys.roll(1, 1)], 1)
    read = attend(queries.repeat(1, 2, 1), contents, k=1, keys=each)
    assert read.chunks.tolist() == [[[4], [5]]]


def test_inside_is_an_attention_of_its_own_for_every_chunk() -> None:
    queries, contents = normal(2, 3, 8), normal(2, 3, 4, 5, 8, seed=2)
    found = attend_inside(queries, contents, scale=0.7)
    expected = torch.nn.functional.scaled_dot_product_attention(
        queries[:, :, None, None].expand(-1, -1, 4, -1, -1), contents, contents, scale=0.7
    )
    assert torch.allclose(found.results, expected.squeeze(-2), atol=1e-5)
    assert torch.allclose(found.weights.sum(-1), torch.ones(2, 3, 4))
