"""Values as words, for every form of the report."""

import unicodedata
from collections.abc import Iterable, Mapping

# characters that change the direction of reading, and so could disguise what follows them
_BIDIRECTIONAL = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def number(value: float | None) -> str:
    """Return a number with three digits after the point, fewer if it is large; – for None."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 3
    return f"{value + 0.0:,.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """Return an interval in brackets, ∞ without a high end; empty where it has no width."""
    if low is None or low == high:
        return ""
    return f"[{number(low)}, {'∞' if high is None else number(high)}]"


def words(value: object) -> str:
    """Return any value of a config or disclosure as words."""
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, str):
        return value or "–"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {words(item)}" for key, item in value.items()) or "none"
    if isinstance(value, Iterable):
        return ", ".join(map(words, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def printable(text: str) -> str:
    """Return a text with � for control characters and for changes of the reading direction."""
    return "".join(
        "�" if unicodedata.category(char) == "Cc" or char in _BIDIRECTIONAL else char
        for char in text
    )
