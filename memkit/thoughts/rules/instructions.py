"""Standing rules that someone sets for another: "never use a VPN", "always end names with '_j'".

What is asked for once, and what is agreed to, is no rule.
"""

import re
from collections.abc import Iterator
from itertools import islice

from memkit.records import Claim, Source
from memkit.thoughts.rules.conventions import Rule, constructs, naming
from memkit.thoughts.rules.english import People, base_of, possessive
from memkit.thoughts.rules.sentences import Sentence

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
    r"expect|ask|prefer|require|encourage|recommend|suggest|insist|love) (?:that )?(?:you|us)\b|"
    r"\bit(?:'s| is) time (?:for us )?to\b|"
    r"\b(?:best|better|beneficial) (?:if we|for (?:us|you) to)\b|"
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
    r"(?P<value>.+?) (?:as|for) (?:(?:all|the|your|our|my|an?) )*(?P<what>[\w'() -]{2,60})"
)
_TIMED = re.compile(
    r"\s+(?:from now on|(?:going|moving) forward|please|instead(?! of)|from here on)\b.*"
)
_AFTER = re.compile(
    r" (?:when|while|if|because|since|to|for|instead|in|as|with|at|during|on|every) "
)
_UNIQUE = r"(?:main|primary|preferred|default|standard|official|go-to)"
_YOU_TO = re.compile(rf"(?:{_ASKED}|habit|rule|important|remember|sure)\s*\Z")
_COUNTED = re.compile(r"\b\d+(?=[- ](?:second|minute|hour|day|week|month|time)s?\b)")
_OTHERS = re.compile(r"\b(?:I|we|he|she|they|it|them|this|that|these|those)\b")


def instructions(sentence: Sentence, before: str, people: People, turn_id: str) -> list[Claim]:
    """Return the rules that a sentence sets; `before`: what its turn said until then."""
    text = sentence.text
    if sentence.asks or (_AGREES.search(text) and not _WANTS.search(text)):
        return []
    rules = [*naming(text, before), *constructs(text, before)] or (
        [*_every(text), *_roles(text)] or list(_general(text, people.speaker))
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
        slot=_role(use["what"]) if use else f"{verb} {_one(_COUNTED.sub('n', thing))}",
    )


def _one(thing: str) -> str:
    """Return "linter" for "linters"; what has a capital may be a name."""
    return thing.removesuffix("s") if thing.islower() and not thing.endswith("ss") else thing


# ---- which thing is used for what, and how often something is to be done

