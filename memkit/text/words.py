"""The words of a text, as full-text search looks for them."""

import re
import unicodedata
from collections.abc import Sequence

_MOST = 64  # words of a question; more only cost time

# scripts that write no spaces between words: Thai, Lao, Burmese, Khmer, kana, Han, Hangul
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f"
)
_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")

# who asks, and who is asked
_ASKER = frozenset(("i", "me", "mine", "my"))
_ASKED = frozenset(("you", "your", "yours"))
# function words of English questions, which find everything and so nothing
_STOP_WORDS = (
    "a about am an and any are as at be been but by can could d did do does for from get had has "
    "have he her hers him his how i if in into is it its just ll m may me my no not of on or our "
    "re s she should so some t than that the their them then there these they this those to us "
    "ve was we were what when where which who whom whose why will with would you your "
)
_STOP = frozenset(_STOP_WORDS.split())
_MONTH, _NAME = "May", "Will"  # with a capital, and the second not at the beginning


def pairs(text: str) -> list[str]:
    """Return every two neighbouring characters where `text` is written without spaces.

    The last character of such a run stands alone, so that each one begins something.

    >>> pairs("I live in 東京都")
    ['東京', '京都', '都']
    """
    return [run[n : n + 2] for run in _RUN.findall(text) for n in range(len(run))]


def words(text: str) -> list[str]:
    """Return the words to search for, each once: the telling ones, or all if none is telling.

    What is written without spaces is searched for by pairs of characters.

    >>> words("Where does Ann live?"), words("東京に")
    (['ann', 'live'], ['東京', '京に'])
    """
    found: dict[str, bool] = {}  # in order, and whether each is telling
    for n, word in enumerate(_WORD.findall(unicodedata.normalize("NFC", text))):
        split = pairs(word)
        for one in split[:-1] or split or [_lower(word)]:
            found[one] = found.get(one, False) or _tells(word, n)
    return ([word for word, tells in found.items() if tells] or list(found))[:_MOST]


def _lower(word: str) -> str:
    """Return a word in lower case, unless that has other letters: stores fold those otherwise."""
    lower = word.lower()
    return lower if len(lower) == len(word) else word


def _tells(word: str, n: int) -> bool:
    """Return whether the n-th word of a text is no function word, or a name that looks like one."""
    return word.casefold() not in _STOP or word == _MONTH or (n > 0 and word == _NAME)


def named(text: str, names: Sequence[str]) -> list[int]:
    """Return which of `names` a text names, by any of their words, as indexes.

    >>> named("What did Ann buy?", ["Ann Lee", "Bob"])
    [0]
    """
    text = unicodedata.normalize("NFC", text)
    said = {word.casefold() for n, word in enumerate(_WORD.findall(text)) if _tells(word, n)}
    return [n for n, name in enumerate(names) if said & _parts(name) or _within(name, text)]


def _parts(name: str) -> set[str]:
    return set(_WORD.findall(unicodedata.normalize("NFC", name).casefold()))


def _within(name: str, text: str) -> bool:
    """Return whether a name written without spaces stands in a text, where no space ends it."""
    return any(len(run) > 1 and run in text for run in _RUN.findall(name))


def asks_of_oneself(text: str) -> bool:
    """Return whether somebody asks about themselves: who says "I" and not "you".

    >>> asks_of_oneself("Where do I live?"), asks_of_oneself("What did you tell me?")
    (True, False)
    """
    said = set(_WORD.findall(text.casefold()))
    return bool(said & _ASKER) and not said & _ASKED
