"""The dates of a WhatsApp export, which are written as the phone's language writes them."""

import re
from datetime import datetime

from memkit.errors import AmbiguousDates
from memkit.importers.source import DateOrder

MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"  # invisible: direction, byte order
_M = f"[{MARKS}]*"
_HALF = r"[ap]\.?\s?m\.?|öö|ös|午前|午後|凌晨|清晨|早上|上午|中午|下午|晚上|오전|오후|ص|م"
# between date and time: "klo 22.15", "à 21:15"; any other word may be a half of the day
_AT = r"at|um|à|às|klo|kl\.?|om|ob|o|u|v|в|о"
# such as: 12/31/20, 9:15 PM - Ann: …, [31.12.2020, 22:15:03] Ann: …, 2020-12-31 22:15 - Ann: …
_HEADER = re.compile(
    rf"{_M}(?P<bracket>\[)?{_M}"
    rf"(?P<a>\d{{1,4}}){_M}(?P<sign>\.\s?|/|-|年|년\s?)(?P<b>\d{{1,2}}){_M}(?:\.\s?|/|-|月|월\s?)"
    rf"(?P<c>\d{{1,4}})[.日일]?{_M}[,،]?{_M}\s+(?:(?:{_AT})\s)?{_M}"
    rf"(?P<before>{_HALF})?\s?(?P<hour>\d{{1,2}})[:.](?P<minute>\d\d)(?:[:.](?P<second>\d\d))?"
    rf"{_M}\s?(?P<after>{_HALF})?{_M}(?(bracket)\]\s?|\s[-–]\s)",
    re.IGNORECASE,
)
_AFTERNOON = ("午後", "中午", "下午", "晚上", "오후", "ös", "م")
_BUDDHIST_ERA = 543  # years; Thai phones write 2563 for 2020
_ORDERS = {"dmy": "abc", "mdy": "bac", "ymd": "cba"}  # the places of day, month and year


def match_header(line: str) -> re.Match[str] | None:
    """Return the match of date and time at the beginning of a line, None if it has none."""
    return _HEADER.match(line)


class DateOrderGuess:
    """Decides from all dates of a file whether the day or the month comes first."""

    def __init__(self) -> None:
        self._impossible = {"dmy": 0, "mdy": 0}  # dates that do not exist
        self._backwards = {"dmy": 0, "mdy": 0}  # dates before the date above
        self._last = {"dmy": (0, 0, 0), "mdy": (0, 0, 0)}
        self._example = ""  # of a date with two readings
        self._has_points = False
        self._year_first: bool | None = None

    def add(self, header: re.Match[str]) -> None:
        """Take the date of a message."""
        if self._year_first is None:
            self._year_first = len(header["a"]) == 4
            self._has_points = header["sign"].startswith(".")
        if len(header["a"]) > 2:
            return
        if int(header["a"]) != int(header["b"]):
            self._example = header[0].strip(" -–[]")
        for order, (day, month) in (
            ("dmy", (int(header["a"]), int(header["b"]))),
            ("mdy", (int(header["b"]), int(header["a"]))),
        ):
            date = (int(header["c"]), month, day)
            self._impossible[order] += not (1 <= month <= 12 and 1 <= day <= 31)
            self._backwards[order] += date < self._last[order]
            self._last[order] = date

    def decide(self, path: str) -> DateOrder:
        """Return the order.

        Raises:
            AmbiguousDates: both orders are possible.
        """
        if self._year_first:
            return "ymd"
        for counts in (self._impossible, self._backwards):
            if counts["dmy"] != counts["mdy"]:
                return "dmy" if counts["dmy"] < counts["mdy"] else "mdy"
            if self._has_points:
                return "dmy"
        if not self._example:
            return "dmy"
        raise AmbiguousDates(path, self._example)


def read_date(header: re.Match[str], order: DateOrder) -> datetime | None:
    """Return the time of a message, without a timezone; None if there is no such time."""
    if len(header["a"]) == 4:
        day, month, year = int(header["c"]), int(header["b"]), int(header["a"])
    else:
        day, month, year = (int(header[place]) for place in _ORDERS[order])
    year -= _BUDDHIST_ERA if year > 2400 else 0
    half = (header["before"] or header["after"] or "").casefold()
    hour = int(header["hour"])
    if half:
        is_afternoon = half.startswith("p") or half in _AFTERNOON
        hour = hour % 12 + (12 if is_afternoon else 0)
    try:
        return datetime(  # noqa: DTZ001 - the caller knows the timezone
            year + 2000 if year < 100 else year, month, day, hour, int(header["minute"]),
            int(header["second"] or 0),
        )  # fmt: skip
    except ValueError:
        return None
