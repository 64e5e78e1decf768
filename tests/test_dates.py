"""What words of time mean, what is none, and that no text breaks or stalls the reading of it."""

import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from re import _parser  # type: ignore[attr-defined]
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memkit.errors import NaiveDatetime
from memkit.text import dates
from memkit.text.dates import Span, spans

NOW = datetime(2024, 5, 15, 14, 30, tzinfo=UTC)  # a Wednesday

FIXED = {  # what does not depend on the day of asking
    "in May 2023": ("2023-05-01", "2023-06-01"),
    "May 2023": ("2023-05-01", "2023-06-01"),
    "in May, 2023": ("2023-05-01", "2023-06-01"),
    "Aug 2022": ("2022-08-01", "2022-09-01"),
    "in 2022": ("2022-01-01", "2023-01-01"),
    "in the year 1999": ("1999-01-01", "2000-01-01"),
    "on 8 May 2023": ("2023-05-08", "2023-05-09"),
    "8th May 2023": ("2023-05-08", "2023-05-09"),
    "on the 8th of May 2023": ("2023-05-08", "2023-05-09"),
    "on Monday, 8 May 2023": ("2023-05-08", "2023-05-09"),
    "May 8th, 2023": ("2023-05-08", "2023-05-09"),
    "on Sept. 8, 2023": ("2023-09-08", "2023-09-09"),
    "29 February 2024": ("2024-02-29", "2024-03-01"),
    "on 31 December 2023": ("2023-12-31", "2024-01-01"),
    "2023-05-08": ("2023-05-08", "2023-05-09"),
    "2023-05-08T13:56:00Z": ("2023-05-08", "2023-05-09"),
    "25/05/2023": ("2023-05-25", "2023-05-26"),
    "05/25/2023": ("2023-05-25", "2023-05-26"),
    "in the summer of 2022": ("2022-06-01", "2022-09-01"),
    "fall 2022": ("2022-09-01", "2022-12-01"),
    "winter 2022": ("2022-12-01", "2023-03-01"),
    "Christmas 2022": ("2022-12-24", "2022-12-27"),
    "early May 2023": ("2023-05-01", "2023-05-11"),
    "in mid-May 2023": ("2023-05-11", "2023-05-21"),
    "late summer 2022": ("2022-08-01", "2022-09-01"),
    "Mid May 2023": ("2023-05-11", "2023-05-21"),
    "late May 2023": ("2023-05-21", "2023-06-01"),
    "at the end of May 2023": ("2023-05-21", "2023-06-01"),
    "in early 2022": ("2022-01-01", "2022-05-01"),
    "in the week of 8 May 2024": ("2024-05-06", "2024-05-13"),
    "the first week of June 2021": ("2021-06-01", "2021-06-08"),
    "the last week of June 2021": ("2021-06-24", "2021-07-01"),
    "the second week of June 2021": ("2021-06-01", "2021-07-01"),
    "the last Monday in May 2023": ("2023-05-01", "2023-06-01"),
    "between May and July 2023": ("2023-05-01", "2023-08-01"),
    "from November to February 2023": ("2022-11-01", "2023-03-01"),
    "between 8 May and 3 June 2023": ("2023-05-08", "2023-06-04"),
    "from 2019 until 2021": ("2019-01-01", "2022-01-01"),
    "since May 2023": ("2023-05-01", None),
    "after 8 May 2023": ("2023-05-09", None),
    "before 2020": (None, "2020-01-01"),
    "since before 2020": (None, "2020-01-01"),
    "until 8 May 2023": (None, "2023-05-09"),
    "by May 2023": (None, "2023-06-01"),
    "since the end of May 2023": ("2023-05-21", None),
    "a week before 8 May 2023": ("2023-05-01", "2023-05-02"),
    "a month before 8 May 2023": ("2023-04-08", "2023-04-09"),
    "a month before 30 March 2023": ("2023-02-28", "2023-03-01"),
    "a month before May 2023": ("2023-04-01", "2023-05-01"),
    "a few days before 8 May 2023": ("2023-05-03", "2023-05-07"),
    "a few days after 8 May 2023": ("2023-05-10", "2023-05-14"),
    "the week before 8 May 2023": ("2023-05-01", "2023-05-08"),
    "the month after May 2023": ("2023-06-01", "2023-07-01"),
    "since a couple of months before the beginning of May 2023": ("2023-03-01", None),
}
LATEST = {  # a part of the year, and which year is meant
    "in May": ("2024-05-01", "2024-06-01"),
    "in June": ("2023-06-01", "2023-07-01"),
    "last May": ("2023-05-01", "2023-06-01"),
    "this May": ("2024-05-01", "2024-06-01"),
    "this June": ("2024-06-01", "2024-07-01"),
    "next May": ("2025-05-01", "2025-06-01"),
    "in May last year": ("2023-05-01", "2023-06-01"),
    "May 8": ("2024-05-08", "2024-05-09"),
    "on May 15": ("2024-05-15", "2024-05-16"),
    "on May 16": ("2023-05-16", "2023-05-17"),
    "8th of June": ("2023-06-08", "2023-06-09"),
    "June 8th of last year": ("2023-06-08", "2023-06-09"),
    "early June": ("2023-06-01", "2023-06-11"),
    "in the spring": ("2024-03-01", "2024-06-01"),
    "in the summer": ("2023-06-01", "2023-09-01"),
    "last summer": ("2023-06-01", "2023-09-01"),
    "this summer": ("2024-06-01", "2024-09-01"),
    "last fall": ("2023-09-01", "2023-12-01"),
    "last winter": ("2023-12-01", "2024-03-01"),
    "next winter": ("2024-12-01", "2025-03-01"),
    "at Christmas": ("2023-12-24", "2023-12-27"),
    "between May and July": ("2023-05-01", "2023-08-01"),
    "since March": ("2024-03-01", None),
    "this month": ("2024-05-01", "2024-06-01"),
    "last month": ("2024-04-01", "2024-05-01"),
    "next month": ("2024-06-01", "2024-07-01"),
    "this year": ("2024-01-01", "2025-01-01"),
    "Last year": ("2023-01-01", "2024-01-01"),
    "next year": ("2025-01-01", "2026-01-01"),
    "three months ago": ("2024-02-01", "2024-03-01"),
    "a couple of months ago": ("2024-03-01", "2024-04-01"),
    "a year ago": ("2023-01-01", "2024-01-01"),
    "12 years ago": ("2012-01-01", "2013-01-01"),
    "a few years ago": ("2019-01-01", "2023-01-01"),
    "the past month": ("2024-04-15", "2024-05-16"),
    "in the last year": ("2023-05-15", "2024-05-16"),
    "the past few months": ("2023-12-15", "2024-05-16"),
    "at the end of last year": ("2023-09-01", "2024-01-01"),
}
NEAR = {  # weeks and days, which do not repeat from year to year
    "today": ("2024-05-15", "2024-05-16"),
    "Yesterday": ("2024-05-14", "2024-05-15"),
    "the day before yesterday": ("2024-05-13", "2024-05-14"),
    "the day  after\ntomorrow": ("2024-05-17", "2024-05-18"),
    "tomorrow": ("2024-05-16", "2024-05-17"),
    "this morning": ("2024-05-15", "2024-05-15 12"),
    "tonight": ("2024-05-15 18", "2024-05-16 06"),
    "last night": ("2024-05-14 18", "2024-05-15 06"),
    "this week": ("2024-05-13", "2024-05-20"),
    "last week": ("2024-05-06", "2024-05-13"),
    "at the end of last week": ("2024-05-06", "2024-05-13"),
    "LAST WEEK": ("2024-05-06", "2024-05-13"),
    "last \n week": ("2024-05-06", "2024-05-13"),
    "last\xa0week": ("2024-05-06", "2024-05-13"),
    "next week": ("2024-05-20", "2024-05-27"),
    "the past week": ("2024-05-08", "2024-05-16"),
    "this past week": ("2024-05-08", "2024-05-16"),
    "last weekend": ("2024-05-11", "2024-05-13"),
    "this past weekend": ("2024-05-11", "2024-05-13"),
    "over the weekend": ("2024-05-11", "2024-05-13"),
    "this weekend": ("2024-05-18", "2024-05-20"),
    "next weekend": ("2024-05-25", "2024-05-27"),
    "3 days ago": ("2024-05-12", "2024-05-13"),
    "a few days ago": ("2024-05-10", "2024-05-14"),
    "two weeks ago": ("2024-04-29", "2024-05-06"),
    "a couple weeks ago": ("2024-04-29", "2024-05-06"),
    "two weekends ago": ("2024-05-04", "2024-05-06"),
    "the past 3 days": ("2024-05-12", "2024-05-16"),
    "last two weeks": ("2024-05-01", "2024-05-16"),
    "last Friday": ("2024-05-10", "2024-05-11"),
    "last Monday": ("2024-05-13", "2024-05-14"),
    "last Wednesday": ("2024-05-08", "2024-05-09"),
    "on Monday": ("2024-05-13", "2024-05-14"),
    "on Wednesday": ("2024-05-08", "2024-05-09"),
    "this Friday": ("2024-05-17", "2024-05-18"),
    "next Friday": ("2024-05-24", "2024-05-25"),
    "until Friday": (None, "2024-05-11"),
    "since 3 days ago": ("2024-05-12", None),
    "the week before last Friday": ("2024-05-03", "2024-05-10"),
    "between last Friday and yesterday": ("2024-05-10", "2024-05-15"),
    "from Monday to Friday": ("2024-05-06", "2024-05-11"),
}
MEANS = FIXED | LATEST | NEAR

