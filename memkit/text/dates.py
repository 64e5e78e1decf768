"""Times in English words, as spans of time. No clock: the time of asking is passed in.

It would rather find nothing than guess: months and weekdays count only with a capital and beside a
word or number that makes them a time ("in May", "May 8"), 08/05/2023 is May or August, and a day
that does not exist is no day. Not read: hours and minutes, and "in two weeks", often a duration.

What words mean: weeks begin on Monday, seasons are northern and begin on the first of a month. A
date without a year is the latest that has begun; a weekday, or "last", the latest that is over;
"this Friday" is this week's. "Two weeks ago" is all of that week, "the past two weeks" the days up
to and including today, "a few" two to five.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from memkit.records import zoned

_Stretch = tuple[datetime, datetime]  # on the wall clock of the one who asks
_Ends = tuple[datetime | None, datetime | None]
_Words = dict[str, str]  # what a pattern's groups matched, in lower case and single-spaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time expression, where it stands in the text, and what it means."""

    since: datetime | None  # None: open, as in "before 2020"
    until: datetime | None  # exclusive; None: open, as in "since March"
    text: str  # with the words that made it a time: "in May"
    start: int
    end: int


_EVENT = re.compile(
    r"\b(before|after|since|until|during)[ \t]{1,9}"
    r"((?:the|an?|my|our|your|his|her|their)[ \t]{1,9}[^,.;:?!\n]{1,60})",
    re.IGNORECASE,
)


class _Found(NamedTuple):
    """Words that may be a time, and what they would mean to one who says them on a day."""

    match: re.Match[str]
    means: Callable[[_Words, datetime], _Stretch]
    kind: str  # "relative" to that day; "date"; or "bare", a time only after one of _LEADS


def spans(text: str, now: datetime) -> list[Span]:
    """Return the times that an English text speaks of, in its order, if said or asked at `now`.

    Args:
        text: of any length; the cost grows with it and no faster.
        now: zoned; the spans are in its timezone.

    >>> from datetime import UTC
    >>> asked = datetime(2024, 6, 5, 12, tzinfo=UTC)
    >>> for span in spans("What have I read in May and since last Friday?", asked):
    ...     print(span.text, span.since, span.until, sep=" | ")
    in May | 2024-05-01 00:00:00+00:00 | 2024-06-01 00:00:00+00:00
    since last Friday | 2024-05-31 00:00:00+00:00 | None
    """
    zone = zoned(now, "the time of asking").tzinfo
    today = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return [
        Span(
            since=since and since.replace(tzinfo=zone),
            until=until and until.replace(tzinfo=zone),
            text=text[start:end],
            start=start,
            end=end,
        )
        for start, end, (since, until) in _read(text, today)
        if since is None or until is None or since < until
    ]


def events(text: str, now: datetime) -> list[tuple[str, str]]:
    """Return which events a text speaks of the time before, after, since, until or during.

    Times themselves are left to `spans`.

    >>> from datetime import UTC
    >>> asked = datetime(2024, 6, 5, tzinfo=UTC)
    >>> events("What did I read before the trip to Rome, or in May?", asked)
    [('before', 'the trip to Rome')]
    """
    times = spans(text, now)
    return [
        (match[1].lower(), match[2].strip())
        for match in _EVENT.finditer(text)
        if not any(span.start < match.end() and match.start() < span.end for span in times)
    ]


def _read(text: str, today: datetime) -> Iterator[tuple[int, int, _Ends]]:
    """Yield where each time begins and ends in the text, and what it means."""
    waiting = _found(text)[::-1]
    last: _Found | None = None
    while waiting:
        one = waiting.pop()
        start = one.match.start()
        free = last.match.end() if last else 0  # of earlier times
        try:
            joined = _between(text, free, one, waiting[-1], today) if waiting else None
            begin, ends = joined or _led(text, free, start, one.means(_words(one.match), today))
        except (ValueError, OverflowError):  # 31 February, or beyond the calendar
            continue
        if joined:
            one = waiting.pop()
        elif one.kind == "bare" and begin == start and not _listed(text, last, one):
            continue
        yield begin, one.match.end(), ends
        last = one


def _listed(text: str, last: _Found | None, one: _Found) -> bool:
    """Whether a time continues a list of its like, as June does in "in May and June"."""
    if last is None or last.match.re is not one.match.re:
        return False
    return bool(_AND.fullmatch(text, last.match.end(), one.match.start()))


