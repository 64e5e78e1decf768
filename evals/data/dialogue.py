"""A made-up dialogue in plain English: small talk, and facts planted among it to be asked for.

Everything is drawn from a seed. Fillers speak of the same people and things as the facts do, so
that a question cannot be answered by one telling word alone.
"""

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

from evals import ROOT
from memkit import Turn

START = datetime(2024, 1, 8, 9, tzinfo=UTC)
DISTANCES = (10, 50, 150, 500, 1500, 5000)  # turns between a fact and its question

_SAID = tomllib.loads((ROOT / "evals/data/phrases.toml").read_text())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, when it is asked, and which turns answer it."""

    text: str
    after: int  # asked when so many turns have been said
    evidence: tuple[str, ...]  # turn ids
    distance: int  # turns since the last of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """Turns with ids and times, and questions about them in the order they are asked."""

    name: str
    turns: Sequence[Turn]
    questions: Sequence[Asked]


def small_talk(rng: random.Random) -> Iterator[str]:
    """Yield what a user and an assistant say in turn, without end."""
    while True:
        day, who, thing = (rng.choice(_SAID[part]) for part in ("days", "people", "things"))
        doing, feeling = rng.choice(_SAID["doings"]), rng.choice(_SAID["feelings"])
        what = doing if doing.startswith(("came", "asked")) else f"{doing} {thing}"
        yield f"{day} {who} {what}, {feeling}."
        about = rng.choice((who, thing)).replace("my ", "your ")
        yield f"About {about}: {rng.choice(_SAID['replies'])}"


def synthetic(size: int, seed: int, *, facts: int | None = None) -> Dialogue:
    """Return a dialogue of `size` turns with planted facts, each asked for once, later on.

    Args:
        size: turns, the user's and the assistant's.
        seed: of all that is drawn.
        facts: how many are planted; a twentieth of the turns if left out, 400 at most.
    """
    rng = random.Random(seed)
    talk = small_talk(rng)
    said = [next(talk) for _ in range(size)]
    pairs = rng.sample(
        list(product(_SAID["people"], _SAID["things"])), k=min(facts or size // 20, 400)
    )
    distances = [distance for distance in DISTANCES if distance < size - 1]
    free = rng.sample(range(0, size, 2), k=size // 2)  # user turns that hold no fact yet
    asked = []
    for n, (who, thing) in enumerate(pairs):
        distance = distances[n % len(distances)]
        place = next(turn for turn in free if turn + distance < size)
        free.remove(place)
        said[place] = f"By the way, {who} keeps {thing} {rng.choice(_SAID['places'])} these days."
        asked.append(
            Asked(
                text=f"Where does {who} keep {thing}?",
                after=place + 1 + distance,
                evidence=(f"t{place}",),
                distance=distance,
            )
        )
    asked.sort(key=lambda question: question.after)
    return Dialogue(name=f"synthetic-{size}", turns=_turns(said), questions=asked)


def _turns(said: Sequence[str]) -> list[Turn]:
    return [
        Turn(
            id=f"t{n}",
            text=text,
            role="user" if n % 2 == 0 else "assistant",
            said_at=START + timedelta(minutes=7 * n),
        )
        for n, text in enumerate(said)
    ]
