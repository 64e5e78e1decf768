"""Questions that were never answered, about the same people and things as those that were.

Everybody asked about has told something, and what is asked of them was told by somebody else: only
the two together were never said.
"""

import random

from evals.data.haystack import Expected
from evals.data.synthetic.talk import Draft, Probe, Scale, moments, say, scatter
from evals.data.synthetic.wordings import PEOPLE, Facts

_KIND = "near miss"


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation asked about what was said and, as often, about what was not."""
    rng = random.Random(f"{seed}/{number}")
    drawn = Facts(rng)
    missing = scale.questions // 2
    people = rng.sample(PEOPLE, scale.questions - missing)
    told = [drawn.told(kind, who) for kind, who in zip(drawn.kinds, people, strict=False)]
    places = scatter(rng, len(told), scale.turns)
    probes = [
        Probe(
            text=fact.question,
            kind=_KIND,
            evidence=(place,),
            expected=fact.expected,
        )
        for fact, place in zip(told, places, strict=True)
    ]
    for n, fact in enumerate(told[:missing]):
        kind = told[(n + 1) % len(told)].kind  # of which only another one has told
        probes.append(
            Probe(
                text=drawn.asked(kind, fact.who),
                kind=_KIND,
                expected=Expected(foils=drawn.foils(kind)),
                answerable=False,
            )
        )
    lines = {place: fact.line for place, fact in zip(places, told, strict=True)}
    return Draft(turns=say(rng, moments(rng, scale.turns), lines), probes=probes)
