"""Read times in English text as spans of time. No clock: the time of asking is an argument.

Months and weekdays count only with a capital, next to a word or number ("in May", "May 8"). Not
read: hours, 08/05/2023 (May or August), "in two weeks" (often a duration). Weeks begin on Monday;
seasons are northern. A date without a year is the latest that has begun; a weekday, or "last", the
latest that is over; "this Friday" is this week's; "two weeks ago" is all of that week.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from memkit.errors import NaiveDatetime
from memkit.records import MONTHS
from memkit.text.words import NUMBERS

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_Interval = tuple[datetime, datetime]  # local times of the one who asks, without a timezone
_OpenInterval = tuple[datetime | None, datetime | None]
_Groups = dict[str, str]  # what a pattern's groups matched, in lower case and single-spaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time expression, its position in the text, and its meaning."""

    since: datetime | None  # None: open, as in "before 2020"
    until: datetime | None  # exclusive; None: open, as in "since March"
    text: str  # with the words that made it a time: "in May"
    start: int
    end: int


# "before the trip to Rome", "during my exams", "after I got promoted", "since moving to Lyon"
_EVENT = re.compile(
    r"\b(before|after|since|until|during)[ \t]{1,9}"
    r"((?:(?:the|an?|my|our|your|his|her|their|i|we|you|he|she|they)\b|[a-z]{2,}ing\b)"
    r"[^,.;:?!\n]{1,60})",
    re.IGNORECASE,
)


class _Candidate(NamedTuple):
    """Words that may be a time, and the function that says which, given today."""

    match: re.Match[str]
    resolve: Callable[[_Groups, datetime], _Interval]
    kind: str  # "relative" to today; "date"; or "bare", a time only after one of _PREPOSITIONS


def spans(text: str, now: datetime) -> list[Span]:
    """Return the times that an English text mentions, in order, as meant at `now`.

    The spans get the timezone of `now`; NaiveDatetime is raised if it has none. The cost is linear
    in the length of the text.

    >>> from datetime import UTC
    >>> now = datetime(2024, 6, 5, 12, tzinfo=UTC)
    >>> for span in spans("What have I read in May and since last Friday?", now):
    ...     print(span.text, span.since, span.until, sep=" | ")
    in May | 2024-05-01 00:00:00+00:00 | 2024-06-01 00:00:00+00:00
    since last Friday | 2024-05-31 00:00:00+00:00 | None
    """
    if now.utcoffset() is None:
        raise NaiveDatetime(
            f"now={now.isoformat()} has no timezone; pass e.g. now.replace(tzinfo=UTC)"
        )
    today = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return [
        Span(
            since=since and since.replace(tzinfo=now.tzinfo),
            until=until and until.replace(tzinfo=now.tzinfo),
            text=text[start:end],
            start=start,
            end=end,
        )
        for start, end, (since, until) in _read(text, today)
        if since is None or until is None or since < until
    ]


def events(text: str, now: datetime) -> list[tuple[str, str]]:
    """Return the events that a text uses as times, each with its preposition.

    The prepositions are before, after, since, until and during. Dates are left to `spans`.

    >>> from datetime import UTC
    >>> now = datetime(2024, 6, 5, tzinfo=UTC)
    >>> events("What did I read before the trip to Rome, or in May?", now)
    [('before', 'the trip to Rome')]
    """
    matches = list(_EVENT.finditer(text))
    times = spans(text, now) if matches else []
    return [
        (match[1].lower(), match[2].strip())
        for match in matches
        if not any(span.start < match.end() and match.start() < span.end for span in times)
    ]


def _read(text: str, today: datetime) -> Iterator[tuple[int, int, _OpenInterval]]:
    """Yield where each time begins and ends in the text, and its interval."""
    candidates = _candidates(text)[::-1]
    last: _Candidate | None = None
    while candidates:
        candidate = candidates.pop()
        start = candidate.match.start()
        free = last.match.end() if last else 0  # the text before it belongs to earlier times
        try:
            joined = _between(text, free, candidate, candidates[-1], today) if candidates else None
            interval = candidate.resolve(_groups(candidate.match), today)
            begin, ends = joined or _with_prepositions(text, free, start, interval)
        except (ValueError, OverflowError):  # 31 February, or beyond the calendar
            continue
        if joined:
            candidate = candidates.pop()
        elif candidate.kind == "bare" and begin == start and not _is_listed(text, last, candidate):
            continue
        yield begin, candidate.match.end(), ends
        last = candidate