def _found(text: str) -> list[_Found]:
    """Return what may be a time, in order, without overlaps: the longest from each word on."""
    found: list[_Found] = []
    end = 0
    for word in _WORD.finditer(text):
        if word.start() < end:
            continue
        tried = [
            _Found(match, means, kind)
            for pattern, means, kind in _FORMS
            if (match := pattern.match(text, word.start()))
        ]
        if tried:
            found.append(max(tried, key=lambda one: one.match.end()))
            end = found[-1].match.end()
    return found


def _words(match: re.Match[str]) -> _Words:
    return {name: " ".join(word.lower().split()) for name, word in match.groupdict("").items()}


def _between(
    text: str, free: int, one: _Found, other: _Found, today: datetime
) -> tuple[int, _Ends] | None:
    """Return what "between one and the other" means, if that is how they are written."""
    start = one.match.start()
    lead = _BETWEEN.search(text, max(free, start - _REACH), start)
    if not lead or not _TO.fullmatch(text, one.match.end(), other.match.start()):
        return None
    last, until = other.means(_words(other.match), today)
    asked = today if one.kind == "relative" else last.replace(hour=0)  # the May before that July
    since, _ = one.means(_words(one.match), asked)
    return lead.start(), (since, until)


def _led(text: str, free: int, start: int, ends: _Ends) -> tuple[int, _Ends]:
    """Return where the words in front of a time begin, and what they make of it."""
    for _ in range(3):  # "in" "the week before" "the end of" May
        since, until = ends
        for pattern, makes in _BEFORE:
            lead = pattern.search(text, max(free, start - _REACH), start)
            if lead and since and until:
                start, ends = lead.start(), makes(_words(lead), since, until)
                break
        else:
            break
    return start, ends


_DAY = timedelta(days=1)
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
_MONTHS = "January February March April May June July August September October November December"
_SEASONS = {"spring": 2, "summer": 5, "autumn": 8, "fall": 8, "winter": 11}
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve"
_RECURRING = {  # in every week or year: so many months and days into it, for so many units
    **{name[:3].lower(): ("week", 0, n, 1, "day") for n, name in enumerate(_WEEKDAYS.split())},
    **{name[:3].lower(): ("year", n, 0, 1, "month") for n, name in enumerate(_MONTHS.split())},
    **{name: ("year", n, 0, 3, "month") for name, n in _SEASONS.items()},
    **{unit: (unit, 0, 0, 1, unit) for unit in ("day", "week", "month", "year")},
    "weekend": ("week", 0, 5, 2, "day"),
    "christmas": ("year", 11, 23, 3, "day"),
}
_STEPS = {"day": (1, 0), "week": (7, 0), "weekend": (7, 0), "month": (0, 1), "year": (0, 12)}
_SHIFTS = {"last": -1, "this": 0, "next": 1}
_COUNTS = {  # at least, at most
    **{word: (n, n) for n, word in enumerate(_NUMBERS.split(), start=1)},
    **{"a": (1, 1), "an": (1, 1), "couple": (2, 2), "few": (2, 5)},
}
_THIRDS = {"early": 0, "beginning": 0, "start": 0, "mid": 1, "middle": 1, "late": 2, "end": 2}
_HOURS = {  # from midnight of today
    "the day before yesterday": (-48, -24), "yesterday": (-24, 0), "last night": (-6, 6),
    "today": (0, 24), "this morning": (0, 12), "this afternoon": (12, 18),
    "this evening": (18, 24), "tonight": (18, 30), "tomorrow": (24, 48),
    "the day after tomorrow": (48, 72),
}  # fmt: skip


def _plus(at: datetime, n: int, unit: str) -> datetime:
    """Return the time `n` units later; the 31st becomes the last of a shorter month."""
    days, months = _STEPS[unit]
    year, month = divmod(at.year * 12 + at.month - 1 + n * months, 12)
    day = min(at.day, monthrange(year, month + 1)[1])
    return at.replace(year=year, month=month + 1, day=day) + n * days * _DAY


def _begin(at: datetime, unit: str) -> datetime:
    if unit == "week":
        return at - at.weekday() * _DAY
    return at.replace(month=1 if unit == "year" else at.month, day=at.day if unit == "day" else 1)


def _place(cycle: datetime, key: str) -> _Stretch:
    """Return when it recurs in the day, week, month or year that begins at `cycle`."""
    _, months, days, length, unit = _RECURRING[key]
    since = _plus(cycle, months, "month") + days * _DAY
    return since, _plus(since, length, unit)


def _around(at: datetime, key: str) -> _Stretch:
    return _place(_begin(at, _RECURRING[key][0]), key)


def _key(name: str) -> str:
    return name if name in _RECURRING else name[:3]


def _count(text: str) -> tuple[int, int]:
    word = text.removeprefix("a ").removesuffix(" of")
    return (int(word), int(word)) if word.isdigit() else _COUNTS[word]


