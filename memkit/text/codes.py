"""Exact things in a text: versions, addresses, phone and order numbers, paths, e-mail, amounts.

Words alone do not tell 1.2.3 from 3.2.1, and "+49 151 8953298" shares no word with "+491518953298".
So each of these is a term of its own, one with its separators and one without them.
"""

from collections.abc import Iterator

import regex as re

# matches "10.0.1.2:8080", "ann.lee@mail.example", "/usr/local/bin", "AB-12-CD" and "1,250.00"
_UNSPACED = re.compile(r"[/\\~]?\w++(?:[.@/\\:_+#=~&%?-]{1,3}\w++|(?<=\d)[,'’]\d++)*+", re.ASCII)
# matches "+49 (151) 895-3298", "482 284", "AB 12 CD", "sw1a 1aa": groups of digits or of capitals
_GROUP = r"(?:[A-Z]{1,4}(?![a-z])|(?=[A-Za-z]*+\d)[A-Za-z\d]++)"
_SPACED = re.compile(rf"(?<!\w){_GROUP}(?:[ \xa0\u202f.,/()–-]{{1,3}}+{_GROUP})++(?!\w)", re.ASCII)
_MARKS = re.compile(r"[^A-Za-z\d]+")
_PARTS = re.compile(r"[@/\\:]+")  # between which a code has codes of its own: host and port
_TRUNK = re.compile(r"\(0\)")  # "+49 (0)151"
_VERSION = re.compile(r"^v(?=\d)")  # "v1.2" is version 1.2
_CENTS = re.compile(r"(?<=^\d[\d.,'’ ]*)[.,]00$")  # of "1,250.00"
_LOCAL = 7  # last digits of a phone number, the same with and without the code of its country
_LONG = 64  # characters of a code, at most; more are no name but data


def codes(text: str) -> list[str]:
    """Return the terms of the exact things in a text, each once; none has a space or a mark.

    >>> codes("Did v1.2.3 crash?")
    ['1x2ex2x2ex3', '123']
    >>> set(codes("+49 151 8953298")) == set(codes("+491518953298")) | {"491518953298"}
    True
    """
    return list(dict.fromkeys(_terms(text)))


def _terms(text: str) -> Iterator[str]:
    for match in _UNSPACED.finditer(text):
        code = match[0]
        if len(code) > _LONG or not _is_code(code):
            continue
        yield from _with_marks(code)
        if any(character.isdigit() for character in code):
            yield from _without_marks(code)
        for part in _PARTS.split(code):
            if part != code and _is_code(part):
                yield from _with_marks(part)
    for match in _SPACED.finditer(_TRUNK.sub("", text)):
        if len(match[0]) <= _LONG and any(character.isdigit() for character in match[0]):
            yield from _without_marks(match[0])


def _is_code(text: str) -> bool:
    """Return whether a run without spaces is a code and no word, abbreviation or "and/or"."""
    groups = _MARKS.split(text.strip("/\\~"))
    if any(character.isdigit() for character in text):
        is_long = text.isdigit() and len(text) > _LOCAL
        return is_long or len(groups) > 1 or bool(_VERSION.match(text.casefold()))
    if len(groups) < 2:
        return False
    slashes = text.count("/") + text.count("\\")
    return (
        "@" in text or "_" in text or slashes > 1 or ("." in text and len(min(groups, key=len)) > 1)
    )


def _with_marks(code: str) -> Iterator[str]:
    """Yield the code as one word: each mark becomes the number of its character."""
    code = _VERSION.sub("", code.casefold().strip("/\\~"))
    word = _MARKS.sub(lambda mark: "x" + mark[0].encode().hex() + "x", code)
    if word != code:
        yield word


def _without_marks(code: str) -> Iterator[str]:
    """Yield the code without its marks, and the end of a long number."""
    joined = _MARKS.sub("", _CENTS.sub("", _VERSION.sub("", code.casefold())))
    yield joined
    if joined.isdigit() and len(joined) > _LOCAL:
        yield joined[-_LOCAL:]
