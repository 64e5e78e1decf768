"""Right answers and refusals: by hand and by property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.metrics import answers
from memkit.errors import InvalidInput

WORDS = st.sampled_from(["the", "cat", "sat", "on", "mat", "red", "dog", "7"])
TEXT = st.lists(WORDS, max_size=9).map(" ".join)


def test_words_are_squads_and_keep_other_scripts() -> None:
    assert answers.normalise("The  Eiffel-Tower, isn’t it?") == "eiffeltower isnt it"
    assert answers.normalise("“Ärzte” — Привет") == "ärzte привет"
    assert answers.normalise("我住在Oslo。") == "我 住 在 oslo"
    assert answers.normalise("ＡＢ１") == "ab1"
    assert answers.normalise("The") == "the"


def test_exact_match_looks_past_case_articles_and_punctuation_only() -> None:
    assert answers.exact("the Oslo.", ["Bergen", "Oslo"]) == 1
    assert answers.exact("in Oslo", ["Oslo"]) == 0


def test_f1_of_cases_by_hand() -> None:
    assert answers.f1("he moved to Oslo", ["Oslo"]) == pytest.approx(2 * 1 * (1 / 4) / (1 + 1 / 4))
    assert answers.f1("red red dog", ["red dog dog"]) == pytest.approx(2 / 3)
    assert answers.f1("cat", ["dog", "a cat"]) == 1
    assert answers.f1("cat", ["dog"]) == 0
    assert answers.f1("东京", ["东海"]) == 0.5


def test_rouge_l_counts_the_longest_common_subsequence_of_our_words() -> None:
    assert answers.rouge_l("The cat, on a mat", "cat sat on mat") == pytest.approx(6 / 7)
    assert answers.rouge_l("住在东京", "住在京东") == 0.75
    assert answers.rouge_l("", "cat") == answers.rouge_l("cat", "") == 0


def test_contains_needs_the_words_in_a_row() -> None:
    assert answers.contains("It was the 7th of May, I think.", ["7th of May"]) == 1
    assert answers.contains("It was 7th, maybe of May.", ["7th of May"]) == 0
    assert answers.contains("a catalogue", ["cat"]) == 0
    assert answers.contains("他住在东京都", ["东京"]) == 1
    assert answers.contains("anything", ["?"]) == 0


def test_words_of_a_longer_answer_do_not_say_a_shorter_one() -> None:
    assert answers.stated("She lives in New York.", ["York", "New York"]) == ("New York",)
    assert answers.stated("From York to New York.", ["York", "New York"]) == ("York", "New York")


@pytest.mark.parametrize("score", [answers.exact, answers.f1, answers.contains])
def test_nothing_is_scored_without_an_answer(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput, match="no answer"):
        score("Oslo", [])


@given(text=TEXT, answer=TEXT)
def test_exact_is_at_most_f1_and_rouge_l_at_most_f1(text: str, answer: str) -> None:
    f1 = answers.f1(text, [answer])

    assert answers.exact(text, [answer]) <= f1 <= 1
    assert 0 <= answers.rouge_l(text, answer) <= f1 + 1e-9
    assert f1 == answers.f1(answer, [text])


@pytest.mark.parametrize(
    "text",
    [
        "", "I don't know.", "I do not know where she lives.", "Sorry, I don’t remember that.",
        "Unknown", "N/A", "Not mentioned.", "It is not mentioned in the conversation.",
        "The conversation does not mention her job.", "No information available.",
        "There is no information about that.", "There is no mention of a dog.",
        "That can't be determined from the notes.", "I'm not sure.", "I have no record of that.",
        "It hasn't been explicitly stated.", "The notes don't contain this.",
        "I don't have enough information to answer.", "I couldn't find any information on it.",
        "It is impossible to tell.", "Insufficient context.", "Her age is not known.",
    ],
)  # fmt: skip
def test_refusals_are_seen(text: str) -> None:
    assert answers.says_unknown(text)


@pytest.mark.parametrize(
    "text",
    [
        "I don't like jazz.", "She doesn't know how to swim.", "He did not mention it to her.",
        "Unknown Pleasures, by Joy Division", "No, she moved to Oslo.", "No",
        "She is not known for her patience.", "He was not given a raise.",
        "Ann was not available on Tuesday.", "It was said in May.", "She has no memory of it.",
        "We can not eat nuts.", "There is no dog.", "The note she mentioned", "Nothing", "none",
    ],
)  # fmt: skip
def test_answers_are_not_taken_for_refusals(text: str) -> None:
    assert not answers.says_unknown(text)
