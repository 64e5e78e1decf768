"""A made-up chat of a user with an assistant: sessions, small talk, and planted lines."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from evals import ROOT
from evals.data.dialogue import START, small_talk
from evals.data.haystack import PUBLISHED, Asked, Expected, Gold
from memkit import Turn

_REPLIES = tomllib.loads((ROOT / "evals/data/phrases.toml").read_text())["replies"]
_SESSION = range(10, 22, 2)  # turns of a session, even: the assistant has the last word


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How big the conversations of a size are. A probe that needs another number says so."""

    conversations: int
    turns: int  # of a conversation
    questions: int  # about it
    distances: Sequence[int]  # turns since the evidence
    depths: Sequence[float]  # of the evidence: 0 the oldest turn, 1 the newest
    distractors: Sequence[int]  # sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the user says at a planted place."""

    text: str
    about: str  # what the assistant's reply picks up, and never a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question before it has an id and a time."""

    text: str
    kind: str
    evidence: tuple[int, ...] = ()  # turn numbers
    expected: Expected = field(default_factory=Expected)
    answerable: bool = True
    axes: Mapping[str, float] = field(default_factory=dict)
    after: int | None = None  # asked when so many turns were said; None: at the end, or when due


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A conversation before it has a name."""

    turns: Sequence[Turn]
    probes: Sequence[Probe]
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a turn is said, and in which session."""

    session: str
    at: datetime


def moments(rng: random.Random, turns: int, session: int | None = None) -> list[Moment]:
    """Return when so many turns are said: sessions of `session` turns, two to five days apart."""
    starts = [0, *accumulate(session or rng.choice(_SESSION) for _ in range(turns))]
    found: list[Moment] = []
    day = START
    for n, (start, end) in enumerate(pairwise(starts)):
        at = day + timedelta(minutes=rng.randrange(600))
        for _ in range(start, min(end, turns)):
            found.append(Moment(session=f"s{n}", at=at))
            at += timedelta(minutes=rng.randint(1, 3))
        day += timedelta(days=rng.randint(2, 5))
    return found


def say(rng: random.Random, when: Sequence[Moment], lines: Mapping[int, Line]) -> list[Turn]:
    """Return the turns, ids "t0" and so on: planted lines at their places, small talk elsewhere.

    Args:
        rng: of the small talk.
        when: of each turn.
        lines: what the user says by turn number, which is even; the assistant's reply to it is
            about the same and repeats no value.
    """
    return [
        Turn(
            id=f"t{n}",
            text=text,
            role="assistant" if n % 2 else "user",
            said_at=when[n].at,
            session_id=when[n].session,
        )
        for n, text in zip(range(len(when)), _said(rng, lines), strict=False)
    ]


def _said(rng: random.Random, lines: Mapping[int, Line]) -> Iterator[str]:
    talk = small_talk(rng)
    place = 0
    while True:
        user, assistant = next(talk), next(talk)
        if place in lines:
            user = lines[place].text
            assistant = f"About {lines[place].about}: {rng.choice(_REPLIES)}"
        yield user
        yield assistant
        place += 2


def scatter(rng: random.Random, n: int, turns: int) -> list[int]:
    """Return n places of user turns in order, one in each n-th part."""
    edges = [turns * part // n // 2 * 2 for part in range(n + 1)]
    return [rng.randrange(a, b, 2) for a, b in pairwise(edges)]


def free(rng: random.Random, n: int, turns: int, taken: Mapping[int, Line]) -> list[int]:
    """Return n places of user turns that are not taken, in no order."""
    return rng.sample([place for place in range(0, turns, 2) if place not in taken], n)


def asked(id: str, probe: Probe, turns: Sequence[Turn]) -> Asked:
    """Return the question of a probe, asked half a minute after the last turn before it."""
    last = turns[(len(turns) if probe.after is None else probe.after) - 1].said_at
    assert last is not None  # every turn made here has a time
    evidence = [turns[n] for n in probe.evidence]
    sessions = dict.fromkeys(turn.session_id or "" for turn in evidence)
    gold = Gold(turns=tuple(turn.id or "" for turn in evidence), sessions=tuple(sessions))
    return Asked(
        id=id,
        text=probe.text,
        kind=probe.kind,
        asked_at=last + timedelta(seconds=30),
        golds={PUBLISHED: gold},
        answerable=probe.answerable,
        expected=probe.expected,
        axes=probe.axes,
        after=probe.after,
    )