def _year(text: str, today: datetime) -> int:
    """Return the year that "2023" or "last year" is, or raise ValueError."""
    word = text.removesuffix(" year")
    year = int(word) if word.isdigit() else today.year + _SHIFTS[word]
    if not 1000 <= year < 3000:
        raise ValueError(f"{year} is a number, and no year that people talk about")
    return year


def _hours(words: _Words, today: datetime) -> _Stretch:
    since, until = _HOURS[words["day"]]
    return today + timedelta(hours=since), today + timedelta(hours=until)


def _ago(words: _Words, today: datetime) -> _Stretch:
    unit, (least, most) = words["unit"], _count(words["count"])
    first, last = (_around(_plus(today, -n, unit), unit) for n in (most, least))
    return first[0], last[1]


def _rolling(words: _Words, today: datetime) -> _Stretch:
    _, most = _count(words.get("count", "one"))
    return _plus(today, -most, words["unit"]), today + _DAY


def _named(words: _Words, today: datetime) -> _Stretch:
    """Return the last, this or next week, Friday or summer, or without such a word the latest."""
    key, which = _key(words["name"]), words.get("which")
    every, _, _, length, unit = _RECURRING[key]
    around = [_place(_plus(_begin(today, every), n, every), key) for n in (-2, -1, 0, 1)]
    begun = [stretch for stretch in around if stretch[0] <= today]
    over = [stretch for stretch in begun if stretch[1] <= today]
    if which == "next":
        return around[len(begun) if every == "year" else 3]
    if which == "this":
        return around[2] if begun == over else begun[-1]
    return over[-1] if which or (length, unit) == (1, "day") else begun[-1]


def _in_year(words: _Words, today: datetime) -> _Stretch:
    cycle = today.replace(year=_year(words["year"], today), month=1, day=1)
    return _place(cycle, _key(words.get("name", "year")))


def _date(words: _Words, today: datetime) -> _Stretch:
    """Return that day of its year, or the latest that has begun, or raise ValueError."""
    word, day, year = words["month"], int(words["day"]), words["year"]
    month = int(word) if word.isdigit() else _RECURRING[word[:3]][1] + 1
    years = [_year(year, today)] if year else list(range(today.year - 8, today.year + 1))
    days = [
        today.replace(year=n, month=month, day=day)
        for n in years  # nine of them: there was no 29 February 1900
        if day <= monthrange(n, month)[1]
    ]
    since = max(one for one in days if year or one <= today)
    return since, since + _DAY


def _away(words: _Words, since: datetime, until: datetime) -> _Ends:
    """Two weeks before it, or after it."""
    unit, (least, most) = words["unit"], _count(words["count"])
    if words["side"] == "before":
        least, most = -most, -least
    first = _plus(since, least, unit)
    return first, max(_plus(until, most, unit), first + _DAY)


def _beside(words: _Words, since: datetime, until: datetime) -> _Ends:
    """The week before it, or after it."""
    if words["side"] == "before":
        return _plus(since, -1, words["unit"]), since
    return until, _plus(until, 1, words["unit"])


