"""Read a predicate as a relation: its name, its object, and the attribute that it gives a value.

An attribute has one value at a time, so that a newer value supersedes an older one: "lives in
Bergen" supersedes "lives in Oslo". The patterns are in `relations.toml`.
"""

import re
from dataclasses import dataclass

from memkit.text.dates import WEEKDAYS
from memkit.text.words import NUMBERS, wordset
from memkit.thoughts.rules.grammar import (
    BASE_BY_THIRD_PERSON,
    BASE_FORMS,
    EVENTS,
    PATTERNS,
    PROFESSIONS,
    TIME_WORDS,
    VAGUE,
    base_of_gerund,
    is_participle,
    is_past,
    load_table,
    third_person,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What a predicate says of its subject."""

    name: str  # "lives in"
    object: str  # "Oslo"
    attribute: str | None  # that has one value at a time, if it does: "lives in"


# ---- patterns

_HABITS = (
    "play drink eat drive ride speak study teach practice practise use attend collect smoke coach "
    "run wear take read grow do"
)
# verbs whose gerund after "started" or "stopped" is a habit
_HABIT_VERBS = wordset(_HABITS) | wordset(
    "volunteer swim jog knit paint write meditate dance sing cycle bake cook ski skate vape"
)
_NUMBER = rf"(?P<number>\d[\d,.]*\d|\d|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
_PIECES = {
    "number": _NUMBER,
    "professions": "|".join(sorted(PROFESSIONS)),
    "base_habit": "|".join(_HABITS.split()),  # "play|drink"
    "present_habit": "|".join(third_person(verb) for verb in _HABITS.split()),  # "plays|drinks"
}


def _expand(pattern: str) -> str:
    """Return a pattern of `relations.toml` with its pieces, on one line."""
    for name, piece in _PIECES.items():
        pattern = pattern.replace(f"{{{name}}}", piece)
    return pattern.replace("\n", "")


TABLE = load_table("relations.toml")
for _name, _piece in TABLE["pieces"].items():
    _PIECES[_name] = _expand(_piece)
TASTE = re.compile(_expand("(?:{likes}|{dislikes}) "))
_PATTERNS = [
    (row["name"], re.compile(_expand(row["pattern"])), row.get("attribute"))
    for row in TABLE["relations"]
]

_MOST_WORDS = 6  # of an object; longer ones are no values
_ARTICLE = re.compile(r"^(?:an?|the|some|any|new|current|all) ", re.IGNORECASE)
_BY_OWNER = re.compile(r"^(?:the )?\S+'s ", re.IGNORECASE)  # "Ann's new bike"
_ACTIVITY = re.compile(r"\w+ing(?: time)?")  # "swimming"
_TASTES = frozenset(("likes", "does not like"))
_WHOLE_OBJECTS = frozenset(("counted", "activity", "gerund"))  # whatever their words are


def find_relation(predicate: str) -> Relation | None:
    """Return the relation of the first pattern that reads a predicate, or None.

    >>> find_relation("lives in Oslo with Bob")
    Relation(name='lives in', object='Oslo', attribute='lives in')
    >>> find_relation("has about 12 harps")
    Relation(name='has', object='12', attribute='number of harps')
    """
    for name, pattern, attribute in _PATTERNS:
        match = pattern.fullmatch(predicate)
        relation = _read_match(name, match, attribute) if match else None
        if relation:
            return relation
    return None


def _read_match(name: str, match: re.Match[str], attribute: str | None) -> Relation | None:
    whole = match["object"] or ""
    shortened = PATTERNS["object_end"].split(whole, maxsplit=1)[0].strip(" ,.")
    if name in _TASTES:
        if not PATTERNS["likeable"].match(shortened):
            return None
        if shortened.startswith("to ") or _ACTIVITY.fullmatch(shortened):
            shortened = PATTERNS["reason"].split(whole, maxsplit=1)[0]
    groups = {group: text for group, text in match.groupdict().items() if text}
    fields = _derive_fields(groups, shortened)
    if fields is None or not _is_concrete(shortened, groups):
        return None
    return Relation(
        name=name.format(**fields),
        object=_displayed_object(fields, whole, shortened),
        attribute=attribute and attribute.format(**fields).removesuffix(" | "),
    )


def _derive_fields(groups: dict[str, str], shortened: str) -> dict[str, str] | None:
    """Return the words for a relation's name and attribute, or None if one is no such word."""
    fields = {group: text for group, text in groups.items() if group != "object"}
    for group in fields.keys() & {"purpose", "activity"}:
        fields[group] = attribute_key(_BY_OWNER.sub("", fields[group]))
    fields["object"] = attribute_key(_BY_OWNER.sub("", shortened))
    if "counted" in fields:
        noun = _plural_noun(fields["counted"])
        verb = fields.get("verb")
        if not noun or (verb and not (is_past(verb) or is_participle(verb) or verb in BASE_FORMS)):
            return None
        fields["counted"] = noun
    if "gerund" in fields:
        base = base_of_gerund(fields["gerund"])
        if base is None or base not in _HABIT_VERBS:
            return None
        fields["present"] = third_person(base)
    elif "habit" in fields:
        fields["base"] = BASE_BY_THIRD_PERSON.get(fields["habit"], fields["habit"])
        fields["present"] = third_person(fields["base"])
    return fields


def _displayed_object(fields: dict[str, str], whole: str, shortened: str) -> str:
    """Return the object as the claim shows it."""
    if "counted" in fields:
        return str(NUMBERS.get(fields["number"], fields["number"]))
    return whole.strip() if "activity" in fields else shortened


def _plural_noun(text: str) -> str | None:
    """Return what is counted, in the plural, or None: hours and the like are not counted."""
    nouns = PATTERNS["object_end"].split(text, maxsplit=1)[0].replace(" of ", " ").lower().split()
    nouns = [noun for noun in nouns if noun not in {"new", "more", "different", "other"}]
    if not nouns or len(nouns) > 4 or nouns[-1] in TIME_WORDS | VAGUE:
        return None
    while len(nouns) > 1 and nouns[-1].endswith("ed"):
        nouns.pop()
    last = nouns[-1]
    if not (last.endswith("s") or last in {"people", "children", "fish"}):
        takes_ies = last.endswith("y") and last[-2:-1] not in "aeiou"
        nouns[-1] = last[:-1] + "ies" if takes_ies else last + "s"
    return " ".join(nouns)


def attribute_key(text: str) -> str:
    """Return a text as attributes hold it: in lower case, American spelling, without articles.

    >>> [attribute_key(text) for text in ("The User", "a new Red bike", "favourite colour")]
    ['user', 'red bike', 'favorite color']
    """
    while (shorter := _ARTICLE.sub("", text)) != text:
        text = shorter
    text = re.sub(r"[^\w'%@#+.:-]+", " ", text).casefold().strip(" .")
    return re.sub(r"(?<=vo|lo|bo)ur(?=s?\b|ite|ites)", "r", text)


def _is_concrete(text: str, groups: dict[str, str]) -> bool:
    """Return whether an object is a short, definite thing and no event."""
    if groups.keys() & _WHOLE_OBJECTS:
        return True
    definite = [word for word in re.findall(r"[\w'-]+", text.lower()) if word not in VAGUE]
    return bool(definite) and len(text.split()) <= _MOST_WORDS and definite[-1] not in EVENTS


# ---- how often

_WEEKDAY_PLURALS = "|".join(f"{day}s" for day in WEEKDAYS)
# "twice a week", "every other day", "on weekends"
_FREQUENCY = re.compile(
    rf"(?<!\w)(?P<frequency>(?:about |around |at least |only )?(?:(?:once|twice|{_NUMBER} times)"
    r"(?: or \w+ times)? (?:an?|per|each|every) (?:day|week|month|year|night)|"
    r"every (?:other |single |\w+ )?(?:day|days|week|weeks|month|months|year|morning|evening|night|"
    rf"weekend|{'|'.join(WEEKDAYS)})|"
    r"daily(?! (?!(?:on|at|in|with|for|since|and)\b)[a-z])|"
    rf"on (?:weekends|weekdays|(?:{_WEEKDAY_PLURALS})(?: and (?:{_WEEKDAY_PLURALS}))?)))\b"
)
# plans, wishes and denials
_NO_HABITS = (
    "does",
    "don",
    "did",
    "no longer",
    "never",
    "will",
    "plans",
    "is planning",
    "is going to",
)
_CLOCK_TIME = re.compile(r",|\b(?:at|around|by) \d")  # "at 7"


def find_frequency(predicate: str) -> Relation | None:
    """Return how often something is done, or None.

    >>> find_frequency("goes to choir twice a month")
    Relation(name='goes to choir', object='twice a month', attribute='goes to choir | how often')
    """
    match = _FREQUENCY.search(predicate)
    if not match or predicate.startswith(_NO_HABITS):
        return None
    before, after = predicate[: match.start()].strip(), predicate[match.end() :].strip()
    activity = f"{before} {after}" if len(before.split()) < 2 and after[:1].isalpha() else before
    activity = activity.removeprefix("has been ").removeprefix("is ")
    first, _, complement = activity.partition(" ")
    base = base_of_gerund(first)
    verb = third_person(base) if base else first
    if is_past(verb) or len(activity.split()) > 7 or _CLOCK_TIME.search(activity):
        return None
    return Relation(
        name=f"{verb} {complement}".strip(),
        object=match["frequency"],
        attribute=f"{verb} {attribute_key(complement)}".strip() + " | how often",
    )


# ---- possessions

_IS = re.compile(r"(?:is|are) (?P<value>.+)")
# "current favourite tea", "go-to bakery"
_FAVOURITE = re.compile(
    r"(?:(?:current|new|all-time|absolute|personal) )*(?:favou?rite|go-to) (?P<kind>.+)"
)
_VALUE_END = re.compile(
    r",|\s(?:because|since|so|but|which|who|and (?:it|I|is|was)|where|when|as)\b"
)
_PERSONAL_NOUNS = {
    "name": "name",
    "full name": "name",
    "first name": "name",
    "nickname": "nickname",
    "age": "age",
}
_ABSTRACT_NOUNS = (
    VAGUE
    | TIME_WORDS
    | wordset("way thing goal dream passion focus favorite favourite favorites future life heart")
)


def find_possession(noun: str, predicate: str) -> Relation | None:
    """Return what somebody's thing is, or None.

    >>> find_possession("favourite tea", "is Blue Fox")
    Relation(name='favorite tea', object='Blue Fox', attribute='favorite tea')
    >>> find_possession("boat", "is a Bayliner")
    Relation(name='boat is', object='a Bayliner', attribute='boat | is')
    """
    match = _IS.fullmatch(predicate)
    value = _VALUE_END.split(match["value"], maxsplit=1)[0].strip(" .") if match else ""
    if not value:
        return None
    favourite = _FAVOURITE.fullmatch(noun)
    if favourite:
        name = f"favorite {attribute_key(favourite['kind'])}"
        return Relation(name=name, object=value, attribute=name)
    if noun in _PERSONAL_NOUNS:
        return Relation(name=_PERSONAL_NOUNS[noun], object=value, attribute=_PERSONAL_NOUNS[noun])
    if not PATTERNS["value"].match(value) or attribute_key(noun).split()[-1] in _ABSTRACT_NOUNS:
        return None
    return Relation(name=f"{noun} is", object=value, attribute=f"{attribute_key(noun)} | is")
