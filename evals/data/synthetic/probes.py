"""One function a probe: each returns a conversation that tests one ability of a memory."""

import random
from collections.abc import Iterator, Mapping, Sequence

from evals.data.haystack import ExpectedAnswer
from evals.data.synthetic.facts import (
    TABLES,
    ChangingFact,
    Fact,
    Facts,
    make_changing_facts,
    make_line,
    shuffle,
)
from evals.data.synthetic.talk import (
    PEOPLE,
    Draft,
    Line,
    Probe,
    Scale,
    choose_free,
    make_turns,
    scatter,
    schedule,
)

CONFLICT, AGREED = "conflict", "one claim"  # kinds of the questions of `conflicts`
KEPT, DELETED = "kept", "deleted"  # and of `deletions`
# Turns up to the farthest fact of `distance`; odd, so that facts at even distances are the user's.
_BEFORE = 21
_SESSION = 10  # turns of a distractor session
_CONFLICTS = 2 / 3  # of the questions of `conflicts`
_THIRDS = 3
_UPDATE_KINDS = ("first value", "changed once", "changed twice")
_SMALL, _DEFAULT = (2,), (1, 2, 1)  # changes of each fact of `updates`


def distance(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation with a fact at each distance from its end.

    All questions are asked at the end, so that the length of the conversation is the same for all
    of them. Every fact has a rival of the same kind about somebody else.
    """
    rng = random.Random(f"{seed}/{number}")
    turns = max(scale.distances) + _BEFORE
    facts, lines, probes = Facts(rng), dict[int, Line](), []
    for axis, kind in zip(scale.distances, facts.kinds, strict=False):
        position = turns - 1 - axis
        probes.append(
            _plant(facts.make(kind), position, lines, axes={"distance": axis}, after=turns)
        )
    free = choose_free(rng, len(probes), turns, lines)
    for position, kind in zip(free, facts.kinds, strict=False):
        lines[position] = facts.make(kind).line
    return Draft(turns=make_turns(rng, schedule(rng, turns), lines), probes=probes)


def position(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation with a fact at each depth; its number decides which fact is where.

    As many conversations as there are depths belong together. They have the same facts, rivals,
    small talk and times, and each has every fact at another depth; nothing else differs.

    Source: "lost in the middle", Liu et al., TACL 2024, arXiv 2307.03172.
    """
    group, rotation = divmod(number, len(scale.depths))
    rng = random.Random(f"{seed}/{group}")
    pool = Facts(rng)
    facts = [pool.make(kind) for kind in pool.kinds[: len(scale.depths)]]
    lines: dict[int, Line] = {}
    probes = []
    for n, depth in enumerate(scale.depths):
        fact = facts[(n + rotation) % len(facts)]
        place = round(depth * (scale.turns - 1) / 2) * 2
        probes.append(_plant(fact, place, lines, axes={"depth": depth}, after=scale.turns))
    free = choose_free(rng, len(facts), scale.turns, lines)
    for place, fact in zip(free, facts, strict=True):
        lines[place] = pool.make(fact.kind).line
    return Draft(turns=make_turns(rng, schedule(rng, scale.turns), lines), probes=probes)


def distractors(seed: str, number: int, scale: Scale) -> Draft:
    """Return an evidence session and the largest number of distractor sessions (HCAM's test).

    The same question is asked after 0, 2, 10 and 20 distractor sessions, as of then; each of them
    tells the same kind of fact about somebody else.

    Source: Lampinen et al., NeurIPS 2021 (distractor phases between learning and test).
    """
    rng = random.Random(f"{seed}/{number}")
    facts = Facts(rng)
    kinds = facts.kinds[: round(scale.questions / len(scale.distractors))]
    lines: dict[int, Line] = {}
    probes = []
    for kind, place in zip(kinds, rng.sample(range(0, _SESSION, 2), len(kinds)), strict=True):
        fact = facts.make(kind)
        probes += [
            _plant(fact, place, lines, axes={"distractors": n}, after=_SESSION * (1 + n))
            for n in scale.distractors
        ]
    sessions = 1 + max(scale.distractors)
    for n in range(1, sessions):
        place = n * _SESSION + rng.randrange(0, _SESSION, 2)
        lines[place] = facts.make(kinds[n % len(kinds)]).line
    moments = schedule(rng, sessions * _SESSION, _SESSION)
    return Draft(turns=make_turns(rng, moments, lines), probes=probes)


def unanswerable(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation with questions about what was said and about what was not.

    Everybody asked about told a fact, and somebody else told the kind that is asked of them: only
    the combination of person and kind was never said.
    """
    rng = random.Random(f"{seed}/{number}")
    pool = Facts(rng)
    missing = scale.questions // 2
    people = rng.sample(PEOPLE, scale.questions - missing)
    facts = [pool.make(kind, who) for kind, who in zip(pool.kinds, people, strict=False)]
    lines: dict[int, Line] = {}
    places = scatter(rng, len(facts), scale.turns)
    probes = [
        _plant(fact, place, lines, kind="near miss")
        for fact, place in zip(facts, places, strict=True)
    ]
    for n, fact in enumerate(facts[:missing]):
        kind = facts[(n + 1) % len(facts)].kind  # that only somebody else told
        probes.append(
            Probe(
                text=pool.ask(kind, fact.who),
                kind="near miss",
                expected=ExpectedAnswer(foils=pool.foils(kind)),
                answerable=False,
            )
        )
    return Draft(turns=make_turns(rng, schedule(rng, scale.turns), lines), probes=probes)


def deletions(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation of which every second fact is deleted before anything is asked."""
    rng = random.Random(f"{seed}/{number}")
    facts = Facts(rng)
    places = scatter(rng, scale.questions, scale.turns)
    lines: dict[int, Line] = {}
    probes, forgotten = [], []
    for n, (place, kind) in enumerate(zip(places, facts.kinds, strict=False)):
        fact = facts.make(kind)
        probe = _plant(fact, place, lines, kind=KEPT)
        if n % 2:
            forgotten.append(f"t{place}")
            expected = ExpectedAnswer(
                stale=(fact.value,), stale_turns=(f"t{place}",), foils=fact.foils
            )
            probe = Probe(text=fact.question, kind=DELETED, expected=expected, answerable=False)
        probes.append(probe)
    turns = make_turns(rng, schedule(rng, scale.turns), lines)
    return Draft(turns=turns, probes=probes, forgotten=tuple(forgotten))


def preferences(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation in which the user states preferences and asks for suggestions."""
    rng = random.Random(f"{seed}/{number}")
    stated = shuffle(rng, TABLES["preferences"])[: scale.questions]
    lines: dict[int, Line] = {}
    probes = []
    for place, preference in zip(scatter(rng, len(stated), scale.turns), stated, strict=True):
        lines[place] = make_line(rng, preference["said"], about="that")
        probes.append(
            Probe(
                text=preference["asked"],
                kind="preference",
                evidence=(place,),
                expected=ExpectedAnswer(
                    answers=(preference["answer"],), foils=tuple(preference["foils"])
                ),
            )
        )
    return Draft(turns=make_turns(rng, schedule(rng, scale.turns), lines), probes=probes)


def conflicts(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation in which two people contradict each other, and nothing decides.

    Other questions of the same form are about claims of one person only. Answers are in the order
    of their turns.
    """
    rng = random.Random(f"{seed}/{number}")
    topics = shuffle(rng, TABLES["disputed"])[: scale.questions]
    n_conflicts = round(len(topics) * _CONFLICTS)
    places = scatter(rng, len(topics) + n_conflicts, scale.turns)
    # first claims are in the first half or so, second ones in the second, in another order
    seconds = shuffle(rng, places[len(topics) :])
    lines: dict[int, Line] = {}
    probes = []
    for n, topic in enumerate(topics):
        evidence = (places[n], seconds[n]) if n < n_conflicts else (places[n],)
        values, wordings = shuffle(rng, topic["values"]), shuffle(rng, topic["said"])
        people = rng.sample(PEOPLE, 2)
        for place, who, value, text in zip(evidence, people, values, wordings, strict=False):
            lines[place] = make_line(rng, text.format(who=who, value=value), about="that")
        expected = ExpectedAnswer(answers=tuple(values[: len(evidence)]), foils=tuple(values[-3:]))
        kind = CONFLICT if len(evidence) > 1 else AGREED
        probes.append(Probe(text=topic["asked"], kind=kind, evidence=evidence, expected=expected))
    return Draft(turns=make_turns(rng, schedule(rng, scale.turns), lines), probes=probes)


def updates(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation whose user changes some facts once and some twice.

    Every fact is asked for at the end of a third of the conversation in which it was told or
    changed, and its last value at the end, as of then: the right answer changes each time.
    """
    rng = random.Random(f"{seed}/{number}")
    facts = list(make_changing_facts(rng, _DEFAULT if scale.questions > _THIRDS else _SMALL))
    third = scale.turns // _THIRDS // 2 * 2
    by_third = [
        rng.sample(range(n * third, (n + 1) * third, 2), len(facts)) for n in range(_THIRDS)
    ]
    lines: dict[int, Line] = {}
    probes: list[Probe] = []
    for fact, places in zip(facts, zip(*by_third, strict=True), strict=True):
        lines |= dict(zip(places, fact.lines, strict=False))
        probes += _ask_for_updates(fact, places, third, scale.turns)
    return Draft(turns=make_turns(rng, schedule(rng, scale.turns), lines), probes=probes)


def _ask_for_updates(
    fact: ChangingFact, places: Sequence[int], third: int, turns: int
) -> Iterator[Probe]:
    """Yield the question for every value of a fact."""
    for n, value in enumerate(fact.values):
        is_last = n == len(fact.values) - 1
        yield Probe(
            text=fact.question,
            kind=_UPDATE_KINDS[n],
            evidence=(places[n],),
            expected=ExpectedAnswer(
                answers=(value,),
                stale=tuple(fact.values[:n]),
                stale_turns=tuple(f"t{place}" for place in places[:n]),
                foils=fact.foils,
            ),
            after=turns if is_last else (n + 1) * third,
        )


def _plant(
    fact: Fact,
    place: int,
    lines: dict[int, Line],
    *,
    kind: str = "fact",
    axes: Mapping[str, float] | None = None,
    after: int | None = None,
) -> Probe:
    """Add a fact's line at its place, and return the question for it."""
    lines[place] = fact.line
    return Probe(
        text=fact.question,
        kind=kind,
        evidence=(place,),
        expected=fact.expected,
        axes=axes or {},
        after=after,
    )
