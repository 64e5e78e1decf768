"""What happened when: steps of a procedure, events told out of order, and their dates.

Some dates are told, others have to be worked out from when somebody said "three days ago".
"""

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from evals.data.dialogue import START
from evals.data.haystack import Expected
from evals.data.synthetic.talk import Draft, Line, Moment, Probe, Scale, moments, say, scatter
from evals.data.synthetic.wordings import TABLES, drawn, spoken
from memkit.records import day

_EVENTS = 4  # of a series, and steps of a procedure
_AGO: Mapping[str, int] = {  # days
    "yesterday": 1,
    "the day before yesterday": 2,
    "three days ago": 3,
    "a week ago": 7,
}
_FOILS = 3  # wrong dates of each question
_BESIDE = (-30, -9, -2, 3, 8, 31, -3, -10)  # days from the right one, more than are told

Planted = tuple[dict[int, Line], list[Probe]]  # lines by turn number, and questions about them


def draft(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation that tells procedures, series of events, and dates."""
    rng = random.Random(f"{seed}/{number}")
    small = scale.questions < 2 * _EVENTS - 2
    size, asked = (_EVENTS - 1, 1) if small else (_EVENTS, 2)
    when = moments(rng, scale.turns)
    places = drawn(rng, scatter(rng, 2 * size + asked, scale.turns))
    dates = _dates(rng, size)
    first, second = drawn(rng, TABLES["series"])[:2]
    parts = [
        _series(rng, first, dict(zip(places[:size], dates, strict=True)), asked),
        _ago(rng, second, {place: when[place] for place in places[size : size + asked]}, dates),
    ]
    if not small:
        parts.append(_procedure(rng, sorted(places[size + asked :])))
    lines = {place: line for planted, _ in parts for place, line in planted.items()}
    probes = [probe for _, asking in parts for probe in asking]
    return Draft(turns=say(rng, when, lines), probes=probes)


def _procedure(rng: random.Random, places: Sequence[int]) -> Planted:
    """Tell the steps of a procedure one after another, and ask for their order."""
    one, leads = rng.choice(TABLES["procedures"]), TABLES["leads"]
    steps = sorted(rng.sample(range(len(one["steps"])), len(places)))
    lines = {
        place: spoken(
            rng, f"for {one['about']}, {lead.format(do=one['steps'][step])}", about="that"
        )
        for place, step, lead in zip(
            places, steps, [*leads[: len(steps) - 1], leads[-1]], strict=True
        )
    }
    return lines, [_order(f"In which order do I do the steps of {one['about']}?", "steps", places)]


def _dates(rng: random.Random, n: int) -> list[date]:
    """Return dates one after another, all well before the conversation begins."""
    gaps = [rng.randint(4, 25) for _ in range(n)]
    return [START.date() - timedelta(days=max(_AGO.values()) + sum(gaps[m:])) for m in range(n)]


def _series(
    rng: random.Random, one: Mapping[str, Any], dates: Mapping[int, date], asked: int
) -> Planted:
    """Tell dated events in any order, and ask in which order, and when some, happened."""
    places = list(dates)
    chosen = sorted(rng.sample(range(len(one["events"])), len(places)))
    events = dict(zip(places, (one["events"][n] for n in chosen), strict=True))
    lines = {
        place: spoken(
            rng, f"about {one['about']}, I {events[place][0]} on {_day(on)}.", about=one["about"]
        )
        for place, on in dates.items()
    }
    order = _order(f"In which order did the events of {one['about']} happen?", "events", places)
    whens = [
        _when(events[place][1], place, dates[place], list(dates.values()))
        for place in sorted(rng.sample(places, asked))
    ]
    return lines, [order, *whens]


def _ago(
    rng: random.Random,
    one: Mapping[str, Any],
    when: Mapping[int, Moment],
    dates: Sequence[date],
) -> Planted:
    """Tell events by how long ago they were, and ask for their dates."""
    lines, probes = {}, []
    events, agos = drawn(rng, one["events"]), drawn(rng, [*_AGO])
    for (place, moment), (told, asked), ago in zip(when.items(), events, agos, strict=False):
        lines[place] = spoken(rng, f"about {one['about']}, I {told} {ago}.", about=one["about"])
        on = moment.at.date() - timedelta(days=_AGO[ago])
        probes.append(_when(asked, place, on, dates))
    return lines, probes


def _order(text: str, what: str, places: Sequence[int]) -> Probe:
    steps = tuple(f"t{place}" for place in places)
    return Probe(
        text=text, kind=f"order of {what}", evidence=tuple(places), expected=Expected(steps=steps)
    )


def _when(event: str, place: int, on: date, told: Sequence[date]) -> Probe:
    beside = [on + timedelta(days=days) for days in _BESIDE]
    foils = [_day(other) for other in beside if other not in told][:_FOILS]
    return Probe(
        text=f"When did I {event}?",
        kind="date" if on in told else "relative date",
        evidence=(place,),
        expected=Expected(answers=_forms(on), foils=tuple(foils)),
    )


def _forms(on: date) -> tuple[str, ...]:
    """Return a date as people write it: 4 May 2024, May 4, 2024, 2024-05-04, 4 May, May 4."""
    number, month, year = _day(on).split()
    return (
        f"{number} {month} {year}", f"{month} {number}, {year}", on.isoformat(),
        f"{number} {month}", f"{month} {number}",
    )  # fmt: skip


def _day(on: date) -> str:
    return day(START.replace(year=on.year, month=on.month, day=on.day))
