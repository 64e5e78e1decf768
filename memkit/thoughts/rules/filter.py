"""Whether a statement is worth a claim: it says something definite, and is clear on its own."""

import re
from collections.abc import Callable

from memkit.thoughts.rules.english import THIRDS, base_of, is_participle, is_past
from memkit.thoughts.rules.frames import frames
from memkit.thoughts.rules.lexicon import (
    ADVERBS,
    BASE,
    EMPTY_STATES,
    KIN,
    MENTAL,
    TIME_WORDS,
    VAGUE,
    wordset,
)
from memkit.thoughts.rules.patterns import TASTE
from memkit.thoughts.rules.subjects import Statement

_WORD = re.compile(r"[\w'-]+")
_BE = wordset("is are was were be been isn't wasn't aren't weren't")
_HAVE = wordset("has have had hasn't haven't hadn't")
_DO = wordset("does did do don't doesn't didn't")
_ABLE = wordset("can can't cannot could won't shall must")
_GOT = wordset("got gets getting feels stays stayed became gotten")
_SKIPPED = ADVERBS | {"no", "longer", "quite", "super", "so", "pretty"}
# objects that stand for something not said
_BARE = wordset(
    "something someone anything everything nothing somebody how what when where it that them this "
    "these those if whether"
)
_OF_LIFE = wordset("died graduated retired")
_HAPPENED = wordset(
    "married engaged promoted hired accepted divorced invited selected diagnosed chosen "
    "elected born "
    "raised given offered fired admitted awarded nominated laid robbed injured vaccinated"
)
# after "is": what makes it more than a mood
_STATES = re.compile(
    r"(?:an?|the|about|around|in|at|from|on|near|\d[\w:.-]*|single|separated|widowed|vegan|"
    r"vegetarian|"
    r"pescatarian|"
    r"allergic|into|obsessed|named|called|of|lactose|[A-Z][\w.'-]*|fluent|addicted|fond|"
    r"passionate|keen|[^\s']+'s|"
    rf"{'|'.join(sorted(_HAPPENED))})(?=\s|$)"
)
_EMPTY = re.compile(
    r"\b(?:can't wait|looking forward|have to|has to|has got to|ready to|able to|supposed to|"
    r"make sure|makes sure|made sure|of course|no idea|on board|in touch|so much|for sure|to hear|"
    r"come (?:a )?long way|same (?:page|boat|way)|in for|up for|gotta|never forget|to share|"
    r"like (?:this|that)|similar|questions? (?:about|for|on|regarding)|[^\s]+'s back|"
    r"your back|no time|best to)\b"
)
_DEICTIC = re.compile(
    r"\b(?:this|these|those)\b(?! (?:week|weekend|year|month|morning|afternoon|evening|spring|"
    r"summer|fall|autumn|winter|past|coming|\w+day|January|February|March|April|May|June|July|"
    r"August|September|October|November|December)\b)|(?<!')\bhere\b|(?<!out )\bthere\b|\bso\s*$|"
    r"\bthe same\b|\bdo(?:es|ing)? so\b|\bsuch\b|\bthat$"
)
_THAT = re.compile(r"(?P<before>[\w'-]+) that\b(?: (?P<after>[\w'-]+))?")
_JOINS = wordset("is was has had are were have can will could really he she they we the a an it I")
_JOINED_BY = wordset("of in for with about from to at on like by after before all just off up")
_THING = re.compile(
    r"(?:^|\s)(?:an?|the|\w+'s|their|some|two|three|many|several|\d+)\s+\w+|(?<!^)\b[A-Z]\w+"
)
_PRONOUN = re.compile(r"\b(?:it|they|them|its|he|she|him|her|his|hers|one|ones|their)\b")
_OF_PEOPLE = wordset("he she him her his hers their")
_SOMEONE = re.compile(
    r"(?<!^)\b[A-Z][a-z]+\b(?!')|\b(?:woman|man|girl|boy|lady|guy|person|people)\b"
)
_IDLE = wordset("be try check keep make let look give see never remember do have")
_DAYS = wordset(
    "tomorrow tonight week weekend month year summer winter spring autumn fall january february "
    "march april may june july august september october november december"
)


def telling(statement: Statement) -> bool:
    """Return whether a statement says something definite that is clear without what came before."""
    said = statement.predicate
    words = _WORD.findall(said)
    if len(words) < 2 or _EMPTY.search(said) or _DEICTIC.search(said):
        return False
    if statement.together and not (is_past(words[0].lower()) or _have_done(words)):
        return any(found.slot for found in frames(statement.bare)) and not TASTE.match(
            statement.bare
        )
    if statement.head == "the user" and words[0] in {"wants", "hopes"}:
        return False  # from an assistant, and of now
    if TASTE.match(statement.bare) and not any(frames(statement.bare)):
        return False
    return (
        _says(_told(words))
        and _clear(statement)
        and all(_joins(match) for match in _THAT.finditer(said))
    )


