"""Read a predicate as a relation: its name, its object, and the attribute that it gives a value.

An attribute has one value at a time, so that a newer value supersedes an older one: "lives in
Bergen" supersedes "lives in Oslo". Patterns read a predicate in the third person without adverbs.
"""

import re
from dataclasses import dataclass

from memkit.text.dates import WEEKDAYS
from memkit.text.words import NUMBERS, wordset
from memkit.thoughts.rules.grammar import (
    BASE_BY_THIRD_PERSON,
    BASE_FORMS,
    EVENTS,
    PROFESSIONS,
    TIME_WORDS,
    VAGUE,
    base_of_gerund,
    is_participle,
    is_past,
    third_person,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What a predicate says of its subject."""

    name: str  # "lives in"
    object: str  # "Oslo"
    attribute: str | None  # that has one value at a time, if it does: "lives in"


# ---- patterns

_NUMBER = rf"(?P<number>\d[\d,.]*\d|\d|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
_ABOUT = r"(?:(?:about|around|over|nearly|almost|roughly|at least|a total of|only) )?"
_OWNER = r"(?:[^\s']+|the user)'s"  # "Ann's"
_DETERMINER = rf"(?:an?|the|{_OWNER}|their)"
_JOB = rf"(?P<object>(?:[\w-]+ ){{0,3}}?(?:{'|'.join(sorted(PROFESSIONS))}))\b"
_TO_BE = r"(?:is|became|has become|has been)"
_HABITS = (
    "play drink eat drive ride speak study teach practice practise use attend collect smoke coach "
    "run wear take read grow do"
)
# verbs whose gerund after "started" or "stopped" is a habit
_HABIT_VERBS = wordset(_HABITS) | wordset(
    "volunteer swim jog knit paint write meditate dance sing cycle bake cook ski skate vape"
)
_BASE_HABIT = "|".join(_HABITS.split())  # "play|drink"
_PRESENT_HABIT = "|".join(third_person(verb) for verb in _HABITS.split())  # "plays|drinks"
_LIKES = (
    r"(?:loves|likes|enjoys|prefers|adores|(?:has been|is) (?:loving|enjoying)|(?:is|became|"
    r"has become|got|has been) (?:an? (?:\w+ )?fan of|into|fond of|obsessed with|"
    r"passionate about|keen on|addicted to))"
)
_DISLIKES = (
    r"(?:hates|dislikes|detests|despises|(?:can't|cannot) stand|(?:does not|doesn't|"
    r"no longer) (?:like|likes|enjoy|enjoys|love|loves|prefer)|(?:is not|"
    r"isn't) (?:an? (?:\w+ )?fan of|into|fond of)|is (?:tired|sick) of|went off)"
)
_GERUND = (  # "smoking cigars", but not "looking at it"
    r"(?P<gerund>\w+ing)\b ?(?P<object>(?!(?:to|into|at|in|on|for|with|about|up|out|from|off)\b).*)"
)
TASTE = re.compile(rf"(?:{_LIKES}|{_DISLIKES}) ")

# Relation, pattern, attribute; the first pattern that matches the whole predicate counts. The group
# `object` is the relation's object; names and attributes may contain any group. `present` and
# `base` are forms of the verb in the group `habit` or `gerund`.
# fmt: off
_ROWS: tuple[tuple[str, str, str | None], ...] = (
    # lives in Oslo | is based near Oslo | has lived in Oslo since 2010
    ("lives in",
     r"(?:lives|is living|is based|has (?:lived|been living)(?=.* (?:since|for) )) "
     r"(?:in|at|on|near) (?P<object>.+)",
     "lives in"),
    # moved from Oslo to Bergen
    ("lives in",
     r"(?:has )?(?:moved|relocated)(?: back| out| over)?(?: from .{1,60}?)? (?:in)?to "
     r"(?!tears|be\b)(?P<object>.+)",
     "lives in"),
    # works as a nurse at Acme | works for the city
    ("works at",
     r"(?:works|is working|has been working|started working|has worked)(?: part-time| full-time"
     r"| remotely)?(?: as (?:\w+ ){1,4}?)? ?(?:at|for) "
     rf"(?P<object>(?:(?:an?|the|{_OWNER}) )?\S.*)",
     "works at"),
    # works as a nurse | got promoted to head nurse
    ("works as",
     r"(?:works|is working|has been working|started working|got hired|was hired|"
     r"(?:got|was|has been) promoted)(?: (?:at|for) .{1,40}?)? (?:as|to) "
     r"(?:(?:an?|the) )?(?P<object>.+)",
     "works as"),
    # is a school nurse
    ("works as", rf"{_TO_BE} (?:now )?(?:an?|the) {_JOB}.*", "works as"),
    # quit Ann's job
    ("no longer has the job",
     r"(?:quit|left|lost|resigned from|has quit|has left|has lost|got fired from|"
     rf"got laid off from|was laid off from) {_DETERMINER} (?:\w+ ){{0,3}}?"
     r"(?P<object>job|position)\b.*",
     "works at"),
    # no longer works at Acme | no longer lives in Oslo
    ("no longer works at", r"no longer works (?:at|for) (?P<object>.+)", "works at"),
    ("no longer lives in", r"no longer lives in (?P<object>.+)", "lives in"),
    # is 32 years old | turned 32
    ("is aged", r"(?:is|turned|has turned) (?P<object>\d{1,3})(?: years old)?(?: .*)?", "age"),
    # is called Rex
    ("is named", r"(?:is|was) (?:named|called) (?P<object>[A-Z].*)", "name"),
    # is not allergic to nuts after all
    ("is not allergic to",
     r"(?:is not|isn't|is no longer) (?:\w+ )?allergic to "
     r"(?P<object>.+?)(?: after all| any ?more)?",
     "allergic to | {object}"),
    # is very allergic to nuts
    ("is allergic to", r"(?:is|became) (?:\w+ )?allergic to (?P<object>.+)",
     "allergic to | {object}"),
    # can't stand jazz
    ("does not like", rf"{_DISLIKES} (?P<object>.+)", "likes | {object}"),
    # is a big fan of jazz
    ("likes", rf"{_LIKES} (?P<object>.+)", "likes | {object}"),
    # does not drink coffee
    ("does not {base}",
     r"(?:does not|doesn't|no longer|never) "
     rf"(?P<habit>{_BASE_HABIT}|{_PRESENT_HABIT}) (?P<object>.+)",
     "{present} | {object}"),
    # stopped drinking coffee
    ("no longer {present}",
     rf"(?:quit|stopped|gave up|has quit|has stopped|has given up) {_GERUND}",
     "{present} | {object}"),
    # took up knitting
    ("{present}",
     rf"(?:started|began|took up|has started|has begun|has taken up) {_GERUND}",
     "{present} | {object}"),
    # owns about 12 harps
    ("has",
     rf"(?:has|owns|has got) (?P<object>{_ABOUT}{_NUMBER} (?:new )?(?P<counted>.+))",
     "number of {counted}"),
    # has managed to knit 3 scarves
    ("has {verb}",
     r"(?:has|has (?:managed|been able) to|managed to) "
     rf"(?P<verb>\w+) (?P<object>{_ABOUT}{_NUMBER} (?:new |different )?(?P<counted>.+))",
     "number of {counted}"),
    # sold the harp
    ("no longer has",
     r"(?:(?:has )?(?:sold|got rid of|gave away|given away|donated)|"
     rf"no longer (?:has|have|owns?)) (?:(?:{_DETERMINER}|any) )?(?P<object>.+)",
     "has | {object}"),
    # does not own a harp
    ("does not have",
     rf"(?:does not|doesn't) (?:have|own) (?:(?:{_DETERMINER}|any) )?(?P<object>.+)",
     "has | {object}"),
    # bought a new harp
    ("has",
     r"(?:has|does have|owns|has got|bought|has bought|adopted|has adopted|purchased|"
     r"has purchased) (?:an?) (?!few|lot|couple)(?:new |brand new )?(?P<object>.+)",
     "has | {object}"),
    # uses Blip for invoices
    ("uses for {purpose}",
     r"(?:uses|(?:is|has been) using) (?P<object>[^,]{2,40}?) (?:for|to) "
     r"(?P<purpose>(?:\S+'s )?[a-z][^,]{2,40})",
     "uses for | {purpose}"),
    # has been learning the harp for three months
    ("{activity}, for how long",
     r"has been (?P<activity>\w+ing(?: [^,]{1,40}?)?) for "
     rf"(?P<object>{_ABOUT}(?:an?|{_NUMBER})(?: and a half)? (?:days|weeks?|months?|years?))\b.*",
     "{activity} | for how long"),
    # plays the harp
    ("{habit}", rf"(?P<habit>{_PRESENT_HABIT}) (?!not\b)(?P<object>.+)", "{habit} | {object}"),
)
# fmt: on
_PATTERNS = tuple((name, re.compile(pattern), attribute) for name, pattern, attribute in _ROWS)

_MOST_WORDS = 6  # of an object; longer ones are no values
# where an object ends: ", ", " with Bob", " since May", " twice ...": "jazz and blues | since May"
_OBJECT_END = re.compile(
    r",|\s(?:with|since|because|when|where|which|who|that|so|but|after|before|until|while|as|by|"
    r"to|if|for|during|from|than|like|especially|over|on|at|in|and (?:\w+(?:s|ed)|is|was|has|"
    r"an?|one|two|three|four|five|\d+|some|my)|"
    r"(?:this|last|next) \w+|yesterday|today|tomorrow|tonight|when|every|each|\w+ (?:times|"
    r"ago)|lately|recently|named|called|now|right|yet|anymore|any (?:more|longer)|"
    r"again|together|too|a lot|so far|more|much|first|near|about|of mine)\b"
)
# where a liked activity ends: "to bake at night | because"
_REASON = re.compile(
    r",|\s(?:because|since|when|so|but|while|after|before|especially|lately|recently|now|"
    r"these days)\b"
)
_ARTICLE = re.compile(r"^(?:an?|the|some|any|new|current|all) ", re.IGNORECASE)
_BY_OWNER = re.compile(r"^(?:the )?\S+'s ", re.IGNORECASE)  # "Ann's new bike"
_ACTIVITY = re.compile(r"\w+ing(?: time)?")  # "swimming"
_TASTES = frozenset(("likes", "does not like"))
# what can be liked, rather than "how it looks" or "seeing you"
_LIKEABLE = re.compile(
    r"(?!(?:how|what|when|that|it|the|all the|both|this|your|seeing|hearing|being|getting|"
    r"having)\b)\w"
)
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
    shortened = _OBJECT_END.split(whole, maxsplit=1)[0].strip(" ,.")
    if name in _TASTES:
        if not _LIKEABLE.match(shortened):
            return None
        if shortened.startswith("to ") or _ACTIVITY.fullmatch(shortened):
            shortened = _REASON.split(whole, maxsplit=1)[0]
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
    nouns = _OBJECT_END.split(text, maxsplit=1)[0].replace(" of ", " ").lower().split()
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
# a definite value: "a Volvo", "$900", "Blue Fox", "green", but not "Bob's idea" or "so nice"
_VALUE = re.compile(
    r"(?!\S+'s )(?:an?\b|the\b|[$\u20ac\u00a3]?\d|(?:about|around|over) [$\u20ac\u00a3]?\d|"
    r"[A-Z]|on\b|"
    r"[\w.+-]+@|at\b|in\b|named\b|called\b|(?:red|blue|green|black|white|pink|"
    r"purple|yellow|orange|brown|gr[ae]y|teal|silver|gold)\b)"
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
    if not _VALUE.match(value) or attribute_key(noun).split()[-1] in _ABSTRACT_NOUNS:
        return None
    return Relation(name=f"{noun} is", object=value, attribute=f"{attribute_key(noun)} | is")
