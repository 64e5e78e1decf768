"""What a predicate says, by the tables of patterns: a relation, its other end, and a slot."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from memkit.thoughts.rules.english import THIRDS, base_of, is_participle, is_past, third
from memkit.thoughts.rules.lexicon import BASE, EVENTS, NUMBERS, ORDINALS, TIME_WORDS, VAGUE
from memkit.thoughts.rules.patterns import FREQUENCY, ONGOING, ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a frame read: a relation, its other end, and the slot's part behind the head."""

    relation: str
    tail: str
    slot: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A pattern of predicates. `slot` and `relation` may name the pattern's groups."""

    pattern: re.Pattern[str]
    relation: str
    slot: str | None


FRAMES = tuple(
    Frame(relation=relation, pattern=re.compile(pattern), slot=slot)
    for relation, pattern, slot in ROWS
)
_STOP = re.compile(
    r",|\s(?:with|since|because|when|where|which|who|that|so|but|after|before|until|while|as|by|"
    r"to|if|for|during|from|than|like|especially|over|on|at|in|and (?:\w+(?:s|ed)|is|was|has|"
    r"an?|one|two|three|four|five|\d+|some|my)|"
    r"(?:this|last|next) \w+|yesterday|today|tomorrow|tonight|when|every|each|\w+ (?:times|"
    r"ago)|lately|recently|named|called|now|right|yet|anymore|any (?:more|longer)|"
    r"again|together|too|a lot|so far|more|much|first|near|about|of mine)\b"
)
_PLACE_STOP = re.compile(
    r",(?! [A-Z])|\s(?:with|since|for|because|when|where|which|who|so|and (?!Tobago)|but|after|"
    r"before|until|as|by|to|from|while|again|last|this|next|recently|now|during|a (?:few|"
    r"couple|year|month|week)|"
    r"\w+ (?:years?|months?|weeks?|days?) ago|in (?:\d{4}|January|February|March|April|May|June|"
    r"July|August|September|October|November|December))\b"
)
_LONG_TAILS = {"lives in", "works at", "was born in", "is from"}
_ARTICLE = re.compile(r"^(?:an?|the|some|any|new|current|all) ", re.IGNORECASE)
_OWNED = re.compile(r"^(?:the )?\S+'s ", re.IGNORECASE)
_DOING = re.compile(r"\w+ing(?: time)?")
_REASON = re.compile(
    r",|\s(?:because|since|when|so|but|while|after|before|especially|lately|recently|now|"
    r"these days)\b"
)
_OF_TASTE = {"likes", "does not like"}
_TASTE = re.compile(
    r"(?!(?:how|what|when|that|it|the|all the|both|this|your|seeing|hearing|being|getting|"
    r"having)\b)\w"
)
_OF_AMOUNTS = {"things", "doing", "at", "kept"}
_OF_JOBS = {"works at", "works as"}
_MOST_WORDS = 6


def frames(predicate: str) -> Iterator[Found]:
    """Yield what the first frame reads in a predicate, and what else it says of a job."""
    kinds: set[str] = set()
    for frame in FRAMES:
        if kinds and not (kinds <= _OF_JOBS and frame.relation in _OF_JOBS - kinds):
            continue
        match = frame.pattern.fullmatch(predicate)
        found = match and _found(frame, match)
        if found:
            kinds.add(frame.relation)
            yield found


def _found(frame: Frame, match: re.Match[str]) -> Found | None:
    groups = match.groupdict()
    stop = _PLACE_STOP if frame.relation in _LONG_TAILS else _STOP
    tail = stop.split(groups["tail"], maxsplit=1)[0].strip(" ,.") if groups["tail"] else ""
    if frame.relation in _OF_TASTE and not _TASTE.match(tail):
        return None
    if frame.relation in _OF_TASTE and (tail.startswith("to ") or _DOING.fullmatch(tail)):
        tail = _REASON.split(groups["tail"] or "", maxsplit=1)[0]
    words = _derived(groups, tail)
    if words is None or not _concrete(tail, groups):
        return None
    slot = frame.slot and frame.slot.format(**words).removesuffix(" | ")
    return Found(relation=frame.relation.format(**words), tail=words["shown"], slot=slot)


