"""Exact things share a term with their other spellings, and none with a permutation of them."""

import time
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memkit.text.codes import codes
from memkit.text.words import search_terms

DIGITS = st.text("0123456789", min_size=8, max_size=12)
NUMBERS = st.lists(st.integers(0, 300), min_size=3, max_size=4)
NAMES = st.lists(st.text("abcdefghij", min_size=2, max_size=6), min_size=3, max_size=4)


@given(DIGITS, st.data())
def test_a_number_is_found_however_it_is_spaced(digits: str, data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(2, len(digits) - 2), min_size=1, max_size=4))
    ends = [0, *sorted(cuts), len(digits)]
    groups = [digits[start:end] for start, end in pairwise(ends)]
    mark = data.draw(st.sampled_from([" ", "-", ".", "/", "\xa0", " - "]))

    spaced, joined = f"Call {mark.join(groups)}!", f"Who is {digits}?"

    assert digits in set(search_terms(spaced)) & set(search_terms(joined))


@pytest.mark.parametrize(
    "other",
    [
        "+491518953298",
        "0151 8953298",
        "0049 151 8953298",
        "+49 (0)151 895 32 98",
        "(0151) 8953-298",
    ],
)
def test_a_phone_number_is_found_with_and_without_the_code_of_its_country(other: str) -> None:
    assert set(codes("+49 151 8953298")) & set(codes(other))


@given(NUMBERS, st.randoms(use_true_random=False))
def test_versions_and_addresses_of_permuted_numbers_share_no_spelling_with_marks(
    numbers: list[int], rng: object
) -> None:
    permuted = numbers.copy()
    rng.shuffle(permuted)  # type: ignore[attr-defined]
    assume(permuted != numbers)

    first, second = (codes(".".join(map(str, each))) for each in (numbers, permuted))

    assert first[0] not in second
    assert second[0] not in first


@given(NAMES, st.sampled_from(["/{}/{}/{}", r"C:\{}\{}\{}", "{}.{}@{}.example", "{}_{}_{}.txt"]))
def test_paths_and_mail_addresses_are_told_from_their_permutations(
    names: list[str], form: str
) -> None:
    assume(names[0] != names[1])

    first = codes(f"It is in {form.format(*names)}, I think.")[0]

    assert first == codes(form.format(*names).upper())[0]
    assert first not in codes(form.format(names[1], names[0], *names[2:]))


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("$1,250.00", "$1250"), ("1.250,00 €", "1250 euros"), ("1 250", "1250"),
        ("v1.2.3", "version 1.2.3"), ("order #48-22-19", "order 482219"), ("AB 12 CD", "AB12CD"),
        ("10.0.1.2:8080", "10.0.1.2"), ("https://mail.example.com/inbox", "mail.example.com"),
    ],
)  # fmt: skip
def test_amounts_and_names_with_numbers_share_a_term_in_other_spellings(
    said: str, asked: str
) -> None:
    assert set(codes(said)) & set(search_terms(asked))


@given(st.text("abc AB12-./@(\\é東", max_size=60))
def test_a_code_is_one_word_to_full_text(text: str) -> None:
    assert all(code.isascii() and code.isalnum() for code in codes(text))


@pytest.mark.parametrize("text", ["he/she", "and/or", "well-known", "e.g. this", "I have 5 cats."])
def test_words_are_no_codes(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize("unit", ["1-", "A ", "a1 ", "a.b", "(1) ", "/a", "12 ", "x", "_"])
def test_a_long_text_takes_time_in_proportion(unit: str) -> None:
    text = unit * 100_000
    start = time.perf_counter()
    codes(text)
    assert time.perf_counter() - start < 5
