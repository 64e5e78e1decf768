"""Compare a reply with the reference answers of a data set, without a judge.

Tokens are SQuAD's (Rajpurkar et al., EMNLP 2016): lower case, no ASCII punctuation, no articles.
Beyond SQuAD, text is normalised to NFKC, letters of all scripts count, and each Han, kana or Hangul
character is a token, so that a Chinese answer is not one long word.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from memkit.errors import InvalidInput

CJK = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")  # "in 東京" is in, 東, 京
_ARTICLES = frozenset(("a", "an", "the"))
_DELETED = frozenset(string.punctuation + "‘’´")  # without a space: "don't" is one word


def words(text: str) -> list[str]:
    """Return the tokens that answers are compared by; articles only if there is nothing else.

    >>> words("The Eiffel Tower, €1,000!"), words("住在东京")
    (['eiffel', 'tower', '1000'], ['住', '在', '东', '京'])
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    tokens = _WORD.findall("".join(map(_normalise_character, folded)))
    return [token for token in tokens if token not in _ARTICLES] or tokens


@cache
def _normalise_character(char: str) -> str:
    if char in _DELETED:
        return ""
    return " " if unicodedata.category(char)[0] in "PSC" else char  # “ ” — € and control characters


def normalise(text: str) -> str:
    """Return the tokens of a text, joined by spaces."""
    return " ".join(words(text))


def exact(text: str, answers: Sequence[str]) -> float:
    """Return 1 if the normalised reply equals a normalised answer (EM).

    Raises:
        InvalidInput: there is no answer to compare with. So do `f1` and `contains`.
    """
    return float(normalise(text) in {normalise(answer) for answer in _require(answers)})


def f1(text: str, answers: Sequence[str]) -> float:
    """Return the token F1 of the best fitting answer; repeated tokens count repeatedly."""
    return max(_token_f1(words(text), words(answer)) for answer in _require(answers))


def contains(text: str, answers: Sequence[str]) -> float:
    """Return 1 if the reply contains the tokens of an answer in a row.

    This favours long replies and replies that list everything: read it together with F1.
    """
    return float(bool(stated(text, _require(answers))))


def rouge_l(text: str, reference: str) -> float:
    """Return ROUGE-L: F1 of the longest common subsequence of tokens, without stemming.

    Source: Lin, ACL workshop 2004, as rouge-score computes it, on the tokens of this module.
    """
    return float(_rouge().score(reference, text)["rougeL"].fmeasure)


class _Tokenizer:
    """The interface of rouge-score's tokenizers over `words`."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Tokenizer())


def stated(text: str, answers: Sequence[str]) -> tuple[str, ...]:
    """Return the answers that the text contains, in the order of `answers`.

    Tokens of a longer answer do not count for a shorter one: "New York" does not state "York".
    """
    tokens = words(text)
    forms = {tuple(words(answer)) for answer in answers} - {()}
    matches: set[tuple[str, ...]] = set()
    used = [False] * len(tokens)
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        for start in range(len(tokens) - len(form) + 1):
            window = slice(start, start + len(form))
            if tuple(tokens[window]) == form and not all(used[window]):
                matches.add(form)
                used[window] = [True] * len(form)
    return tuple(answer for answer in answers if tuple(words(answer)) in matches)


def _require(answers: Sequence[str]) -> Sequence[str]:
    if not answers:
        raise InvalidInput("no answer to compare with; score only questions that have answers")
    return answers


def _token_f1(reply: Sequence[str], answer: Sequence[str]) -> float:
    if not reply and not answer:
        return 1.0
    common = (Counter(reply) & Counter(answer)).total()
    return 2 * common / (len(reply) + len(answer)) if common else 0.0


# ---- refusals

_NOT = "(?: not|n't|nt)"
_CANNOT = f"(?:(?:do|did|ca|could){_NOT}|can ?not)"
_TOLD = "(?:mention(?:ed)?|specif(?:y|ied)|stated?|discuss(?:ed)?|indicated?|said|disclosed)"
_SOURCE = "(?:text|conversation|context|passages?|dialogue|chat|history|memor(?:y|ies)|notes?)"
_ANY = "(?:(?:any|enough|sufficient|that|this|the|specific|relevant|such|access to) )*"
_INFORMATION = "(?:information|info|records?|memory|memories|knowledge|details|context)"
_PATTERNS = (
    # the whole reply: "Unknown.", "N/A"
    r"^\W*(?:unknown|unanswerable|n/?a|no answer|no idea|not sure|unsure)\W*$",
    # first person: "I don't remember", "we cannot find any information", "I'm not sure"
    rf"\b(?:i|we) {_CANNOT} (?:really |actually )?(?:know|recall|remember|tell|say|answer)\b",
    rf"\b(?:i|we) {_CANNOT} (?:find|see|have|determine|provide) {_ANY}{_INFORMATION}\b",
    rf"\b(?:i|we) {_CANNOT} (?:determine|find (?:out|that|this|the answer))\b",
    r"\b(?:i am|i'm|we are|we're) (?:not sure|unsure|not certain|not aware of)\b",
    r"\b(?:i|we) have no (?:idea|information|record|memory|way of knowing)\b",
    # impossibility: "it is impossible to tell", "that can't be determined"
    r"\b(?:unable|not able|(?:not |im)possible) to (?:determine|answer|tell|say|find)\b",
    rf"\b(?:can ?not|(?:ca|could){_NOT}) be (?:determined|answered|inferred)\b",
    # a silent source: "Not mentioned.", "it hasn't been stated", "the notes don't contain this"
    rf"(?:^|[.,;:(] ?)not (?:explicitly |directly )?{_TOLD}\b",
    rf"\b(?:(?:is|are|was|were){_NOT}|(?:has|have){_NOT} been)(?: \w+ly)? {_TOLD}\b",
    rf"\b{_SOURCE} (?:above |provided |given )?(?:do|does|did){_NOT} {_TOLD}\b",
    rf"\b{_SOURCE} (?:do|does|did){_NOT} (?:contain|include|provide|have)\b",
    rf"\b(?:is|was){_NOT} known\b(?! (?:for|to|as))",
    # missing information: "no mention of a dog", "insufficient context"
    r"\bno (?:information|mention|record)(?: \w+)? (?:of|about|on|in|that|is|was)\b",
    r"\bno (?:information|mention|record)(?: (?:available|provided|given|found))?\W*$",
    rf"\b(?:not enough|insufficient|no relevant|not have) {_ANY}{_INFORMATION}\b",
)
_UNKNOWN = re.compile("|".join(_PATTERNS))


def says_unknown(text: str) -> bool:
    """Return whether a reply refuses: it does not know, or says that nothing was mentioned.

    English patterns decide, on the whole reply: a reply that refuses and then guesses counts as a
    refusal, and so does a quoted refusal. An empty reply is a refusal.

    >>> says_unknown("Sorry, I don't know."), says_unknown("I don't like jazz.")
    (True, False)
    """
    line = " ".join(text.replace("’", "'").lower().split())
    return not line or _UNKNOWN.search(line) is not None
