"""Check whether a claim says no more than its source. No model; the same check for every thinker.

"The sentences" are those that its source overlaps.

A claim in the very words of its source is supported. Any other is, if all of this holds:

1. It has 1 to 300 characters, its source lies in that turn, and a user or an assistant said it.
2. Every number in it is in the sentences, and before the same word if it is before one of theirs
   ("two cats"); "two" is 2, and "a" counts as one.
3. Every name in it is in the sentences or is the speaker's: words with a capital, and quotations. A
   word that begins a sentence of the claim may be any uncapitalised word of the turn.
4. At least 0.7 of its content words are in the turn, compared by stem ("live", "lives"). Up to
   three content words that means all; a longer claim may add three words in ten. Function
   words, words for the speaker, and "named" or "years old" are not counted. In scripts without
   spaces, every two neighbouring characters are a word.
5. No content word is affirmed in it and only denied in the sentences, or the reverse, and if it
   denies anything, they deny one of the same words. Denied is what follows "not", "never", "no",
   "stopped", "used to" and the like, up to a full stop, a "but", or "and" with a subject.
6. It names the listener, as "user", "assistant" or by name, only if the sentences do or say "you".
7. The sentences do not only ask, or the claim says that they do ("asked for", "wonders").
8. Its head and tail consist of words of the claim and the sentences, or name the speaker.

Dates that `memkit.text.relative_dates` inserted are ignored: they follow from when it was said. Not
decided here: whether the source guesses or jokes, and who does what to whom. "Ann met Bob" and "Bob
met Ann" have the same words.
"""

import re
from functools import cache

