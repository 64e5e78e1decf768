"""Remembered text as it may be shown: it commands no terminal, turns no line and fills no page."""

import re

# control characters but for tab and newline, those that turn the direction of writing, and
# halves of surrogate pairs: nothing that a remembered text may do to a terminal
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def harmless(text: str) -> str:
    """Return `text` with a sign in place of all that would move a cursor or turn a line."""
    return HARMFUL.sub("�", text)


def cut(text: str, most: int) -> str:
    """Return the first `most` characters of a text, and how long it is if that is not all."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def one_line(text: str) -> str:
    """Return `text` with every run of spaces and line breaks as one space."""
    return " ".join(text.split())
