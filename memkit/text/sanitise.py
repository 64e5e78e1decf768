"""Make remembered text safe to show in a terminal, a table or a page."""

import re

# Control characters except tab and newline, marks that change the direction of writing (U+202E),
# and halves of surrogate pairs.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def sanitise(text: str) -> str:
    """Return `text` with "�" for every character that moves a cursor or reverses a line."""
    return UNSAFE.sub("�", text)


def truncate(text: str, most: int) -> str:
    """Return the first `most` characters of a text, and its length if that is not all."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def one_line(text: str) -> str:
    """Return `text` with every run of white space as one space."""
    return " ".join(text.split())


HARMFUL, harmless, cut = UNSAFE, sanitise, truncate  # the names in 0.4.0; until 1.0
