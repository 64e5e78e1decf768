"""Where the clauses of a text stand that say something as a fact, and what leads into them.

Questions, conditions, wishes, quotations and code are no such clauses.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from memkit.thoughts.rules.english import THIRDS, is_past
from memkit.thoughts.rules.lexicon import wordset

LONGEST = 300  # characters of a sentence; more is no sentence that people say
_MOST_CLAUSES = 8  # of one sentence
_EDGE = ' \t\n\r-*\u2022~#"'

_SAME_LENGTH = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"'})
_LOWER_I = re.compile(r"(?<![\w.'/-])i(?=(?:'(?:m|ve|d|ll))?[ ,])")
_BLANKED = re.compile(
    r"```[^`]{0,4000}(?:```|\Z)|\[[^\[\]\n]{0,600}\]|https?://\S{1,300}|"
    r"(?m:^[ \t]{0,3}>[^\n]*$)|[\U0001F000-\U0001FAFF\u2600-\u27BF\uFE0F]"
)
_END = re.compile(
    r"(?<!\b[A-Z])(?<!\b(?:[DM]r|[MJS]s|St|vs))(?<!\bMrs)(?<![.!?])[.!?]++[\"')]*+(?=\s|\Z)|\n+"
)
# of somebody, who need not be the speaker
_QUOTATION = re.compile(
    r"\"(?=[^\"]{0,300}\b(?:I|I'm|I've|[Yy]ou|[Ww]e|[Mm]y|[Yy]our)\b)[^\"]{1,600}\""
)
_SPEECH = re.compile(
    r"[,.!?]\"\s*(?:\w+ ){0,2}(?:said|says|asked|wrote|told|replied|added)\b|"
    r"\"[^\"]{0,300}\b(?:I|I'm|you|we|my|your)\b[^\"]{0,300}\""
)
_SUBJECT = (
    r"(?:I(?:'(?:m|ve|ll))?|[Mm]y|[Ww]e(?:'(?:re|ve))?|[Oo]ur|[Yy]ou(?:'(?:re|ve))?|[Yy]our)(?= )"
)
_SUBJECTS = re.compile(rf"(?<![\w'-]){_SUBJECT}")
_UNSURE = re.compile(
    r"\b(?:would|could|should|might|may|maybe|perhaps|probably|possibly|wish|if|unless|whether|"
    r"imagine|pretend|hypothetically?|suppose[ds]?|almost|nearly|wonder|hopefully|let's|seems?|"
    r"I'd|you'd|we'd|whenever|as though|dreamt|dreamed|in my dream|role-?play|fictional)\b"
)
_DOUBTED = re.compile(  # and all that follows in the sentence
    r"\b(?:if|unless|whether|wish|imagine|pretend|suppose|hypothetically|maybe|perhaps|when|"
    r"whenever|until|let's say|says|said|asked|tells|told|as though|in case)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(  # and what stands directly behind
    r"\b(?:what|how|who|why|where|which|would|could|should|might|think|guess|hope|once|feels? like|"
    r"not sure|don't know|like|than)\b",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"(?:^|[,;(\u2013\u2014]|\.\.\.|\u2026|-\s|\s-+)\s*(?:(?:and|but|so|because|as|since|"
    r"though|although|plus|also|"
    r"then|considering|considering that|given that|now that|especially since|especially as|while|"
    r"by the way|btw|actually|speaking of which|in fact|well|yeah|yes|oh|basically|honestly|"
    r"recently|lately|currently)(?:,?\s+|\Z)){0,4}\Z|\b(?:and|but|because|so|now that|"
    r"considering)\s+\Z",
    re.IGNORECASE,
)
_SAYING = re.compile(
    r"\b(?:realized|realised|noticed|remembered|found out|found|say|mention|mentioned|"
    r"fun fact|news is|fact is|told you|told me|said|me|know|announce|report|share)(?: that)?\s+\Z",
    re.IGNORECASE,
)
_I_SAY = re.compile(
    r"(?:\b(?:I|I've|I'm) |^(?:[Jj]ust )?[Ww]anted )(?:(?:just|also|have|had|must|should|"
    r"forgot|wanted|happy|proud|pleased|"
    r"glad|excited|thrilled|can|to) ){0,4}(?:realized|realised|noticed|remembered|found out|found|"
    r"say|mention|mentioned|announce|report|share|tell you|let you know)(?: that)?\s+\Z",
    re.IGNORECASE,
)
_YOU_SAID = re.compile(
    r"\b(?:you (?:told me|said|mentioned)|as you (?:said|mentioned))(?: that)?,?\s+\Z",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"-\s|,\s*(?:take|check|look|see|let|things)\b|,\s(?:[a-z]+\s){1,2}(?:is|are|was|were|"
    r"have|has)\b|"
    r",?\sand (?=(?:\w+ ){1,4}(?:is|are|was|were|has been|have been)\b)|"
    r"[;(\u2013\u2014]|:(?!\d)|\s-+\s|\.\.\.|\u2026|,\s*(?:not|so|but|because|which|although|"
    r"though|while|"
    r"since|as|yet|right|ok|lol|haha|huh|too|thanks|and)\s(?=(?:I|it|they|he|she|we|you|that|this|"
    r"there|my|your|our|now|so|not|then|was|is|are|were|had|have|has|thanks)\b)|"
    r",\s*(?:not|so|but|because|which|although|though|while|whereas|yet)\b|"
    r",\s*(?:I|it|it's|they|he|she|we|you|that's|this|there|my|your|our|thanks)(?:'\w+)?\s|"
    r"\s(?:but (?=(?:I|it|they|he|she|we|you|that|this|there|my|the|not|now|never|still|"
    r"also)\b)|because(?! of)|so (?=I|it|they|he|she|we|you|that|this|my|now)|although|though|"
    r"whereas|since we|since our|plus (?=it|I|they|we|that)|"
    r"and (?=(?:the|these|those|all|some|most|people|everyone)\b(?: \w+){0,2} (?:is|are|was|"
    r"were|has|have|had)\b)|"
    r"and (?=(?:I|it|they|he|she|we|you|that|this|there|now|so|was|is|are|were|had|will|"
    r"can|would|could|thanks)\b(?!-)(?:'\w+)?\s)|and (?=(?:[Ii]t's|that's|they're|he's|she's|"
    r"I'm|I've)\b))",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A clause with one subject, where it stands, and what was said before it in its sentence."""

    text: str
    start: int
    end: int
    lead: str = ""  # of the sentence, up to the clause
    told: bool = False  # "you told me that" stands before it
    joint: bool = False  # "my sister and I"
    implied: str = ""  # "I" or "I've", where it is left out: "Went to Oslo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence and where it stands; `text` has plain apostrophes and no code or links."""

    text: str
    start: int
    asks: bool = False


