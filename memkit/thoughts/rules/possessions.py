"""What is said of someone's things: favourites, names, records, and what each thing is."""

import re

from memkit.thoughts.rules.frames import Found, key
from memkit.thoughts.rules.lexicon import TIME_WORDS, VAGUE

_IS = re.compile(r"(?:is|are) (?P<value>.+)")
_FAVORITE = re.compile(
    r"(?:(?:current|new|all-time|absolute|personal) )*(?:favou?rite|go-to) (?P<what>.+)"
)
_RECORD = re.compile(r"(?:\w+ )?personal (?:best|record)\b")
_TIME = re.compile(
    r"\d{1,2}:\d\d(?::\d\d)?|\d+ minutes?(?: and \d+ seconds?)?|\d+(?:\.\d+)? ?(?:seconds?|kg|lbs?)"
)
_RACE = re.compile(r"\b\d+ ?(?:[kK]|km|m|meters?|miles?)\b|\b(?:half[- ])?marathon\b|\bmile\b")
_VALUE = re.compile(
    r"(?!\S+'s )(?:an?\b|the\b|[$\u20ac\u00a3]?\d|(?:about|around|over) [$\u20ac\u00a3]?\d|"
    r"[A-Z]|on\b|"
    r"[\w.+-]+@|at\b|in\b|named\b|called\b|(?:red|blue|green|black|white|pink|"
    r"purple|yellow|orange|brown|gr[ae]y|teal|silver|gold)\b)"
)
_NAMES = {
    "name": "name",
    "full name": "name",
    "first name": "name",
    "nickname": "nickname",
    "age": "age",
}
_MOST_OF_A_NAME = 4  # words
_NO_NAME = frozenset(
    [
        "it",
        "that",
        "this",
        "they",
        "these",
        "those",
        "when",
        "how",
        "what",
        "who",
        "where",
        "so",
        "to",
        "not",
        "also",
        "still",
        "being",
    ]
)
_END = re.compile(r",|\s(?:because|since|so|but|which|who|and (?:it|I|is|was)|where|when|as)\b")
_LITTLE = (
    VAGUE
    | TIME_WORDS
    | {
        "way",
        "thing",
        "goal",
        "dream",
        "passion",
        "focus",
        "favorite",
        "favourite",
        "favorites",
        "future",
        "life",
        "heart",
    }
)


def owned(thing: str, predicate: str) -> Found | None:
    """Return what a thing is, and the slot behind its owner.

    >>> owned("favourite band", "is Ashbury Heights")
    Found(relation='favorite band', tail='Ashbury Heights', slot='favorite band')
    >>> owned("car", "is a Tesla")
    Found(relation='car is', tail='a Tesla', slot='car | is')
    """
    match = _IS.fullmatch(predicate)
    value = _END.split(match["value"], maxsplit=1)[0].strip(" .") if match else ""
    if not value:
        return None
    favorite = _FAVORITE.fullmatch(thing)
    if favorite:
        what = f"favorite {key(favorite['what'])}"
        return Found(relation=what, tail=value, slot=what)
    if thing in _NAMES:
        return Found(relation=_NAMES[thing], tail=value, slot=_NAMES[thing])
    if not _VALUE.match(value) or key(thing).split()[-1] in _LITTLE:
        return None
    return Found(relation=f"{thing} is", tail=value, slot=f"{key(thing)} | is")


def is_favorite(thing: str, predicate: str) -> bool:
    """Return whether a predicate says which one of its kind is somebody's favourite.

    >>> is_favorite("favorite color", "is green"), is_favorite("favorite part", "is the end")
    (True, False)
    """
    favorite, said = _FAVORITE.fullmatch(thing), _IS.fullmatch(predicate)
    if not favorite or not said or key(favorite["what"]).split()[-1] in _LITTLE:
        return False
    value = said["value"].split()
    return len(value) <= _MOST_OF_A_NAME and value[0].lower() not in _NO_NAME


def record(said: str, around: str) -> Found | None:
    """Return a personal best, if a time or weight stands behind the words; `around`: the turn.

    >>> record("has a personal best of 27:12", "The 5K went well.")
    Found(relation='personal best', tail='27:12', slot='personal best | 5k')
    """
    best = _RECORD.search(said)
    time = best and _TIME.search(said, best.end())
    if not time:
        return None
    race = _RACE.search(said) or _RACE.search(around)
    slot = "personal best" + (f" | {race[0].lower()}" if race else "")
    return Found(relation="personal best", tail=time[0], slot=slot)
