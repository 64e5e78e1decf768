"""HCAM's length extrapolation: something is told, other sessions follow, then it is asked for.

The same question is asked after 0, 2, 10 and 20 distractor sessions, as of then, so those that come
before it at a small number are among those at a larger one. Each distractor session tells the same
kind of thing about somebody else.

Source: Lampinen et al., NeurIPS 2021 (distractor phases between learning and test).
"""

import random

from evals.data.synthetic.talk import Draft, Line, Probe, Scale, moments, say
from evals.data.synthetic.wordings import Facts

_SESSION = 10  # turns


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return an evidence session and as many distractor sessions as there are at most."""
    rng = random.Random(f"{seed}/{number}")
    drawn = Facts(rng)
    kinds = drawn.kinds[: round(scale.questions / len(scale.distractors))]
    lines: dict[int, Line] = {}
    probes = []
    for kind, place in zip(kinds, rng.sample(range(0, _SESSION, 2), len(kinds)), strict=True):
        fact = drawn.told(kind)
        lines[place] = fact.line
        probes += [
            Probe(
                text=fact.question,
                kind="fact",
                evidence=(place,),
                expected=fact.expected,
                axes={"distractors": n},
                after=_SESSION * (1 + n),
            )
            for n in scale.distractors
        ]
    sessions = 1 + max(scale.distractors)
    for n in range(1, sessions):
        place = n * _SESSION + rng.randrange(0, _SESSION, 2)
        lines[place] = drawn.told(kinds[n % len(kinds)]).line
    when = moments(rng, sessions * _SESSION, _SESSION)
    return Draft(turns=say(rng, when, lines), probes=probes)
