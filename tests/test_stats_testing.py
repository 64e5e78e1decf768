"""Paired tests: hand-computed, by conversation, corrected within a declared family."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.card.audit.differences import compare_systems, correct, pair
from evals.card.records import Record
from evals.stats.bootstrap import means, weights
from evals.stats.testing import cliffs_delta, cohens_d, compare, holm, magnitude


def record(system: str, haystack: str, question: str, score: float, **more: object) -> Record:
    given: dict[str, object] = {
        "data": "d", "kind": "fact", "answerable": True, "regime": "replay",
        "scores": {"MRR": score, "F1": 0.5},
    }  # fmt: skip
    return Record(haystack=haystack, question=question, system=system, **(given | more))  # type: ignore[arg-type]


def rows(system: str, *scores: float, **more: object) -> list[Record]:
    return [record(system, f"h{n}", f"q{n}", score, **more) for n, score in enumerate(scores)]


def test_three_conversations_that_all_improve_have_a_p_of_a_quarter() -> None:
    # 2 of the 8 ways to flip three signs are as far from zero
    result = compare(np.ones(3), np.zeros(3), ["a", "b", "c"], seed=0)

    assert result.p == pytest.approx(0.25)
    assert (result.difference, result.delta, result.d) == (1, 1, None)
    assert (result.n, result.clusters) == (3, 3)


def test_many_questions_of_few_conversations_are_no_evidence_of_their_own() -> None:
    # sums +50 +50 −50 +50: 10 of 16 ways to flip them give 100 or more, either way
    clusters = [f"h{n // 50}" for n in range(200)]
    ours = np.array([0.0 if row == "h2" else 1.0 for row in clusters])

    result = compare(ours, 1 - ours, clusters, seed=0)
    assert result.p == pytest.approx(10 / 16)
    assert result.low is not None
    assert result.low < 0 < result.difference


def test_the_interval_is_the_harness_own_one_by_conversation() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = rng.random(60), rng.random(60)
    clusters = [f"h{n % 7}" for n in range(60)]

    result = compare(ours, theirs, clusters, 5)
    (expected,) = means((ours - theirs)[:, None], weights(clusters, 5))
    assert result.low == pytest.approx(expected.low)
    assert result.high == pytest.approx(expected.high)


def test_one_conversation_gives_a_difference_and_no_interval_and_no_p() -> None:
    result = compare(np.ones(9), np.zeros(9), ["only"] * 9, seed=0)

    assert (result.difference, result.low, result.high, result.p) == (1, None, None, None)


def test_equal_systems_are_as_equal_as_can_be() -> None:
    result = compare(np.ones(4), np.ones(4), list("abcd"), seed=0)

    assert (result.difference, result.low, result.high, result.p) == (0, 0, 0, 1)


def test_the_same_seed_gives_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    ours, theirs, clusters = rng.random(40), rng.random(40), [f"h{n}" for n in range(40)]

    assert compare(ours, theirs, clusters, 1) == compare(ours, theirs, clusters, 1)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=7))
def test_turning_the_sides_over_turns_the_difference_and_keeps_p(values: list[int]) -> None:
    ours, zero = np.array(values, dtype=float), np.zeros(len(values))
    names = [f"h{n}" for n in range(len(values))]

    row, mirrored = compare(ours, zero, names, 0), compare(zero, ours, names, 0)
    assert row.p == pytest.approx(mirrored.p)
    assert row.difference == -mirrored.difference


def test_effect_sizes_by_hand() -> None:
    differences = np.array([1.0, 1.0, 0.0, -1.0])

    assert cliffs_delta(differences) == 0.25  # two won, one lost, of four
    assert cohens_d(differences) == pytest.approx(0.25 / np.sqrt(11 / 12))
    assert [magnitude(row) for row in (0.1, -0.2, 0.4, 0.5)] == [
        "negligible", "small", "medium", "large",
    ]  # fmt: skip


def test_holm_by_hand_leaves_out_what_could_not_be_tested() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([None]) == [None]


def test_records_are_paired_by_question_and_probes_are_left_out() -> None:
    ours = [*rows("a", 1, 1, 1), record("a", "h0", "q0", 0, step=9, probe=True)]
    theirs = [*rows("b", 0, 0), record("b", "h9", "q9", 1)]

    result = pair(ours, theirs, "MRR")
    assert (result.scores.tolist(), result.baseline.tolist(), result.alone) == ([1, 1], [0, 0], 2)
    assert result.clusters == ["h0", "h1"]
    shared = pair([replace(row, cluster="both") for row in ours], theirs, "MRR")
    assert shared.clusters == ["both", "both"]


def test_a_step_of_the_online_regime_is_paired_with_the_same_step() -> None:
    ours = [record("a", "h", "q", step, step=step) for step in (1, 2, 3)]
    theirs = [record("b", "h", "q", 0, step=step) for step in (1, 2)]

    assert pair(ours, theirs, "MRR").scores.tolist() == [1, 2]


def test_ours_is_compared_with_every_other_inside_its_data_and_regime() -> None:
    records = [
        *rows("ours", 1, 1, 1, 1), *rows("x", 0, 0, 0, 0), *rows("y", 1, 1, 0, 0),
        *rows("ours", 1, 0, regime="online"), *rows("x", 1, 0, regime="online"),
        *rows("x", 1, 0, data="other"),
    ]  # fmt: skip

    result = compare_systems(records, ["MRR", "F1", "absent"], system="ours", seed=0)
    assert [(row.family, row.theirs, row.metric) for row in result] == [
        ("d × replay", "x", "MRR"), ("d × replay", "x", "F1"),
        ("d × replay", "y", "MRR"), ("d × replay", "y", "F1"),
        ("d × online", "x", "MRR"), ("d × online", "x", "F1"),
    ]  # fmt: skip
    first = result[0]
    assert (first.difference, first.p, first.n, first.effect) == (1, pytest.approx(1 / 8), 4, 1)
    assert first.p_holm == pytest.approx(4 / 8)  # of four in the family
    assert (first.d, result[2].d) == (None, pytest.approx(0.5 / np.sqrt(1 / 3)))


def test_families_are_corrected_apart() -> None:
    two = compare_systems([*rows("a", 1, 1, 1), *rows("b", 0, 0, 0)], ["MRR"], system="a", seed=0)
    mirrored = compare_systems(
        [*rows("a", 1, 1, 1, data="e"), *rows("b", 0, 0, 0, data="e")], ["MRR"], system="a", seed=0
    )

    assert [row.p_holm for row in correct([*two, *mirrored])] == pytest.approx([0.25, 0.25])