def plain(text: str) -> str:
    """Return a text of the same length with plain quotes, a capital "I", and no code or links."""
    text = text.translate(_SAME_LENGTH)
    most = 0.9 * len(text)  # or else all of it stands in quotes
    text = _QUOTATION.sub(
        lambda match: _blank(match[0]) if len(match[0]) < most else match[0], text
    )
    return _LOWER_I.sub("I", _BLANKED.sub(lambda match: _blank(match[0]), text))


def _blank(text: str) -> str:
    return " " * len(text)


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a `plain` text that are short enough."""
    start = 0
    for match in [*_END.finditer(text), None]:
        end = match.start() if match else len(text)
        body = text[start:end]
        lead = len(body) - len(body.lstrip(_EDGE))
        body = body.strip(_EDGE)
        if 0 < len(body) <= LONGEST:
            yield Sentence(text=body, start=start + lead, asks=bool(match and "?" in match[0]))
        start = match.end() if match else end


def clauses(sentence: Sentence) -> Iterator[Clause]:
    """Yield the clauses of a sentence that begin with "I", "we", "my", "you" or the like."""
    text = sentence.text
    if _SPEECH.search(text):
        return
    yield from _fragment(sentence)
    begun = (match for match in _SUBJECTS.finditer(text) if _begins(text, match.start()))
    starts = list(islice(begun, _MOST_CLAUSES))
    for n, match in enumerate(starts):
        stop = starts[n + 1].start() if n + 1 < len(starts) else len(text)
        body = text[match.start() : stop]
        whole, body = body, cut(body)
        if sentence.asks and n + 1 == len(starts) and len(body) > len(whole) - 3:
            continue
        lead = text[: match.start()]
        joint = _JOINT.search(lead) if body.startswith("I ") else None
        begin = joint.start("who") if joint else match.start()
        lead = text[:begin]
        if (
            lead.strip(" ,").lower() in _WHILE
            or unsure(body, lead)
            or not body
            or (joint is None and _listed(lead))
        ):
            continue
        yield Clause(
            text=text[begin : match.start()] + body,
            start=sentence.start + begin,
            end=sentence.start + match.start() + len(body),
            lead=lead,
            told=bool(_YOU_SAID.search(lead)),
            joint=joint is not None,
        )


# "my sister and" I, and other lists of people that end in it
_JOINT = re.compile(
    r"(?:^|[,;.]\s+|\b(?:but|so|because|then|yesterday|today)\s+)"
    r"(?P<who>(?:[Mm]y|[Oo]ur)(?: [\w-]+){1,3}|(?!(?:And|But|So|Well|Yeah|Yes|Hey|"
    r"Thanks)\b)[A-Z][a-z]+) and \Z"
)
_MORE = re.compile(r"(?:^|[,;.!?]\s+)(?P<list>[^,;.!?]{1,40}) and \Z")


_WHILE = frozenset(("since", "as", "while"))  # at the beginning, they say when


def _listed(lead: str) -> bool:
    """Return whether an "I" is the last of a list of people, as in "some friends and I"."""
    match = _MORE.search(lead)
    words = match["list"].split() if match else []
    return bool(words) and not any(
        is_past(word.lower()) or word.lower() in THIRDS or word.lower() in _FINITE for word in words
    )


_FINITE = wordset("i i'm i've is are was were be has have had it's that's can will thanks")


_FRAGMENT = re.compile(
    r"(?:(?:Also|And|But|So|Oh|Yeah|Yes|Plus|Btw|By the way),? )?(?P<said>(?:(?:[Jj]ust|"
    r"[Rr]ecently|[Ff]inally|"
    r"[Aa]ctually|[Aa]lready) )?(?:[Ww]ent|[Tt]ook|[Hh]ad|[Gg]ot|[Ss]tarted|[Jj]oined|"
    r"[Bb]ought|[Ff]inished|"
    r"[Tt]ried|[Vv]isited|[Mm]et|[Mm]oved|[Ww]on|[Ss]igned|(?P<been>[Bb]een) \w+ing|[Rr]an|"
    r"[Aa]dopted|"
    r"[Pp]ainted|[Pp]layed|[Ss]pent|[Qq]uit|[Aa]pplied|[Bb]ooked|[Aa]ttended|[Bb]aked|[Cc]ooked|"
    r"[Cc]ompleted|[Ww]atched|[Pp]assed|[Gg]raduated|[Hh]iked|[Ll]earned) .+)"
)


def _fragment(sentence: Sentence) -> Iterator[Clause]:
    """Yield the beginning of a sentence that leaves out its "I"."""
    match = None if sentence.asks else _FRAGMENT.match(sentence.text)
    if match is None:
        return
    body = cut(match["said"])
    start = sentence.start + match.start("said")
    if not _UNSURE.search(body):
        implied = "I've" if match["been"] else "I"
        yield Clause(text=body, start=start, end=start + len(body), implied=implied)


def _begins(text: str, at: int) -> bool:
    lead = text[max(0, at - 80) : at]
    return not lead.strip() or bool(
        _LINK.search(lead) or _I_SAY.search(lead) or _YOU_SAID.search(lead) or _timed(lead)
    )


def _timed(lead: str) -> bool:
    return bool(_TIMED.search(lead))


_TIMED = re.compile(
    r"(?:^|[,;]\s*)(?:(?:and|but|so|then|also|just)\s+)?(?:yesterday|today|last \w+|"
    r"this (?:week|weekend|year|month|morning|afternoon|evening|\w+day)|"
    r"(?:\w+ ){1,3}ago|now|recently|lately|these days|nowadays|currently)\s+\Z",
    re.IGNORECASE,
)


def trimmed(body: str) -> str:
    """Return a clause without what hangs loose at its end."""
    while True:
        shorter = body.rstrip(" ,.!-\"~'\t\n")
        for tail in _LOOSE:
            if shorter.lower().endswith(" " + tail) and not shorter.endswith(" a while"):
                shorter = shorter[: -len(tail)]
                break
        else:
            return shorter
        body = shorter


_LOOSE = (
    "and", "but", "so", "or", "because", "as", "since", "though", "too", "by the way", "btw",
    "lol", "haha", "you know", "also", "actually", "speaking of which", "especially", "considering",
    "now that", "especially since", "plus", "then", "while", "although", "in fact", "given that",
    "as well", "anyway",
)  # fmt: skip


def cut(body: str) -> str:
    """Return a clause up to where another begins, without what hangs loose at its end."""
    found = _CUT.search(body)
    return trimmed(body[: found.start()] if found else body)


def unsure(body: str, lead: str) -> bool:
    """Return whether a clause does not say how things are, by its words or those before it."""
    near = _near(lead)
    beside = re.split(r"[,;:\u2013\u2014]", near)[-1]
    return bool(_UNSURE.search(body) or _DOUBTED.search(near) or _ASKED.search(beside))


def _near(lead: str) -> str:
    """Return the words before a clause that it can hang on."""
    for pattern in (_I_SAY, _YOU_SAID):
        found = pattern.search(lead)
        if found:
            return lead[: found.start()]
    return lead
