"""Split a turn into clauses: the pieces of text that become thoughts.

A clause is a sentence, or a part of a long one that can be understood by itself. Boundaries come
from punctuation and conjunctions alone, so that any language can be split.
"""

import re

from memkit.text.words import UNSPACED, sentences

_LEAST_WORDS = 4  # of a clause that a comma or conjunction may cut off
_LEAST_UNSPACED = 6  # characters, likewise, in scripts without spaces
_MOST_CHARACTERS = 300  # of a clause; longer text has no sentences, such as code

# where a clause may end inside a sentence: "; ", " - ", "…", ", and ", ", "
_BREAK = re.compile(
    r"[;；]\s*|\s[-–—]+\s|—|…+\s*|\.{2,}\s*|\s\|\s|:\s+|[,，、]\s*|"
    r"\s(?=(?:but|because|although|though|while)\s)|"
    r"\s(?=(?:and|so)\s(?:i|i['’]?m|my|we|our|he|she|they|it|the)\b)"
    rf"|(?<=[{UNSPACED}])\s+(?=[{UNSPACED}])",
    re.IGNORECASE,
)
_WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['’][^\W_]+)*")
_UNSPACED_CHARACTER = re.compile(f"[{UNSPACED}]")


def clauses(text: str) -> list[tuple[int, int]]:
    """Return where each clause of `text` starts and ends, in order.

    >>> text = "I live in Oslo, and my sister Eve lives in Rome. Dinner at eight?"
    >>> [text[start:end] for start, end in clauses(text)]
    ['I live in Oslo,', 'and my sister Eve lives in Rome.', 'Dinner at eight?']
    """
    spans = []
    for start, end in sentences(text):
        spans += _split_sentence(text, start, end)
    return spans


def _split_sentence(text: str, start: int, end: int) -> list[tuple[int, int]]:
    cuts = [match.end() for match in _BREAK.finditer(text, start, end) if match.end() < end]
    pieces: list[tuple[int, int]] = []
    first = start
    for cut in [*cuts, end]:
        rest_is_long = cut == end or _is_clause(text, cut, end)
        if cut == end or (rest_is_long and _is_clause(text, first, cut)):
            pieces.append((first, cut))
            first = cut
    return [span for piece in pieces for span in _cut(text, *piece)]


def _cut(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return a piece without the spaces around it, in parts that are not too long."""
    spans = []
    for first in range(start, end, _MOST_CHARACTERS):
        part = text[first : min(first + _MOST_CHARACTERS, end)]
        left = first + len(part) - len(part.lstrip())
        right = first + len(part.rstrip())
        if left < right:
            spans.append((left, right))
    return spans


def _is_clause(text: str, start: int, end: int) -> bool:
    """Return whether a piece is long enough to be a clause of its own."""
    words = _WORD.findall(text, start, end)
    unspaced = sum(1 for word in words if _UNSPACED_CHARACTER.match(word))
    return len(words) - unspaced >= _LEAST_WORDS or unspaced >= _LEAST_UNSPACED
