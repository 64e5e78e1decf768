"""One function a probe: each writes a conversation that tests one ability of a memory."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from evals.data.haystack import (
    PUBLISHED,
    ExpectedAnswer,
    Haystack,
    Question,
    make_gold,
    sessions_by_turn,
)
from evals.data.synthetic.facts import (
    FOILS,
    TABLES,
    Fact,
    Facts,
    make_changing_facts,
    make_line,
    shuffle,
)
from evals.data.synthetic.talk import PEOPLE, START, Line, Moment, make_turns, scatter, schedule
from memkit.records import day

CONFLICT, AGREED = "conflict", "one claim"  # kinds of the questions of `conflicts`
KEPT, DELETED = "kept", "deleted"  # and of `deletions`
# Turns up to the farthest fact of `distance`; odd, so that facts at even distances are the user's.
_BEFORE = 21
_SESSION = 10  # turns of a distractor session
_CONFLICTS = 2 / 3  # of the questions of `conflicts`
_THIRDS = 3
_UPDATE_KINDS = ("first value", "changed once", "changed twice")
_SMALL, _DEFAULT = (2,), (1, 2, 1)  # changes of each fact of `updates`
_EVENTS = 4  # of a series of `ordering`, and steps of a procedure
_AGO: Mapping[str, int] = {  # days
    "yesterday": 1,
    "the day before yesterday": 2,
    "three days ago": 3,
    "a week ago": 7,
}
_FOIL_OFFSETS = (-30, -9, -2, 3, 8, 31, -3, -10)  # days from the right date; some are told dates


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The dimensions of the conversations of a size; a probe may use another number."""

    conversations: int
    turns: int  # of a conversation
    questions: int  # about it
    distances: Sequence[int]  # turns since the evidence
    depths: Sequence[float]  # of the evidence: 0 the oldest turn, 1 the newest
    distractors: Sequence[int]  # sessions


class Script:
    """A conversation of so many turns while it is written: planted lines, and questions.

    `rotation` is the number of the conversation in its group, which has the same seed.
    """

    def __init__(self, seed: str, rotation: int, turns: int) -> None:
        self.rng, self.rotation, self.turns = random.Random(seed), rotation, turns
        self.moments: Sequence[Moment] = ()  # of its turns; empty: scheduled at the end
        self.lines: dict[int, Line] = {}  # by turn number
        self.forgotten: list[str] = []
        self._probes: list[tuple[Question, Sequence[int]]] = []  # and the turns of the evidence

    def plant(self, fact: Fact, place: int, *, kind: str = "fact", **details: Any) -> None:
        """Add a fact's line and the question for it; `details` as for `ask`."""
        self.lines[place] = fact.line
        self.ask(fact.question, kind, fact.expected, (place,), **details)

    def ask(
        self,
        text: str,
        kind: str,
        expected: ExpectedAnswer,
        evidence: Sequence[int] = (),
        *,
        answerable: bool = True,
        **details: Any,
    ) -> None:
        """Add a question; `details` are `axes` and `after` of a `Question`."""
        question = Question(
            id="", text=text, kind=kind, asked_at=None, golds={}, answerable=answerable,
            expected=expected, **details,
        )  # fmt: skip
        self._probes.append((question, evidence))

    def free_places(self, n: int) -> list[int]:
        """Return n positions of user turns without a planted line, in no order."""
        return self.rng.sample(
            [place for place in range(0, self.turns, 2) if place not in self.lines], n
        )

    def make_haystack(self, name: str, cluster: str) -> Haystack:
        """Return the conversation; questions are asked half a minute after the turn before them."""
        moments = self.moments or schedule(self.rng, self.turns)
        turns = make_turns(self.rng, moments, self.lines)
        sessions = sessions_by_turn(turns)
        questions = []
        for n, (question, evidence) in enumerate(self._probes):
            last = turns[(question.after or len(turns)) - 1].said_at
            assert last is not None  # every turn made here has a time
            gold = make_gold((f"t{place}" for place in evidence), sessions)
            questions.append(
                replace(
                    question,
                    id=f"{name}/q{n}",
                    asked_at=last + timedelta(seconds=30),
                    golds={PUBLISHED: gold},
                )
            )
        return Haystack(
            name=name,
            split="report",
            turns=turns,
            questions=questions,
            forgotten=tuple(self.forgotten),
            cluster=cluster,
        )