_NAME = r"(?P<value>[A-Z][\w.+#-]*(?: [A-Z][\w.+#-]*){0,2})"
_WHAT = r"(?P<what>[\w'-]+(?: [\w'-]+){0,6}(?: \([A-Z]{2,6}\))?)"
_TAKEN = re.compile(  # "switch to Kea as our main mail client"
    r"(?<!been )(?<!was )(?<!were )\b(?i:(?P<verb>(?:use|adoption) of|use|using|utili[sz](?:e|ing)|"
    r"adopt(?:ing)?|incorporat(?:e|ing)|(?:transition|switch|mov|migrat|shift)(?:e|ing)? to|"
    r"standardi[sz](?:e|ed|ing) on|focus(?:ing)? on|stick(?:ing)? (?:to|with))(?: using)?) "
    rf"{_NAME} (?P<role>(?:as|for) (?P<whose>(?:(?:all|the|your|our|my|any|an?) )*){_WHAT})"
)
_TO = r"(?:start |begin )?(?:transition|switch|mov|migrat|shift)(?:e|ing)? to(?: using)?"
_ONWARD = r"from now on|(?:going|moving) forward|from here on"
_TURNED = (
    re.compile(  # "it's time to change our main editor to Pico"
        r"\b(?:(?i:it's time to|let's|please)|I(?:'d like| want| need) (?:you|us) to|we'll|we're) "
        r"(?:update|chang|switch|mov)(?:e|ing)? (?:our|your|the) "
        rf"(?P<what>{_UNIQUE} [\w-]+(?: [\w-]+){{0,3}}?) to {_NAME}"
    ),
    re.compile(  # "we've been using Emu for mail, but I'd like us to switch to Kea"
        r"\busing [A-Z][\w ]{1,30} (?:as|for) (?:(?:all|the|your|our|my) )*"
        rf"{_WHAT}, (?:but|so|and) [^.;!?]{{0,40}}?\b(?:I'd like|I want|I need|let's|we'll|we're)"
        rf"(?: (?:us|you|now|be))*(?: to)? {_TO} {_NAME}"
    ),
    re.compile(  # "as for the mail client, please use Kea"
        rf"(?i:\b(?:regarding|concerning|as for|when it comes to)) (?:the|our|your) {_WHAT}, "
        rf"(?:[^.;!?]{{0,60}}, )?(?:please|let's|I'd like|I want|I need)(?: (?:us|you))?(?: to)? "
        rf"{_TO} {_NAME}"
    ),
    re.compile(  # "our main editor from now on: Pico"
        rf"\b(?i:our|your) (?P<what>{_UNIQUE} [\w-]+(?: [\w-]+){{0,3}}?)"
        rf"(?: will be| is now| (?:{_ONWARD})(?: ?[-–—:]| is| will be)) {_NAME}"
    ),
)
_STRONG = (
    r"\b(?:I|we)(?:'d| would| now| also| just| really)* (?:want|like|need|expect|prefer|recommend|"
    r"suggest|encourage|ask) (?:that )?(?:you|us|everyone|the team)\b|"
    r"\b(?:I'm|we're|we've been) (?:now )?(?:encouraging|recommending|asking)\b|"
    rf"\b(?:{_ONWARD})\b|"
    r"\b(?:it(?:'s| is) time|best|better|beneficial) (?:if we|to|for (?:us|you) to)\b"
)
_WEAK = (
    r"\b(?:please|let's|I'd like to|I want to|we'll|we're|we've decided to|our(?= adoption)|"
    r"(?:I|we)(?: now)? (?:recommend|suggest|encourage))\b"
)
_REMIND = (
    r"\b(?:please|let's|remember to|make sure|be sure to|ensure|don't forget to|important to|"
    r"set a timer and)\b"
)
_BRIDGE = (
    r"(?:,|\s|\b(?:that|you|you're|we|to|be|are|start|begin|consider|try|now|also|actually|in the|"
    r"process of|the|primarily|mainly|only|all|should|starting)\b)*\Z"
)
_STRONGLY, _WEAKLY, _REMINDED = (
    re.compile(rf"(?:{cue}){_BRIDGE}", re.IGNORECASE) for cue in (_STRONG, _WEAK, _REMIND)
)
_FIRST = re.compile(r"(?:(?:and|so|also|now|then|first\w*|\w+ly|always|try to),? )*", re.IGNORECASE)
_TELLS = re.compile(r"\b(?:I|he|she|they|we|who)\b")  # "I make sure to walk every day": a habit
_VAGUE = frozenset(("tool", "platform", "means", "way", "solution", "choice", "option", "app"))
_OFTEN = re.compile(
    rf"\b(?P<verb>{_ACTS}|taking|meet|rest|stretch) (?P<what>(?:[\w'-]+ ){{0,4}}?)"
    r"(?P<often>every (?:(?:\d+|other|two|three|four|five|six|ten|few) )?(?:minute|hour|day|week|"
    r"month|morning|evening|night)s?)\b(?! (?:is|was|can|will|has|helps?|makes?|keeps?)\b)",
    re.IGNORECASE,
)
_ONCE = re.compile(r"(?:now|this|that|these|those|today|tonight|it|them|me|us)\b")
_MOST = 8  # looked at, of one sentence
_WHOLE = frozenset(("adopt", "transition", "switch", "shift", "focus", "stick"))


