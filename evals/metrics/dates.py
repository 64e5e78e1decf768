"""Days that a text names in full, in the common English ways and in ISO 8601."""

import re
from collections.abc import Iterable
from datetime import date, datetime

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY, _YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4})"
_DATES = (
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)\b"),
    re.compile(rf"\b{_DAY} (?:of )?{_MONTH}\.?,? {_YEAR}\b", re.IGNORECASE),
    re.compile(rf"\b{_MONTH}\.? {_DAY},? {_YEAR}\b", re.IGNORECASE),
)
_MONTH_OR_YEAR = re.compile(rf"(?:(?:in )?{_MONTH},? )?\d{{4}}", re.IGNORECASE)


def days(texts: Iterable[str]) -> set[date]:
    """Return the days that texts name in full: 2023-05-08, 8 May 2023, May 8th, 2023.

    >>> sorted(days(["on 8 May 2023, or May 9th, 2023", "2023-13-40"]))
    [datetime.date(2023, 5, 8), datetime.date(2023, 5, 9)]
    """
    found = set()
    for text in texts:
        for form in _DATES:
            for match in form.finditer(text):
                month = match["month"]
                number = int(month) if month.isdigit() else 1 + _MONTHS.index(month[:3].lower())
                try:
                    found.add(datetime(int(match["year"]), number, int(match["day"])).date())  # noqa: DTZ001
                except ValueError:  # no such day
                    continue
    return found


def dated(texts: Iterable[str]) -> bool:
    """Return whether a text names a day in full, or is a year, with its month or without.

    >>> dated(["2022"]), dated(["May 2022"]), dated(["2022 people"])
    (True, True, False)
    """
    given = list(texts)
    return bool(days(given)) or any(_MONTH_OR_YEAR.fullmatch(one.strip()) for one in given)


def without(text: str) -> str:
    """Return a text without the days it names.

    >>> without("It was yesterday (2023-05-08), on 8 May 2023.")
    'It was yesterday (), on .'
    """
    for form in _DATES:
        text = form.sub("", text)
    return text