def distance(script: Script, scale: Scale) -> None:
    """Plant a fact at each distance from the end.

    All questions are asked at the end, so that the length of the conversation is the same for all
    of them. Every fact has a rival of the same kind about somebody else.
    """
    turns = script.turns = max(scale.distances) + _BEFORE
    facts = Facts(script.rng)
    for axis, kind in zip(scale.distances, facts.kinds, strict=False):
        fact = facts.make(kind)
        script.plant(fact, turns - 1 - axis, axes={"distance": axis}, after=turns)
    kinds = facts.kinds[: len(scale.distances)]
    for place, kind in zip(script.free_places(len(kinds)), kinds, strict=True):
        script.lines[place] = facts.make(kind).line


def position(script: Script, scale: Scale) -> None:
    """Plant a fact at each depth; the rotation decides which fact is where.

    As many conversations as there are depths belong together. They have the same facts, rivals,
    small talk and times, and each has every fact at another depth; nothing else differs.

    Source: "lost in the middle", Liu et al., TACL 2024, arXiv 2307.03172.
    """
    pool = Facts(script.rng)
    facts = [pool.make(kind) for kind in pool.kinds[: len(scale.depths)]]
    for n, depth in enumerate(scale.depths):
        fact = facts[(n + script.rotation) % len(facts)]
        place = round(depth * (scale.turns - 1) / 2) * 2
        script.plant(fact, place, axes={"depth": depth}, after=scale.turns)
    for place, fact in zip(script.free_places(len(facts)), facts, strict=True):
        script.lines[place] = pool.make(fact.kind).line


def distractors(script: Script, scale: Scale) -> None:
    """Write an evidence session and the largest number of distractor sessions (HCAM's test).

    The same question is asked after 0, 2, 10 and 20 distractor sessions, as of then; each of them
    tells the same kind of fact about somebody else.

    Source: Lampinen et al., NeurIPS 2021 (distractor phases between learning and test).
    """
    rng = script.rng
    facts = Facts(rng)
    kinds = facts.kinds[: round(scale.questions / len(scale.distractors))]
    for kind, place in zip(kinds, rng.sample(range(0, _SESSION, 2), len(kinds)), strict=True):
        fact = facts.make(kind)
        for n in scale.distractors:
            script.plant(fact, place, axes={"distractors": n}, after=_SESSION * (1 + n))
    sessions = 1 + max(scale.distractors)
    for n in range(1, sessions):
        place = n * _SESSION + rng.randrange(0, _SESSION, 2)
        script.lines[place] = facts.make(kinds[n % len(kinds)]).line
    script.moments = schedule(rng, sessions * _SESSION, _SESSION)


def unanswerable(script: Script, scale: Scale) -> None:
    """Ask about what was said and about what was not.

    Everybody asked about told a fact, and somebody else told the kind that is asked of them: only
    the combination of person and kind was never said.
    """
    pool = Facts(script.rng)
    missing = scale.questions // 2
    people = script.rng.sample(PEOPLE, scale.questions - missing)
    facts = [pool.make(kind, who) for kind, who in zip(pool.kinds, people, strict=False)]
    places = scatter(script.rng, len(facts), scale.turns)
    for fact, place in zip(facts, places, strict=True):
        script.plant(fact, place, kind="near miss")
    for n, fact in enumerate(facts[:missing]):
        kind = facts[(n + 1) % len(facts)].kind  # that only somebody else told
        text, foils = pool.ask(kind, fact.who), pool.foils(kind)
        script.ask(text, "near miss", ExpectedAnswer(foils=foils), answerable=False)


