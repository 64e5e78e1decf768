"""Words, numbers, sentences and stems of a text. Every word table of memkit is in this module.

A store indexes a text under its `search_terms`, and a question searches for `words`, which are cut
and folded in the same way. Comparison of a claim with its source uses `tokens`, `stems` and
`numbers`. Scripts without spaces between words are cut into pairs of neighbouring characters in
both. The patterns are those of the package `regex`, which counts combining marks as parts of words:
without them Hindi falls into fragments.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

import regex as re

from memkit.text.codes import codes

# ---- tables


def wordset(text: str) -> frozenset[str]:
    """Return the words of a space-separated list."""
    return frozenset(text.split())


# Scripts that write no spaces between words: Thai and Lao, Burmese, Khmer, CJK numerals, kana,
# Han, Hangul, compatibility ideographs, half-width kana, rare Han.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f"
)

# Function words of English questions: they match every text, so search leaves them out.
STOP_WORDS = wordset(
    "a about am an and any are as at be been but by can could d did do does for from get had has "
    "have he her hers him his how i if in into is it its just ll m may me my no not of on or our "
    "re s she should so some t than that the their them then there these they this those to us "
    "ve was we were what when where which who whom whose why will with would you your"
)
# Words that a claim may add to its source without saying more than the source. The last two lines
# only frame a fact: "is named", "is 9 years old", "said that", "a rule: always".
FUNCTION_WORDS = STOP_WORDS | wordset(
    "after all also because before being both doing don during gets got having herself himself "
    "might mine more most much must myself off one other others ours out over own shall such "
    "theirs themself themselves though too up very while yes yours yourself "
    "name names named called age aged old year years says said told mentioned asks asked "
    "rule always"
)
NEGATIONS = wordset(
    "not never no none nobody nothing neither nor without cannot stop stops stopped quit quits "
    "former formerly ex avoid avoids avoiding refrain instead nicht nie kein keine 不 没 沒 未"
)
SPEAKERS = {
    "user": frozenset(("user", "用户", "用戶")),
    "assistant": frozenset(("assistant", "助手")),
}
ADDRESSEE = wordset("you your yours yourself 你 您")
_FIRST_PERSON = wordset("i me mine my")
_SECOND_PERSON = wordset("you your yours")

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
NUMBERS = {word: n for n, word in enumerate(_UNITS.split())} | {
    word: 10 * n for n, word in enumerate(_TENS.split(), start=2)
}
ORDINALS = {word: n for n, word in enumerate(_ORDINALS.split(), start=1)}

# ---- words to search for

_UNSPACED_RUN = re.compile(f"[{UNSPACED}]+")  # "東京" in "in 東京 now"
_SEARCH_WORD = re.compile(rf"[{UNSPACED}]+|[^\W_{UNSPACED}]+")  # "in", "東京", "now"
_MOST_WORDS = 64  # of a question; more only cost time
# letters that have no accent in Unicode and are typed without their stroke or as two
_PLAIN = str.maketrans(
    {"đ": "d", "ð": "d", "ø": "o", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe",
     "þ": "th", "\u200c": "", "\u200d": "", "\ufe0e": "", "\ufe0f": ""}
)  # fmt: skip
_MONTH, _NAME = "May", "Will"  # no stop words with a capital; "Will" unless it begins the text


def pairs(text: str) -> list[str]:
    """Return every two neighbouring characters where `text` is written without spaces.

    The last character of a run is returned alone, so that every character begins an item.

    >>> pairs("I live in 東京都")
    ['東京', '京都', '都']
    """
    return [run[n : n + 2] for run in _UNSPACED_RUN.findall(text) for n in range(len(run))]


def word_terms(text: str) -> list[str]:
    """Return all words of a text as they are searched for, and pairs of characters.

    >>> word_terms("Łódź, हिन्दी and 東京")
    ['lodz', 'हिन्दी', 'and', '東京', '京']
    """
    runs = _SEARCH_WORD.findall(unicodedata.normalize("NFC", text))
    return [term for run in runs for term in pairs(run) or _folded(run)]


def search_terms(text: str) -> list[str]:
    """Return the terms under which a text is found: its words, and then its codes.

    >>> search_terms("Order 48-22")
    ['order', '48', '22', '48x2dx22', '4822']
    """
    return [*word_terms(text), *codes(text)]


def words(text: str) -> list[str]:
    """Return the distinct words to search for, without stop words unless there are no others.

    Text without spaces is searched for by pairs of characters.

    >>> words("Where does Ann live?"), words("東京に")
    (['ann', 'live'], ['東京', '京に'])
    """
    is_content_word: dict[str, bool] = {}  # in order of appearance
    for n, word in enumerate(_SEARCH_WORD.findall(unicodedata.normalize("NFC", text))):
        split = pairs(word)
        for term in split[:-1] or split or _folded(word):
            is_content_word[term] = is_content_word.get(term, False) or _is_search_word(word, n)
    content_words = [term for term, is_content in is_content_word.items() if is_content]
    return (content_words or list(is_content_word))[:_MOST_WORDS]


@lru_cache(maxsize=16_384)
def fold(word: str) -> str:
    """Return a word in lower case and without accents; vowel signs of a script stay.

    >>> fold("Łódź"), fold("ΜΈΡΑ"), fold("Ёлка"), fold("हिन्दी")
    ('lodz', 'μερα', 'елка', 'हिन्दी')
    """
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFD", word.casefold())
    letters = "".join(character for character in decomposed if not _is_accent(character))
    return unicodedata.normalize("NFC", letters.translate(_PLAIN))


def _is_accent(character: str) -> bool:
    """Return whether a character is a combining accent, a Hebrew point or an Arabic vowel mark."""
    combining = unicodedata.combining(character)
    return 10 <= combining <= 36 or combining >= 200


def _folded(word: str) -> list[str]:
    """Return a word folded, and nothing for marks alone, as in the middle of an emoji."""
    folded = fold(word)
    return [folded] if any(character.isalnum() for character in folded) else []


def _is_search_word(word: str, n: int) -> bool:
    """Return whether the n-th word of a text is no stop word, or a name that looks like one."""
    return word.casefold() not in STOP_WORDS or word == _MONTH or (n > 0 and word == _NAME)


def named(text: str, names: Sequence[str]) -> list[int]:
    """Return the indexes of the `names` that a text mentions by any of their words.

    >>> named("What did Ann buy?", ["Ann Lee", "Bob"])
    [0]
    """
    text = unicodedata.normalize("NFC", text)
    mentioned = {
        fold(word) for n, word in enumerate(_SEARCH_WORD.findall(text)) if _is_search_word(word, n)
    }
    indexes = []
    for n, name in enumerate(names):
        runs = _SEARCH_WORD.findall(unicodedata.normalize("NFC", name))
        # no space ends a name inside text without spaces, so "田中" is looked for as a substring
        unspaced = (run for run in _UNSPACED_RUN.findall(name) if len(run) > 1)
        if mentioned & set(map(fold, runs)) or any(run in text for run in unspaced):
            indexes.append(n)
    return indexes


def asks_of_oneself(text: str) -> bool:
    """Return whether a question is about the person who asks: it says "I" and not "you".

    >>> asks_of_oneself("Where do I live?"), asks_of_oneself("What did you tell me?")
    (True, False)
    """
    question_words = set(_SEARCH_WORD.findall(text.casefold()))
    return bool(question_words & _FIRST_PERSON) and not question_words & _SECOND_PERSON


# ---- sentences

# the end of "Hi!", of 'He left." ', of "住在东京。", and line breaks
_SENTENCE_END = re.compile(r"(?<![.!?])[.!?]++[\"'”’)]*+\s+|[。！？।؟۔]+|\n+")
# a full stop that ends no sentence: "Dr. Lee", "e.g. tea", "J. Doe"; "I." ends one
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|St|Prof|vs|Jr|Sr|e\.g|i\.e|[A-HJ-Z])\.\Z")
_NUMBER_SIGN = re.compile(r"\bNo\.\s+\Z")  # "No. 5"


@lru_cache(maxsize=8)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    r"""Return where each sentence of `text` starts and ends; together they cover its words.

    Own work because claims need character offsets, every line break ends a sentence in chat, and
    "。" ends one without a space; nltk's punkt needs a download.

    >>> text = "Dr. Lee called. Ann is well!\nNo. I am not"
    >>> [text[start:end] for start, end in sentences(text)]
    ['Dr. Lee called.', 'Ann is well!', 'No.', 'I am not']
    """
    ends: list[int] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if _ABBREVIATION.search(text, max(start, match.start() - 8), match.start() + 1):
            continue
        numbered = _NUMBER_SIGN.search(text, max(start, match.start() - 2), match.end())
        if numbered and text[match.end() : match.end() + 1].isdigit():
            continue
        ends.append(match.end())
        start = match.end()
    spans = []
    for first, last in zip([0, *ends], [*ends, len(text)], strict=True):
        left = last - len(text[first:last].lstrip())
        right = first + len(text[first:last].rstrip())
        if left < right:
            spans.append((left, right))
    return tuple(spans)


# ---- tokens and stems

# numbers ("1,000", "7:30"), words with inner apostrophes ("don't"), and stops
_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|(?P<stop>[,;:.!?。，；：！？\n()–—]| - )"
)
_UNSPACED_WORDS = [
    word for word in NEGATIONS.union(ADDRESSEE, *SPEAKERS.values()) if _UNSPACED_RUN.search(word)
]
# words that are tokens of their own in text without spaces: "不" in "我不喜欢"
_UNSPACED_WORD = re.compile(f"({'|'.join(sorted(_UNSPACED_WORDS, key=len, reverse=True))})")


def tokens(text: str) -> Iterator[str]:
    """Yield words, stops, and pairs of characters where there are no spaces; capitals stay.

    >>> list(tokens("Don't go, 我不喜欢茶"))
    ["Don't", 'go', ',', '我', '不', '喜欢', '欢茶']
    """
    for match in _TOKEN.finditer(unicodedata.normalize("NFC", text)):
        token = match[0].replace("’", "'")
        if match["stop"] or token.isascii():
            yield token
            continue
        for is_unspaced, characters in groupby(
            token, lambda character: _UNSPACED_RUN.match(character) is not None
        ):
            run = "".join(characters)
            if not is_unspaced:
                yield run
                continue
            for piece in filter(None, _UNSPACED_WORD.split(run)):
                split = pairs(piece)
                yield from [piece] if _UNSPACED_WORD.fullmatch(piece) else split[:-1] or split


_BRITISH = re.compile(r"(?<=[a-z]{3})our")  # "favour", but not "four", "hour" and "mourning"


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Return the Snowball stem of a word, the same for British and American spelling.

    Irregular forms are not reduced: "went" is not "go".

    >>> stem("Lives"), stem("living"), stem("favourite") == stem("favorite"), stem("four")
    ('live', 'live', True, 'four')
    """
    from Stemmer import Stemmer  # imported here to keep `import memkit` light

    # a stemmer costs a microsecond to make and must not be shared by threads
    stemmed: str = Stemmer("english").stemWord(
        _BRITISH.sub("or", word.casefold().partition("'")[0])
    )
    return stemmed


