"""Write the date behind relative times in a claim: "last Friday (2023-05-05)".

`memkit.text.dates` reads the words. Read here is what depends on whether the sentence looks ahead:
"in two weeks", and "we will move in May", which is the next May. Not read: hours, "every Friday",
"a few weeks from now", and most plans in the simple present.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from memkit.text.dates import SMALL_NUMBERS, parse_count, spans, unit_around

_DAY = timedelta(days=1)
_REACH = 200  # characters around a time that are read as its sentence
_PASSES = 3  # an inserted date may make its neighbour readable
_YEARS = 8  # the longest wait for a 29 February

_COUNT = rf"(?P<count>\d{{1,4}}|a couple of|couple of|an?|{'|'.join(SMALL_NUMBERS)})"
_UNIT = r"(?P<unit>day|week|month|year)s?"

_HAS_YEAR = re.compile(r"\d{4}")
# words that say which Friday or May is meant: "last", "ago"
_HAS_DIRECTION = re.compile(
    r"\b(?:ago|last|this|next|past|yesterday|today|tonight|tomorrow)\b", re.IGNORECASE
)
_WEEKLY = re.compile(r"(?i:weekend)|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\Z")
# the preposition of an open interval: "since May", "until Friday"
_OPEN = re.compile(r"(since|after|before|until|till|by|up to)\s+", re.IGNORECASE)
# what `resolve` inserts: " (2023-05-05)", " (2023-05)", " (2023-05-01 to 2023-05-07)"
_DATED = re.compile(r"\s?\(\d{4}(?:-\d\d){0,2}(?: to \d{4}-\d\d-\d\d)?\)")
# what belongs to a time and comes before its date: "last Friday's (2023-05-05) party"
_SUFFIX = re.compile(r"(?:['’]s\b|\s(?:morning|afternoon|evening|night)s?\b)?", re.ASCII)
# "in two weeks", "in a month's time", "a year from now"
_IN = re.compile(
    rf"\b(?:in {_COUNT} {_UNIT}(?:['’]? time)?(?! of\b)|"
    rf"{_COUNT.replace('count', 'count2')} {_UNIT.replace('unit', 'unit2')} from (?:now|today))\b",
    re.IGNORECASE,
)
# whether the words before a time look back ("went", "was planning to") or ahead ("will", "is
# going to", "starts", a final "is" as in "the exam is on Friday")
_TENSE = re.compile(
    r"\b(?P<past>(?:was|were|had)(?: going to| planning(?: to)?)?|did(?:n['’]t)?|been|went|came|saw"
    r"|met|bought|took|gave|made|said|told|found|left|began|became|got|used to|ago|last|yesterday"
    r"|(?<!be )(?<!get )(?<!are )(?<!is )[a-zA-Z]{2,}[^\We]ed(?<!planned)(?<!scheduled))\b"
    r"|(?P<ahead>(?:\bwill|['’]ll|\bwon['’]t|\bgonna|\bshall|\bwants? to|\bhopes? to"
    r"|\bneeds? to|\bha(?:s|ve) to|\bmust|\babout to"
    r"|\bplan(?:s|ned|ning)?|\bgoing to|\bintends? to|\blike to|\bschedul(?:ed|es?)|\bdue"
    r"|\blook(?:s|ing)? forward|\bnext|\btomorrow|\bupcoming)"
    r"(?: (?:not|be|have|been|get))*(?: [a-z]+)?"
    r"|(?:\b(?:am|is|are)|['’](?:m|s|re)) [a-z]{2,}ing\b"
    r"|\b(?:starts|begins|opens|ends|leaves|arrives|departs|flies|moves|returns|retires)\b"
    r"|(?:\b(?:is|are)|['’]s)\s*\Z)",
)
_SENTENCE_END = re.compile(r"[.!?。]\s|\n")  # of a claim, which is one sentence in most cases

# "has lived in Oslo for about three years"
_HELD_FOR = re.compile(
    rf"\b(?:has|have|been|['’]ve|['’]s)\b[^.!?\n]{{0,80}}? for (?:about |over |nearly |almost )?"
    rf"{_COUNT} {_UNIT}\b",
    re.IGNORECASE,
)
# verbs after which a state holds: "moved", "started", but not "did not move"
_BEGINS = re.compile(
    r"(?<!not )(?<!n['’]t )(?<!never )\b(?:mov(?:ed?|es|ing)|start(?:s|ed|ing)?|beg[aiu]n|begins"
    r"|join(?:s|ed|ing)?|bec[ao]mes?|married|adopt(?:s|ed|ing)?|bought|switch(?:es|ed|ing)?"
    r"|retir(?:ed?|es|ing)|quit|stop(?:s|ped|ping)?|got|left|changed|turned)\b",
    re.IGNORECASE,
)
# a day of every year: "Ann's birthday is on May 5" is no single date
_RECURS = re.compile(r"\b(?:birthday|anniversary|annual|every)\b", re.IGNORECASE)


class _Time(NamedTuple):
    start: int
    end: int
    words: str
    since: datetime
    until: datetime  # exclusive


def resolve(text: str, said_at: datetime, *, ahead: bool = False) -> str:
    """Return `text` with a date behind every time whose meaning depends on the day.

    A plan looks `ahead`: its Friday is the next one, unless it says "last Friday". Of other texts
    the tense decides.

    A day is written "(2023-05-05)", a whole month "(2023-04)", a whole year "(2022)", and all else
    "(2023-04-24 to 2023-04-30)". A time with a year, or with a date behind it, stays as it is.
    The dates are in the timezone of `said_at`.

    >>> from datetime import UTC
    >>> resolve("Ann saw the dentist last Friday", datetime(2023, 5, 8, tzinfo=UTC))
    'Ann saw the dentist last Friday (2023-05-05)'
    """
    for _ in range(_PASSES):
        dated = _resolved(text, said_at, ahead)
        if dated == text:
            break
        text = dated
    return text


def without_dates(text: str) -> str:
    """Return `text` without what looks like a date that `resolve` inserted.

    >>> without_dates("Ann left last year (2022)")
    'Ann left last year'
    """
    return _DATED.sub("", text)


def undated(text: str, said_at: datetime) -> str:
    """Return the text from which `resolve` made `text`, or `text` if it did not.

    >>> from datetime import UTC
    >>> undated("Ann left last year (2022)", datetime(2023, 5, 8, tzinfo=UTC))
    'Ann left last year'
    """
    bare = without_dates(text)
    return bare if bare != text and resolve(bare, said_at) == text else text


def since(text: str, said_at: datetime) -> datetime | None:
    """Return when the state in `text` began, or None: "since 2010", "moved there in May".

    >>> from datetime import UTC
    >>> since("Ann moved to Oslo in March", datetime(2023, 5, 8, tzinfo=UTC)).date().isoformat()
    '2023-03-01'
    """
    times = list(_times(text, said_at))
    for time in times:
        if time.words[:5].lower() == "since":
            return time.since
    lasting = _HELD_FOR.search(text)
    if lasting and (started := _shifted(said_at, lasting["count"], lasting["unit"], -1)):
        return started[0]
    begins = _BEGINS.search(text)
    points = [time for time in times if not _OPEN.match(time.words)]
    if not begins or not points:
        return None
    after = [time for time in points if time.start >= begins.end()]
    return (after[0] if after else points[-1]).since


def _resolved(text: str, said_at: datetime, ahead: bool) -> str:
    parts: list[str] = []
    done = 0
    for time in _times(text, said_at, ahead):
        suffix = _SUFFIX.match(text, time.end)
        end = suffix.end() if suffix else time.end
        if end < done or _HAS_YEAR.search(time.words) or _DATED.match(text, end):
            continue
        parts += [text[done:end], f" ({_written(time.since, time.until)})"]
        done = end
    return "".join([*parts, text[done:]])


def _written(since: datetime, until: datetime) -> str:
    first, last = since.date(), (until - timedelta(microseconds=1)).date()
    if until - since <= _DAY:
        return first.isoformat()
    if since.day == 1 and until.day == 1 and since.time() == until.time():
        months = 12 * (until.year - since.year) + until.month - since.month
        if months == 1:
            return first.isoformat()[:7]
        if months == 12 and since.month == 1:
            return first.isoformat()[:4]
    return f"{first.isoformat()} to {last.isoformat()}"


def _times(text: str, said_at: datetime, ahead: bool = False) -> Iterator[_Time]:
    """Yield the times that a text mentions, in order, closed, and resolved by its tense."""
    times: list[_Time] = []
    for span in spans(text, said_at):
        ends = (span.since, span.until) if span.since and span.until else None
        ends = ends or _read(span.text, said_at)
        if ends is None:
            continue
        time = _Time(span.start, span.end, span.text, *ends)
        if not _HAS_YEAR.search(span.text) and not _HAS_DIRECTION.search(span.text):
            if _RECURS.search(text):
                continue
            if ahead or _looks_ahead(text, time):
                time = _next(time, said_at)
        times.append(time)
    covered = {n for time in times for n in range(time.start, time.end)}
    for match in _IN.finditer(text):
        count, unit = match["count"] or match["count2"], match["unit"] or match["unit2"]
        ends = _shifted(said_at, count, unit, 1)
        if ends is None or match.start() in covered:
            continue
        time = _Time(match.start(), match.end(), match[0], *ends)
        if match["count2"] or ahead or _looks_ahead(text, time):
            times.append(time)
    yield from sorted(times)


def _read(words: str, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the interval of the time in `words`, whatever its preposition."""
    for phrase in (words, "in " + _OPEN.sub("", words, count=1)):
        read = spans(phrase, now)
        if len(read) == 1 and read[0].since and read[0].until:
            return read[0].since, read[0].until
    return None


