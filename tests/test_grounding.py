"""What a claim must show of its source before anybody believes it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.records import Claim, Role, Source, Turn
from memkit.text.words import sentences
from memkit.thoughts.grounding import supported

MONDAY = datetime(2023, 5, 8, 12, tzinfo=UTC)


def check(text: str, source_text: str, piece: str | None = None, **turn: Any) -> bool:
    """Whether a claim is supported by a piece of a turn, or all of it."""
    start = source_text.index(piece) if piece else 0
    source = Source(turn_id="t", start=start, end=start + len(piece or source_text))
    fields = {"id": "t", "name": "Ann", "said_at": MONDAY} | turn
    return supported(Claim(text=text, source=source), Turn(text=source_text, **fields))


FAITHFUL = [
    ("Ann lives in Oslo.", "I live in Oslo."),
    ("The user lives in Oslo", "i live in oslo"),
    ("Ann's dog is named Rex", "My dog Rex is sick, what should I do?"),
    ("Ann is 32 years old", "I'm 32."),
    ("Ann's name is Ann", "Hi, my name is Ann!"),
    ("Ann has moved to Oslo", "I moved to Oslo."),
    ("Ann is moving to Rome", "I'm moving to Rome next week."),
    ("Ann studies maths", "I've been studying maths"),
    ("Ann has two sisters", "I have 2 sisters"),
    ("Ann has 3 kids", "I have three lovely kids and a dog."),
    ("Ann has 25 students", "I teach twenty-five students"),
    ("Ann earns 50000 dollars", "I earn 50,000 dollars"),
    ("Ann read “The Hobbit”", "I read The Hobbit, twice."),
    ("Dr. Lee treats Ann", "Dr. Lee is treating me."),
    ("Ann's favourite colour is green", "My favorite color is green"),
    ("Ann went to the dentist last Friday (2023-05-05)", "I went to the dentist last Friday"),
    ("Ann adores dark Belgian chocolate", "I love dark Belgian chocolate!"),
    ("Ann and others moved to Oslo", "We moved to Oslo"),
    ("Ann does not eat meat", "I never eat meat, fish or eggs"),
    ("Ann does not eat fish", "I never eat meat, fish or eggs"),
    ("Ann stopped smoking", "I stopped smoking."),
    ("Ann used to live in Oslo", "I used to live in Oslo"),
    ("Ann likes coffee", "I don't like tea, but I like coffee."),
    ("Ann does not like tea", "I don't like tea, but I like coffee."),
    ("Ann lives in Oslo", "I live in Oslo and don't have a car."),
    ("Ann lives in Oslo", "No, I live in Oslo."),
    ("Ann asked the assistant for a recipe", "Can you give me a recipe?"),
    ("Ann住在北京", "我住在北京，很喜欢这里"),
    ("用户不喜欢茶", "我不喜欢茶，但是我喜欢咖啡"),
]


@pytest.mark.parametrize(("text", "source_text"), FAITHFUL)
def test_a_claim_in_other_forms_of_the_same_words_is_supported(text: str, source_text: str) -> None:
    assert check(text, source_text)


INVENTED = {
    "a place": ("Ann lives in Bergen", "I live in Oslo"),
    "a place more": ("Ann lives in Oslo in Norway", "I live in Oslo"),
    "a month that is a word": ("Ann moved in May", "I may have moved in June"),
    "a name at the beginning": ("Maria lives in Oslo", "I live in Oslo"),
    "a number": ("Ann has 3 sisters", "I have 2 sisters"),
    "a number in words": ("Ann has three sisters", "I have some sisters"),
    "a number of other things": ("Ann has three dogs", "I have three kids and a dog."),
    "a quotation": ('Ann said "never again"', "I said never mind"),
    "a date": ("Ann saw the dentist last Friday (2023-05-12)", "I saw the dentist last Friday"),
    "a word of three": ("Ann likes green tea", "I like tea"),
    "a place in Chinese": ("用户住在南京", "我住在北京"),
    "nothing at all": ("Ann is there", "I am here"),
}


@pytest.mark.parametrize("case", INVENTED)
def test_a_claim_that_invents_something_is_not_supported(case: str) -> None:
    assert not check(*INVENTED[case])


@pytest.mark.parametrize(
    ("text", "source_text"),
    [
        ("Ann likes tea", "I don't like tea, but I like coffee."),
        ("Ann does not like coffee", "I don't like tea, but I like coffee."),
        ("Ann smokes", "I stopped smoking"),
        ("Ann lives in Oslo", "I used to live in Oslo"),
        ("Ann lives in Oslo", "I no longer live in Oslo"),
        ("Ann eats fish", "I never eat meat, fish or eggs"),
        ("Ann does not live in Oslo", "I live in Oslo"),
        ("Ann likes long walks without music", "I like long walks"),
        ("Ann's boss is Bob", "My ex boss is Bob"),
        ("用户喜欢茶", "我不喜欢茶，但是我喜欢咖啡"),
    ],
)
def test_a_claim_that_turns_a_denial_round_is_not_supported(text: str, source_text: str) -> None:
    assert not check(text, source_text)


@pytest.mark.parametrize("role", ["system", "tool"])
def test_what_no_person_said_supports_nothing(role: Role) -> None:
    assert not check("The user lives in Oslo", "The user lives in Oslo", role=role, name=None)


def test_who_listened_did_not_say_it() -> None:
    assert not check("The assistant likes tea", "I like tea", name=None)
    assert not check("The user likes tea", "I like tea", role="assistant", name=None)
    assert check("The user likes tea", "You like tea", role="assistant", name=None)


def test_a_name_for_you_has_to_be_given() -> None:
    turn = Turn(text="I met your sister.", name="Ann", id="t")
    claim = Claim(text="Ann met Bob's sister", source=Source(turn_id="t", start=0, end=18))
    assert not supported(claim, turn)
    assert supported(claim, turn, listener="Bob")


def test_a_question_states_nothing() -> None:
    assert not check("Ann lives in Oslo", "Do I live in Oslo?")
    assert not check("Ann lives in Oslo", "Hey, can I live in Oslo?")


def test_names_and_numbers_must_stand_in_the_very_sentences() -> None:
    source_text = "Maria called about her 3 cats. I live in Oslo."
    assert not check("Maria lives in Oslo", source_text, "I live in Oslo.")
    assert not check("Ann lives in Oslo with 3 cats", source_text, "I live in Oslo.")
    assert check("Ann lives in Oslo", source_text, "in Oslo")


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (5, 2), (-3, 4), (0, 16), (15, 16), (10**9, 10**9 + 1)]
)
def test_a_source_outside_its_turn_supports_nothing(start: int, end: int) -> None:
    claim = Claim(text="Ann lives in Oslo", source=Source(turn_id="t", start=start, end=end))
    assert not supported(claim, Turn(text="I live in Oslo.", name="Ann", id="t"))


def test_a_source_in_another_turn_supports_nothing() -> None:
    claim = Claim(text="Ann lives in Oslo", source=Source(turn_id="u", start=0, end=15))
    assert not supported(claim, Turn(text="I live in Oslo.", name="Ann", id="t"))


def test_a_claim_has_1_to_300_characters() -> None:
    assert not check("", "I live in Oslo")
    assert not check(" \n", "I live in Oslo")
    assert check("Ann lives in Oslo".ljust(300, "."), "I live in Oslo")
    assert not check("Ann lives in Oslo".ljust(301, "."), "I live in Oslo")


@pytest.mark.parametrize("part", [{"head": "Maria"}, {"tail": "Bergen"}, {"tail": "7"}])
def test_the_parts_of_a_claim_invent_nothing_either(part: dict[str, str]) -> None:
    turn = Turn(text="I live in Oslo.", name="Ann", id="t")
    triple = {"head": "Ann", "relation": "lives in", "tail": "Oslo"}
    source = Source(turn_id="t", start=0, end=15)
    assert supported(Claim(text="Ann lives in Oslo", source=source, **triple), turn)
    assert not supported(Claim(text="Ann lives in Oslo", source=source, **(triple | part)), turn)


@given(st.text(max_size=400), st.text(min_size=1, max_size=200).filter(str.strip))
def test_no_text_breaks_the_check(text: str, source_text: str) -> None:
    turn = Turn(text=source_text.encode("utf-8", "replace").decode(), id="t", said_at=MONDAY)
    source = Source(turn_id="t", start=0, end=len(turn.text))
    supported(Claim(text=text, source=source, head=text, tail=source_text), turn)


@given(st.text(alphabet="aB .!?\n。Dr", max_size=60))
def test_sentences_cover_every_word_once(text: str) -> None:
    spans = sentences(text)
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(a < b for a, b in spans)


@pytest.mark.parametrize(
    "piece", ["a. ", "not ", "“", "1,", "twenty-", "北", "Dr. ", "I'm used to ", "'a", "don't, "]
)
def test_a_very_long_turn_is_checked_to_its_end(piece: str) -> None:
    # a pattern that backtracks for ever meets the test's time limit
    check(piece * (290 // len(piece)), piece * (60_000 // len(piece)))
