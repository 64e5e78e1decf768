"""A synthetic chat of a user with an assistant: sessions, small talk, and planted lines."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from memkit import Turn

START = datetime(2024, 1, 8, 9, tzinfo=UTC)
PHRASES: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "phrases.toml").read_text())
PEOPLE: Sequence[str] = PHRASES["people"]
_SESSION = range(10, 22, 2)  # turns of a session, even: the assistant has the last word


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The user's words at a planted position."""

    text: str
    about: str  # what the assistant's reply refers to, and never a value


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

    The planted lines are the user's, by turn number, which is even; the assistant's reply to one
    is about the same and repeats no value.
    """
    talk = small_talk(rng)
    turns = []
    for n, moment in enumerate(moments):
        if n % 2 == 0:
            text, reply = next(talk), next(talk)
            if n in lines:
                text = lines[n].text
                reply = f"About {lines[n].about}: {rng.choice(PHRASES['replies'])}"
        turns.append(
            Turn(
                id=f"t{n}",
                text=reply if n % 2 else text,
                role="assistant" if n % 2 else "user",
                said_at=moment.at,
                session_id=moment.session,
            )
        )
    return turns


def scatter(rng: random.Random, n: int, turns: int) -> list[int]:
    """Return n positions of user turns in order, one in each n-th part."""
    edges = [turns * part // n // 2 * 2 for part in range(n + 1)]
    return [rng.randrange(a, b, 2) for a, b in pairwise(edges)]
