"""Facts at known distance: how far back can the evidence lie?

All questions of a conversation are asked at its end, so that its length is the same for all of
them. Every fact has a rival of the same kind about somebody else.
"""

import random

from evals.data.synthetic.talk import Draft, Line, Probe, Scale, free, moments, say
from evals.data.synthetic.wordings import Facts

_BEFORE = 21  # turns up to the farthest fact; odd, so that facts at even distances are the user's


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation with a fact at each distance from its end."""
    rng = random.Random(f"{seed}/{number}")
    turns = max(scale.distances) + _BEFORE
    facts, lines, probes = Facts(rng), dict[int, Line](), []
    for distance, kind in zip(scale.distances, facts.kinds, strict=False):
        fact, place = facts.told(kind), turns - 1 - distance
        lines[place] = fact.line
        probes.append(
            Probe(
                text=fact.question,
                kind="fact",
                evidence=(place,),
                expected=fact.expected,
                axes={"distance": distance},
                after=turns,
            )
        )
    for place, kind in zip(free(rng, len(probes), turns, lines), facts.kinds, strict=False):
        lines[place] = facts.told(kind).line
    return Draft(turns=say(rng, moments(rng, turns), lines), probes=probes)
