"""Which date stands behind words that mean one, and which words mean none."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.errors import NaiveDatetime
from memkit.text import relative_dates as times
from memkit.text.relative_dates import resolve, since, undated

MONDAY = datetime(2023, 5, 8, 13, tzinfo=UTC)

DATED = [  # where the date goes, and which
    "saw the dentist last Friday (2023-05-05)",
    "saw Bob yesterday (2023-05-07)",
    "ran this morning (2023-05-08)",
    "slept badly last night (2023-05-07)",
    "moved two weeks ago (2023-04-24 to 2023-04-30)",
    "moved two years ago (2021)",
    "left last year (2022)",
    "left last month (2023-04)",
    "was ill last week (2023-05-01 to 2023-05-07)",
    "was in Rome last summer (2022-06-01 to 2022-08-31)",
    "lives there since March (2023-03)",
    "was there between May and July (2022-05-01 to 2022-07-31)",
    "saw Bob on May 5 (2023-05-05)",
    "saw Bob on Friday (2023-05-05)",
    "met Bob on Friday morning (2023-05-05)",
    "last Friday's (2023-05-05) party was fun",
    "went home before last Friday (2023-05-05)",
    "rested a week before last Friday (2023-04-28)",
]
PLANS = [
    "will see Bob on Friday (2023-05-12)",
    "will see Bob on Monday (2023-05-15)",
    "is going to Oslo on Sunday (2023-05-14)",
    "will be married at Christmas (2023-12-24 to 2023-12-26)",
    "will finish by March (2024-03)",
    "stays until Friday (2023-05-12)",
    "plans to rest in the summer (2023-06-01 to 2023-08-31)",
    "The exam is on March 5 (2024-03-05)",
    "In April (2024-04) I will go to Rome",
    "will visit Rome in May (2023-05) and June (2023-06)",
    "needs to move on Friday (2023-05-12)",
    "on 29 February (2024-02-29) I will be 30",
    "leaves tomorrow (2023-05-09)",
    "starts next month (2023-06)",
    "sees the dentist next Friday (2023-05-19)",
    "will fly in three days (2023-05-11)",
    "The wedding is in two weeks (2023-05-22 to 2023-05-28)",
    "retires in a month (2023-06)",
    "a year from now (2024)",
]
BOTH = [
    "moved here in March (2023-03) and will leave in June (2023-06)",
    "was going to marry in March (2023-03)",
    "stayed until Friday (2023-05-05)",
    "is going to the gym since March (2023-03)",
    "The course that she will take began on Friday (2023-05-05)",
]


@pytest.mark.parametrize("dated", [*DATED, *PLANS, *BOTH])
def test_a_time_gets_its_date_behind_it_and_keeps_its_words(dated: str) -> None:
    plain = times._DATED.sub("", dated)
    assert resolve(plain, MONDAY) == dated
    assert resolve(dated, MONDAY) == dated
    assert undated(dated, MONDAY) == plain


@pytest.mark.parametrize(
    "text",
    [
        "moved to Oslo in 2019",
        "saw Bob on 8 May 2022",
        "was born on 1990-02-03",
        "plays tennis every Friday",
        "learned it in two weeks",
        "may go, will call April",
        "was ill last week (2023-05-01 to 2023-05-07)",
        "",
    ],
)
def test_a_full_date_and_what_is_no_date_is_left_as_it_is(text: str) -> None:
    assert resolve(text, MONDAY) == text


def test_dates_are_those_of_the_speakers_timezone() -> None:
    late = datetime(2023, 5, 8, 1, tzinfo=timezone(timedelta(hours=9)))
    assert resolve("ran today", late) == "ran today (2023-05-08)"
    assert resolve("ran today", late.astimezone(UTC)) == "ran today (2023-05-07)"


def test_the_date_that_was_said_is_not_undone() -> None:
    assert undated("came last Friday (2023-05-01)", MONDAY) == "came last Friday (2023-05-01)"


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ("Ann lives in Oslo since 2010", "2010-01-01"),
        ("Ann has lived there since last May", "2022-05-01"),
        ("Ann moved there in March", "2023-03-01"),
        ("Ann started at Acme two years ago", "2021-01-01"),
        ("In 2019 Ann moved to Oslo", "2019-01-01"),
        ("Ann will move to Bergen next month", "2023-06-01"),
        ("Ann has lived in Oslo for three years", "2020-01-01"),
        ("Ann has not smoked since 2015", "2015-01-01"),
        ("Ann did not start in March", None),
        ("Ann lives in Oslo", None),
        ("Ann saw the dentist last Friday", None),
        ("Ann moved before 2010", None),
    ],
)
def test_since_when_it_holds_is_read_where_it_is_said(text: str, begun: str | None) -> None:
    start = since(text, MONDAY)
    assert (start and start.date().isoformat()) == begun
    assert start is None or start.tzinfo is UTC


def test_a_time_without_a_timezone_is_refused() -> None:
    with pytest.raises(NaiveDatetime):
        resolve("yesterday", datetime(2023, 5, 8))  # noqa: DTZ001


WORDS = (
    "last next this Friday May on in until since before between and two weeks ago will was going "
    "to 5 2023 (2023-05) (2023-05-05) yesterday's morning , . from now the summer days is"
)


@given(st.lists(st.sampled_from(WORDS.split(" ")), max_size=12).map(" ".join))
def test_resolving_twice_changes_nothing(text: str) -> None:
    once = resolve(text, MONDAY)
    assert resolve(once, MONDAY) == once


@given(st.text(max_size=200), st.datetimes(timezones=st.just(UTC)))
def test_no_text_and_no_day_breaks_the_reading(text: str, said_at: datetime) -> None:
    resolve(text, said_at)
    since(text, said_at)


@given(st.lists(st.sampled_from(WORDS.split(" ")), max_size=8).map(" ".join))
def test_no_day_at_the_ends_of_the_calendar_breaks_it(text: str) -> None:
    for said_at in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)):
        resolve(text, said_at)
        since(text, said_at)


@given(st.text(alphabet="abcxyz éß北。,!?", max_size=80))
def test_a_text_without_dates_stays_itself(text: str) -> None:
    assert resolve(text, MONDAY) == text


@pytest.mark.parametrize(
    "piece", ["in May ", "last Friday, ", "a" * 50, "in two weeks ", "has for ", "moved ", "(2023)"]
)
def test_a_very_long_text_is_read_to_its_end(piece: str) -> None:
    text = piece * (4_000 // len(piece))  # a claim has 300 characters
    resolve(text, MONDAY)  # a pattern that backtracks for ever meets the test's time limit
    since(text, MONDAY)