NONE = """May I go?|May said so|What did April and June do?|the march on Rome|March on!|a second
he sat in the sun|leaves fall|the fall of Rome|in the fall she broke her arm|by June Patel
in June's laptop|see you Sun|on Mondays|every Friday|on Friday nights|Monday|IN MAY|in may 2023
08/05/2023|13/13/2023|32/05/2023|99 May 2023|31 February|on 29 February 2023|2023-13-01|2023-02-30
May 0|in May 99|in May 999|in May, 3500 people|8 May 0800|year 0|in 0000|in 99999|8 May 99999
in May 99999|in 2022-23|in 2022/23|-5 days ago|2-3 weeks ago|1.5 years ago|999999999 years ago
3000 years ago|100000 months ago|99999999999999999999 days ago|an hour ago|in two weeks
for two weeks|it took two years|last time|la\u017ft week|last wee\u212a|last day|the last day
the last weeks|the last two days of the trip|a week-long trip|last week-long|the other day
the second week|in 2000 days|PIN 2020 or 1985|call 2023-05-081|pre-1920|5 days
between yesterday and last week|May 8-10|8-10 May|May 8:30|in Mayfair|1/2/3|the week|a year|before
since|between May|the summer|at the Christmas party|the past|last last last week-""".replace(
    "\n", "|"
).split("|")