def _is_listed(text: str, last: _Candidate | None, candidate: _Candidate) -> bool:
    """Return whether a time continues a list of its kind, as June does in "in May and June"."""
    if last is None or last.match.re is not candidate.match.re:
        return False
    return bool(_AND.fullmatch(text, last.match.end(), candidate.match.start()))


def _candidates(text: str) -> list[_Candidate]:
    """Return what may be a time, in order, without overlaps: the longest from each word on."""
    candidates: list[_Candidate] = []
    end = 0
    for word in _WORD.finditer(text):
        if word.start() < end or not _ANY_FORM.match(text, word.start()):
            continue
        matches = [
            _Candidate(match, resolve, kind)
            for pattern, resolve, kind in _FORMS
            if (match := pattern.match(text, word.start()))
        ]
        if matches:
            candidates.append(max(matches, key=lambda candidate: candidate.match.end()))
            end = candidates[-1].match.end()
    return candidates


def _groups(match: re.Match[str]) -> _Groups:
    return {name: " ".join(word.lower().split()) for name, word in match.groupdict("").items()}


def _between(
    text: str, free: int, first: _Candidate, second: _Candidate, today: datetime
) -> tuple[int, _OpenInterval] | None:
    """Return the interval of "between May and July", or None if the two are not joined so."""
    start = first.match.start()
    lead = _BETWEEN.search(text, max(free, start - _REACH), start)
    if not lead or not _TO.fullmatch(text, first.match.end(), second.match.start()):
        return None
    last, until = second.resolve(_groups(second.match), today)
    day = today if first.kind == "relative" else last.replace(hour=0)  # the May before that July
    since, _ = first.resolve(_groups(first.match), day)
    return lead.start(), (since, until)


def _with_prepositions(
    text: str, free: int, start: int, ends: _OpenInterval
) -> tuple[int, _OpenInterval]:
    """Return where the prepositions of a time begin, and the interval that they make of it."""
    for _ in range(3):  # "in" "the week before" "the end of" May
        since, until = ends
        for pattern, apply in _LEADS:
            lead = pattern.search(text, max(free, start - _REACH), start)
            if lead and since and until:
                start, ends = lead.start(), apply(_groups(lead), since, until)
                break
        else:
            break
    return start, ends


_DAY = timedelta(days=1)
_SEASONS = {"spring": 2, "summer": 5, "autumn": 8, "fall": 8, "winter": 11}
SMALL_NUMBERS = tuple(word for word, n in NUMBERS.items() if 1 <= n <= 12)  # "two weeks ago"
# name: the cycle it recurs in, months and days from the cycle's start, its length and unit
_RECURRING = {
    **{name[:3].lower(): ("week", 0, n, 1, "day") for n, name in enumerate(WEEKDAYS)},
    **{name[:3].lower(): ("year", n, 0, 1, "month") for n, name in enumerate(MONTHS)},
    **{name: ("year", n, 0, 3, "month") for name, n in _SEASONS.items()},
    **{unit: (unit, 0, 0, 1, unit) for unit in ("day", "week", "month", "year")},
    "weekend": ("week", 0, 5, 2, "day"),
    "christmas": ("year", 11, 23, 3, "day"),
}
# days and months in a unit
_STEPS = {"day": (1, 0), "week": (7, 0), "weekend": (7, 0), "month": (0, 1), "year": (0, 12)}
_SHIFTS = {"last": -1, "this": 0, "next": 1}
_COUNTS = {  # at least, at most
    **{word: (NUMBERS[word], NUMBERS[word]) for word in SMALL_NUMBERS},
    **{"a": (1, 1), "an": (1, 1), "couple": (2, 2), "few": (2, 5)},
}
_THIRDS = {"early": 0, "beginning": 0, "start": 0, "mid": 1, "middle": 1, "late": 2, "end": 2}
_HOURS = {  # hours from midnight at the start of today
    "the day before yesterday": (-48, -24), "yesterday": (-24, 0), "last night": (-6, 6),
    "today": (0, 24), "this morning": (0, 12), "this afternoon": (12, 18),
    "this evening": (18, 24), "tonight": (18, 30), "tomorrow": (24, 48),
    "yesterday morning": (-24, -12), "yesterday afternoon": (-12, -6),
    "yesterday evening": (-6, 0), "earlier today": (0, 24),
    "the day after tomorrow": (48, 72),
}  # fmt: skip


