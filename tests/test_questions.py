"""What a message asks: the question behind a paste, for the first or the last, for a list."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.text.questions import (
    asked_order,
    asks_for_list,
    main_question,
    topic_words,
    with_capitals,
)

PASTE = (
    "The committee met to review the plan for the bridge, which was closed after the floods. "
    "Engineers say that a repair takes eighteen months and moves freight to the northern line. "
    "The mayor wants a ferry, the others point to what the last one cost and how it ended. "
) * 3
QUESTION = "what is my locker code at the gym?"


@pytest.mark.parametrize(
    "message",
    [
        PASTE + QUESTION,
        f"{PASTE}\n\n{QUESTION}",
        f"{QUESTION}\n\n{PASTE}",
        f"{PASTE} {QUESTION} Thanks a lot!",
        f"Hi! {QUESTION} {PASTE}",
        "> " + PASTE.replace(". ", "?\n> ") + f"\n\n{QUESTION}",
        f"```\n{PASTE}why?\n```\n{QUESTION}",
        f"{PASTE.replace('. ', ' ')}{QUESTION}",
        f"{'Is this it? ' * 40}The end of the interview is here and it was long. {QUESTION}",
    ],
)
def test_the_question_before_or_after_a_paste_is_what_counts(message: str) -> None:
    assert main_question(message) == QUESTION


@given(st.text(max_size=80))
def test_a_short_message_is_asked_as_it_is(message: str) -> None:
    assert main_question(message) == message


def test_a_long_message_without_a_question_is_asked_as_it_is() -> None:
    assert main_question(PASTE) == PASTE


def test_questions_together_count_together() -> None:
    assert main_question(PASTE + "Where do I live? Who is my dentist?") == (
        "Where do I live? Who is my dentist?"
    )


@given(st.text(st.sampled_from("ab ?.>`\n"), min_size=100, max_size=400))
def test_no_message_is_asked_as_nothing(message: str) -> None:
    assert bool(main_question(message).strip()) == bool(message.strip())


LAST = [
    "What did I say last?", "What was the last thing I told you?", "What did I just say?",
    "What was my latest message?", "Which book did I read most recently?", "When did I last run?",
    "What's the most recent thing I told you?", "When was the last time I ran?",
]  # fmt: skip
FIRST = [
    "What did I say first?", "What was the first thing I told you?", "What did I first tell you?",
    "What was my very first message?", "What is the earliest thing I mentioned?",
    "What was the first book that I read?", "How did our conversation begin?",
]  # fmt: skip
NEITHER = [
    "What is my last name?", "Who was my first boss?", "What is the first builder's price?",
    "What are the last digits of my card?", "How long does the course last?",
    "What happened on the first of May?", "How much were the fees for my last born?",
]  # fmt: skip


@pytest.mark.parametrize(
    ("order", "question"),
    [("last", each) for each in LAST]
    + [("first", each) for each in FIRST]
    + [(None, each) for each in NEITHER],
)
def test_the_first_and_the_last_are_told_from_names_with_these_words(
    order: str | None, question: str
) -> None:
    assert asked_order(question) == order


def test_a_question_about_talk_has_no_topic() -> None:
    talk = ["What did I say last?", "What was the first thing I told you?", "What did I just say?"]

    assert [topic_words(each) for each in talk] == [set()] * 3
    assert topic_words("What did I say about the boat last?") == {"boat"}


@pytest.mark.parametrize(
    ("is_list", "question"),
    [
        (True, "Which books have I read?"), (True, "What sports do I do?"),
        (True, "Where have I been?"), (True, "List all the doctors I saw."),
        (False, "Which book is my favourite?"), (False, "Which class do I teach?"),
        (False, "What does Ann like?"), (False, "Where do I live?"),
    ],
)  # fmt: skip
def test_a_question_for_all_of_a_kind_is_told_from_one_for_a_single_answer(
    is_list: bool, question: str
) -> None:
    assert asks_for_list(question) == is_list


def test_weekdays_are_read_in_lower_case_and_verbs_are_no_months() -> None:
    asked = "what may i eat on monday, and did we march 8 miles or run on march 8th?"

    assert with_capitals(asked).split("march 8th")[0].count("May") == 0
    assert "Monday" in with_capitals(asked)
    assert "March 8th" in with_capitals(asked)


@pytest.mark.parametrize(
    "unit", ["did i ", "the last ", "which a ", "what have ", "> a\n", "why? ", "a. ", "x", "```"]
)
def test_a_long_message_takes_time_in_proportion(unit: str) -> None:
    text = unit * 50_000
    start = time.perf_counter()
    asked_order(main_question(text)), asks_for_list(text), topic_words(text), with_capitals(text)
    assert time.perf_counter() - start < 5
