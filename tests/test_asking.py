"""Questions about a time, about exact things and for lists find the right turn first."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memkit import Turn
from memkit.testing import open_memory

START = datetime(2026, 3, 5, 10, tzinfo=UTC)  # a Thursday
FOODS = (
    "a cheese sandwich", "leek soup", "fish tacos", "a salad", "ramen", "leftover pizza",
    "a burrito", "falafel", "an omelette", "sushi", "lentils", "a bagel", "dumplings", "noodles",
)  # fmt: skip
TALK = (
    "Hey, I just got a puppy named Biscuit.", "I work at a bakery in town.",
    "The weather has been awful.", "My sister visits next month.",
    "I started learning the cello.", "We painted the kitchen green.", "My car needs new tyres.",
    "I ran ten kilometres.", "I bought tickets for the opera.", "I'm planning a trip to Crete.",
)  # fmt: skip
ZONES = ("UTC", "America/Los_Angeles", "Asia/Tokyo", "Asia/Kolkata")

Ask = Callable[..., list[str]]


@pytest.fixture
def ask(minilm: Any) -> Ask:
    """Remember texts, one a day, and return those that a question recalls."""

    def recalled(
        texts: Sequence[str], question: str, *, at: datetime | None = None,
        times: Sequence[datetime] = (), roles: Sequence[str] = (), **limits: Any,
    ) -> list[str]:  # fmt: skip
        said = times or [START + timedelta(days=n) for n in range(len(texts))]
        with open_memory(embedder=minilm, clock=lambda: at or said[-1] + timedelta(hours=8)) as m:
            m.remember(
                [
                    Turn(role=roles[n] if roles else "user", text=text, said_at=said[n])
                    for n, text in enumerate(texts)
                ],
                user_id="u",
            )
            return [hit.text for hit in m.recall(question, user_id="u", k=10, **limits)]

    return recalled


# ---- time

DAYS = {  # days before today
    "today": 0, "yesterday": 1, "the day before yesterday": 2, "two days ago": 2, "3 days ago": 3,
}  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@settings(max_examples=12)
@given(
    foods=st.permutations(FOODS).map(lambda foods: foods[:10]),
    when=st.sampled_from([*DAYS, *WEEKDAYS, *map(str.lower, WEEKDAYS)]),
    zone=st.sampled_from(ZONES),
    by_clock=st.booleans(),
)
def test_a_day_in_a_question_brings_what_was_said_that_day(
    ask: Ask, foods: list[str], when: str, zone: str, by_clock: bool
) -> None:
    now = (START + timedelta(days=9, hours=1)).astimezone(ZoneInfo(zone))
    if when in DAYS:
        phrase, ago = when, DAYS[when]
    else:
        weekday = WEEKDAYS.index(when.capitalize())
        phrase, ago = f"last {when}", (now.weekday() - weekday) % 7 or 7

    limits: dict[str, Any] = {} if by_clock else {"as_of": now}
    texts = [f"I had {food} for lunch." for food in foods]
    hits = ask(texts, f"What did I have for lunch {phrase}?", at=now, **limits)

    assert hits[0] == texts[9 - ago]


def test_yesterday_is_the_day_of_the_one_who_asks(ask: Ask) -> None:
    times = [START.replace(hour=hour) for hour in (1, 20)]  # 4 March 17:00 and 5 March 12:00
    texts = ["I had soup for lunch.", "I had ramen for lunch."]
    now = datetime(2026, 3, 5, 22, tzinfo=ZoneInfo("America/Los_Angeles"))

    assert ask(texts, "What did I have for lunch yesterday?", at=now, times=times)[0] == texts[0]
    assert ask(texts, "What did I have for lunch today?", at=now, times=times)[0] == texts[1]


@pytest.mark.parametrize(
    ("when", "hour", "days"),
    [
        ("this morning", 8, 0), ("this evening", 20, 0), ("earlier today", 13, 0),
        ("yesterday morning", 8, 1), ("yesterday afternoon", 16, 1), ("last night", 20, 1),
    ],
)  # fmt: skip
def test_a_part_of_a_day_in_a_question_brings_what_was_said_then(
    ask: Ask, when: str, hour: int, days: int
) -> None:
    hours = (13,) if when == "earlier today" else (8, 16, 20)
    times = [START - timedelta(days=3), *(START.replace(hour=each) for each in hours)]
    texts = ["I ate a burger.", *(f"I ate {food}." for food in ("porridge", "a pear", "rice"))]
    at = START.replace(hour=22) + timedelta(days=days)

    hits = ask(texts[: len(times)], f"What did I eat {when}?", times=times, at=at)

    assert hits[0] == texts[1 + hours.index(hour)]


def test_of_hundreds_of_lunches_the_one_of_a_day_is_found(ask: Ask) -> None:
    texts = [f"I had lunch at table {n * 37 % 401}." for n in range(400)]

    assert ask(texts, "What lunch did I have 250 days ago?")[0] == texts[149]


@pytest.mark.parametrize(
    ("question", "n"),
    [
        ("What did I say last?", -1), ("What was the last thing I told you?", -1),
        ("What was my latest message?", -1), ("What did I just say?", -1),
        ("What was the first thing I told you?", 0), ("What did I say first?", 0),
        ("How did our conversation begin?", 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [1, -1])
def test_the_first_and_the_last_of_all_is_first(
    ask: Ask, question: str, n: int, order: int
) -> None:
    texts = TALK[::order] * 8 + ("It is late.",)
    texts = ("Good morning!", *texts)

    hits = ask(texts, question, min_relevance="auto")

    assert hits[0] == texts[n]


def test_you_and_i_in_a_question_say_whose_last_words(ask: Ask) -> None:
    texts = [text for each in TALK for text in (each, f"Good to know: {each}")]
    roles = ["user", "assistant"] * len(TALK)

    assert ask(texts, "What did I say last?", roles=roles)[0] == texts[-2]
    assert ask(texts, "What was the last thing you said?", roles=roles)[0] == texts[-1]


@pytest.mark.parametrize(
    ("question", "n"),
    [
        ("What was the last book I finished reading?", 6), ("Which book did I finish first?", 0),
        ("What's the latest book I finished?", 6), ("What was the first book that I read?", 0),
    ],
)  # fmt: skip
def test_the_first_and_the_last_on_a_topic_is_first(ask: Ask, question: str, n: int) -> None:
    books = [f"I finished reading {book}." for book in ("Dune", "Emma", "Ulysses", "Beloved")]
    texts = [text for pair in zip(books, TALK, strict=False) for text in pair]

    assert ask(texts, question)[0] == texts[n]


@pytest.mark.parametrize(
    ("question", "n"),
    [
        ("What did I buy before I moved to Lyon?", 0), ("What did I buy after I got promoted?", 6),
        ("What did I buy before the move to Lyon?", 0), ("How long ago did I move to Lyon?", 2),
        ("What did I adopt after moving to Lyon?", 4),
    ],
)  # fmt: skip
def test_before_and_after_an_event_are_told_apart(ask: Ask, question: str, n: int) -> None:
    texts = [
        "I bought a red kettle.", "I signed up for pottery.", "I moved to Lyon.",
        "I bought a green lamp.", "I adopted a cat.", "I got promoted.", "I bought a blue rug.",
    ]  # fmt: skip

    assert ask(texts, question)[0] == texts[n]


# ---- exact things

EXACT = {
    "Version {} crashed on start.": ("Did version {} crash?", "{}.{}.{}", ("1", "2", "3")),
    "The server {} is down.": ("Is {} down?", "10.{}.{}.{}:8080", ("0", "1", "12")),
    "Order {} is late.": ("Is order {} late?", "{}-{}-{}", ("48", "22", "7")),
    "The bill is dated {}.": ("Which bill is dated {}?", "20{}-{}-{}", ("10", "11", "12")),
    "I put it in {}.": ("What is in {}?", "/{}/{}/{}", ("usr", "local", "bin")),
    "Write to {}, please.": ("Should I write to {}?", "{}.{}@{}.example", ("ann", "lee", "mail")),
}


@pytest.mark.parametrize("said", EXACT)
def test_of_permuted_identifiers_the_exact_one_is_first(ask: Ask, said: str) -> None:
    question, form, parts = EXACT[said]
    things = [form.format(*each) for each in permutations(parts)]
    texts = [said.format(thing) for thing in things]

    assert [ask(texts, question.format(thing))[0] for thing in things] == texts


@settings(max_examples=6)
@given(
    numbers=st.lists(st.integers(10**6, 10**7 - 1), min_size=12, max_size=12, unique=True),
    spelled=st.sampled_from(["+49151{}", "0151/{}", "0049 151 {}", "+49 (0)151 {}", "151-{}"]),
)
def test_of_a_dozen_phone_numbers_the_asked_one_is_first_in_any_spelling(
    ask: Ask, numbers: list[int], spelled: str
) -> None:
    pairs = zip(FOODS, numbers, strict=False)
    texts = [f"{food.title()} takes orders at +49 151 {n}." for food, n in pairs]

    for n in (0, 5):
        assert ask(texts, f"Whose number is {spelled.format(numbers[n])}?")[0] == texts[n]
        assert ask(texts, spelled.format(numbers[n]))[0] == texts[n]


@pytest.mark.parametrize("question", ["ax7741", "What is AX7741?"])
def test_a_name_with_digits_alone_finds_the_turn_that_has_it(ask: Ask, question: str) -> None:
    texts = [f"On day {n} we had {food}, ax77{n:02}." for n, food in enumerate(FOODS * 4)]
    assert ask(texts, question)[0] == texts[41]


# ---- long questions, lists


def test_the_question_behind_a_long_paste_finds_its_answer(ask: Ask) -> None:
    paste = "The committee met to review the plan for the bridge and the ferry to the east. " * 16
    texts = [*TALK, "My locker code at the gym is 4417.", "The committee reviewed the bridge."]

    hits = ask(texts, f"{paste}what is my locker code at the gym?", min_relevance="auto")

    assert hits[0] == "My locker code at the gym is 4417."


def test_a_question_for_a_list_brings_all_of_them(ask: Ask) -> None:
    played = [
        "I used to play the oboe at school.", "Bought a second-hand banjo.",
        "My cello lessons begin on Monday.", "I practise the piano every morning.",
    ]  # fmt: skip
    texts = [text for n, each in enumerate(played) for text in (each, *TALK[2 * n : 2 * n + 2])]

    assert set(ask(texts, "Which instruments have I played?")[:6]) >= set(played)
