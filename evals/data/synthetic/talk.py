"""A synthetic chat of a user with an assistant: sessions, small talk, and planted lines."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from evals.data.haystack import (
    PUBLISHED,
    ExpectedAnswer,
    Question,
    make_gold,
    sessions_by_turn,
)
from memkit import Turn

START = datetime(2024, 1, 8, 9, tzinfo=UTC)
PHRASES: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "phrases.toml").read_text())
PEOPLE: Sequence[str] = PHRASES["people"]
_SESSION = range(10, 22, 2)  # turns of a session, even: the assistant has the last word


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The dimensions of the conversations of a size; a probe may use another number."""

    conversations: int
    turns: int  # of a conversation
    questions: int  # about it
    distances: Sequence[int]  # turns since the evidence
    depths: Sequence[float]  # of the evidence: 0 the oldest turn, 1 the newest
    distractors: Sequence[int]  # sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The user's words at a planted position."""

    text: str
    about: str  # what the assistant's reply refers to, and never a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question before it has an id and a time."""

    text: str
    kind: str
    evidence: tuple[int, ...] = ()  # turn numbers
    expected: ExpectedAnswer = field(default_factory=ExpectedAnswer)
    answerable: bool = True
    axes: Mapping[str, float] = field(default_factory=dict)
    after: int | None = None  # asked after so many turns; None: at the end, or online when due


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A conversation before it has a name."""

    turns: Sequence[Turn]
    probes: Sequence[Probe]
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The time of a turn, and its session."""

    session: str
    at: datetime


def small_talk(rng: random.Random) -> Iterator[str]:
    """Yield messages of a user and an assistant alternately, without end.

    They speak of the same people and things as planted facts do, so that no single word of a
    question singles out its answer.
    """
    while True:
        day, who, thing = (rng.choice(PHRASES[part]) for part in ("days", "people", "things"))
        doing, feeling = rng.choice(PHRASES["doings"]), rng.choice(PHRASES["feelings"])
        event = doing if doing.startswith(("came", "asked")) else f"{doing} {thing}"
        yield f"{day} {who} {event}, {feeling}."
        about = rng.choice((who, thing)).replace("my ", "your ")
        yield f"About {about}: {rng.choice(PHRASES['replies'])}"


def schedule(rng: random.Random, turns: int, session: int | None = None) -> list[Moment]:
    """Return the moments of so many turns: sessions of `session` turns, two to five days apart."""
    starts = [0, *accumulate(session or rng.choice(_SESSION) for _ in range(turns))]
    moments: list[Moment] = []
    day = START
    for n, (start, end) in enumerate(pairwise(starts)):
        at = day + timedelta(minutes=rng.randrange(600))
        for _ in range(start, min(end, turns)):
            moments.append(Moment(session=f"s{n}", at=at))
            at += timedelta(minutes=rng.randint(1, 3))
        day += timedelta(days=rng.randint(2, 5))
    return moments


def make_turns(
    rng: random.Random, moments: Sequence[Moment], lines: Mapping[int, Line]
) -> list[Turn]:
    """Return turns with ids "t0" and so on: planted lines at their positions, small talk elsewhere.

    Args:
        rng: of the small talk.
        moments: of each turn.
        lines: the user's words by turn number, which is even; the assistant's reply to a planted
            line is about the same and repeats no value.
    """
    return [
        Turn(
            id=f"t{n}",
            text=text,
            role="assistant" if n % 2 else "user",
            said_at=moments[n].at,
            session_id=moments[n].session,
        )
        for n, text in zip(range(len(moments)), _make_texts(rng, lines), strict=False)
    ]


def _make_texts(rng: random.Random, lines: Mapping[int, Line]) -> Iterator[str]:
    talk = small_talk(rng)
    position = 0
    while True:
        user, assistant = next(talk), next(talk)
        if position in lines:
            user = lines[position].text
            assistant = f"About {lines[position].about}: {rng.choice(PHRASES['replies'])}"
        yield user
        yield assistant
        position += 2


def scatter(rng: random.Random, n: int, turns: int) -> list[int]:
    """Return n positions of user turns in order, one in each n-th part."""
    edges = [turns * part // n // 2 * 2 for part in range(n + 1)]
    return [rng.randrange(a, b, 2) for a, b in pairwise(edges)]


def choose_free(rng: random.Random, n: int, turns: int, lines: Mapping[int, Line]) -> list[int]:
    """Return n positions of user turns without a planted line, in no order."""
    return rng.sample([position for position in range(0, turns, 2) if position not in lines], n)


def make_question(id: str, probe: Probe, turns: Sequence[Turn]) -> Question:
    """Return the question of a probe, asked half a minute after the last turn before it."""
    last = turns[(len(turns) if probe.after is None else probe.after) - 1].said_at
    assert last is not None  # every turn made here has a time
    evidence = [turns[n].id or "" for n in probe.evidence]
    return Question(
        id=id,
        text=probe.text,
        kind=probe.kind,
        asked_at=last + timedelta(seconds=30),
        golds={PUBLISHED: make_gold(evidence, sessions_by_turn(turns))},
        answerable=probe.answerable,
        expected=probe.expected,
        axes=probe.axes,
        after=probe.after,
    )
