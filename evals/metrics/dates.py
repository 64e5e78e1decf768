"""Find the days that a text names in full, in common English forms and in ISO 8601.

`memkit.text.dates` does not serve here: it resolves dates relative to a day, and finds fewer forms.
"""

import re
from collections.abc import Iterable
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*"
_DAY, _YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4})"
_DATES = (
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)\b"),  # 2023-05-08
    re.compile(rf"\b{_DAY} (?:of )?{_MONTH}\.?,? {_YEAR}\b", re.IGNORECASE),  # 8th of May, 2023
    re.compile(rf"\b{_MONTH}\.? {_DAY},? {_YEAR}\b", re.IGNORECASE),  # May 8, 2023
)
_MONTH_OR_YEAR = re.compile(rf"(?:(?:in )?{_MONTH},? )?\d{{4}}", re.IGNORECASE)  # in May 2022; 2022


def days(texts: Iterable[str]) -> set[date]:
    """Return the days that texts name in full: 2023-05-08, 8 May 2023, May 8th, 2023.

    >>> sorted(days(["on 8 May 2023, or May 9th, 2023", "2023-13-40"]))
    [datetime.date(2023, 5, 8), datetime.date(2023, 5, 9)]
    """
    matches = (match for text in texts for form in _DATES for match in form.finditer(text))
    return {day for match in matches if (day := _read(match)) is not None}


def _read(match: re.Match[str]) -> date | None:
    month = match["month"]
    number = int(month) if month.isdigit() else 1 + _MONTHS.index(month[:3].lower())
    try:
        return date(int(match["year"]), number, int(match["day"]))
    except ValueError:  # 2023-13-40 has the form of a day
        return None


def dated(texts: Iterable[str]) -> bool:
    """Return whether a text names a day in full, or is nothing but a year or a month of a year.

    >>> dated(["2022"]), dated(["May 2022"]), dated(["2022 people"])
    (True, True, False)
    """
    texts = list(texts)
    return bool(days(texts)) or any(_MONTH_OR_YEAR.fullmatch(text.strip()) for text in texts)


def without(text: str) -> str:
    """Return a text without the days that it names in full.

    >>> without("It was yesterday (2023-05-08), on 8 May 2023.")
    'It was yesterday (), on .'
    """
    for form in _DATES:
        text = form.sub("", text)
    return text
