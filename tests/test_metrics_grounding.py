"""Support by words: what the rule takes for support, and what it does not."""

import pytest

from evals.metrics import grounding

PASSAGES = [
    "Ann: I moved to Oslo on 8 May 2023, for a job at the harbour.",
    "Bob: Lovely! I have never been to Norway.",
    "Ann: My sister paid 3.5 million for her house.",
]


def test_sentences_end_neither_at_titles_nor_inside_numbers() -> None:
    text = "Dr. Lee met J. Smith. It cost 3.5 francs [1]! Why?\n- a line\n住在东京。很好。"

    assert grounding.sentences(text) == [
        "Dr. Lee met J. Smith.", "It cost 3.5 francs !", "Why?", "a line", "住在东京。", "很好。",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "passage"),
    [
        ("She moved to Oslo.", 0),
        ("Ann is moving to Oslo for jobs.", 0),  # stems
        ("Ann moved on 8 May 2023 [2].", 0),
        ("Bob has never been to Norway.", 1),
        ("The sister's house: 3.5 million", 2),
    ],
)
def test_a_claim_is_supported_by_the_passage_that_has_its_words(claim: str, passage: int) -> None:
    (sentence,) = grounding.sentences(claim)

    assert grounding.attribution(sentence, PASSAGES, {passage}) == 1


@pytest.mark.parametrize(
    "claim",
    [
        "Ann moved to Bergen for a job at the harbour.",  # another name
        "Ann moved to Oslo on 9 May 2023.",  # another number
        "The sister paid 3.6 million for her house.",
        "Ann never moved to Oslo.",  # denied
        "Ann didn't move to Oslo.",
        "Then O'Brien moved to Oslo.",
        "The cat sleeps.",
        "Yes.",
    ],
)
def test_a_wrong_name_number_or_denial_is_not_supported(claim: str) -> None:
    assert not grounding.citation_coverage(claim, PASSAGES)


def test_too_few_shared_words_are_no_support() -> None:
    claim = "boats carry cold grey fish"

    assert grounding.citation_coverage(claim, ["carry cold grey bags"]) == 1
    assert grounding.citation_coverage(claim, ["carry cold bags"]) == 0


def test_coverage_is_the_share_of_claims_that_a_passage_supports() -> None:
    reply = "Ann moved to Oslo. She has two cats. Yes. I don't know her age."

    assert grounding.claims(reply) == ["Ann moved to Oslo.", "She has two cats."]
    assert grounding.citation_coverage(reply, PASSAGES) == 0.5
    assert grounding.citation_coverage(reply, []) == 0


def test_a_reply_without_claims_has_no_rate() -> None:
    assert grounding.citation_coverage("I don't know.", PASSAGES) is None
    assert grounding.attribution("", PASSAGES, {0}) is None


def test_attribution_asks_for_the_gold_passage() -> None:
    assert grounding.attribution("Ann moved to Oslo.", PASSAGES, {0}) == 1
    assert grounding.attribution("Ann moved to Oslo.", PASSAGES, {1}) == 0
    assert grounding.attribution("Oslo", ["Oslo is cold", "I am in Oslo"], {1}) == 1  # equals
    assert grounding.attribution("She moved to Oslo. The cat sleeps.", PASSAGES, {0}) == 0.5


def test_content_is_words_that_tell_by_their_stem() -> None:
    assert grounding.content("the dogs barked") == {"dog", "bark"}
    assert grounding.content("the") == frozenset()


def test_sets_of_evidence_by_hand() -> None:
    used, gold = ["a", "b", "c", "c"], ["b", "d"]

    assert grounding.context_precision(used, gold) == pytest.approx(1 / 3)
    assert grounding.context_recall(used, gold) == 0.5
    assert grounding.evidence_f1(used, gold) == pytest.approx(2 * (1 / 3) * 0.5 / (1 / 3 + 0.5))
    assert grounding.evidence_f1([], gold) == 0
    assert grounding.context_precision([], gold) is None
    assert grounding.context_recall(used, []) is grounding.evidence_f1(used, []) is None