def intervals(text: str, now: datetime = NOW) -> list[tuple[str | None, str | None]]:
    """The ends of every span, without what is zero anyway."""
    return [(short(span.since), short(span.until)) for span in spans(text, now)]


def short(time: datetime | None) -> str | None:
    return time and f"{time:%Y-%m-%d %H}".removesuffix(" 00")


def moved(span: Span, by: timedelta) -> tuple[datetime | None, datetime | None]:
    return span.since and span.since + by, span.until and span.until + by


@pytest.mark.parametrize("phrase", MEANS)
def test_a_time_means_this_when_asked_on_15_may_2024(phrase: str) -> None:
    assert intervals(phrase) == [MEANS[phrase]]


@pytest.mark.parametrize("phrase", NONE)
def test_what_is_no_time_or_no_certain_one_is_left_alone(phrase: str) -> None:
    assert intervals(phrase) == []


def test_an_open_end_is_none_and_the_others_are_in_the_timezone_of_now() -> None:
    now = NOW.astimezone(ZoneInfo("Pacific/Auckland"))  # already Thursday there
    (span,) = spans("What have I learned since yesterday?", now)
    assert span.since == datetime(2024, 5, 15, tzinfo=ZoneInfo("Pacific/Auckland"))
    assert (span.until, span.since.tzinfo) == (None, now.tzinfo)


def test_now_needs_a_timezone() -> None:
    with pytest.raises(NaiveDatetime, match="has no timezone"):
        spans("yesterday", datetime(2024, 5, 15))  # noqa: DTZ001


def test_a_span_says_which_words_it_was_read_from() -> None:
    text = "Did I, in the week before 8 May, swim or (since last Friday) run?"
    times = [(span.text, text[span.start : span.end]) for span in spans(text, NOW)]
    assert times == [(words, words) for words in ("in the week before 8 May", "since last Friday")]


