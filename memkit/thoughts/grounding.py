"""Whether a claim says no more than the place it comes from. No model; the same for every thinker.

A claim is supported if all of this holds; the sentences are those that its source lies in:

1. It has 1 to 300 characters, its source lies in that turn, and a user or an assistant said it.
2. Every number in it stands in the sentences, and before the same word if it stands before one of
   theirs ("two cats"); "two" is 2, and an "a" is one.
3. Every name in it stands in the sentences or is the speaker's: words with a capital, and what is
   quoted. A word that begins a sentence of the claim may be any uncapitalised word of the turn.
4. At least 0.7 of its content words stand in the turn, but for endings ("live", "lives"). Of up to
   three words that is every one; a longer claim may bring three words in ten of its own. Function
   words, words that say who speaks, and "named" or "years old" are not counted. Where no spaces
   are written, every two neighbouring characters are a word.
5. No content word is affirmed in it and only denied in the sentences, or the other way round, and
   if it denies anything, they deny one of the same words. Denied is what follows a "not", "never",
   "no", "stopped", "used to" or the like, up to a full stop, a "but", or "and" with a subject.
6. It names who listened, as "user", "assistant" or by name, only if the sentences do or say "you".
7. The sentences do not only ask, or it says so ("asked for", "wonders").
8. Its head and tail are made of words of the claim and the sentences, or name the speaker.

Dates that `memkit.text.relative_dates` put behind their words are not looked at: they follow
from when it was said. Whether the source guesses or jokes is not decided here, nor is who does
what to whom: "Ann met Bob" and "Bob met Ann" are the same words.
"""

import re

from memkit.prompt import SHOWN_ROLES
from memkit.records import Claim, Turn
from memkit.text.relative_dates import undated
from memkit.text.stems import (
    FUNCTION,
    NEGATIONS,
    SPEAKERS,
    YOU,
    content,
    counted,
    is_content,
    lower_stems,
    numbers,
    sentences,
    stem,
    stems,
    tokens,
)

MOST_CHARACTERS = 300
SHARE = 0.7  # of a claim's content words; why, see above

