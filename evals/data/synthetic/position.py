"""The same facts at the beginning, in the middle and at the end: does their place matter?

As many conversations as there are depths belong together. They have the same facts, rivals, small
talk and times, and each has every fact at another depth; only that tells them apart.

Source: "lost in the middle", Liu et al., TACL 2024, arXiv 2307.03172.
"""

import random

from evals.data.synthetic.talk import Draft, Line, Probe, Scale, free, moments, say
from evals.data.synthetic.wordings import Facts


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation with a fact at each depth; which one where follows from its number."""
    group, rotation = divmod(number, len(scale.depths))
    rng = random.Random(f"{seed}/{group}")
    drawn = Facts(rng)
    facts = [drawn.told(kind) for kind in drawn.kinds[: len(scale.depths)]]
    lines: dict[int, Line] = {}
    probes = []
    for n, depth in enumerate(scale.depths):
        fact = facts[(n + rotation) % len(facts)]
        place = round(depth * (scale.turns - 1) / 2) * 2
        lines[place] = fact.line
        probes.append(
            Probe(
                text=fact.question,
                kind="fact",
                evidence=(place,),
                expected=fact.expected,
                axes={"depth": depth},
                after=scale.turns,
            )
        )
    for place, fact in zip(free(rng, len(facts), scale.turns, lines), facts, strict=True):
        lines[place] = drawn.told(fact.kind).line
    return Draft(turns=say(rng, moments(rng, scale.turns), lines), probes=probes)
