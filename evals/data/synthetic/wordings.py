"""What the made-up conversations are put together from: facts, each with its question and foils."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals import ROOT
from evals.data.dialogue import small_talk
from evals.data.haystack import Expected
from evals.data.synthetic.talk import Line

TABLES: Mapping[str, Any] = tomllib.loads((ROOT / "evals/data/synthetic/facts.toml").read_text())
PEOPLE: Sequence[str] = tomllib.loads((ROOT / "evals/data/phrases.toml").read_text())["people"]
_BEHIND = 0.5  # of what is told stands behind a sentence of small talk
_FOILS = 3  # wrong answers to every question


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What the user tells once, and how it is asked for."""

    kind: str
    who: str
    value: str
    line: Line
    question: str
    foils: tuple[str, ...]  # values of its kind that nobody in the conversation has
    paraphrases: tuple[str, ...]  # the same line with the same fact in other words

    @property
    def expected(self) -> Expected:
        """What a good reply says."""
        return Expected(answers=(self.value,), foils=self.foils, paraphrases=self.paraphrases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    """A fact about the user: its first value, and those that replace it."""

    values: Sequence[str]
    lines: Sequence[Line]
    question: str
    foils: tuple[str, ...]


class Facts:
    """The facts of one conversation: no value twice, and no kind twice of one person.

    Args:
        rng: draws them.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        kinds: Mapping[str, Mapping[str, list[str]]] = TABLES["about"]
        self._values = {name: drawn(rng, kind["values"]) for name, kind in kinds.items()}
        self._people = {name: drawn(rng, PEOPLE) for name in kinds}
        self.kinds = drawn(rng, list(kinds))  # in the order in which to use them

    def told(self, kind: str, who: str | None = None) -> Fact:
        """Return a new fact of a kind, about `who` or somebody who has none of it yet."""
        people = self._people[kind]
        who = people[0] if who is None else who
        people.remove(who)
        value = self._values[kind].pop(0)
        wordings = [one.format(who=who, value=value) for one in TABLES["about"][kind]["said"]]
        said = self._rng.choice(wordings)
        line = spoken(self._rng, said, about=who)
        return Fact(
            kind=kind, who=who, value=value, line=line, question=self.asked(kind, who),
            foils=self.foils(kind),
            paraphrases=tuple(_reworded(line.text, said, one) for one in wordings if one != said),
        )  # fmt: skip

    def asked(self, kind: str, who: str) -> str:
        """Return a question for a kind of fact about somebody, whether or not it was told."""
        question: str = self._rng.choice(TABLES["about"][kind]["asked"])
        return question.format(who=who)

    def foils(self, kind: str) -> tuple[str, ...]:
        """Return values of a kind that are never told."""
        return tuple(self._values[kind][-_FOILS:])


def changing(rng: random.Random, changes: Sequence[int]) -> Iterator[Changing]:
    """Yield facts about the user, each of another kind, that change so many times."""
    kinds: Mapping[str, Mapping[str, Any]] = TABLES["mine"]
    for name, n in zip(drawn(rng, list(kinds)), changes, strict=False):
        kind, values = kinds[name], drawn(rng, kinds[name]["values"])
        wordings = [rng.choice(kind["said"]), *drawn(rng, kind["changed"])[:n]]
        told = zip(wordings, values, strict=False)
        yield Changing(
            values=values[: n + 1],
            lines=[spoken(rng, said.format(value=one), about="that") for said, one in told],
            question=kind["asked"],
            foils=tuple(values[-_FOILS:]),
        )


def spoken(rng: random.Random, text: str, *, about: str) -> Line:
    """Return a sentence as it is said in a chat: with a lead-in, behind other news, or bare."""
    text = capital(f"{rng.choice(TABLES['lead_ins'])}{text}")
    if rng.random() < _BEHIND:
        text = f"{next(small_talk(rng))} {text}"
    return Line(text=text, about=about.replace("my ", "your "))


def _reworded(text: str, said: str, other: str) -> str:
    """Return a line with other words for what was said in it."""
    return text.replace(said, other).replace(capital(said), capital(other))


def capital(text: str) -> str:
    """Return the text with a capital first letter; the others stay."""
    return text[0].upper() + text[1:]


def drawn(rng: random.Random, of: Sequence[Any]) -> list[Any]:
    """Return all of them in an order drawn by seed."""
    return rng.sample(of, k=len(of))