def _derived(groups: dict[str, str | None], tail: str) -> dict[str, str] | None:
    """Return the words that a frame's relation and slot may name, or None if they are no such."""
    words = {part: said for part, said in groups.items() if said and part != "tail"}
    for part in words.keys() & {"kept", "purpose", "doing", "at"}:
        words[part] = key(_OWNED.sub("", words[part]))
    words |= {"tail": key(_OWNED.sub("", tail)), "shown": _shown(words, groups["tail"] or "", tail)}
    if "things" in words:
        things = _things(words["things"])
        if not things or ("done" in words and not _did(words["done"])):
            return None
        words["things"] = things
    if "ing" in words:
        base = base_of(words["ing"])
        base = base if base in ONGOING else None
        words["habits"] = third(base) if base else ""
    elif "habit" in words:
        words["verb"] = THIRDS.get(words["habit"], words["habit"])
        words["habits"] = third(words["verb"])
    elif "at" in words:
        words["at"] = _habit(words["at"])
    return words if words.get("habits", " ") else None


def _shown(words: dict[str, str], whole: str, tail: str) -> str:
    """Return the other end of the relation as the claim shows it."""
    if "things" in words:
        return _amount(words)
    if "kept" in words:
        return whole.partition(",")[0].removeprefix("to ")
    if words.keys() & {"doing", "at"}:
        return whole.strip()
    return words.get("long", tail)


def _did(verb: str) -> bool:
    return is_past(verb) or is_participle(verb) or verb in BASE


def _habit(doing: str) -> str:
    """Return "wakes up" for "waking up"."""
    first, _, rest = doing.partition(" ")
    base = base_of(first)
    return f"{third(base) if base else first} {rest}".strip()


def _amount(words: dict[str, str]) -> str:
    if "nth" in words:
        nth = words["nth"]
        return str(ORDINALS.get(nth) or re.sub(r"\D", "", nth))
    number = words["number"]
    return str(NUMBERS.get(number, number))


def _things(text: str) -> str | None:
    """Return what is counted, in the plural, or None: hours and such are no things."""
    words = _STOP.split(text, maxsplit=1)[0].replace(" of ", " ").lower().split()
    words = [word for word in words if word not in {"new", "more", "different", "other"}]
    if not words or len(words) > 4 or words[-1] in TIME_WORDS | VAGUE:
        return None
    while len(words) > 1 and words[-1].endswith("ed"):
        words.pop()
    last = words[-1]
    if not (last.endswith("s") or last in {"people", "children", "fish"}):
        words[-1] = (
            last[:-1] + "ies" if last.endswith("y") and last[-2:-1] not in "aeiou" else last + "s"
        )
    return " ".join(words)


def key(text: str) -> str:
    """Return a text as slots hold it: without case and articles.

    >>> key("The User"), key("a new Red bike"), key("favourite colour")
    ('user', 'red bike', 'favorite color')
    """
    while (shorter := _ARTICLE.sub("", text)) != text:
        text = shorter
    text = re.sub(r"[^\w'%@#+.:-]+", " ", text).casefold().strip(" .")
    return re.sub(r"(?<=vo|lo|bo)ur(?=s?\b|ite|ites)", "r", text)


def _concrete(tail: str, groups: dict[str, str | None]) -> bool:
    words = [word for word in re.findall(r"[\w'-]+", tail.lower()) if word not in VAGUE]
    if groups.keys() & _OF_AMOUNTS or groups.get("ing"):
        return True
    return bool(words) and len(tail.split()) <= _MOST_WORDS and words[-1] not in EVENTS


def frequency(predicate: str) -> Found | None:
    """Return how often something is done, as "goes to yoga twice a week" says it."""
    match = _OFTEN.search(predicate)
    if not match:
        return None
    if predicate.startswith(("does", "don", "did", "no longer", "never")):
        return None
    before, after = predicate[: match.start()].strip(), predicate[match.end() :].strip()
    doing = f"{before} {after}" if len(before.split()) < 2 and after[:1].isalpha() else before
    doing = doing.removeprefix("has been ").removeprefix("is ")
    first, _, rest = doing.partition(" ")
    base = base_of(first)
    verb = third(base) if base else first
    if is_past(verb) or len(doing.split()) > 7 or _CLOCK.search(doing):
        return None
    return Found(
        relation=f"{verb} {rest}".strip(),
        tail=match["often"],
        slot=f"{verb} {key(rest)}".strip() + " | how often",
    )


_CLOCK = re.compile(r",|\b(?:at|around|by) \d")
_OFTEN = re.compile(rf"(?<!\w){FREQUENCY}\b")
