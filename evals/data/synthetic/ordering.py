"""The probe "ordering": steps of a procedure, events told out of order, and dates.

Some dates are told, others follow from when somebody said "three days ago".
"""

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from evals.data.haystack import ExpectedAnswer
from evals.data.synthetic.facts import TABLES, make_line, shuffle
from evals.data.synthetic.talk import (
    START,
    Draft,
    Line,
    Moment,
    Probe,
    Scale,
    make_turns,
    scatter,
    schedule,
)
from memkit.records import day

_EVENTS = 4  # of a series, and steps of a procedure
_AGO: Mapping[str, int] = {  # days
    "yesterday": 1,
    "the day before yesterday": 2,
    "three days ago": 3,
    "a week ago": 7,
}
_FOILS = 3  # wrong dates of each question
_FOIL_OFFSETS = (-30, -9, -2, 3, 8, 31, -3, -10)  # days from the right date; some are told dates

Planted = tuple[dict[int, Line], list[Probe]]  # lines by turn number, and questions about them


def ordering(seed: str, number: int, scale: Scale) -> Draft:
    """Return a conversation that tells procedures, series of events, and dates."""
    rng = random.Random(f"{seed}/{number}")
    is_small = scale.questions < 2 * _EVENTS - 2
    size, questions = (_EVENTS - 1, 1) if is_small else (_EVENTS, 2)
    moments = schedule(rng, scale.turns)
    places = shuffle(rng, scatter(rng, 2 * size + questions, scale.turns))
    gaps = [rng.randint(4, 25) for _ in range(size)]
    # one after another, all well before the conversation begins
    dates = [START.date() - timedelta(days=max(_AGO.values()) + sum(gaps[n:])) for n in range(size)]
    dated, relative = shuffle(rng, TABLES["series"])[:2]
    when = {place: moments[place] for place in places[size : size + questions]}
    parts = [
        _tell_series(rng, dated, dict(zip(places[:size], dates, strict=True)), questions),
        _tell_relative_dates(rng, relative, when, dates),
    ]
    if not is_small:
        parts.append(_tell_procedure(rng, sorted(places[size + questions :])))
    lines = {place: line for planted, _ in parts for place, line in planted.items()}
    probes = [probe for _, planted in parts for probe in planted]
    return Draft(turns=make_turns(rng, moments, lines), probes=probes)


def _tell_procedure(rng: random.Random, places: Sequence[int]) -> Planted:
    """Tell the steps of a procedure one after another, and ask for their order."""
    procedure, leads = rng.choice(TABLES["procedures"]), TABLES["leads"]
    about = procedure["about"]
    steps = sorted(rng.sample(range(len(procedure["steps"])), len(places)))
    leads = [*leads[: len(steps) - 1], leads[-1]]
    lines = {}
    for place, step, lead in zip(places, steps, leads, strict=True):
        text = f"for {about}, {lead.format(do=procedure['steps'][step])}"
        lines[place] = make_line(rng, text, about="that")
    return lines, [_ask_for_order(f"In which order do I do the steps of {about}?", "steps", places)]


def _tell_series(
    rng: random.Random, series: Mapping[str, Any], dates: Mapping[int, date], questions: int
) -> Planted:
    """Tell dated events in any order; ask for their order, and for the dates of some."""
    places, about = list(dates), series["about"]
    chosen = sorted(rng.sample(range(len(series["events"])), len(places)))
    events = dict(zip(places, (series["events"][n] for n in chosen), strict=True))
    lines = {}
    for place, on in dates.items():
        text = f"about {about}, I {events[place][0]} on {_format(on)}."
        lines[place] = make_line(rng, text, about=about)
    order = _ask_for_order(f"In which order did the events of {about} happen?", "events", places)
    date_probes = [
        _ask_for_date(events[place][1], place, dates[place], list(dates.values()))
        for place in sorted(rng.sample(places, questions))
    ]
    return lines, [order, *date_probes]


def _tell_relative_dates(
    rng: random.Random,
    series: Mapping[str, Any],
    moments: Mapping[int, Moment],
    dates: Sequence[date],
) -> Planted:
    """Tell events by how long ago they were, and ask for their dates."""
    lines, probes, about = {}, [], series["about"]
    events, agos = shuffle(rng, series["events"]), shuffle(rng, [*_AGO])
    for (place, moment), (past, infinitive), ago in zip(
        moments.items(), events, agos, strict=False
    ):
        lines[place] = make_line(rng, f"about {about}, I {past} {ago}.", about=about)
        on = moment.at.date() - timedelta(days=_AGO[ago])
        probes.append(_ask_for_date(infinitive, place, on, dates))
    return lines, probes


def _ask_for_order(text: str, items: str, places: Sequence[int]) -> Probe:
    expected = ExpectedAnswer(steps=tuple(f"t{place}" for place in places))
    return Probe(text=text, kind=f"order of {items}", evidence=tuple(places), expected=expected)


def _ask_for_date(event: str, place: int, on: date, told_dates: Sequence[date]) -> Probe:
    candidates = [on + timedelta(days=days) for days in _FOIL_OFFSETS]
    foils = [_format(foil) for foil in candidates if foil not in told_dates][:_FOILS]
    return Probe(
        text=f"When did I {event}?",
        kind="date" if on in told_dates else "relative date",
        evidence=(place,),
        expected=ExpectedAnswer(answers=_spellings(on), foils=tuple(foils)),
    )


def _spellings(on: date) -> tuple[str, ...]:
    """Return a date as people write it: 4 May 2024, May 4, 2024, 2024-05-04, 4 May, May 4."""
    number, month, year = _format(on).split()
    return (
        f"{number} {month} {year}", f"{month} {number}, {year}", on.isoformat(),
        f"{number} {month}", f"{month} {number}",
    )  # fmt: skip


def _format(on: date) -> str:
    return day(START.replace(year=on.year, month=on.month, day=on.day))