def _third(words: _Words, since: datetime, until: datetime) -> _Ends:
    """Early, mid or late in it: ten days of a month, four months of a year; of a week, all."""
    n, months = _THIRDS[words["third"]], 12 * (until.year - since.year) + until.month - since.month
    if (until - since).days < 28:
        return since, until
    cuts = [since, since + 10 * _DAY, since + 20 * _DAY, until]
    if months >= 3:
        cuts = [_plus(since, months * k // 3, "month") for k in range(4)]
    return cuts[n], cuts[n + 1]


def _week_of(words: _Words, since: datetime, until: datetime) -> _Ends:
    """The week of a day, or the first or last seven days of what is longer."""
    if until - since <= 7 * _DAY:
        return _around(since, "week")
    if words["which"] == "first":
        return since, since + 7 * _DAY
    return until - 7 * _DAY if words["which"] == "last" else since, until


_SPACE = r"[\s\xa0]+"


def _compiled(pattern: str, edge: str = r"(?![\w–-]|[.,:/]\d)") -> re.Pattern[str]:
    """Compile with a space for any white space, and edges that no word, number or dash crosses."""
    start = r"\b(?:(?<![–-])(?<!\d[.,:/])|(?<=[Mm]id-))"
    return re.compile((start + pattern + edge).replace(" ", _SPACE), re.ASCII)


_MONTH = f"(?:{_MONTHS.replace(' ', '|')})"
_SHORT = rf"(?:{_MONTH}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?)"
_WEEKDAY = f"(?:{_WEEKDAYS.replace(' ', '|')})"
_SEASON = f"(?i:{'|'.join(_SEASONS)}|christmas)"
_COUNT = rf"(?P<count>\d+|(?:a )?(?:couple(?: of)?|few)|an?|{_NUMBERS.replace(' ', '|')})"
_UNIT = "(?P<unit>day|weekend|week|month|year)"
_LONG = "(?P<unit>week|month|year)"
_WHICH = "(?i:(?P<which>last|this|next|(?:this|the) past))"
_NAME = f"(?P<name>{_MONTH}|{_WEEKDAY}|{_SEASON}|(?i:weekend|week|month|year))"
_YEAR = r",? (?:of |in )?(?P<year>\d{4,}|(?i:last|this|next) year)"
_DMY = rf"(?P<day>\d+)(?:st|nd|rd|th)? (?:of )?(?P<month>{_SHORT})(?:{_YEAR})?"
_MDY = rf"(?P<month>{_SHORT}) (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:{_YEAR})?"
_WHOLE = rf"(?! (?i:of|before)\b| in {_MONTH}| \d)"  # not "the last week of May"
_FORMS = [
    (_compiled(pattern), means, kind)
    for pattern, means, kind in [
        (f"(?i:(?P<day>{'|'.join(_HOURS)}))", _hours, "relative"),
        (f"(?i:(?:the |this )?(?:last|past) {_COUNT} {_UNIT}s?){_WHOLE}", _rolling, "relative"),
        (f"(?i:(?:the (?:last|past)|(?:this )?past) {_LONG}){_WHOLE}", _rolling, "relative"),
        (f"{_WHICH} {_NAME}{_WHOLE}", _named, "relative"),
        (f"(?i:{_COUNT} {_UNIT}s? ago)", _ago, "relative"),
        (f"(?i:the )?(?P<name>{_SHORT}|{_SEASON}){_YEAR}", _in_year, "date"),
        (f"(?:{_WEEKDAY},? )?(?i:the )?{_DMY}", _date, "date"),
        (f"(?:{_WEEKDAY},? )?{_MDY}", _date, "date"),
        (r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?:T[\d:.]+Z?)?", _date, "date"),
        (r"(?P<day>1[3-9]|2\d|3[01])/(?P<month>0?\d|1[0-2])/(?P<year>\d{4})", _date, "date"),
        (r"(?P<month>0?\d|1[0-2])/(?P<day>1[3-9]|2\d|3[01])/(?P<year>\d{4})", _date, "date"),
        (
            f"(?i:(?:at|over) (?:the (?=weekend))?(?P<name>weekend|christmas)){_WHOLE}",
            _named,
            "date",
        ),
        (rf"(?P<name>{_MONTH})(?! \d|['’]| [A-Z][a-z])", _named, "bare"),
        (f"(?P<name>{_WEEKDAY})(?! (?:morn|even)ings| afternoons| nights)", _named, "bare"),
        (f"(?i:the (?P<name>spring|summer|autumn|winter|weekend)){_WHOLE}", _named, "bare"),
        ("(?P<name>(?i:christmas))", _named, "bare"),
        (rf"(?i:the year )?(?P<year>(?:19|20)\d\d)(?! {_UNIT}s)", _in_year, "bare"),
    ]
]
_LEADS: dict[str, Callable[[_Words, datetime, datetime], _Ends]] = {
    rf"{_COUNT} {_UNIT}s? (?P<side>before|after)": _away,
    f"the {_UNIT} (?P<side>before|after)": _beside,
    "(?:the )?(?:(?P<which>first|last) )?week of": _week_of,
    "(?P<third>early|mid|late)": _third,
    "(?:the )?(?P<third>beginning|start|middle|end) of": _third,
    "since": lambda _words, since, _until: (since, None),
    "after": lambda _words, _since, until: (until, None),
    "before": lambda _words, since, _until: (None, since),
    "until|till|by|up to": lambda _words, _since, until: (None, until),
    "in|on|during|of": lambda _words, since, until: (since, until),
}
_BEFORE = [
    (_compiled(f"(?i:{one})", r"(?: |(?<=[Mm]id)-)\Z"), makes) for one, makes in _LEADS.items()
]
_WORD = re.compile(r"\w+", re.ASCII)
_REACH = 40  # characters in front of a time, in which a lead is looked for
_BETWEEN = _compiled("(?i:between|from)", r" \Z")
_TO = re.compile(f"{_SPACE}(?:and|to|until|till|through){_SPACE}", re.ASCII)
_AND = re.compile(f"(?:,|,?{_SPACE}(?:and|or)){_SPACE}", re.ASCII)