def _have_done(words: list[str]) -> bool:
    return words[0] in _HAVE and words[1] not in MENTAL and is_participle(words[1])


def _told(words: list[str]) -> list[str]:
    """Return the words from the verb on, without adverbs before and behind it."""
    while words and words[0].lower() in _SKIPPED:
        words = words[1:]
    rest = words[1:]
    while rest and rest[0].lower() in _SKIPPED - {"only"}:
        rest = rest[1:]
    return [words[0].lower(), *rest] if words else []


def _says(words: list[str]) -> bool:
    """Return whether a verb and what follows say more than a mood: not "is glad"."""
    if len(words) < 2 or words[0] in _ABLE:
        return words[:2] in (["can't", "stand"], ["cannot", "stand"]) and len(words) > 2
    verb, rest = words[0], words[1:]
    if verb in _OF_LIFE:
        return True
    for kind, reads in _READERS:
        if verb in kind and rest:
            return reads(rest)
    if THIRDS.get(verb, verb) in MENTAL:
        return THIRDS.get(verb) == "need" and rest[0][0].isdigit()
    if verb in _GOT:
        return _definite(rest) and rest[0].lower() not in EMPTY_STATES and _got(rest[0].lower())
    return rest[0].lower() not in _BARE and _definite(rest)


def _got(first: str) -> bool:
    return first in _HAPPENED or not is_past(first)


def _is(rest: list[str]) -> bool:
    first = rest[0].lower()
    if first in {"going", "planning", "about"} and rest[1:2] in (["to"], ["on"]):
        return len(rest) > 2 and not _IDLE & {rest[2]} and _definite(rest[2:])
    if first in EMPTY_STATES or first in MENTAL:
        return False
    base = base_of(first) or (first.removesuffix("ing") if first.endswith("ing") else None)
    if base:
        return base not in MENTAL and _says([base, *rest[1:]])
    state = bool(_STATES.match(" ".join(rest)))
    return state and (len(rest) == 1 or first in _HAPPENED or _definite(rest))


def _has(rest: list[str]) -> bool:
    first = rest[0].lower()
    if first == "been":
        return len(rest) > 1 and (
            _is(_told(["been", *rest[1:]])[1:] or rest[1:]) or rest[1] == "to"
        )
    if is_participle(first):
        return first not in MENTAL and _says(_told(rest))
    return first not in _BARE and _definite(rest)


def _does(rest: list[str]) -> bool:
    if rest[0] in BASE:
        return _says(rest)
    return _definite(rest) and rest[0] not in _BARE


def _will(rest: list[str]) -> bool:
    """Return whether an intention is one to remember: it names a day or a number."""
    return rest[0] not in _IDLE and any(
        word[0].isdigit() or word.lower() in _DAYS or word.lower().endswith("day") for word in rest
    )


def _used_to(rest: list[str]) -> bool:
    return (
        rest[0] == "to"
        and len(rest) > 2
        and (_is(rest[2:]) if rest[1] == "be" else rest[1] != "feel" and _says(rest[1:]))
    )


def _plans(rest: list[str]) -> bool:
    if rest[0] not in {"to", "on"}:
        return _definite(rest)
    return len(rest) > 2 and rest[1] not in _IDLE and _definite(rest[2:])


_READERS: tuple[tuple[frozenset[str], Callable[[list[str]], bool]], ...] = (
    (_BE, _is),
    (_HAVE, _has),
    (_DO, _does),
    (frozenset(("will",)), _will),
    (frozenset(("used",)), _used_to),
    (frozenset(("plans", "plan", "wants", "hopes")), _plans),
)


def _definite(rest: list[str]) -> bool:
    """Return whether what follows the verb names something: not "a great time"."""
    for word in rest:
        low = word.lower()
        if low in VAGUE or low in ADVERBS or low in TIME_WORDS or low in EMPTY_STATES:
            continue
        if len(low) > 2 or word[0].isupper() or word[0].isdigit():
            return True
    return False


def _joins(match: re.Match[str]) -> bool:
    """Return whether a "that" joins clauses, and does not point at something."""
    before, after = match["before"].lower(), match["after"] or ""
    return before not in _JOINED_BY and (
        after in _JOINS or after in THIRDS or is_past(after) or after[:1].isupper()
    )


def _clear(statement: Statement) -> bool:
    """Return whether every "it" and "she" has something before it that it can mean."""
    said = statement.predicate
    person = bool(statement.thing or statement.together or KIN & set(statement.head.split()))
    for match in _PRONOUN.finditer(said):
        before, low = said[: match.start()], match[0]
        if low == "ones" or (low in {"it", "them", "one"} and not said[match.end() :].strip()):
            return False
        if low in _OF_PEOPLE:
            if not person and not _SOMEONE.search(before) and not KIN & set(before.split()):
                return False
        elif not _THING.search(before) and not (low in {"they", "them"} and person):
            return False
    return True
