"""Is a reply right? Compared with the answers that a data set gives, without a judge.

Words are SQuAD's: lower case, no ASCII punctuation, no articles. Beyond SQuAD, compatible forms
are one (NFKC), letters of all scripts are kept, and each Han, kana or Hangul character is a word,
so that a Chinese answer is not one long word.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from memkit.errors import InvalidInput

CJK = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_ARTICLES = frozenset(("a", "an", "the"))
_DROPPED = frozenset(string.punctuation + "‘’´")  # "don't" is one word


def words(text: str) -> list[str]:
    """Return the words that answers are compared by; articles only if there is nothing else.

    >>> words("The Eiffel Tower, €1,000!"), words("住在东京")
    (['eiffel', 'tower', '1000'], ['住', '在', '东', '京'])
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    found = _WORD.findall("".join(map(_kept, folded)))
    return [word for word in found if word not in _ARTICLES] or found


@cache  # of every character once
def _kept(char: str) -> str:
    if char in _DROPPED:
        return ""
    return " " if unicodedata.category(char)[0] in "PSC" else char  # “ ” — € and control characters


def normalise(text: str) -> str:
    """Return a text as its words in a row.

    Source: Rajpurkar et al., EMNLP 2016 (SQuAD's evaluation script), and this module's beginning.
    """
    return " ".join(words(text))


def exact(text: str, answers: Sequence[str]) -> float:
    """Return 1 if the reply is one of the answers, normalised (EM).

    Source: Rajpurkar et al., EMNLP 2016.

    Raises:
        InvalidInput: there is no answer to compare with. So do `f1` and `contains`.
    """
    return float(normalise(text) in {normalise(answer) for answer in _given(answers)})


def f1(text: str, answers: Sequence[str]) -> float:
    """Return the harmonic mean of word precision and recall, for the answer that fits best.

    Words are counted with their repetitions. Source: Rajpurkar et al., EMNLP 2016.
    """
    return max(_f1(words(text), words(answer)) for answer in _given(answers))


def contains(text: str, answers: Sequence[str]) -> float:
    """Return 1 if the words of an answer stand in the reply in a row.

    Kind to long replies, and to those that list everything: read it beside F1.
    """
    return float(bool(said(text, _given(answers))))


def rouge_l(text: str, reference: str) -> float:
    """Return ROUGE-L: F1 of the longest common subsequence of words.

    Source: Lin, ACL workshop 2004, with equal weights, on this module's words without stemming.
    """
    ours, theirs = words(text), words(reference)
    return _harmonic(_common(ours, theirs), len(ours), len(theirs))


def said(text: str, answers: Sequence[str]) -> tuple[str, ...]:
    """Return which of the answers stand in the text, in the order given.

    Words of a longer one do not count for a shorter: "New York" does not say "York".
    """
    tokens = words(text)
    forms = {tuple(words(answer)) for answer in answers} - {()}
    found, taken = set(), [False] * len(tokens)
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        for start in range(len(tokens) - len(form) + 1):
            here = slice(start, start + len(form))
            if tuple(tokens[here]) == form and not all(taken[here]):
                found.add(form)
                taken[here] = [True] * len(form)
    return tuple(answer for answer in answers if tuple(words(answer)) in found)


# ---- refusals

_NOT = "(?: not|n't|nt)"
_CANNOT = f"(?:(?:do|did|ca|could){_NOT}|can ?not)"
_TOLD = "(?:mention(?:ed)?|specif(?:y|ied)|stated?|discuss(?:ed)?|indicated?|said|disclosed)"
_SOURCE = "(?:text|conversation|context|passages?|dialogue|chat|history|memor(?:y|ies)|notes?)"
_ANY = "(?:(?:any|enough|sufficient|that|this|the|specific|relevant|such|access to) )*"
_INFORMATION = "(?:information|info|records?|memory|memories|knowledge|details|context)"
_PATTERNS = (
    r"^\W*(?:unknown|unanswerable|n/?a|no answer|no idea|not sure|unsure)\W*$",  # and no more
    rf"\b(?:i|we) {_CANNOT} (?:really |actually )?(?:know|recall|remember|tell|say|answer)\b",
    rf"\b(?:i|we) {_CANNOT} (?:find|see|have|determine|provide) {_ANY}{_INFORMATION}\b",
    rf"\b(?:i|we) {_CANNOT} (?:determine|find (?:out|that|this|the answer))\b",
    r"\b(?:i am|i'm|we are|we're) (?:not sure|unsure|not certain|not aware of)\b",
    r"\b(?:i|we) have no (?:idea|information|record|memory|way of knowing)\b",
    r"\b(?:unable|not able|(?:not |im)possible) to (?:determine|answer|tell|say|find)\b",
    rf"\b(?:can ?not|(?:ca|could){_NOT}) be (?:determined|answered|inferred)\b",
    rf"(?:^|[.,;:(] ?)not (?:explicitly |directly )?{_TOLD}\b",
    rf"\b(?:(?:is|are|was|were){_NOT}|(?:has|have){_NOT} been)(?: \w+ly)? {_TOLD}\b",
    rf"\b{_SOURCE} (?:above |provided |given )?(?:do|does|did){_NOT} {_TOLD}\b",
    rf"\b{_SOURCE} (?:do|does|did){_NOT} (?:contain|include|provide|have)\b",
    rf"\b(?:is|was){_NOT} known\b(?! (?:for|to|as))",
    r"\bno (?:information|mention|record)(?: \w+)? (?:of|about|on|in|that|is|was)\b",
    r"\bno (?:information|mention|record)(?: (?:available|provided|given|found))?\W*$",
    rf"\b(?:not enough|insufficient|no relevant|not have) {_ANY}{_INFORMATION}\b",
)
_UNKNOWN = re.compile("|".join(_PATTERNS))


def says_unknown(text: str) -> bool:
    """Return whether a reply says that it does not know, or that it was not told.

    A rule of English patterns: first-person not-knowing ("I don't remember"), a source that does
    not say ("the conversation does not mention", "not specified", "no information about"), and
    impossibility ("cannot be determined"). It reads the whole reply, so one that refuses and then
    guesses counts as refusing; a refusal in quotation marks deceives it. An empty reply is one.

    >>> says_unknown("Sorry, I don't know."), says_unknown("I don't like jazz.")
    (True, False)
    """
    plain = " ".join(text.replace("’", "'").lower().split())
    return not plain or _UNKNOWN.search(plain) is not None


def _given(answers: Sequence[str]) -> Sequence[str]:
    if not answers:
        raise InvalidInput("no answer to compare with; score only questions that have answers")
    return answers


def _f1(ours: Sequence[str], theirs: Sequence[str]) -> float:
    if not ours and not theirs:
        return 1.0
    return _harmonic((Counter(ours) & Counter(theirs)).total(), len(ours), len(theirs))


def _harmonic(common: int, ours: int, theirs: int) -> float:
    """Return F1 of precision common / ours and recall common / theirs."""
    return 2 * common / (ours + theirs) if common else 0.0


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(theirs) + 1)
    for word in ours:
        longer = [0]
        for other, (diagonal, above) in zip(theirs, pairwise(row), strict=True):
            longer.append(diagonal + 1 if word == other else max(above, longer[-1]))
        row = longer
    return row[-1]
