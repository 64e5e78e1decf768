"""Names of a card as they may stand in one line of a plot, a table or a terminal."""

import unicodedata

_TURNS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # change what is read first


def plain(text: str) -> str:
    """Return `text` with a sign in place of all that would move a cursor or turn the line."""
    return "".join("�" if unicodedata.category(c) == "Cc" or c in _TURNS else c for c in text)
