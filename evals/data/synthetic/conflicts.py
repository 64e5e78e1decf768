"""Two people claim different things, and nothing decides: are both told, or that they differ?

Beside each such question stand others of the same form that only one person has spoken about.
"""

import random

from evals.data.haystack import Expected
from evals.data.synthetic.talk import Draft, Line, Probe, Scale, moments, say, scatter
from evals.data.synthetic.wordings import PEOPLE, TABLES, drawn, spoken

CONFLICT, AGREED = "conflict", "one claim"
_CONFLICTS = 2 / 3  # of the questions


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation in which people differ over some things.

    Answers stand in the order of their turns.
    """
    rng = random.Random(f"{seed}/{number}")
    topics = drawn(rng, TABLES["disputed"])[: scale.questions]
    conflicts = round(len(topics) * _CONFLICTS)
    places = scatter(rng, len(topics) + conflicts, scale.turns)
    # first claims stand in the first half or so, second ones in the second, in another order
    seconds = drawn(rng, places[len(topics) :])
    lines: dict[int, Line] = {}
    probes = []
    for n, topic in enumerate(topics):
        evidence = (places[n], seconds[n]) if n < conflicts else (places[n],)
        values, wordings = drawn(rng, topic["values"]), drawn(rng, topic["said"])
        for place, who, value, said in zip(
            evidence, rng.sample(PEOPLE, 2), values, wordings, strict=False
        ):
            lines[place] = spoken(rng, said.format(who=who, value=value), about="that")
        probes.append(
            Probe(
                text=topic["asked"],
                kind=CONFLICT if len(evidence) > 1 else AGREED,
                evidence=evidence,
                expected=Expected(answers=tuple(values[: len(evidence)]), foils=tuple(values[-3:])),
            )
        )
    return Draft(turns=say(rng, moments(rng, scale.turns), lines), probes=probes)
