"""English grammar, as far as the rules need it: verbs, and a speaker's words in the third person.

No parser: verbs are known by a table, or by following "I".
"""

import re
from dataclasses import dataclass

from memkit.thoughts.rules.lexicon import (
    ADVERBS,
    BASE,
    DROPPED,
    EITHER,
    IRREGULAR,
    MODALS,
    NOT_PAST,
    PARTICIPLE,
    PAST,
)

_THIRD = {"be": "is", "am": "is", "are": "is", "have": "has", "do": "does", "go": "goes"} | {
    "don't": "does not", "haven't": "has not", "aren't": "is not", "ain't": "is not",
    "were": "was", "weren't": "was not", "didn't": "did not", "wasn't": "was not",
}  # fmt: skip
_SLURRED = {"gonna": "going to", "wanna": "want to"}
_OWN = frozenset(("my", "mine", "your", "yours", "our", "ours"))
_SELVES = {"myself": "themself", "yourself": "themself", "ourselves": "themselves"}
_PLURAL_TAILS = {"'re": "are", "'ve": "have", "'ll": "will", "'m": "are"}
_TAILS = {"'m": "is", "'re": "is", "'ve": "has", "'ll": "will"}
_EVERY_DAY = re.compile(r"\b(?:every|usually|often|always|daily|each|a lot|mostly)\b")
_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|\s+|.", re.DOTALL)
# a verb after "and" has something after it; a noun mostly has not
_COMPLEMENT = frozenset(
    [
        "a",
        "an",
        "the",
        "my",
        "to",
        "at",
        "in",
        "for",
        "with",
        "as",
        "on",
        "it",
        "them",
        "there",
        "about",
        "every",
        "from",
        "him",
        "her",
        "out",
        "up",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Whom "I" and "you" mean in a turn; `other` is None where nobody can tell."""

    speaker: str
    other: str | None = None


def possessive(name: str) -> str:
    """Return whose it is.

    >>> possessive("Ann"), possessive("the user")
    ("Ann's", "the user's")
    """
    return f"{name}'s"


def third(verb: str) -> str:
    """Return the form that follows "she".

    >>> [third(verb) for verb in ("live", "have", "study", "play", "watch")]
    ['lives', 'has', 'studies', 'plays', 'watches']
    """
    if verb in _THIRD:
        return _THIRD[verb]
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")


THIRDS = {third(verb): verb for verb in BASE}


def is_past(verb: str) -> bool:
    """Return whether a word can be a verb in the past: by a table, or by its "-ed".

    >>> is_past("moved"), is_past("went"), is_past("need")
    (True, True, False)
    """
    return verb in PAST or (verb.endswith("ed") and len(verb) > 3 and verb not in NOT_PAST)


def is_participle(verb: str) -> bool:
    """Return whether a word can follow "has"."""
    return verb in PARTICIPLE or (verb.endswith("ed") and verb not in NOT_PAST)


def base_of(gerund: str) -> str | None:
    """Return the verb of an "-ing", or None if it is no verb that is known.

    >>> base_of("smoking"), base_of("running"), base_of("playing"), base_of("morning")
    ('smoke', 'run', 'play', None)
    """
    stem = gerund.removesuffix("ing")
    if stem == gerund:
        return None
    doubled = stem[:-1] if stem[-2:-1] == stem[-1:] else stem
    return next((one for one in (stem, stem + "e", doubled) if one in BASE), None)


def participle(verb: str) -> str:
    """Return the form that follows "has": "written", "moved"."""
    if verb in IRREGULAR:
        return IRREGULAR[verb][1]
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if verb.endswith("y") and verb[-2:-1] not in "aeiou" else verb + "ed"


def conjugate(verb: str, clause: str) -> str | None:
    """Return a verb said after "I" as it follows a name, or None if it is no verb that is known."""
    low = verb.lower()
    if low in _THIRD:
        return _THIRD[low]
    if low in MODALS or low in {"was", "wasn't", "had", "hadn't", "did", "didn't", "do"}:
        return low
    if low in EITHER and not _EVERY_DAY.search(clause):
        return low
    if low in BASE:
        return third(low)
    return low if is_past(low) else None


def retell(clause: str, people: People) -> str | None:
    """Return a clause that begins with "I", "we" or "my" in the third person, or None.

    None where a word cannot be told otherwise: a verb that is unknown, or a "you" who is unknown.

    >>> retell("I live in Oslo and work at my uncle's", People(speaker="Ann"))
    "Ann lives in Oslo and works at Ann's uncle's"
    >>> retell("I've met your sister", People(speaker="Ann", other="Bob"))
    "Ann has met Bob's sister"
    """
    return _Telling(clause, people).told()


class _Telling:
    """One clause on its way to the third person."""

    def __init__(self, clause: str, people: People) -> None:
        self._clause = clause
        self._tokens = [token if token.strip() else " " for token in _TOKEN.findall(clause)]
        self._people = people
        self._joint = bool(re.match(r"[\w' ]+ and I ", clause))
        self._together = self._joint or bool(re.match(r"we\b", clause, re.IGNORECASE))
        self._waiting = False  # for the verb of an "I"
        self._present = False  # and it was one that takes an "-s"
        self._failed = False

    def told(self) -> str | None:
        said = "".join(self._one(n, token) for n, token in enumerate(self._tokens))
        return None if self._failed or self._waiting else re.sub(r" {2,}", " ", said).strip()

    def _one(self, n: int, token: str) -> str:
        low = token.lower()
        person, tail = _pronoun(low)
        if person:
            return self._person(n, person, tail)
        if not token[0].isalpha():
            return token
        if low in _SLURRED:
            return self._slurred(low)
        if self._waiting:
            return self._verb(token)
        if self._present and self._coordinated(n, low):
            return third(low)
        if low == "to" or low in MODALS:
            self._present = False  # "wants to stay and work": an infinitive
        return token

    def _person(self, n: int, person: str, tail: str) -> str:
        who = self._who(person)
        subject = person == "i" or (person == "you" and self._subject_you())
        if who is None or tail == "'d" or (person == "you" and not (subject or self._apart(n))):
            self._failed = True
            return ""
        if person in _OWN:
            return "their" if person == "our" and self._together else possessive(who)
        if person in _SELVES:
            return _SELVES[person]
        if person == "we":
            return f"{who} {_PLURAL_TAILS[tail]}" if tail else who
        if subject:
            self._waiting, self._present = not tail, tail in {"'m", "'ve"}
        return f"{who} {_TAILS[tail]}" if tail else who

    def _who(self, person: str) -> str | None:
        if person.startswith("you"):
            return self._people.other
        if person in {"we", "us", "ourselves"}:
            return f"{self._people.speaker} and others"
        return self._people.speaker

    def _apart(self, n: int) -> bool:
        """Return whether a "you" is the end of "with you", and no subject."""
        return n > 1 and self._tokens[n - 2].lower() in {"with", "to", "from", "for", "at", "of"}

    def _subject_you(self) -> bool:
        return self._clause.lower().startswith("you")

    def _verb(self, token: str) -> str:
        low = token.lower()
        if self._joint:
            self._joint = self._waiting = False
            return token
        if low in ADVERBS or low in {"and", "no", "longer"}:
            return "" if low in DROPPED else token
        self._waiting = False
        verb = conjugate(low, self._clause)
        if verb is None:
            self._failed = True
            return ""
        self._present = low in BASE and verb != low
        return verb

    def _slurred(self, low: str) -> str:
        verb, _, rest = _SLURRED[low].partition(" ")
        self._present = False
        if self._waiting:
            self._waiting = False
            verb = third(verb)
        return f"{verb} {rest}"

    def _coordinated(self, n: int, low: str) -> bool:
        """Return whether it is the second verb of "lives and works at"."""
        if low not in BASE or n < 2 or n + 2 >= len(self._tokens):
            return False
        return self._tokens[n - 2].lower() in {"and", "or", "but", "then"} and (
            low in _OF_TASTE or self._tokens[n + 2].lower() in _COMPLEMENT
        )


_OF_TASTE = frozenset(["dislike", "enjoy", "hate", "love", "prefer"])
_PERSONS = frozenset(
    [
        "i",
        "me",
        "my",
        "mine",
        "myself",
        "we",
        "us",
        "our",
        "ours",
        "ourselves",
        "you",
        "your",
        "yours",
        "yourself",
        "yourselves",
    ]
)


def _pronoun(low: str) -> tuple[str, str]:
    """Return which person a word speaks of, if one, and the verb that hangs on it."""
    word, mark, rest = low.partition("'")
    if word not in _PERSONS:
        return "", ""
    if mark and (mark + rest not in {*_TAILS, "'d"} or word not in {"i", "we", "you"}):
        return "", ""
    return word, mark + rest
