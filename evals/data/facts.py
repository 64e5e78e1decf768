"""A made-up dialogue whose facts are known: told once, and often told again in other words.

Everything is drawn from a seed. No fact contradicts another, so nothing that was told may close
something else, and as many thoughts should hold as there are facts.
"""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

from evals import ROOT
from evals.data.dialogue import START
from memkit import Turn

REPEATS = 0.3  # of all turns: an earlier fact in other words
FACTS = 0.3  # of all turns: a new fact; the rest is replies

_PARTS = tomllib.loads((ROOT / "evals/data/facts.toml").read_text())
_REPLIES = tomllib.loads((ROOT / "evals/data/phrases.toml").read_text())["replies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact: its kind, and how it can be said."""

    kind: str
    wordings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A dialogue, the facts of it, and which turn tells which."""

    turns: Sequence[Turn]
    facts: Sequence[Fact]
    told: Mapping[str, int]  # turn id -> number of the fact
    repeats: int


def tell(size: int, seed: int) -> Told:
    """Return a dialogue of `size` turns.

    Raises:
        ValueError: there are not as many facts of these kinds.
    """
    rng = random.Random(seed)
    facts = list(_facts(round(size * FACTS), rng))
    again = round(size * REPEATS)
    kinds = ["fact"] * (len(facts) - 1) + ["again"] * again
    kinds += ["reply"] * (size - len(facts) - again)
    rng.shuffle(kinds)
    said: list[tuple[str, int | None]] = []
    last: dict[int, str] = {}  # the wording by which a fact was told last
    for kind in ["fact", *kinds]:  # the first turn tells one, so that there is one to repeat
        if kind == "reply":
            said.append((rng.choice(_REPLIES), None))
            continue
        n = len(last) if kind == "fact" else rng.randrange(len(last))
        last[n] = rng.choice([one for one in facts[n].wordings if one != last.get(n)])
        said.append((_opened(last[n], rng), n))
    return Told(
        turns=[_turn(n, text, fact) for n, (text, fact) in enumerate(said)],
        facts=facts,
        told={f"t{n}": fact for n, (_, fact) in enumerate(said) if fact is not None},
        repeats=again,
    )


def _facts(n: int, rng: random.Random) -> Iterator[Fact]:
    """Yield `n` facts, the kinds in turn, each combination of what makes one only once."""
    kinds: dict[str, Any] = _PARTS["kinds"]
    ones = {
        name: list(product(*(_PARTS[part] for part in of["one"]))) for name, of in kinds.items()
    }
    for combinations in ones.values():
        rng.shuffle(combinations)
    left = n
    while left:
        if not any(ones.values()):
            raise ValueError(f"{n} facts were asked for, and there are {n - left} of these kinds")
        for name, of in kinds.items():
            if left and ones[name]:
                left -= 1
                words = {part: rng.choice(_PARTS[part]) for part in _PARTS if part != "kinds"}
                words |= dict(zip(of["one"], ones[name].pop(), strict=True))
                yield Fact(kind=name, wordings=tuple(w.format(**words) for w in of["wordings"]))


def _opened(wording: str, rng: random.Random) -> str:
    text = f"{rng.choice(_PARTS['openings'])}{wording}"
    return text[0].upper() + text[1:]


def _turn(n: int, text: str, fact: int | None) -> Turn:
    return Turn(
        id=f"t{n}",
        text=text,
        role="assistant" if fact is None else "user",
        said_at=START + timedelta(minutes=7 * n),
    )
