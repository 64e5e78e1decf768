"""Preferences stated once, and suggestions asked for later: do these keep to them?"""

import random

from evals.data.haystack import Expected
from evals.data.synthetic.talk import Draft, Probe, Scale, moments, say, scatter
from evals.data.synthetic.wordings import TABLES, drawn, spoken


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation whose user says what they like, and asks for suggestions."""
    rng = random.Random(f"{seed}/{number}")
    stated = drawn(rng, TABLES["preferences"])[: scale.questions]
    places = scatter(rng, len(stated), scale.turns)
    lines = {
        place: spoken(rng, one["said"], about="that")
        for place, one in zip(places, stated, strict=True)
    }
    probes = [
        Probe(
            text=one["asked"],
            kind="preference",
            evidence=(place,),
            expected=Expected(answers=(one["answer"],), foils=tuple(one["foils"])),
        )
        for place, one in zip(places, stated, strict=True)
    ]
    return Draft(turns=say(rng, moments(rng, scale.turns), lines), probes=probes)
