"""Values that change: is the one that holds told, and the one that held not?

Every fact is asked for at the end of a third of the conversation in which it was told or changed,
and its last value at the end, as of then: the same question has another answer each time.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

from evals.data.haystack import Expected
from evals.data.synthetic.talk import Draft, Line, Probe, Scale, moments, say
from evals.data.synthetic.wordings import Changing, changing

_PARTS = 3
_KINDS = ("first value", "changed once", "changed twice")
_SMALL, _DEFAULT = (2,), (1, 2, 1)  # changes of each fact


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation whose user changes some things once and some twice."""
    rng = random.Random(f"{seed}/{number}")
    facts = list(changing(rng, _DEFAULT if scale.questions > _PARTS else _SMALL))
    part = scale.turns // _PARTS // 2 * 2
    in_parts = [rng.sample(range(n * part, (n + 1) * part, 2), len(facts)) for n in range(_PARTS)]
    places = [
        list(where[: len(fact.lines)])
        for fact, where in zip(facts, zip(*in_parts, strict=True), strict=True)
    ]
    lines: Mapping[int, Line] = {
        place: line
        for fact, where in zip(facts, places, strict=True)
        for place, line in zip(where, fact.lines, strict=True)
    }
    probes = [
        probe
        for fact, where in zip(facts, places, strict=True)
        for probe in _asked(fact, where, part, scale.turns)
    ]
    return Draft(turns=say(rng, moments(rng, scale.turns), lines), probes=probes)


def _asked(fact: Changing, places: Sequence[int], part: int, turns: int) -> Iterator[Probe]:
    """Yield the question for every value of a fact."""
    for n, value in enumerate(fact.values):
        last = n == len(fact.values) - 1
        yield Probe(
            text=fact.question,
            kind=_KINDS[n],
            evidence=(places[n],),
            expected=Expected(
                answers=(value,),
                stale=tuple(fact.values[:n]),
                stale_turns=tuple(f"t{place}" for place in places[:n]),
                foils=fact.foils,
            ),
            after=turns if last else (n + 1) * part,
        )
