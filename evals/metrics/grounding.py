"""Does a reply stand on what it was shown? Decided by words, without a judge.

A claim is a sentence that has content words and is no refusal. A passage supports it if

* it has at least `ENOUGH` of the claim's content words, compared by their stems, and
* it has all of the claim's numbers and names (words with a capital, not at the beginning), and
* it denies something if the claim does.

The rule is for English. It does not see a paraphrase that shares no words, and takes words in
another relation for support. Passages are to be given as the reply's model saw them, with the
speaker and the date if those were shown.
"""

import re
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from evals.metrics.answers import CJK, says_unknown
from memkit.errors import MissingExtra

ENOUGH = 0.6  # share of the content words

_SHORT = "".join(
    rf"(?<!\b{word}\.)" for word in ("Dr", "Mr", "Ms", "Mrs", "St", "vs", "e.g", "i.e")
)
_END = re.compile(rf"(?<=[.!?]){_SHORT}(?<!\b[A-Z]\.)\s+|(?<=[。！？])|\n+")
_CITED = re.compile(r"\[\d+(?:, ?\d+)*\]")  # "[1]" is no number that the passage must have
_WORD = re.compile(rf"\d+(?:[.,:]\d+)+|[{CJK}]|[^\W_{CJK}]+(?:'[^\W_{CJK}]+)*")
_CONTRACTED = re.compile("'(?:m|re|ve|ll|d|t)$")  # I'm, don't; O'Brien is a name
_DENIES = frozenset(("not", "no", "never", "none", "nobody", "nothing", "cannot", "without"))
_FUNCTION = (
    "a about after all also am an and any are as at be because been before being both but by can "
    "could did do does doing for from had has have having he her hers him his how i if in into is "
    "it its just me more most my of on one or other our ours out over own s she should so some "
    "such than that the their theirs them then there these they this those through to too under "
    "until up us very was we were what when where which while who whom whose why will with would "
    "yes you your yours said says told mentioned according"
)
_STOP = frozenset(_FUNCTION.split()) | _DENIES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What of a text is compared."""

    content: frozenset[str]  # stems
    exact: frozenset[str]  # every word as it stands, in lower case
    needed: frozenset[str]  # numbers and names
    denies: bool


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text, without the marks of a list or a citation.

    >>> sentences("Dr. Lee paid 3.5 francs. She left!")
    ['Dr. Lee paid 3.5 francs.', 'She left!']
    """
    parts = (part.strip(" \t-*•") for part in _END.split(_CITED.sub("", text)))
    return [part for part in parts if part]


def claims(text: str) -> list[str]:
    """Return the sentences of a reply that claim something."""
    return [one for one in sentences(text) if _read(one).content and not says_unknown(one)]


def content(text: str) -> frozenset[str]:
    """Return the stems of a text's content words."""
    return _read(text).content


def mentioned(reply: str, passages: Sequence[str]) -> list[int]:
    """Return the indexes of the passages that a reply speaks of, in the order of first mention.

    A passage is mentioned where the reply first has a content word, by its stem, that no other
    passage has.
    """
    held = [content(passage) for passage in passages]
    own = [one - frozenset[str]().union(*held[:n], *held[n + 1 :]) for n, one in enumerate(held)]
    words = [content(word) for word in _WORD.findall(reply)]
    firsts = [next((at for at, word in enumerate(words) if word & one), None) for one in own]
    return sorted(
        (n for n, at in enumerate(firsts) if at is not None), key=lambda n: firsts[n] or 0
    )


def citation_coverage(reply: str, passages: Sequence[str]) -> float | None:
    """Return the share of a reply's claims that a passage supports; None if it claims nothing.

    What could be cited, whether or not the reply cites it.
    Source: Zhang et al. 2025 (arXiv 2509.18868), table 4.1.
    """
    return _share([bool(_best(claim, passages)) for claim in claims(reply)])


def unsupported_claim_rate(reply: str, passages: Sequence[str]) -> float | None:
    """Return 1 − citation coverage (UCR); None if the reply claims nothing. Lower is better.

    Source: Zhang et al. 2025, table 4.1.
    """
    covered = citation_coverage(reply, passages)
    return None if covered is None else 1 - covered


def attribution(reply: str, passages: Sequence[str], gold: Collection[int]) -> float | None:
    """Return the share of a reply's claims whose best supporting passage is gold.

    Where several support it equally well, one of them has to be. A claim without support counts
    as wrong. Source: AttrAcc in Zhang et al. 2025, section 4.3.

    Args:
        reply: the text.
        passages: what was shown.
        gold: the indexes of those that hold the evidence.
    """
    return _share([bool(_best(claim, passages) & set(gold)) for claim in claims(reply)])


def context_precision(used: Collection[Hashable], gold: Collection[Hashable]) -> float | None:
    """Return |used ∩ gold| / |used|; None if nothing was used.

    Source: Zhang et al. 2025, section 4.3.
    """
    return len(set(used) & set(gold)) / len(set(used)) if used else None


def context_recall(used: Collection[Hashable], gold: Collection[Hashable]) -> float | None:
    """Return |used ∩ gold| / |gold|; None if there is no gold.

    Source: Zhang et al. 2025, section 4.3.
    """
    return len(set(used) & set(gold)) / len(set(gold)) if gold else None


def evidence_f1(found: Collection[Hashable], gold: Collection[Hashable]) -> float | None:
    """Return the harmonic mean of precision and recall of a set; None if there is no gold.

    Source: Zhang et al. 2025, section 4.3.
    """
    if not gold:
        return None
    return 2 * len(set(found) & set(gold)) / (len(set(found)) + len(set(gold)))


def _best(sentence: str, passages: Sequence[str]) -> set[int]:
    """Return the indexes of the passages that support a sentence best."""
    claim = _read(sentence)
    shares = {n: _shared(claim, _read(passage)) for n, passage in enumerate(passages)}
    most = max(shares.values(), default=0.0)
    return {n for n, share in shares.items() if share == most} if most >= ENOUGH else set()


def _shared(claim: _Read, passage: _Read) -> float:
    """Return the share of a claim's content that a passage has; 0 if it lacks what it needs."""
    if claim.needed - passage.exact or claim.denies > passage.denies:
        return 0.0
    return len(claim.content & passage.content) / len(claim.content) if claim.content else 0.0


@lru_cache(maxsize=8192)  # the same turns are shown for many questions
def _read(text: str) -> _Read:
    found = [word.removesuffix("'s") for word in _WORD.findall(text.replace("’", "'"))]
    exact = [word.lower().replace(",", "") for word in found]  # 1,000 is 1000
    telling = {word for word in exact if word not in _STOP and not _CONTRACTED.search(word)}
    return _Read(
        content=frozenset(_stemmer()(sorted(telling))),
        exact=frozenset(exact),
        needed=frozenset(
            lower
            for n, (word, lower) in enumerate(zip(found, exact, strict=True))
            if lower in telling and (lower[0].isdigit() or (n > 0 and word[0].isupper()))
        ),
        denies=any(word in _DENIES or word.endswith("n't") for word in exact),
    )


@cache
def _stemmer() -> Callable[[list[str]], list[str]]:
    try:
        import Stemmer
    except ModuleNotFoundError as error:
        raise MissingExtra(f"grounding needs {error.name}: pip install PyStemmer") from error
    stem: Callable[[list[str]], list[str]] = Stemmer.Stemmer("english").stemWords
    return stem


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