def deletions(script: Script, scale: Scale) -> None:
    """Delete every second fact before anything is asked."""
    facts = Facts(script.rng)
    places = scatter(script.rng, scale.questions, scale.turns)
    for n, (place, kind) in enumerate(zip(places, facts.kinds, strict=False)):
        fact = facts.make(kind)
        if n % 2 == 0:
            script.plant(fact, place, kind=KEPT)
            continue
        script.lines[place] = fact.line
        script.forgotten.append(f"t{place}")
        expected = ExpectedAnswer(stale=(fact.value,), stale_turns=(f"t{place}",), foils=fact.foils)
        script.ask(fact.question, DELETED, expected, answerable=False)


def preferences(script: Script, scale: Scale) -> None:
    """State preferences and ask for suggestions."""
    stated = shuffle(script.rng, TABLES["preferences"])[: scale.questions]
    places = scatter(script.rng, len(stated), scale.turns)
    for place, preference in zip(places, stated, strict=True):
        script.lines[place] = make_line(script.rng, preference["said"], about="that")
        expected = ExpectedAnswer(answers=(preference["answer"],), foils=tuple(preference["foils"]))
        script.ask(preference["asked"], "preference", expected, (place,))


def conflicts(script: Script, scale: Scale) -> None:
    """Let two people contradict each other, so that nothing decides.

    Other questions of the same form are about claims of one person only. Answers are in the order
    of their turns.
    """
    rng = script.rng
    topics = shuffle(rng, TABLES["disputed"])[: scale.questions]
    n_conflicts = round(len(topics) * _CONFLICTS)
    places = scatter(rng, len(topics) + n_conflicts, scale.turns)
    # first claims are in the first half or so, second ones in the second, in another order
    seconds = shuffle(rng, places[len(topics) :])
    for n, topic in enumerate(topics):
        evidence = (places[n], seconds[n]) if n < n_conflicts else (places[n],)
        values, wordings = shuffle(rng, topic["values"]), shuffle(rng, topic["said"])
        people = rng.sample(PEOPLE, 2)
        for place, who, value, text in zip(evidence, people, values, wordings, strict=False):
            script.lines[place] = make_line(rng, text.format(who=who, value=value), about="that")
        expected = ExpectedAnswer(answers=tuple(values[: len(evidence)]), foils=tuple(values[-3:]))
        kind = CONFLICT if len(evidence) > 1 else AGREED
        script.ask(topic["asked"], kind, expected, evidence)


def updates(script: Script, scale: Scale) -> None:
    """Change some facts about the user once and some twice.

    Every fact is asked for at the end of a third of the conversation in which it was told or
    changed, and its last value at the end, as of then: the right answer changes each time.
    """
    rng = script.rng
    facts = list(make_changing_facts(rng, _DEFAULT if scale.questions > _THIRDS else _SMALL))
    third = scale.turns // _THIRDS // 2 * 2
    by_third = [
        rng.sample(range(n * third, (n + 1) * third, 2), len(facts)) for n in range(_THIRDS)
    ]
    for fact, places in zip(facts, zip(*by_third, strict=True), strict=True):
        script.lines |= dict(zip(places, fact.lines, strict=False))
        for n, value in enumerate(fact.values):
            expected = ExpectedAnswer(
                answers=(value,),
                stale=tuple(fact.values[:n]),
                stale_turns=tuple(f"t{place}" for place in places[:n]),
                foils=fact.foils,
            )
            after = scale.turns if n == len(fact.values) - 1 else (n + 1) * third
            script.ask(fact.question, _UPDATE_KINDS[n], expected, (places[n],), after=after)


# ---- ordering


