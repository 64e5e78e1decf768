"""The words of a text, without endings, as `memkit.thoughts.grounding` compares them.

Endings are taken off by five rules, no dictionary: "lives", "lived" and "living" are one, "went" is
not "go". Where no spaces are written, every two neighbouring characters are a word.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from memkit.text.words import pairs

_END = re.compile(r"[.!?]+[\"'”’)]*\s+|[。！？]+|\n+")
_ABBREVIATED = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|St|Prof|vs|No|e\.g|i\.e|[A-Z])\.\Z")
_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|(?P<stop>[,;:.!?。，；：！？\n()–—]| - )"
)
_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be because been before being both but by can "
    "could did do does doing don during for from get gets got had has have having he her hers him "
    "his how i if in into is it its just ll may me might mine more most much must my no not of off "
    "on one or our ours out over own re s shall she should so some such t than that the their "
    "theirs them then there these they this those though to too up us ve very was we were what "
    "when where which while who whom whose why will with would you your yours yes other "
    "others themself themselves himself herself myself yourself "
    # what only frames a fact, as in "is named", "is 8 years old", "said that", "a rule: always"
    "name names named called age aged old year years says said told mentioned asks asked "
    "rule always"
)
FUNCTION = frozenset(_FUNCTION_WORDS.split())
SPEAKERS = {
    "user": frozenset(("user", "用户", "用戶")),
    "assistant": frozenset(("assistant", "助手")),
}
YOU = frozenset(("you", "your", "yours", "yourself", "你", "您"))
_NEGATION_WORDS = (
    "not never no none nobody nothing neither nor without cannot stop stops stopped quit quits "
    "former formerly ex avoid avoids avoiding refrain instead nicht nie kein keine 不 没 沒 未"
)
NEGATIONS = frozenset(_NEGATION_WORDS.split())
_UNSPACED = [one for one in {*NEGATIONS, *YOU}.union(*SPEAKERS.values()) if pairs(one)]
_ALONE = re.compile(f"({'|'.join(sorted(_UNSPACED, key=len, reverse=True))})")
_VOWEL = re.compile("[aeiouy]")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_SPELLED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
_NUMBERS = {word: n for n, word in enumerate(_SPELLED.split())} | {
    word: 10 * n for n, word in enumerate(_TENS.split(), start=2)
}


def sentences(text: str) -> list[tuple[int, int]]:
    """Return where each sentence of `text` starts and ends; together they cover its words.

    >>> [("Dr. Lee called. Ann is well!"[start:end]) for start, end in
    ...  sentences("Dr. Lee called. Ann is well!")]
    ['Dr. Lee called.', 'Ann is well!']
    """
    return list(_sentences(text))


@lru_cache(maxsize=8)
def _sentences(text: str) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    start = 0
    for end in _END.finditer(text):
        if _ABBREVIATED.search(text, max(start, end.start() - 8), end.start() + 1):
            continue
        found.append((start, end.end()))
        start = end.end()
    trimmed = []
    for first, last in [*found, (start, len(text))]:
        left = last - len(text[first:last].lstrip())
        right = first + len(text[first:last].rstrip())
        if left < right:
            trimmed.append((left, right))
    return tuple(trimmed)


def tokens(text: str) -> Iterator[str]:
    """Yield words, stops, and pairs of characters where there are no spaces; capitals stay."""
    for match in _TOKEN.finditer(unicodedata.normalize("NFC", text)):
        token = match[0].replace("’", "'")
        if match["stop"] or token.isascii():
            yield token
            continue
        for unspaced, characters in groupby(token, lambda one: bool(pairs(one))):
            run = "".join(characters)
            yield from _unspaced(run) if unspaced else [run]


def _unspaced(run: str) -> Iterator[str]:
    """Yield a run's pairs; a word for "user", "you" or "not" stands alone."""
    for piece in filter(None, _ALONE.split(run)):
        found = pairs(piece)
        yield from [piece] if _ALONE.fullmatch(piece) else found[:-1] or found


def stem(word: str) -> str:
    """Return a word without the ending that number, person and tense give it."""
    word = word.casefold().partition("'")[0]
    if len(word) > 3 and word[-1] == "s" and word[-2:] not in ("ss", "is", "us"):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 1 and _VOWEL.search(rest):
            word = rest
            break
    if len(word) > 2:
        word = word.removesuffix("e")
    if len(word) > 2 and word[-1] == word[-2]:
        word = word[:-1]
    if len(word) > 2 and word[-1] == "y":
        word = word[:-1] + "i"
    return word.replace("our", "or")


@lru_cache(maxsize=32)
def stems(text: str) -> frozenset[str]:
    """Return the stems of all words of a text."""
    return frozenset(stem(token) for token in tokens(text) if token[0].isalnum())


@lru_cache(maxsize=8)
def lower_stems(text: str) -> frozenset[str]:
    """Return the stems of the words that a text writes without a capital."""
    return frozenset(stem(token) for token in tokens(text) if token[0].islower())


def is_content(token: str) -> bool:
    """Return whether a word tells something: no function word, negation or number."""
    low = token.casefold()
    known = FUNCTION | NEGATIONS | _NUMBERS.keys()
    return token[0].isalpha() and low.partition("'")[0] not in known and not low.endswith("n't")


def content(text: str) -> frozenset[str]:
    """Return the stems of the content words; numbers are looked at elsewhere."""
    return frozenset(stem(token) for token in tokens(text) if is_content(token))


def numbers(text: str) -> set[str]:
    """Return the numbers in a text as digits, but for one, which an "a" is too."""
    return {n for n, _ in _numbered(text)}


def counted(text: str, *, reach: int) -> set[tuple[str, str]]:
    """Return each number with the stems of up to `reach` words behind it, up to an "and".

    >>> sorted(counted("two big cats and a dog", reach=4))
    [('2', 'big'), ('2', 'cat')]
    """
    found: set[tuple[str, str]] = set()
    for n, following in _numbered(text):
        for token in following[:reach]:
            if not token[0].isalnum() or token.casefold() in ("and", "or"):
                break
            if is_content(token) and token[0].islower():
                found.add((n, stem(token)))
    return found


def _numbered(text: str) -> list[tuple[str, list[str]]]:
    """Return the numbers in a text, each with the tokens behind it that matter to it."""
    found: list[tuple[str, list[str]]] = []
    read = list(tokens(text))
    tens = 0
    for at, token in enumerate(read, start=1):
        n = _NUMBERS.get(token.casefold(), 0)
        following = read[at : at + 4]
        if tens and 0 < n < 10:
            found[-1] = str(tens + n), following
        elif n > 1:
            found.append((str(n), following))
        elif token[0].isnumeric() and not pairs(token):
            found.append((_THOUSANDS.sub("", token), following))
        tens = n if n >= 20 else 0
    return found