def test_a_question_may_name_several_times() -> None:
    assert intervals("Did I see Ann in May, June or on Monday, or last week and in 2022?") == [
        MEANS["in May"],
        MEANS["in June"],
        MEANS["on Monday"],
        MEANS["last week"],
        MEANS["in 2022"],
    ]


def test_no_word_belongs_to_two_times() -> None:
    times = spans("on May 1 week before 8 May 2023", NOW)
    assert [span.text for span in times] == ["on May 1", "before 8 May 2023"]


def test_a_midnight_that_comes_twice_is_the_first() -> None:
    havana = ZoneInfo("America/Havana")  # 1:00 is 0:00 again on 3 November 2024
    (span,) = spans("today", datetime(2024, 11, 3, 0, 30, fold=1, tzinfo=havana))
    assert span.since
    assert (span.since.fold, span.since.utcoffset()) == (0, timedelta(hours=-4))


@pytest.mark.parametrize("text", ["Last week, May sang", "In 2022 May and June sang", ", May sang"])
def test_a_name_after_a_time_is_not_taken_into_a_list(text: str) -> None:
    assert not any("M" in span.text or "J" in span.text for span in spans(text, NOW))


@pytest.mark.parametrize("n", range(7))
def test_a_weekday_is_over_even_when_asked_on_that_day(n: int) -> None:
    name, now = dates.WEEKDAYS[n], datetime(2024, 5, 13 + n, 23, tzinfo=UTC)
    over = [(f"2024-05-{6 + n:02}", f"2024-05-{7 + n:02}")]
    assert intervals(f"on {name}", now) == intervals(f"last {name}", now) == over


@pytest.mark.parametrize(
    ("now", "text", "since"),
    [
        ("2024-05-19", "over the weekend", "2024-05-18"),  # on its Sunday
        ("2024-05-19", "last weekend", "2024-05-11"),
        ("2024-05-20", "last weekend", "2024-05-18"),
        ("2024-01-10", "this winter", "2023-12-01"),
        ("2024-01-10", "last winter", "2022-12-01"),
        ("2024-06-01", "this summer", "2024-06-01"),
        ("2024-06-01", "next summer", "2025-06-01"),
        ("2024-03-31", "a month ago", "2024-02-01"),
        ("2024-03-31", "last month", "2024-02-01"),
        ("2024-03-31", "the past month", "2024-02-29"),
        ("2023-03-01", "on 29 February", "2020-02-29"),
        ("1903-03-01", "on 29 February", "1896-02-29"),
        ("2024-01-01", "yesterday", "2023-12-31"),
        ("2024-01-01", "last week", "2023-12-25"),
    ],
)
def test_the_day_of_asking_decides(now: str, text: str, since: str) -> None:
    assert intervals(text, datetime.fromisoformat(now + "T12:00Z"))[0][0] == since


# what no text and no day may change

DAYS = st.datetimes(
    datetime(1600, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2199, 12, 31),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia")]),
)
VOCABULARY = """the a this last past next first before after since until between and or of in on by
early mid- two few couple 0 1 8 8th 29 31st 99 999 2023 9999 99999 2023-05-08 25/05/2023 day days
week weeks weekend month year years ago May may March February Sept. Dec Friday friday fall summer
Christmas yesterday tonight night beginning week , . - – ' ’s \u017f İ \u212a é 五月 ٣"""
PIECES = st.sampled_from([*VOCABULARY.split(), "\xa0"])
DENSE = st.lists(PIECES, max_size=14).map(" ".join) | st.lists(PIECES, max_size=8).map("".join)
PHRASES = st.sampled_from(sorted(MEANS))
CALM = st.sampled_from(["", "Ann sang. ", "“Oh!” – ", "(", "東京で、", "No 7; ", "At home: "])
AFTER = st.sampled_from(["", ".", "? Bob knew.", "!", ", I think.", ") – so it was", "’s end", "…"])


@given(DENSE | st.text(), st.datetimes(timezones=st.sampled_from([UTC, ZoneInfo("Asia/Tokyo")])))
def test_no_text_raises_on_any_day(text: str, now: datetime) -> None:
    assert isinstance(spans(text, now), list)