def _next(time: _Time, now: datetime) -> _Time:
    """Return the next occurrence of a time without a year, as it will be read after its end."""
    step = 8 * _DAY if _WEEKLY.search(time.words) else 365 * _DAY
    latest = time
    for n in range(1, _YEARS + 1):
        if latest.until > now:
            return latest
        try:
            ends = _read(time.words, now + n * step)
        except OverflowError:
            break
        latest = latest if ends is None else time._replace(since=ends[0], until=ends[1])
    return latest if latest.until > now else time


def _looks_ahead(text: str, time: _Time) -> bool:
    """Return whether the last tense before a time, or else the first after it, looks ahead."""
    opened = _OPEN.match(time.words)
    lead = opened[1].lower() if opened else ""
    if lead == "since":
        return False
    before = text[max(time.start - _REACH, 0) : time.start]
    after = text[time.end : time.end + _REACH]
    before = _SENTENCE_END.split(before)[-1]
    after = _SENTENCE_END.split(after, maxsplit=1)[0]
    tenses = [*_TENSE.finditer(before)][-1:] or [*_TENSE.finditer(after)][:1]
    if tenses:
        return tenses[0]["ahead"] is not None
    return lead in ("until", "till", "by")


def _shifted(now: datetime, count: str, unit: str, sign: int) -> tuple[datetime, datetime] | None:
    """Return the day, week, month or year `count` units away, or None beyond the calendar."""
    n, _ = parse_count(" ".join(count.lower().split()))
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return unit_around(today, sign * n, unit.lower())
    except (ValueError, OverflowError):
        return None