def _plus(at: datetime, n: int, unit: str) -> datetime:
    """Return the time `n` units later; the 31st becomes the last day of a shorter month."""
    days, months = _STEPS[unit]
    year, month = divmod(at.year * 12 + at.month - 1 + n * months, 12)
    day = min(at.day, monthrange(year, month + 1)[1])
    return at.replace(year=year, month=month + 1, day=day) + n * days * _DAY


def _begin(at: datetime, unit: str) -> datetime:
    if unit == "week":
        return at - at.weekday() * _DAY
    return at.replace(month=1 if unit == "year" else at.month, day=at.day if unit == "day" else 1)


def _occurrence(cycle: datetime, key: str) -> _Interval:
    """Return when `key` recurs in the day, week, month or year that begins at `cycle`."""
    _, months, days, length, unit = _RECURRING[key]
    since = _plus(cycle, months, "month") + days * _DAY
    return since, _plus(since, length, unit)


def _around(at: datetime, key: str) -> _Interval:
    return _occurrence(_begin(at, _RECURRING[key][0]), key)


def unit_around(day: datetime, n: int, unit: str) -> _Interval:
    """Return the day, week, month or year `n` units after that of `day`.

    Raises ValueError or OverflowError if it is beyond the calendar.
    """
    return _around(_plus(day, n, unit), unit)


def _key(name: str) -> str:
    return name if name in _RECURRING else name[:3]


def parse_count(text: str) -> tuple[int, int]:
    """Return how many "two", "a couple of" or "a few" are, at least and at most."""
    word = text.removeprefix("a ").removesuffix(" of")
    return (int(word), int(word)) if word.isdigit() else _COUNTS[word]


def _year(text: str, today: datetime) -> int:
    """Return the year that "2023" or "last year" is, or raise ValueError."""
    word = text.removesuffix(" year")
    year = int(word) if word.isdigit() else today.year + _SHIFTS[word]
    if not 1000 <= year < 3000:
        raise ValueError(f"{year} is not read as a year; years are 1000 to 2999")
    return year


# ---- resolvers: the interval that a form of `_FORMS` means today


def _hours(groups: _Groups, today: datetime) -> _Interval:
    since, until = _HOURS[groups["day"]]
    return today + timedelta(hours=since), today + timedelta(hours=until)


def _ago(groups: _Groups, today: datetime) -> _Interval:
    unit, (least, most) = groups["unit"], parse_count(groups["count"])
    first, last = (unit_around(today, -n, unit) for n in (most, least))
    return first[0], last[1]


def _rolling(groups: _Groups, today: datetime) -> _Interval:
    _, most = parse_count(groups.get("count", "one"))
    return _plus(today, -most, groups["unit"]), today + _DAY


def _recurring(groups: _Groups, today: datetime) -> _Interval:
    """Return the last, this or next week, Friday or summer; without such a word the latest."""
    key, which = _key(groups["name"]), groups.get("which")
    every, _, _, length, unit = _RECURRING[key]
    around = [_occurrence(_plus(_begin(today, every), n, every), key) for n in (-2, -1, 0, 1)]
    begun = [interval for interval in around if interval[0] <= today]
    over = [interval for interval in begun if interval[1] <= today]
    if which == "next":
        return around[len(begun) if every == "year" else 3]
    if which == "this":
        return around[2] if begun == over else begun[-1]
    return over[-1] if which or (length, unit) == (1, "day") else begun[-1]


def _in_year(groups: _Groups, today: datetime) -> _Interval:
    cycle = today.replace(year=_year(groups["year"], today), month=1, day=1)
    return _occurrence(cycle, _key(groups.get("name", "year")))


def _date(groups: _Groups, today: datetime) -> _Interval:
    """Return that day of its year, or the latest that has begun, or raise ValueError."""
    word, day, year = groups["month"], int(groups["day"]), groups["year"]
    month = int(word) if word.isdigit() else _RECURRING[word[:3]][1] + 1
    # without a year the latest nine, because no year from 1897 to 1903 had a 29 February
    years = [_year(year, today)] if year else list(range(today.year - 8, today.year + 1))
    days = [
        today.replace(year=n, month=month, day=day) for n in years if day <= monthrange(n, month)[1]
    ]
    since = max(date for date in days if year or date <= today)
    return since, since + _DAY


