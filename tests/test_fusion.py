"""Fusion: the share of each signal, and the relevance of a hit."""

from collections.abc import Mapping
from math import exp

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from timelines import TIMELINES

from memkit.protocols import Integers
from memkit.retrieval import fusion
from memkit.retrieval.ranker import bundled_ranker
from memkit.retrieval.windows import Floats, Windows

PARTS = st.floats(0, 1)
LEXICAL = ("lexical", "lexical window")


def floats(*values: float) -> Floats:
    return np.array(values, dtype=float)


# ---- weights

WEIGHTS = {name: 1 / len(fusion.SIGNALS) for name in fusion.SIGNALS}


@given(st.fixed_dictionaries({name: st.floats(-1, 1) for name in fusion.SIGNALS}))
def test_the_weighted_signals_sum_to_a_score_from_0_to_1(signals: dict[str, float]) -> None:
    shares = fusion.weigh_signals({name: floats(score) for name, score in signals.items()}, WEIGHTS)
    assert all(0 <= share[0] <= WEIGHTS[name] for name, share in shares.items())
    assert 0 <= sum(share[0] for share in shares.values()) <= 1 + 1e-12


def test_what_is_opposite_to_the_question_is_only_as_far_as_what_has_nothing_to_do_with_it() -> (
    None
):
    shares = fusion.weigh_signals({"dense": floats(-0.7, 0.0)}, WEIGHTS)
    assert shares["dense"].tolist() == [0, 0]


def test_a_longer_chunk_says_more_up_to_a_length() -> None:
    lengths = fusion.length_scores(np.array([1, 2, 30, 254, 255, 256, 10**6]))
    assert (np.diff(lengths) >= 0).all()
    assert 0 < lengths[0] < lengths[2] < lengths[3] < lengths[4] == lengths[-1] == 1


# ---- attention

COSINES = TIMELINES.flatmap(
    lambda line: st.tuples(
        st.just(Windows(line).chunks(np.arange(len(line)))),
        st.lists(st.floats(-1, 1), min_size=len(line), max_size=len(line), unique=True).map(
            lambda cosines: floats(*cosines)
        ),
    )
)


def softmax(cosines: Mapping[int, float]) -> dict[int, float]:
    total = sum(exp(cosine * 10) for cosine in cosines.values())
    return {key: exp(cosine * 10) / total for key, cosine in cosines.items()}


@given(COSINES)
def test_attention_is_the_chunks_weight_times_the_weight_inside(
    case: tuple[Integers, Floats],
) -> None:
    chunks, cosines = case
    keys = {chunk: float(cosines[chunks == chunk].mean()) for chunk in chunks.tolist()}
    assume(len(set(keys.values())) == len(keys))  # of equal chunks any may be opened
    opened = softmax(dict(sorted(keys.items(), key=lambda key: -key[1])[: fusion.ATTENDED]))
    expected = np.zeros(len(chunks))
    for chunk, weight in opened.items():
        inside = softmax({n: cosines[n] for n in np.flatnonzero(chunks == chunk).tolist()})
        expected[list(inside)] = [weight * within for within in inside.values()]

    expected /= expected.max(initial=0) or 1
    assert fusion.attention_scores(chunks, cosines) == pytest.approx(expected)