_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»")
_NOT_NEGATING = re.compile(
    r"\bnot (?:only|just)\b|\bno (?:doubt|problem|worries)\b|\bcan['’]t wait\b", re.IGNORECASE
)
_NEGATING = re.compile(
    r"(?<!['’]m )(?<!\bam )(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bg[eo]t )\bused to(?= \w)|"
    r"\bgave up\b",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\W*(?:(?:hi|hey|so|and|ok|okay|well)\W+)?(?:can|could|would|will|should|shall|may|do|does|did"
    r"|is|are|am|was|were|have|has|what|when|where|which|who|whom|whose|why|how)\b[^.!?。]*\?\W*",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\b(?:ask|wonder|want|request)", re.IGNORECASE)
_BUT = frozenset(("but", "although", "though", "because", "however", "whereas"))
_AND = frozenset((",", "，", "and", "no"))
_SUBJECTS = frozenset(("i", "we", "he", "she", "they", "it", "you", "my", "our", "his", "her"))
_ALSO_WORDS = frozenset(("May", "March", "Will", "US"))  # names that in lower case are none
_UNNAMED = frozenset(("i", "a", "an", "th"))  # stems that a capital makes no name


def supported(claim: Claim, turn: Turn, *, listener: str | None = None) -> bool:
    """Return whether `claim` says no more than the piece of `turn` that it names as its source.

    Args:
        claim: from any thinker, its dates resolved or not.
        turn: the turn that its source names.
        listener: whom "you" means in the turn, if that has a name.

    >>> from memkit.records import Source
    >>> turn = Turn(text="I moved to Oslo in 2019 with my two cats.", name="Ann", id="1")
    >>> whole = Source(turn_id="1", start=0, end=len(turn.text))
    >>> [supported(Claim(text=text, source=whole), turn) for text in (
    ...     "Ann moved to Oslo in 2019", "Ann has 2 cats", "Ann moved to Bergen", "Ann has 3 cats")]
    [True, True, False, False]
    """
    source = claim.source
    if not 0 <= source.start < source.end <= len(turn.text) or turn.role not in SHOWN_ROLES:
        return False
    if turn.id not in (None, source.turn_id) or not 0 < len(claim.text.strip()) <= MOST_CHARACTERS:
        return False
    text = claim.text if turn.said_at is None else undated(claim.text, turn.said_at)
    said = _said(turn.text, source.start, source.end)
    free = stems(turn.name or "") | _WHO
    addressed = _addressed(said, turn, listener)
    if not addressed and stems(text) & (_listeners(turn, listener) - stems(said)):
        return False
    free |= _listeners(turn, listener) if addressed else frozenset()
    parts = f"{claim.head or ''} {claim.tail or ''}"
    return (
        numbers(text) <= numbers(said)
        and _counts(text, said)
        and numbers(parts) <= numbers(said) | numbers(claim.text)
        and all(_flat("".join(one)) in _flat(said) for one in _QUOTED.findall(text))
        and _named(text, stems(said) | free, lower_stems(turn.text))
        and _ALSO_WORDS.intersection(tokens(text)) <= set(tokens(said))
        and overlap(text, turn.text, free) >= SHARE
        and _agree(text, said)
        and content(parts) - free <= stems(claim.text) | stems(said)
        and (bool(_ASKING.search(text)) or not _ASKED.fullmatch(said))
    )


def _said(text: str, start: int, end: int) -> str:
    """Return the sentences that a piece of a text lies in."""
    return " ".join(text[a:b] for a, b in sentences(text) if a < end and start < b)


_WHO = frozenset(stem(word) for words in SPEAKERS.values() for word in words)


def overlap(text: str, said: str, free: frozenset[str] = frozenset()) -> float:
    """Return which share of the content words of `text`, but the `free` stems, stand in `said`."""
    known = stems(said)
    telling = content(text) - free
    if not telling:  # "is 8 years old", "is Ann": as far as its numbers go, and its name
        return float(bool(numbers(text) or content(text) & known))
    return len(telling & known) / len(telling)


def _counts(text: str, said: str) -> bool:
    """Return whether a claim counts nothing that its sentences count otherwise."""
    there = counted(said, reach=4)
    return all((n, word) in there for n, word in counted(text, reach=1) if word in stems(said))


def _named(text: str, here: frozenset[str], beginnings: frozenset[str]) -> bool:
    """Return whether every word with a capital stands here, or was one only as the first word."""
    begins = True
    for token in tokens(text):
        if token[0].isupper() and stem(token) not in here | _UNNAMED:
            function = token.casefold().partition("'")[0] in FUNCTION
            if not (begins and (function or stem(token) in beginnings)):
                return False
        begins = token in ".!?"
    return True


def _flat(text: str) -> str:
    return " ".join(text.casefold().split()).strip(".,!?")


def _agree(text: str, said: str) -> bool:
    """Return whether a claim and its sentences affirm and deny alike."""
    affirmed, denied = _polarity(text)
    affirmed_there, denied_there = _polarity(said)
    if affirmed & (denied_there - affirmed_there) or denied & (affirmed_there - denied_there):
        return False
    return not denied or bool(denied & denied_there)


def _polarity(text: str) -> tuple[set[str], set[str]]:
    """Return the content words that are affirmed, and those after a negation in their clause."""
    affirmed: set[str] = set()
    denied: set[str] = set()
    negated, last = False, ""
    for token in tokens(_NEGATING.sub(" not", _NOT_NEGATING.sub(" ", text))):
        low = token.casefold()
        if token == ",":
            negated = negated and last != "no"
        elif not token[0].isalnum() or low in _BUT or (last in _AND and low in _SUBJECTS):
            negated = False
        elif low in NEGATIONS or low.endswith("n't"):
            negated = True
        elif is_content(token):
            (denied if negated else affirmed).add(stem(token))
        last = low
    return affirmed, denied


def _listeners(turn: Turn, listener: str | None) -> frozenset[str]:
    other = SPEAKERS["assistant" if turn.role == "user" else "user"]
    return stems(listener or "") | {stem(word) for word in other}


def _addressed(said: str, turn: Turn, listener: str | None) -> bool:
    """Return whether the sentences speak to whoever listens, or about them by their name."""
    spoken = {token.casefold().partition("'")[0] for token in tokens(said)}
    return bool(spoken & YOU or stems(said) & _listeners(turn, listener))
