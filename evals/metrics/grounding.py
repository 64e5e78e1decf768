"""Does the context support a reply? A rule over words decides, without a judge.

A claim is a sentence with content words that is no refusal. A passage supports it if

* it has at least `ENOUGH` of the claim's content words, compared by stem, and
* it has all of the claim's numbers and names (words with a capital, not at the beginning), and
* it contains a negation if the claim does.

The rule is for English. It misses paraphrases that share no words, and accepts the same words in
another relation. Give passages as the model saw them, with speaker and date if those were shown.

The word lists here differ from those of `memkit.text`: published figures rest on them.
"""

import re
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from evals.metrics.answers import CJK, says_unknown

ENOUGH = 0.6  # share of the content words

# a sentence ends at . ! ? before a space, at 。！？ and at a newline; not after "Dr." or "J."
_SHORT = "".join(
    rf"(?<!\b{word}\.)" for word in ("Dr", "Mr", "Ms", "Mrs", "St", "vs", "e.g", "i.e")
)
_END = re.compile(rf"(?<=[.!?]){_SHORT}(?<!\b[A-Z]\.)\s+|(?<=[。！？])|\n+")
_CITED = re.compile(r"\[\d+(?:, ?\d+)*\]")  # "[1]", which is no number that the passage must have
_WORD = re.compile(rf"\d+(?:[.,:]\d+)+|[{CJK}]|[^\W_{CJK}]+(?:'[^\W_{CJK}]+)*")  # 3.5; 住; O'Brien
_CONTRACTED = re.compile("'(?:m|re|ve|ll|d|t)$")  # I'm, don't; O'Brien is a name
_NEGATIONS = frozenset(("not", "no", "never", "none", "nobody", "nothing", "cannot", "without"))
_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be because been before being both but by can "
    "could did do does doing for from had has have having he her hers him his how i if in into is "
    "it its just me more most my of on one or other our ours out over own s she should so some "
    "such than that the their theirs them then there these they this those through to too under "
    "until up us very was we were what when where which while who whom whose why will with would "
    "yes you your yours said says told mentioned according"
)
_STOP = frozenset(_FUNCTION_WORDS.split()) | _NEGATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Features:
    """The words of a text by which support is decided."""

    content: frozenset[str]  # stems
    exact: frozenset[str]  # all words, in lower case
    required: frozenset[str]  # numbers and names
    negated: bool


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text, without list bullets and citation marks.

    >>> sentences("Dr. Lee paid 3.5 francs. She left!")
    ['Dr. Lee paid 3.5 francs.', 'She left!']
    """
    parts = (part.strip(" \t-*•") for part in _END.split(_CITED.sub("", text)))
    return [part for part in parts if part]


def claims(text: str) -> list[str]:
    """Return the sentences of a reply that claim something."""
    return [line for line in sentences(text) if content(line) and not says_unknown(line)]


def content(text: str) -> frozenset[str]:
    """Return the stems of the content words of a text."""
    return _features(text).content


def mentioned(reply: str, passages: Sequence[str]) -> list[int]:
    """Return the indexes of the passages that a reply mentions, in the order of first mention.

    The first mention is the first content word, by stem, that no other passage has.
    """
    stems = [content(passage) for passage in passages]
    words = [content(word) for word in _WORD.findall(reply)]
    firsts: dict[int, int] = {}
    for n, passage in enumerate(stems):
        unique = passage - frozenset[str]().union(*stems[:n], *stems[n + 1 :])
        first = next((at for at, word in enumerate(words) if word & unique), None)
        if first is not None:
            firsts[n] = first
    return sorted(firsts, key=firsts.__getitem__)


def citation_coverage(reply: str, passages: Sequence[str]) -> float | None:
    """Return the share of a reply's claims that a passage supports; None if it claims nothing.

    A supported claim counts whether or not the reply cites the passage.
    """
    return _share([bool(_best_support(claim, passages)) for claim in claims(reply)])


def attribution(reply: str, passages: Sequence[str], gold: Collection[int]) -> float | None:
    """Return the share of a reply's claims that a gold passage supports best; a tie is enough.

    A claim without support counts as wrong. `gold` has the indexes of passages with evidence.
    """
    return _share([bool(_best_support(claim, passages) & set(gold)) for claim in claims(reply)])


def context_precision(used: Collection[Hashable], gold: Collection[Hashable]) -> float | None:
    """Return |used ∩ gold| / |used|; None if nothing was used."""
    return len(set(used) & set(gold)) / len(set(used)) if used else None


def context_recall(used: Collection[Hashable], gold: Collection[Hashable]) -> float | None:
    """Return |used ∩ gold| / |gold|; None if there is no gold."""
    return len(set(used) & set(gold)) / len(set(gold)) if gold else None


def evidence_f1(used: Collection[Hashable], gold: Collection[Hashable]) -> float | None:
    """Return the harmonic mean of precision and recall of a set; None if there is no gold."""
    if not gold:
        return None
    return 2 * len(set(used) & set(gold)) / (len(set(used)) + len(set(gold)))


def _best_support(sentence: str, passages: Sequence[str]) -> set[int]:
    claim = _features(sentence)
    shares = {n: _overlap(claim, _features(passage)) for n, passage in enumerate(passages)}
    most = max(shares.values(), default=0.0)
    return {n for n, share in shares.items() if share == most} if most >= ENOUGH else set()


def _overlap(claim: _Features, passage: _Features) -> float:
    if claim.required - passage.exact or claim.negated > passage.negated:
        return 0.0
    return len(claim.content & passage.content) / len(claim.content) if claim.content else 0.0


@lru_cache(maxsize=8192)  # the same turns are the context of many questions
def _features(text: str) -> _Features:
    words = [word.removesuffix("'s") for word in _WORD.findall(text.replace("’", "'"))]
    exact = [word.lower().replace(",", "") for word in words]  # 1,000 is 1000
    content_words = {w for w in exact if w not in _STOP and not _CONTRACTED.search(w)}
    return _Features(
        content=frozenset(_stemmer().stemWords(sorted(content_words))),
        exact=frozenset(exact),
        required=frozenset(
            lower
            for n, (word, lower) in enumerate(zip(words, exact, strict=True))
            if lower in content_words and (lower[0].isdigit() or (n > 0 and word[0].isupper()))
        ),
        negated=any(word in _NEGATIONS or word.endswith("n't") for word in exact),
    )


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
