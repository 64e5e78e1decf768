"""Facts of the synthetic conversations, each with its question and foils."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.data.haystack import ExpectedAnswer
from evals.data.synthetic.talk import PEOPLE, Line, small_talk

TABLES: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "facts.toml").read_text())
_AFTER_SMALL_TALK = 0.5  # share of the planted lines that follow a sentence of small talk
FOILS = 3  # wrong answers to every question


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact that the user tells once, and its question."""

    kind: str
    who: str
    value: str
    line: Line
    question: str
    foils: tuple[str, ...]  # values of its kind that nobody in the conversation has
    paraphrases: tuple[str, ...]  # the same line with the same fact in other words

    @property
    def expected(self) -> ExpectedAnswer:
        """Return the answer to its question."""
        return ExpectedAnswer(answers=(self.value,), foils=self.foils, paraphrases=self.paraphrases)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangingFact:
    """A fact about the user: its first value, and those that replace it."""

    values: Sequence[str]
    lines: Sequence[Line]
    question: str
    foils: tuple[str, ...]


class Facts:
    """The facts of one conversation: no value twice, and no kind twice of one person."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        kinds: Mapping[str, Mapping[str, list[str]]] = TABLES["about"]
        self._values = {name: shuffle(rng, kind["values"]) for name, kind in kinds.items()}
        self._people = {name: shuffle(rng, PEOPLE) for name in kinds}
        self.kinds = shuffle(rng, list(kinds))  # in the order in which to use them

    def make(self, kind: str, who: str | None = None) -> Fact:
        """Return a new fact of a kind, about `who` or about somebody who has none of it yet."""
        people = self._people[kind]  # those who have no fact of this kind yet
        who = people[0] if who is None else who
        people.remove(who)
        value = self._values[kind].pop(0)  # from the front; foils are taken from the end
        wordings = [text.format(who=who, value=value) for text in TABLES["about"][kind]["said"]]
        wording = self._rng.choice(wordings)
        line = make_line(self._rng, wording, about=who)
        return Fact(
            kind=kind, who=who, value=value, line=line, question=self.ask(kind, who),
            foils=self.foils(kind),
            paraphrases=tuple(
                line.text.replace(wording, text).replace(capitalise(wording), capitalise(text))
                for text in wordings
                if text != wording
            ),
        )  # fmt: skip

    def ask(self, kind: str, who: str) -> str:
        """Return a question for a kind of fact about somebody, whether or not it was told."""
        question: str = self._rng.choice(TABLES["about"][kind]["asked"])
        return question.format(who=who)

    def foils(self, kind: str) -> tuple[str, ...]:
        """Return values of a kind that are never told."""
        return tuple(self._values[kind][-FOILS:])


def make_changing_facts(rng: random.Random, changes: Sequence[int]) -> Iterator[ChangingFact]:
    """Yield facts about the user, each of another kind, that change so many times."""
    kinds: Mapping[str, Mapping[str, Any]] = TABLES["mine"]
    for name, n in zip(shuffle(rng, list(kinds)), changes, strict=False):
        kind, values = kinds[name], shuffle(rng, kinds[name]["values"])
        wordings = [rng.choice(kind["said"]), *shuffle(rng, kind["changed"])[:n]]
        yield ChangingFact(
            values=values[: n + 1],
            lines=[
                make_line(rng, wording.format(value=value), about="that")
                for wording, value in zip(wordings, values, strict=False)
            ],
            question=kind["asked"],
            foils=tuple(values[-FOILS:]),
        )


def make_line(rng: random.Random, text: str, *, about: str) -> Line:
    """Return a sentence as a chat message: with a lead-in or bare, after small talk or alone."""
    text = capitalise(f"{rng.choice(TABLES['lead_ins'])}{text}")
    if rng.random() < _AFTER_SMALL_TALK:
        text = f"{next(small_talk(rng))} {text}"
    return Line(text=text, about=about.replace("my ", "your "))


def capitalise(text: str) -> str:
    """Return the text with a capital first letter; the others stay."""
    return text[0].upper() + text[1:]


def shuffle(rng: random.Random, items: Sequence[Any]) -> list[Any]:
    """Return all items in random order."""
    return rng.sample(items, k=len(items))
