"""Facts that the user has deleted, beside facts that were kept: is the deleted never told again?"""

import random

from evals.data.haystack import Expected
from evals.data.synthetic.talk import Draft, Line, Probe, Scale, moments, say, scatter
from evals.data.synthetic.wordings import Fact, Facts

KEPT, DELETED = "kept", "deleted"


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation of which every second fact is deleted before anything is asked."""
    rng = random.Random(f"{seed}/{number}")
    drawn = Facts(rng)
    places = scatter(rng, scale.questions, scale.turns)
    lines: dict[int, Line] = {}
    probes, forgotten = [], []
    for n, (place, kind) in enumerate(zip(places, drawn.kinds, strict=False)):
        fact = drawn.told(kind)
        lines[place] = fact.line
        probes.append(_deleted(fact, place) if n % 2 else _kept(fact, place))
        forgotten += [f"t{place}"] if n % 2 else []
    turns = say(rng, moments(rng, scale.turns), lines)
    return Draft(turns=turns, probes=probes, forgotten=tuple(forgotten))


def _kept(fact: Fact, place: int) -> Probe:
    expected = fact.expected
    return Probe(text=fact.question, kind=KEPT, evidence=(place,), expected=expected)


def _deleted(fact: Fact, place: int) -> Probe:
    expected = Expected(stale=(fact.value,), stale_turns=(f"t{place}",), foils=fact.foils)
    return Probe(text=fact.question, kind=DELETED, expected=expected, answerable=False)