# ---- prepositions: the interval that words before a time make of it


def _away(groups: _Groups, since: datetime, until: datetime) -> _OpenInterval:
    """Return the interval of "two weeks before" or "a few days after"."""
    unit, (least, most) = groups["unit"], parse_count(groups["count"])
    if groups["side"] == "before":
        least, most = -most, -least
    first = _plus(since, least, unit)
    return first, max(_plus(until, most, unit), first + _DAY)


def _adjacent(groups: _Groups, since: datetime, until: datetime) -> _OpenInterval:
    """Return the interval of "the week before" or "the month after"."""
    if groups["side"] == "before":
        return _plus(since, -1, groups["unit"]), since
    return until, _plus(until, 1, groups["unit"])


def _third(groups: _Groups, since: datetime, until: datetime) -> _OpenInterval:
    """Return the early, middle or late third: ten days of a month, four months of a year."""
    n, months = _THIRDS[groups["third"]], 12 * (until.year - since.year) + until.month - since.month
    if (until - since).days < 28:
        return since, until
    cuts = [since, since + 10 * _DAY, since + 20 * _DAY, until]
    if months >= 3:
        cuts = [_plus(since, months * k // 3, "month") for k in range(4)]
    return cuts[n], cuts[n + 1]


def _week_of(groups: _Groups, since: datetime, until: datetime) -> _OpenInterval:
    """Return the week of a day, or the first or last seven days of a longer time."""
    if until - since <= 7 * _DAY:
        return _around(since, "week")
    if groups["which"] == "first":
        return since, since + 7 * _DAY
    return until - 7 * _DAY if groups["which"] == "last" else since, until


# ---- patterns

_SPACE = r"[\s\xa0]+"


def _compiled(pattern: str, edge: str = r"(?![\w–-]|[.,:/]\d)") -> re.Pattern[str]:
    """Compile a pattern with edges that cross no word, number or dash, as in "May-Lin", "5.30"."""
    start = r"\b(?:(?<![–-])(?<!\d[.,:/])|(?<=[Mm]id-))"
    return re.compile((start + pattern + edge).replace(" ", _SPACE), re.ASCII)


_MONTH = f"(?:{'|'.join(MONTHS)})"
_SHORT = rf"(?:{_MONTH}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?)"
_WEEKDAY = f"(?:{'|'.join(WEEKDAYS)})"
_SEASON = f"(?i:{'|'.join(_SEASONS)}|christmas)"
_COUNT = rf"(?P<count>\d+|(?:a )?(?:couple(?: of)?|few)|an?|{'|'.join(SMALL_NUMBERS)})"
_UNIT = "(?P<unit>day|weekend|week|month|year)"
_LONG = "(?P<unit>week|month|year)"
_WHICH = "(?i:(?P<which>last|this|next|(?:this|the) past))"
_NAME = f"(?P<name>{_MONTH}|{_WEEKDAY}|{_SEASON}|(?i:weekend|week|month|year))"
_YEAR = r",? (?:of |in )?(?P<year>\d{4,}|(?i:last|this|next) year)"
_DMY = rf"(?P<day>\d+)(?:st|nd|rd|th)? (?:of )?(?P<month>{_SHORT})(?:{_YEAR})?"
_MDY = rf"(?P<month>{_SHORT}) (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:{_YEAR})?"
_WHOLE = rf"(?! (?i:of|before)\b| in {_MONTH}| \d)"  # not "the last week of May"
# fmt: off
_FORMS = [  # pattern, resolver, kind; each with an example that it matches
    (_compiled(pattern), resolve, kind)
    for pattern, resolve, kind in [
        # "yesterday", "this morning"
        (f"(?i:(?P<day>{'|'.join(sorted(_HOURS, key=len, reverse=True))}))", _hours, "relative"),
        # "the last two weeks", "past few days"
        (f"(?i:(?:the |this )?(?:last|past) {_COUNT} {_UNIT}s?){_WHOLE}", _rolling, "relative"),
        # "the past month"
        (f"(?i:(?:the (?:last|past)|(?:this )?past) {_LONG}){_WHOLE}", _rolling, "relative"),
        # "last Friday", "next summer", "this week"
        (f"{_WHICH} {_NAME}{_WHOLE}", _recurring, "relative"),
        # "a few days ago"
        (f"(?i:{_COUNT} {_UNIT}s? ago)", _ago, "relative"),
        # "May 2023", "the summer of 2022"
        (f"(?i:the )?(?P<name>{_SHORT}|{_SEASON}){_YEAR}", _in_year, "date"),
        # "Monday, the 8th of May 2023"
        (f"(?:{_WEEKDAY},? )?(?i:the )?{_DMY}", _date, "date"),
        # "May 8, 2023"
        (f"(?:{_WEEKDAY},? )?{_MDY}", _date, "date"),
        # an ISO date such as 2023-05-08, or 2023-05-08T13:00Z
        (r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?:T[\d:.]+Z?)?", _date, "date"),
        # "18/05/2023" and "05/18/2023", where only one order is a date
        (r"(?P<day>1[3-9]|2\d|3[01])/(?P<month>0?\d|1[0-2])/(?P<year>\d{4})", _date, "date"),
        (r"(?P<month>0?\d|1[0-2])/(?P<day>1[3-9]|2\d|3[01])/(?P<year>\d{4})", _date, "date"),
        # "18.5.2023"
        (r"(?P<day>\d\d?)\.(?P<month>\d\d?)\.(?P<year>\d{4})", _date, "date"),
        # "at Christmas", "over the weekend"
        (f"(?i:(?:at|over) (?:the (?=weekend))?(?P<name>weekend|christmas)){_WHOLE}",
         _recurring, "date"),
        # "May", but not "May 5" nor "May's" nor "May Lee"
        (rf"(?P<name>{_MONTH})(?! \d|['’]| [A-Z][a-z])", _recurring, "bare"),
        # "Friday", but not "Friday nights"
        (f"(?P<name>{_WEEKDAY})(?! (?:morn|even)ings| afternoons| nights)", _recurring, "bare"),
        # "the summer"
        (f"(?i:the (?P<name>spring|summer|autumn|winter|weekend)){_WHOLE}", _recurring, "bare"),
        # "Christmas"
        ("(?P<name>(?i:christmas))", _recurring, "bare"),
        # "2023", but not "2000 weeks"
        (rf"(?i:the year )?(?P<year>(?:19|20)\d\d)(?! {_UNIT}s)", _in_year, "bare"),
    ]
]
# fmt: on
# any of them, without the names of their groups: most words begin no time
_ANY_FORM = re.compile(
    "|".join(re.sub(r"\?P<\w+>", "?:", pattern.pattern) for pattern, _, _ in _FORMS), re.ASCII
)
_PREPOSITIONS: dict[str, Callable[[_Groups, datetime, datetime], _OpenInterval]] = {
    rf"{_COUNT} {_UNIT}s? (?P<side>before|after)": _away,
    f"the {_UNIT} (?P<side>before|after)": _adjacent,
    "(?:the )?(?:(?P<which>first|last) )?week of": _week_of,
    "(?P<third>early|mid|late)": _third,
    "(?:the )?(?P<third>beginning|start|middle|end) of": _third,
    "since": lambda _groups, since, _until: (since, None),
    "after": lambda _groups, _since, until: (until, None),
    "before": lambda _groups, since, _until: (None, since),
    "until|till|by|up to": lambda _groups, _since, until: (None, until),
    "in|on|during|of": lambda _groups, since, until: (since, until),
}
_LEADS = [  # each ends right before the time: "since " of "since May", "mid-" of "mid-May"
    (_compiled(f"(?i:{words})", r"(?: |(?<=[Mm]id)-)\Z"), apply)
    for words, apply in _PREPOSITIONS.items()
]
_WORD = re.compile(r"\w+", re.ASCII)
_REACH = 40  # characters before a time in which a preposition is looked for
_BETWEEN = _compiled("(?i:between|from)", r" \Z")
_TO = re.compile(f"{_SPACE}(?:and|to|until|till|through){_SPACE}", re.ASCII)  # "May to July"
_AND = re.compile(f"(?:,|,?{_SPACE}(?:and|or)){_SPACE}", re.ASCII)  # "May, June and July"
