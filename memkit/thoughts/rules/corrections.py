"""What somebody takes back: "Sorry, I meant 120" replaces the number they said before."""

import re
from collections.abc import Sequence
from dataclasses import replace

from memkit.records import Claim, Source
from memkit.thoughts.rules.lexicon import NUMBERS
from memkit.thoughts.rules.sentences import Sentence

_MEANT = re.compile(
    r"(?:(?:oh|oops|sorry|wait|no|actually|correction|my bad)[,.!:]{0,3} ){0,3}"
    r"(?:I meant(?: to say)?|I mean|make that|scratch that,) (?P<value>[\w:.' -]{1,40})"
    r"(?:,? (?:not|instead of) .{1,40})?",
    re.IGNORECASE,
)
_KINDS = (  # what can stand for one another; the first that fits counts
    re.compile(r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b"),
    re.compile(rf"\b(?:\d[\d:.,]*|{'|'.join(NUMBERS)})(?!\w)"),
    re.compile(r"\b[A-Z][\w'-]*(?: [A-Z][\w'-]*)*"),
)
_BACK = 5  # claims; who takes something back does so soon


def corrected(
    sentence: Sentence, claims: Sequence[Claim], speaker: str, turn_id: str
) -> Claim | None:
    """Return a speaker's latest claim with what they say they meant, or None.

    Only what has a slot can be taken back, since nothing else would be replaced.
    """
    match = None if sentence.asks else _MEANT.fullmatch(sentence.text)
    if match is None:
        return None
    value = match["value"].strip(" .")
    kind = next((kind for kind in _KINDS if kind.fullmatch(value)), None)
    for claim in reversed(claims[-_BACK:]):
        mine = claim.text.casefold().startswith(speaker.casefold())
        old = kind.fullmatch(claim.tail) if kind and mine and claim.slot and claim.tail else None
        if old and claim.text.count(old[0]) == 1:
            return replace(
                claim,
                text=claim.text.replace(old[0], value),
                tail=value,
                source=Source(
                    turn_id=turn_id,
                    start=sentence.start,
                    end=sentence.start + len(sentence.text),
                ),
            )
    return None