def ordering(script: Script, scale: Scale) -> None:
    """Tell procedures, series of events out of order, and dates.

    Some dates are told, others follow from when somebody said "three days ago".
    """
    rng = script.rng
    is_small = scale.questions < 2 * _EVENTS - 2
    size, questions = (_EVENTS - 1, 1) if is_small else (_EVENTS, 2)
    moments = script.moments = schedule(rng, scale.turns)
    places = shuffle(rng, scatter(rng, 2 * size + questions, scale.turns))
    gaps = [rng.randint(4, 25) for _ in range(size)]
    # one after another, all well before the conversation begins
    dates = [START.date() - timedelta(days=max(_AGO.values()) + sum(gaps[n:])) for n in range(size)]
    dated, relative = shuffle(rng, TABLES["series"])[:2]
    when = {place: moments[place] for place in places[size : size + questions]}
    _tell_series(script, dated, dict(zip(places[:size], dates, strict=True)), questions)
    _tell_relative_dates(script, relative, when, dates)
    if not is_small:
        _tell_procedure(script, sorted(places[size + questions :]))


def _tell_procedure(script: Script, places: Sequence[int]) -> None:
    procedure, leads = script.rng.choice(TABLES["procedures"]), TABLES["leads"]
    about = procedure["about"]
    steps = sorted(script.rng.sample(range(len(procedure["steps"])), len(places)))
    leads = [*leads[: len(steps) - 1], leads[-1]]
    for place, step, lead in zip(places, steps, leads, strict=True):
        text = f"for {about}, {lead.format(do=procedure['steps'][step])}"
        script.lines[place] = make_line(script.rng, text, about="that")
    _ask_for_order(script, f"In which order do I do the steps of {about}?", "steps", places)


def _tell_series(
    script: Script, series: Mapping[str, Any], dates: Mapping[int, date], questions: int
) -> None:
    """Tell dated events in any order; ask for their order, and for the dates of some."""
    places, about = list(dates), series["about"]
    chosen = sorted(script.rng.sample(range(len(series["events"])), len(places)))
    events = dict(zip(places, (series["events"][n] for n in chosen), strict=True))
    for place, on in dates.items():
        text = f"about {about}, I {events[place][0]} on {_format(on)}."
        script.lines[place] = make_line(script.rng, text, about=about)
    _ask_for_order(script, f"In which order did the events of {about} happen?", "events", places)
    for place in sorted(script.rng.sample(places, questions)):
        _ask_for_date(script, events[place][1], place, dates[place], list(dates.values()))


def _tell_relative_dates(
    script: Script,
    series: Mapping[str, Any],
    moments: Mapping[int, Moment],
    dates: Sequence[date],
) -> None:
    about, events = series["about"], shuffle(script.rng, series["events"])
    agos = shuffle(script.rng, [*_AGO])
    for (place, moment), (past, infinitive), ago in zip(
        moments.items(), events, agos, strict=False
    ):
        text = f"about {about}, I {past} {ago}."
        script.lines[place] = make_line(script.rng, text, about=about)
        on = moment.at.date() - timedelta(days=_AGO[ago])
        _ask_for_date(script, infinitive, place, on, dates)


def _ask_for_order(script: Script, text: str, items: str, places: Sequence[int]) -> None:
    expected = ExpectedAnswer(steps=tuple(f"t{place}" for place in places))
    script.ask(text, f"order of {items}", expected, places)


def _ask_for_date(
    script: Script, event: str, place: int, on: date, told_dates: Sequence[date]
) -> None:
    number, month, year = _format(on).split()
    spellings = (
        f"{number} {month} {year}", f"{month} {number}, {year}", on.isoformat(),
        f"{number} {month}", f"{month} {number}",
    )  # fmt: skip
    candidates = [on + timedelta(days=days) for days in _FOIL_OFFSETS]
    foils = [_format(foil) for foil in candidates if foil not in told_dates][:FOILS]
    expected = ExpectedAnswer(answers=spellings, foils=tuple(foils))
    kind = "date" if on in told_dates else "relative date"
    script.ask(f"When did I {event}?", kind, expected, (place,))


def _format(on: date) -> str:
    return day(START.replace(year=on.year, month=on.month, day=on.day))