@given(DENSE | st.text(), DAYS)
def test_every_span_begins_before_it_ends_and_stands_where_it_says(
    text: str, now: datetime
) -> None:
    times = spans(text, now)
    assert all(a.end <= b.start for a, b in pairwise(times))
    for span in times:
        assert text[span.start : span.end] == span.text != ""
        assert span.since or span.until
        assert not (span.since and span.until) or span.since < span.until


@given(CALM, PHRASES, AFTER, DAYS)
def test_what_stands_around_a_time_changes_nothing(
    before: str, phrase: str, after: str, now: datetime
) -> None:
    assume(after != "’s end" or phrase.rpartition(" ")[2] not in dates.MONTHS)  # Mays own things
    (alone,) = spans(phrase, now)
    (span,) = spans(before + phrase + after, now)
    assert (span.text, span.start) == (alone.text, alone.start + len(before))
    assert (span.since, span.until) == (alone.since, alone.until)


@given(DENSE, DAYS)
def test_the_words_of_a_span_mean_the_same_alone_or_continued_a_list(
    text: str, now: datetime
) -> None:
    for span in spans(text, now):
        again = [(item.since, item.until) for item in spans(span.text, now)]
        assert again in ([(span.since, span.until)], [])


@given(st.sampled_from(sorted(LATEST | NEAR)), DAYS)
def test_400_years_later_everything_is_400_years_later(phrase: str, now: datetime) -> None:
    (then,), (later,) = spans(phrase, now), spans(phrase, now.replace(year=now.year + 400))
    assert (later.since, later.until) == moved(then, timedelta(days=146_097))


@given(st.sampled_from(sorted(LATEST)), DAYS, st.integers(-99, 99))
def test_what_repeats_every_year_moves_with_the_year(phrase: str, now: datetime, n: int) -> None:
    assume((now.month, now.day) not in [(2, 28), (2, 29)])  # the day or its morrow is not in all
    (then,), (later,) = spans(phrase, now), spans(phrase, now.replace(year=now.year + n))
    for a, b in ((then.since, later.since), (then.until, later.until)):
        assert (a and (a.year + n, a.month)) == (b and (b.year, b.month))


@given(st.sampled_from(sorted(FIXED)), DAYS)
def test_what_names_its_year_does_not_depend_on_the_day(phrase: str, now: datetime) -> None:
    assert intervals(phrase, now) == [FIXED[phrase]]


# cost


def calls(text: str) -> int:
    """How many Python and built-in functions are called for a text."""
    n = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal n
        n += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        spans(text, NOW)
    finally:
        sys.setprofile(before)
    return n


HOSTILE = ["last ", "in ", "May ", "the ", "1 ", "two weeks before ", "between ", "in May and ",
           "8 May 2023 ", "a few ", "mid-", "Monday, ", "2023-05-08 "]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_text_twice_as_long_takes_twice_the_calls(piece: str) -> None:
    assert calls(piece * 2000) <= 2.1 * calls(piece * 1000)


@pytest.mark.parametrize("piece", [*HOSTILE, "1", " ", "\xa0", "May" + " " * 999, "-", "ſ"])
def test_a_hundred_thousand_characters_are_read(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    assert all(span.start < span.end for span in spans(f"{text} ago {text}", NOW))


def unbounded(tree: Any, inside: bool = False) -> bool:
    """Whether a repeat without an end stands inside another one, so that retries multiply."""
    for name, value in tree:
        endless = "REPEAT" in str(name) and value[1] > 1
        if endless and inside:
            return True
        parts = value if isinstance(value, tuple | list) else [value]
        for part in [*parts, *(p for p in parts if isinstance(p, list) for p in p)]:
            if isinstance(part, _parser.SubPattern) and unbounded(part, inside or endless):
                return True
    return False


@pytest.mark.parametrize("pattern", [pattern for pattern, *_ in [*dates._FORMS, *dates._LEADS]])
def test_no_pattern_repeats_a_repetition(pattern: Any) -> None:
    assert not unbounded(_parser.parse(pattern.pattern, pattern.flags))


def test_a_repetition_of_repetitions_would_be_seen() -> None:
    assert unbounded(_parser.parse(r"a|(?:\s+(?i:b)?)+c"))