def test_what_is_in_no_attended_chunk_has_no_attention() -> None:
    n = fusion.ATTENDED + 4
    cosines = np.linspace(0.9, 0.1, 2 * n)
    scores = fusion.attention_scores(np.arange(2 * n) // 2, cosines)
    assert (scores > 0).tolist() == [True] * 2 * fusion.ATTENDED + [False] * 2 * 4
    assert scores[0] == scores.max() == 1


def test_nothing_to_attend_to_is_no_special_case() -> None:
    assert fusion.attention_scores(np.arange(0), floats()).shape == (0,)
    assert fusion.attention_scores(np.arange(1), floats(-0.5)).tolist() == [1]


# ---- time

WEEK = 7 * 86_400 * 10**6
TIMES = np.array([-2, -1, 0, 1, 2, 3, 4, 6]) * WEEK


def test_what_was_said_in_the_time_named_counts_fully_and_less_before_and_after() -> None:
    scores = fusion.time_scores(TIMES, [(0, 2 * WEEK)])
    assert scores.tolist() == [0.25, 0.5, 1, 1, 1, 0.5**0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("span", "first", "last"), [((0, None), 0.25, 1), ((None, 0), 1, 0.125), ((None, None), 1, 1)]
)
def test_an_open_end_is_never_too_early_or_too_late(
    span: tuple[int | None, int | None], first: float, last: float
) -> None:
    scores = fusion.time_scores(TIMES, [span])
    assert (scores[0], scores[-1]) == (first, last)


def test_of_several_times_named_the_best_counts() -> None:
    spans = [(-2 * WEEK, -WEEK), (3 * WEEK, 4 * WEEK)]
    both = fusion.time_scores(TIMES, spans)
    assert (both == np.maximum(*(fusion.time_scores(TIMES, [span]) for span in spans))).all()
    assert both[[0, 1, 5, 6]].tolist() == [1, 1, 1, 1]


def test_where_no_time_is_named_none_is_near() -> None:
    assert fusion.time_scores(TIMES, []).tolist() == [0] * len(TIMES)
    assert fusion.time_scores(TIMES[:0], [(0, WEEK)]).shape == (0,)


@given(st.lists(st.integers(-(2**62), 2**62)), st.integers(-(2**61), 2**61), st.integers(0, 2**60))
def test_time_scores_are_from_0_to_1(times: list[int], since: int, length: int) -> None:
    scores = fusion.time_scores(np.array(times, dtype=np.int64), [(since, since + length)])
    assert ((scores >= 0) & (scores <= 1)).all()


# ---- what was said again

ALIKE = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
DAYS = np.array([1, 2, 3])


def latest(*speakers: float, vectors: Floats = ALIKE, days: Integers = DAYS) -> Floats:
    return fusion.latest_scores(vectors, vectors[:, 0], days, floats(*speakers))


def test_what_is_said_later_in_like_words_counts_less_the_more_alike_they_are() -> None:
    assert latest(1, 1, 1) == pytest.approx([0.2, 0.04, 1])


def test_what_an_assistant_says_does_not_outdate_what_a_person_said() -> None:
    assert latest(1, 1, 0) == pytest.approx([0.2, 1, 1])


def test_an_equal_text_outdates_nothing() -> None:
    assert latest(1, 1, vectors=ALIKE[[0, 0]], days=DAYS[:2]).tolist() == [1, 1]


def test_what_was_said_at_the_same_time_outdates_nothing() -> None:
    assert latest(1, 1, 1, days=np.zeros(3, dtype=np.int64)).tolist() == [1, 1, 1]
    assert latest(vectors=ALIKE[:0], days=DAYS[:0]).shape == (0,)


# ---- relevance

SCORES = st.lists(PARTS, max_size=30).map(lambda scores: floats(*sorted(scores, reverse=True)))
CALIBRATION = bundled_ranker().calibration


def relevance(scores: Floats, *, unrelated: float = 0.2, doubtful: bool = False) -> Floats:
    leads = fusion.leads(scores, unrelated)
    return fusion.estimate_relevance(leads, CALIBRATION, doubtful=doubtful)


@given(SCORES, PARTS, st.booleans())
def test_relevance_falls_with_the_score_and_lies_between_0_and_1(
    scores: Floats, unrelated: float, doubtful: bool
) -> None:
    found = relevance(scores, unrelated=unrelated, doubtful=doubtful)
    assert found.shape == scores.shape
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) <= 0).all()


@given(SCORES)
def test_doubt_halves_relevance_and_keeps_the_order(scores: Floats) -> None:
    assert relevance(scores, doubtful=True) == pytest.approx(relevance(scores) / 2)


def test_of_fewer_than_ten_something_unrelated_stands_in_for_the_tenth() -> None:
    nine = np.linspace(0.6, 0.2, 9)
    assert relevance(nine).tolist() == relevance(np.append(nine, 0.2))[:9].tolist()
    assert (relevance(nine, unrelated=0.1) > relevance(nine)).all()


def test_many_that_score_far_above_the_unrelated_are_all_answers() -> None:
    assert (fusion.leads(floats(*[0.8] * 12), 0.2) > 0.4).all()


def test_what_comes_after_the_tenth_says_nothing_about_those_before() -> None:
    scores = np.linspace(0.6, 0.0, 30)
    assert relevance(scores)[:10].tolist() == relevance(scores[:10]).tolist()


def test_what_stands_out_is_more_probable_than_one_of_many() -> None:
    alone, of_many = floats(0.4, *[0.2] * 12), floats(*[0.3] * 12)
    assert relevance(alone)[0] > 0.8
    assert relevance(of_many)[0] < 0.3
    assert relevance(floats(0.15))[0] < fusion.AUTO


def test_an_unrelated_chunk_scores_as_much_as_its_priors_and_a_little_more() -> None:
    weighted = {name: floats(0.0, 0.1) for name in fusion.SIGNALS}
    weighted["person"] = floats(0.05, 0.2)
    assert fusion.unrelated_score(weighted) == pytest.approx(0.5 + fusion._UNRELATED)
    assert fusion.unrelated_score({}) == fusion._UNRELATED


@pytest.mark.parametrize(
    ("lexical", "said", "by_others"),
    [
        ([], [], False),
        ([0.0, 0.0], [0, 1], False),
        ([0.0, 0.0], [0, 0], False),
        ([0.5, 0.2], [1, 0], False),
        ([0.2, 0.5], [1, 0], True),
        ([0.2, 0.5], [0, 1], False),
        ([0.5, 0.5], [0, 1], False),
        ([0.5, 0.1], [0, 0], True),
        ([0.5, 0.1], [1, 1], False),
        ([0.4] * 10 + [0.9], [0] * 10 + [1], True),
        ([0.4] * 10 + [0.9], [1] * 10 + [0], False),
    ],
    ids=[
        "nothing", "no words", "no words, nobody named", "most by the one named", "most by another",
        "the other way round", "as much", "nobody named among them", "all by those named",
        "the one named is not among ten", "another is not among ten",
    ],
)  # fmt: skip
def test_doubt_is_where_another_than_the_one_named_said_most_of_the_words(
    lexical: list[float], said: list[float], by_others: bool
) -> None:
    assert fusion.is_said_by_another(floats(*lexical), floats(*said)) is by_others
