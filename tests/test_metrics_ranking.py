"""Rank metrics, intervals and abstention: by hand, by property, and against libraries."""

from typing import Any

import ir_measures
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evals.metrics import confidence as abstention
from evals.metrics import retrieval as metrics
from evals.stats import bootstrap as statistics

# ---- metrics

PLACES = st.lists(st.one_of(st.none(), st.integers(1, 60)), min_size=1, max_size=8).filter(
    lambda ranks: len([p for p in ranks if p]) == len({p for p in ranks if p})
)
CUT = st.sampled_from([1, 5, 10, 50])


def test_metrics_of_a_case_by_hand() -> None:
    ranks = metrics.places(["x", "a", "y", "b", "a"], ["a", "b", "c"])

    assert ranks == (2, 4, None)
    assert metrics.recall(ranks, 1) == metrics.any_of(ranks, 1) == 0
    assert metrics.recall(ranks, 2) == pytest.approx(1 / 3)
    assert (metrics.any_of(ranks, 2), metrics.all_of(ranks, 50)) == (1, 0)
    assert metrics.reciprocal_rank(ranks) == 0.5
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    assert metrics.ndcg(ranks, 10) == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / ideal)
    assert metrics.ndcg(ranks, 3) == pytest.approx(1 / np.log2(3) / ideal)


def test_sessions_rank_where_their_first_turn_does() -> None:
    session = {"t1": "a", "t2": "b", "t3": "a", "t4": "c"}

    assert metrics.sessions(["t2", "t3", "unknown", "t1", "t2"], session) == ["b", "a"]


@given(ranks=PLACES, k=CUT)
def test_any_is_at_least_recall_and_recall_at_least_all(ranks: list[int | None], k: int) -> None:
    assert (
        1 >= metrics.any_of(ranks, k) >= metrics.recall(ranks, k) >= metrics.all_of(ranks, k) >= 0
    )
    assert 0 <= metrics.ndcg(ranks, k) <= 1
    assert (metrics.any_of(ranks, k) == 1) == (metrics.reciprocal_rank(ranks) >= 1 / k)


@given(ranks=PLACES)
def test_metrics_are_what_trec_eval_says(ranks: list[int | None]) -> None:
    gold = {f"g{n}": 1 for n in range(len(ranks))}
    at = {place: f"g{n}" for n, place in enumerate(ranks) if place}
    ranking = {at.get(place, f"x{place}"): 1.0 / place for place in range(1, 61)}
    ours = {
        "R@5": metrics.recall(ranks, 5),
        "R@20": metrics.recall(ranks, 20),
        "Success@10": metrics.any_of(ranks, 10),
        "RR": metrics.reciprocal_rank(ranks),
    }

    library = ir_measures.calc_aggregate(
        [ir_measures.parse_measure(name) for name in ours], {"q": gold}, {"q": ranking}
    )

    assert {str(name): value for name, value in library.items()} == pytest.approx(ours, abs=1e-6)


# ---- statistics

VALUES = np.array([0.0, 1.0, 1.0, 0.5, 0.0, 0.25, 1.0, 0.75, 0.0, 1.0, 0.5, 0.5])
CLUSTERS = np.array(list("aaaabbccddef"))


def test_the_interval_by_conversation_is_scipys() -> None:
    names = sorted(set(CLUSTERS))
    sums, sizes = (
        np.array([of(VALUES[name == CLUSTERS]) for name in names]) for of in (np.sum, np.size)
    )
    (ours,) = statistics.means(VALUES[:, None], statistics.weights(CLUSTERS, 0))

    theirs = scipy.stats.bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis),
        paired=True, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip

    assert ours.value == VALUES.mean()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_one_conversation_has_no_interval_and_questions_of_their_own_no_strata() -> None:
    assert statistics.weights(np.array(["a"] * 5), 0) is None
    assert statistics.weights(np.array(list("abc")), 0, within=True) is None
    (only,) = statistics.means(VALUES[:, None], None)
    assert (only.low, only.high, only.n) == (None, None, 12)


def test_conversations_that_differ_widen_only_the_interval_by_conversation() -> None:
    apart = np.array([0.0] * 6 + [1.0] * 6)
    clusters = np.array(list("aaabbbcccddd"))

    by, inside = (
        statistics.means(apart[:, None], statistics.weights(clusters, 0, within=within))[0]
        for within in (False, True)
    )

    assert (inside.low, inside.high) == (0.5, 0.5)
    assert (by.low, by.high) == (0, 1)


def test_inside_one_conversation_questions_are_drawn_as_scipy_draws_them() -> None:
    resampled = statistics.weights(np.array(["a"] * len(VALUES)), 0, within=True)
    (ours,) = statistics.means(VALUES[:, None], resampled)

    theirs = scipy.stats.bootstrap(
        (VALUES,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval

    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_questions_that_are_not_scored_do_not_count() -> None:
    holes = np.array([1.0, np.nan, 0.0, np.nan])

    (mean,) = statistics.means(holes[:, None], statistics.weights(np.array(list("aabb")), 0))

    assert (mean.value, mean.n) == (0.5, 2)
    with pytest.raises(ValueError, match="mean of nothing"):
        statistics.means(np.full((3, 1), np.nan), None)


def test_a_seed_repeats_an_interval_and_another_does_not() -> None:
    def interval(seed: int) -> Any:
        return statistics.bootstrap(lambda rows: float(VALUES[rows].mean()), CLUSTERS, seed)

    assert interval(3) == interval(3) != interval(4)


# ---- abstention

QUESTIONS = st.lists(
    st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30
)  # (confidence, a flag)


def test_risk_and_coverage_of_a_case_by_hand() -> None:
    best = abstention.confidences([0.9, None, 0.5, 0.7])
    wrong = np.array([False, True, True, False])

    coverage, risk = abstention.risk_coverage(best, wrong)

    assert coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert risk == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert abstention.aurc(best, wrong) == pytest.approx((1 / 3 + 1 / 2) / 4)


@given(asked=QUESTIONS, seed=st.integers(0, 9))
def test_the_order_of_questions_does_not_matter(asked: list[tuple[int, bool]], seed: int) -> None:
    best, wrong = (
        np.array([float(pair[0]) for pair in asked]),
        np.array([pair[1] for pair in asked]),
    )
    order = np.random.default_rng(seed).permutation(len(asked))

    assert abstention.aurc(best, wrong) == pytest.approx(abstention.aurc(best[order], wrong[order]))


@given(asked=QUESTIONS)
def test_auroc_is_scikit_learns(asked: list[tuple[int, bool]]) -> None:
    best, flags = (
        np.array([float(pair[0]) for pair in asked]),
        np.array([pair[1] for pair in asked]),
    )
    ours = abstention.auroc(best, flags)

    if flags.all() or not flags.any():
        assert ours is None
    else:
        assert ours == pytest.approx(roc_auc_score(flags, best))
