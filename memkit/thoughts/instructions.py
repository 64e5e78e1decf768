"""Standing rules that someone sets for another: "never use a VPN", "always end names with '_j'".

What is asked for once, and what is agreed to, is no rule.
"""

import re
from collections.abc import Iterator

from memkit.records import Claim, Source
from memkit.thoughts.conventions import Rule, constructs, naming
from memkit.thoughts.english import People, base_of, possessive
from memkit.thoughts.sentences import Sentence

_AGREES = re.compile(
    r"\b(?:I'll|I will|I'm going to|I can|I should|I'd better|I (?:just )?(?:have|understand|used|"
    r"use|see|did|was|think|started|made|added)|I've|my|mine|got it|understood|will do|noted|"
    r"makes sense|glad|great to|good to|happy to|you're(?! \w+ing)|you've|you have|you did|"
    r"you asked|using them|"
    r"remember when|as I mentioned)\b",
    re.IGNORECASE,
)
_WANTS = re.compile(
    r"\bI(?:'d| would|'ll| also| just| now| really| do)*(?: also| just| now| really)? (?:want|"
    r"need|like|"
    r"expect|ask|prefer|require|encourage|recommend|suggest|insist|love) (?:that )?you\b|"
    r"\b(?:we|I) (?:want|need|require|prefer|expect) (?:all|every|that)\b"
)
_ACTS = (
    "use|write|work|take|run|commit|test|go|wear|send|book|address|answer|reply|respond|format|"
    "document|push|review|call|speak|lock|save|charge|submit|sign|log|report|deploy|merge|schedule|"
    "order|cook|pack|park|do|using|writing|working|taking|running|committing|going|sending|doing|"
    "testing|answering|replying|calling|reviewing|pushing|speaking|booking"
)
_ASKED = (
    r"(?:(?:I|we)(?:'d| would)?(?: also| now)? (?:want|like|need|expect|prefer) (?:all of )?you)"
)
_BETWEEN = (
    r"(?:,|\b(?:please|always|only|to|start|begin|switch to|try to|be|make sure|ensure|that|"
    r"you|we|we'll|should|"
    rf"must|need|are|also|just|remember|try|aim|let's)\b|{_ASKED}|\s)*"
)
_NEVER = r"never|avoid|refrain from|stop|no longer|don't ever|do not ever|not to"
_ALWAYS = r"always|from now on|(?:going|moving) forward|from here on"
_GENERAL = (  # the cue leads to the act, or stands behind an act that is asked for
    re.compile(
        r"(?P<lead>^|[,;:]\s|\band\s|\b(?:to|please|should|must|we|and|will|is|"
        rf"key rule)\s)(?:(?P<never>{_NEVER})|"
        rf"(?P<always>{_ALWAYS}))\b{_BETWEEN}(?P<later>(?:{_NEVER})\s)?(?P<verb>{_ACTS})\s"
        rf"(?P<rest>[^,;.!?]{{2,120}})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?P<lead>{_ASKED}|^|\bplease\b|"
        rf"\blet's\b){_BETWEEN}(?P<later>(?:{_NEVER})\s)?(?P<verb>{_ACTS})\s"
        rf"(?P<rest>[^,;.!?]{{2,120}}?)\s(?P<always>from now on|(?:going|moving) forward|"
        r"from here on)(?P<never>)\b",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?P<lead>{_ASKED}) to (?P<later>(?:{_NEVER})\s)?(?P<always>start |begin |"
        r"switch to )?(?P<never>)"
        rf"(?P<verb>{_ACTS})\s(?P<rest>[^,;.!?]{{2,120}}? (?:as|instead of) [^,;.!?]{{2,50}})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?P<lead>{_ASKED}) to (?P<never>avoid|refrain from|stop|never|not) (?P<verb>{_ACTS})\s"
        rf"(?P<rest>[^,;.!?]{{2,120}})(?P<later>)",
        re.IGNORECASE,
    ),
)
_AS = re.compile(
    r"(?P<value>.+?) (?:as|for) (?:(?:all|the|your|our|my|an?) )*(?P<what>[\w' -]{2,50})"
)
_TIMED = re.compile(
    r"\s+(?:from now on|(?:going|moving) forward|please|instead(?! of)|from here on)\b.*"
)
_AFTER = re.compile(
    r" (?:when|while|if|because|since|to|for|instead|in|as|with|at|during|on|every) "
)
_PLAIN = re.compile(r"^(?:main|primary|preferred|default|standard|new) ")
_YOU_TO = re.compile(rf"(?:{_ASKED}|habit|rule|important|remember|sure)\s*\Z")
_OTHERS = re.compile(r"\b(?:I|we|he|she|they|it|them|this|that|these|those)\b")


def instructions(sentence: Sentence, before: str, people: People, turn_id: str) -> list[Claim]:
    """Return the rules that a sentence sets; `before`: what its turn said until then."""
    text = sentence.text
    if sentence.asks or (_AGREES.search(text) and not _WANTS.search(text)):
        return []
    rules = [*naming(text, before), *constructs(text, before)] or list(
        _general(text, people.speaker)
    )
    whose = possessive(people.speaker)
    said = Source(turn_id=turn_id, start=sentence.start, end=sentence.start + len(text))
    return [
        Claim(
            text=f"{whose[0].upper()}{whose[1:]} rule: {rule.text}.",
            source=said,
            head=rule.head,
            relation=rule.relation,
            tail=rule.tail,
            slot=f"{people.speaker.removeprefix('the ')}'s rule | {rule.slot}".casefold(),
        )
        for rule in {rule.slot: rule for rule in reversed(rules)}.values()
    ]


def _general(text: str, speaker: str) -> Iterator[Rule]:
    """Yield what is always or never to be done, whatever it is."""
    match = next((found for pattern in _GENERAL if (found := pattern.search(text))), None)
    if match is None:
        return
    verb = base_of(match["verb"].lower()) or match["verb"].lower()
    how = "never" if match["never"] or match["later"] else "always"
    rest = re.sub(r"\byour (?:own )?", "the ", _TIMED.sub("", match["rest"])).strip()
    rest = re.sub(r"\bmy\b", possessive(speaker), re.sub(r"\bme\b", speaker, rest))
    use = _AS.fullmatch(rest) if verb == "use" and how == "always" else None
    if use and " as " not in rest and not use["value"][0].isupper():
        use = None  # "a notebook for notes" is no role that only one thing can have
    thing = re.sub(r"^(?:an?|the|any|only) ", "", _AFTER.split(f"{rest} ")[0].strip())
    old = re.search(r" instead of (.+)", rest)
    if old:
        thing = old[1]
    if verb in {"call", "address"}:
        thing = speaker
    if match["lead"].lower().startswith("we") and verb != "use":
        return  # "we always go there": a habit
    if match["lead"].lower() == "to " and not _YOU_TO.search(text[: match.start()]):
        return  # "to avoid running into": what for, and no order
    if _OTHERS.search(rest) or not thing or len(thing.split()) > 6:
        return
    yield Rule(
        head=use["what"] if use else thing,
        relation=f"{how} {verb}",
        tail=use["value"] if use else rest,
        text=f"{how} {verb} {rest}",
        slot=f"use as {_PLAIN.sub('', use['what'])}" if use else f"{verb} {_one(thing)}",
    )


def _one(thing: str) -> str:
    """Return "linter" for "linters"; what has a capital may be a name."""
    return thing.removesuffix("s") if thing.islower() and not thing.endswith("ss") else thing