def _roles(text: str) -> Iterator[Rule]:
    """Yield what is to be used for what: by its name, so that only one thing can have that role."""
    onward = re.search(_ONWARD, text)
    for match in islice(_TAKEN.finditer(text), _MOST):
        ahead, own = _ahead(text, match), {*match["whose"].split()}
        lasting = re.match(_UNIQUE, match["what"]) or "all" in own or onward
        weakly = own & {"our", "your", "all"} and lasting and _WEAKLY.search(ahead)
        once = _ONCE.match(match["what"]) or (
            match["role"].startswith("for") and own & {"the", "my", "a", "an"} and not lasting
        )
        if not once and (weakly or _STRONGLY.search(ahead)):
            said = f"{_taking(match['verb'])} {match['value']} {_trimmed(match['role'])}"
            topic = _TURNED[2].search(text)
            yield _used(match["value"], topic["what"] if topic else _trimmed(match["what"]), said)
            return
    for turned in filter(None, (pattern.search(text) for pattern in _TURNED)):
        how = "as" if re.match(_UNIQUE, turned["what"]) else "for"
        said = f"always use {turned['value']} {how} {turned['what']}"
        yield _used(turned["value"], turned["what"], said)
        return


def _ahead(text: str, match: re.Match[str]) -> str:
    return text[max(0, match.start() - 200) : match.start()]


def _taking(verb: str) -> str:
    """Return "always use" for "the use of", "switch to" for "switching to"."""
    word, _, rest = verb.lower().partition(" ")
    stem = re.sub(r"(?:e|ing|(?<=adopt)ion|ed)$", "", word)
    whole = stem if stem in _WHOLE else f"{stem}e"
    return f"{whole} {rest}" if rest and rest != "of" else f"always {whole}"


def _trimmed(what: str) -> str:
    """Return a purpose without what follows it: "the main editor while travelling"."""
    what = re.split(
        rf" (?:{_ONWARD}|from|when|while|if|because|since|instead|to|in|at|during|on|until|that|"
        r"which|especially|with|and \w+ly)\b",
        what,
    )[0]
    return re.sub(r"\byour\b", "the", what)


def _used(value: str, what: str, said: str) -> Rule:
    return Rule(head=what, relation="always use", tail=value, text=said, slot=_role(what))


def _role(what: str) -> str:
    """Return the slot of a purpose: the same for "our primary editor (IDE)" and "preferred IDE"."""
    short = re.search(r"\(([A-Z]{2,6})\)", what)
    if short:
        return f"use as {short[1].lower()}"
    said = re.sub(rf"^(?:(?:{_UNIQUE}|new|team|regular|future|own) )+", "", what.lower())
    said = re.sub(r" (?:from (?:now|today)|for (?:our|the|this|your|now)\b).*", "", said)
    said = re.sub(r" (?:needs|purposes)\b", "", said)
    head, _, of = re.sub(r" (?:for|of) ", "\n", said, count=1).partition("\n")
    said = of if of and head in _VAGUE else said
    return f"use as {_one(said.partition(' and ')[0])}"


def _every(text: str) -> Iterator[Rule]:
    """Yield how often something is to be done: "take a short break every 50 minutes"."""
    for match in islice(_OFTEN.finditer(text), _MOST):
        ahead = _ahead(text, match)
        reminds = _REMINDED.search(ahead) and not _TELLS.search(_WANTS.sub("", ahead))
        if not (reminds or _STRONGLY.search(ahead) or _FIRST.fullmatch(ahead)):
            continue
        said = match["verb"].lower()
        verb, what = base_of(said) or said, re.sub(r"\byour\b", "the", match["what"])
        if _OTHERS.search(what):
            continue
        thing = f" {_one(what.split()[-1])}" if what else ""
        yield Rule(
            head=thing.strip() or verb,
            relation=f"always {verb}",
            tail=match["often"],
            text=f"always {verb} {what}{match['often']}",
            slot=f"{verb}{thing} | every",
        )
        return
