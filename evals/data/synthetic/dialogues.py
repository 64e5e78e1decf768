"""Synthetic dialogues of any length: with facts to be asked for, or with facts told repeatedly.

Everything is drawn from a seed.
"""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

from evals.data.haystack import PUBLISHED, Gold, Haystack, Question
from evals.data.synthetic.facts import capitalise
from evals.data.synthetic.talk import PHRASES, START, small_talk
from memkit import Turn

DISTANCES = (10, 50, 150, 500, 1500, 5000)  # turns between a planted fact and its question
REPEATED_SHARE = 0.3  # of the turns of a repetitive dialogue: an earlier fact in other words
NEW_SHARE = 0.3  # of its turns: a new fact; the others are replies

_PARTS = tomllib.loads((Path(__file__).parent / "repetition.toml").read_text())


def plant_facts(size: int, seed: int, *, facts: int | None = None) -> Haystack:
    """Return small talk of `size` turns with planted facts, each asked for once, later on.

    Questions are in the order in which they are asked; their axis "distance" is the number of
    turns since the fact.

    So many `facts` are planted, at most 400; by default a twentieth of the turns.
    """
    rng = random.Random(seed)
    talk = small_talk(rng)
    texts = [next(talk) for _ in range(size)]
    pairs = rng.sample(
        list(product(PHRASES["people"], PHRASES["things"])), k=min(facts or size // 20, 400)
    )
    # every distance in turn, as far as the dialogue is long enough for it
    distances = [distance for distance in DISTANCES if distance < size - 1]
    free = rng.sample(range(0, size, 2), k=size // 2)  # user turns that hold no fact yet
    questions = []
    for n, (who, thing) in enumerate(pairs):
        distance = distances[n % len(distances)]
        place = next(turn for turn in free if turn + distance < size)
        free.remove(place)
        where = rng.choice(PHRASES["places"])
        texts[place] = f"By the way, {who} keeps {thing} {where} these days."
        questions.append(
            Question(
                id=f"q{n}",
                text=f"Where does {who} keep {thing}?",
                kind="fact",
                golds={PUBLISHED: Gold(turns=(f"t{place}",))},
                axes={"distance": distance},
                after=place + 1 + distance,
            )
        )
    questions.sort(key=lambda question: question.after or 0)
    turns = [_make_turn(n, text, by_user=n % 2 == 0) for n, text in enumerate(texts)]
    return Haystack(name=f"synthetic-{size}", split="report", turns=turns, questions=questions)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedFact:
    """A fact's kind, and the sentences that say it."""

    kind: str
    wordings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitiveDialogue:
    """A dialogue, its facts, and the fact of every turn that tells one."""

    turns: Sequence[Turn]
    facts: Sequence[RepeatedFact]
    fact_by_turn: Mapping[str, int]  # turn id -> number of the fact
    repeats: int


def repeat_facts(size: int, seed: int) -> RepetitiveDialogue:
    """Return a dialogue of `size` turns in which many facts are told again in other words.

    No fact contradicts another one, so as many thoughts should be valid as there are facts.

    Raises:
        ValueError: the tables do not have as many facts.
    """
    rng = random.Random(seed)
    facts = list(_make_facts(round(size * NEW_SHARE), rng))
    repeats = round(size * REPEATED_SHARE)
    kinds = ["new"] * (len(facts) - 1) + ["repeated"] * repeats
    kinds += ["reply"] * (size - len(facts) - repeats)
    rng.shuffle(kinds)
    turns: list[Turn] = []
    fact_by_turn: dict[str, int] = {}
    last: dict[int, str] = {}  # the last wording of each fact
    for n, kind in enumerate(["new", *kinds]):  # the first turn tells one that can be repeated
        if kind == "reply":
            turns.append(_make_turn(n, rng.choice(PHRASES["replies"]), by_user=False))
            continue
        fact = len(last) if kind == "new" else rng.randrange(len(last))
        last[fact] = rng.choice([text for text in facts[fact].wordings if text != last.get(fact)])
        text = capitalise(f"{rng.choice(_PARTS['openings'])}{last[fact]}")
        turns.append(_make_turn(n, text, by_user=True))
        fact_by_turn[f"t{n}"] = fact
    return RepetitiveDialogue(turns=turns, facts=facts, fact_by_turn=fact_by_turn, repeats=repeats)


def _make_facts(n: int, rng: random.Random) -> Iterator[RepeatedFact]:
    """Yield `n` facts, the kinds alternately, each combination of the key parts only once."""
    kinds: dict[str, Any] = _PARTS["kinds"]
    keys = {
        name: list(product(*(_PARTS[part] for part in kind["key"]))) for name, kind in kinds.items()
    }
    for combinations in keys.values():
        rng.shuffle(combinations)
    left = n
    while left:
        if not any(keys.values()):
            raise ValueError(f"{n} facts were asked for, and there are {n - left} of these kinds")
        for name, kind in kinds.items():
            if left and keys[name]:
                left -= 1
                words = {part: rng.choice(_PARTS[part]) for part in _PARTS if part != "kinds"}
                words |= dict(zip(kind["key"], keys[name].pop(), strict=True))
                wordings = tuple(text.format(**words) for text in kind["wordings"])
                yield RepeatedFact(kind=name, wordings=wordings)


def _make_turn(n: int, text: str, *, by_user: bool) -> Turn:
    return Turn(
        id=f"t{n}",
        text=text,
        role="user" if by_user else "assistant",
        said_at=START + timedelta(minutes=7 * n),
    )