from memkit.prompt import SHOWN_ROLES
from memkit.records import Claim, Turn
from memkit.text.relative_dates import undated
from memkit.text.words import (
    ADDRESSEE,
    FUNCTION_WORDS,
    NEGATIONS,
    SPEAKERS,
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
SHARE = 0.7  # of a claim's content words, see 4 above

# "The Hobbit" in straight, curly or angle quotes
_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»")
# words that deny nothing: "not only", "no problem", "can't wait"
_NOT_NEGATING = re.compile(
    r"\bnot (?:only|just)\b|\bno (?:doubt|problem|worries)\b|\bcan['’]t wait\b", re.IGNORECASE
)
# "used to live", but not "is used to living"; "gave up"
_NEGATING = re.compile(
    r"(?<!['’]m )(?<!\bam )(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bg[eo]t )\bused to(?= \w)|"
    r"\bgave up\b",
    re.IGNORECASE,
)
# a text that is one question: "Hey, can I live in Oslo?"
_QUESTION = re.compile(
    r"\W*(?:(?:hi|hey|so|and|ok|okay|well)\W+)?(?:can|could|would|will|should|shall|may|do|does|did"
    r"|is|are|am|was|were|have|has|what|when|where|which|who|whom|whose|why|how)\b[^.!?。]*\?\W*",
    re.IGNORECASE,
)
_ASKS = re.compile(r"\b(?:ask|wonder|want|request)", re.IGNORECASE)  # "Ann asked for a recipe"
_CONTRASTS = frozenset(("but", "although", "though", "because", "however", "whereas"))
_JOINS = frozenset((",", "，", "and", "no"))  # a subject after one of these begins a new clause
_SUBJECTS = frozenset(("i", "we", "he", "she", "they", "it", "you", "my", "our", "his", "her"))
_HOMOGRAPHS = frozenset(("May", "March", "Will", "US"))  # names only with a capital
_NOT_NAMES = frozenset(("i", "a", "an", "th"))  # stems that a capital does not make a name


def supported(claim: Claim, turn: Turn, *, listener: str | None = None) -> bool:
    """Return whether `claim` says no more than the piece of `turn` that it names as its source.

    Its dates may be resolved or not. `listener` is the name of whoever "you" means in the turn.

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
    if claim.text == turn.text[source.start : source.end]:
        return True
    text = claim.text if turn.said_at is None else undated(claim.text, turn.said_at)
    evidence = " ".join(
        turn.text[start:end]
        for start, end in sentences(turn.text)
        if start < source.end and source.start < end
    )
    participants = stems(turn.name or "").union(*map(_role_stems, SPEAKERS))
    addressed = _is_addressed(evidence, turn, listener)
    if not addressed and stems(text) & (_listener_stems(turn, listener) - stems(evidence)):
        return False
    participants |= _listener_stems(turn, listener) if addressed else frozenset()
    parts = f"{claim.head or ''} {claim.tail or ''}"
    return (
        numbers(text) <= numbers(evidence)
        and _counts_agree(text, evidence)
        and numbers(parts) <= numbers(evidence) | numbers(claim.text)
        and all(_normalise("".join(q)) in _normalise(evidence) for q in _QUOTED.findall(text))
        and _names_known(text, stems(evidence) | participants, lower_stems(turn.text))
        and _HOMOGRAPHS.intersection(tokens(text)) <= set(tokens(evidence))
        and overlap(text, turn.text, participants) >= SHARE
        and _polarity_agrees(text, evidence)
        and content(parts) - participants <= stems(claim.text) | stems(evidence)
        and (bool(_ASKS.search(text)) or not _QUESTION.fullmatch(evidence))
    )


def overlap(text: str, source: str, ignored: frozenset[str] = frozenset()) -> float:
    """Return the share of the content words of `text`, without `ignored` stems, in `source`."""
    source_stems = stems(source)
    content_stems = content(text) - ignored
    if not content_stems:  # "is 9 years old", "is Ann": only numbers and ignored names
        return float(bool(numbers(text) or content(text) & source_stems))
    return len(content_stems & source_stems) / len(content_stems)


def _counts_agree(text: str, evidence: str) -> bool:
    """Return whether a claim counts nothing that its sentences count otherwise."""
    evidence_counts = counted(evidence, reach=4)
    return all(
        (n, word) in evidence_counts
        for n, word in counted(text, reach=1)
        if word in stems(evidence)
    )


def _names_known(text: str, known_stems: frozenset[str], first_word_stems: frozenset[str]) -> bool:
    """Return whether every word with a capital is known, or an ordinary word begins a sentence."""
    begins = True
    for token in tokens(text):
        if token[0].isupper() and stem(token) not in known_stems | _NOT_NAMES:
            is_function = token.casefold().partition("'")[0] in FUNCTION_WORDS
            if not (begins and (is_function or stem(token) in first_word_stems)):
                return False
        begins = token in ".!?"
    return True


def _normalise(text: str) -> str:
    return " ".join(text.casefold().split()).strip(".,!?")


def _polarity_agrees(text: str, evidence: str) -> bool:
    """Return whether a claim and its sentences affirm and deny the same words."""
    affirmed, denied = _polarity(text)
    evidence_affirmed, evidence_denied = _polarity(evidence)
    if affirmed & (evidence_denied - evidence_affirmed):
        return False
    if denied & (evidence_affirmed - evidence_denied):
        return False
    return not denied or bool(denied & evidence_denied)


def _polarity(text: str) -> tuple[set[str], set[str]]:
    """Return the stems that are affirmed, and those after a negation in their clause."""
    affirmed: set[str] = set()
    denied: set[str] = set()
    negated, last = False, ""
    for token in tokens(_NEGATING.sub(" not", _NOT_NEGATING.sub(" ", text))):
        low = token.casefold()
        if token == ",":
            negated = negated and last != "no"
        elif not token[0].isalnum() or low in _CONTRASTS or (last in _JOINS and low in _SUBJECTS):
            negated = False
        elif low in NEGATIONS or low.endswith("n't"):
            negated = True
        elif is_content(token):
            (denied if negated else affirmed).add(stem(token))
        last = low
    return affirmed, denied


def _listener_stems(turn: Turn, listener: str | None) -> frozenset[str]:
    return stems(listener or "") | _role_stems("assistant" if turn.role == "user" else "user")


@cache
def _role_stems(role: str) -> frozenset[str]:
    return frozenset(stem(word) for word in SPEAKERS[role])


def _is_addressed(evidence: str, turn: Turn, listener: str | None) -> bool:
    """Return whether the sentences say "you" or name the listener."""
    evidence_words = {token.casefold().partition("'")[0] for token in tokens(evidence)}
    return bool(evidence_words & ADDRESSEE or stems(evidence) & _listener_stems(turn, listener))
