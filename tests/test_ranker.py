"""The trained ranking: its file, and the weights that it gives a question."""

import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.retrieval import fusion, ranker

BUNDLED = ranker.bundled_ranker()
FEATURES = st.fixed_dictionaries({name: st.floats(0, 2) for name in BUNDLED.features})


@given(FEATURES)
def test_weights_are_positive_and_sum_to_one_whatever_the_question(
    features: dict[str, float],
) -> None:
    weights = BUNDLED.weights(features)
    assert tuple(weights) == fusion.SIGNALS
    assert all(weight > 0 for weight in weights.values())
    assert sum(weights.values()) == pytest.approx(1)


def test_the_ranker_has_a_slope_for_every_feature_of_a_question() -> None:
    signals = {name: np.zeros(0) for name in fusion.SIGNALS}
    assert set(fusion.question_features("where?", signals)) == set(BUNDLED.features)


def test_a_question_in_the_words_of_its_answer_trusts_words_more() -> None:
    usual = dict(zip(BUNDLED.features, BUNDLED.means.tolist(), strict=True))
    repeated = usual | {"best words": 0.6, "lead of words": 0.5}
    assert BUNDLED.weights(repeated)["lexical"] > BUNDLED.weights(usual)["lexical"]


def test_a_ranker_is_the_same_after_it_was_written_and_read() -> None:
    text = ranker.to_toml(BUNDLED)
    assert ranker.to_toml(ranker.from_tables(tomllib.loads(text))) == text


def test_between_two_people_the_words_around_a_turn_count_nearly_as_much_as_its_own() -> None:
    usual = dict(zip(BUNDLED.features, BUNDLED.means.tolist(), strict=True))
    weights = BUNDLED.weights(usual | {"names a speaker": 1.0, "share of machines": 0.0})
    assert weights["lexical window"] > 0.6 * weights["lexical"]