@lru_cache(maxsize=32)
def stems(text: str) -> frozenset[str]:
    """Return the stems of all words of a text."""
    return frozenset(stem(token) for token in tokens(text) if token[0].isalnum())


@lru_cache(maxsize=8)
def lower_stems(text: str) -> frozenset[str]:
    """Return the stems of the words that a text writes without a capital."""
    return frozenset(stem(token) for token in tokens(text) if token[0].islower())


def is_content(token: str) -> bool:
    """Return whether a token is a word, but no function word, negation or number."""
    low = token.casefold()
    if not token[0].isalpha() or low.endswith("n't"):
        return False
    word = low.partition("'")[0]
    return word not in FUNCTION_WORDS and word not in NEGATIONS and word not in NUMBERS


def content(text: str) -> frozenset[str]:
    """Return the stems of the content words of a text, without its numbers."""
    return frozenset(stem(token) for token in tokens(text) if is_content(token))


# ---- numbers

_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")  # the comma of "50,000"


def numbers(text: str) -> set[str]:
    """Return the numbers in a text as digits. "one" is left out, because "a" means it too.

    >>> sorted(numbers("twenty-five kites, 1,000 drums and one harp"))
    ['1000', '25']
    """
    return {digits for digits, _ in _numbered(text)}


def counted(text: str, *, reach: int) -> set[tuple[str, str]]:
    """Return each number with the stems of up to `reach` words behind it, up to an "and".

    >>> sorted(counted("two big kites and a drum", reach=4))
    [('2', 'big'), ('2', 'kite')]
    """
    counts: set[tuple[str, str]] = set()
    for digits, following in _numbered(text):
        for token in following[:reach]:
            if not token[0].isalnum() or token.casefold() in ("and", "or"):
                break
            if is_content(token) and token[0].islower():
                counts.add((digits, stem(token)))
    return counts


def _numbered(text: str) -> list[tuple[str, list[str]]]:
    """Return the numbers in a text as digits, each with the four tokens behind it."""
    numbered: list[tuple[str, list[str]]] = []
    all_tokens = list(tokens(text))
    tens = 0  # 20 after "twenty", for "twenty five"
    for at, token in enumerate(all_tokens, start=1):
        n = NUMBERS.get(token.casefold(), 0)
        following = all_tokens[at : at + 4]
        if tens and 0 < n < 10:
            numbered[-1] = str(tens + n), following
        elif n > 1:
            numbered.append((str(n), following))
        elif token[0].isnumeric() and not pairs(token):
            numbered.append((_THOUSANDS.sub("", token), following))
        tens = n if n >= 20 else 0
    return numbered
