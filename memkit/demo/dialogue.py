"""A synthetic dialogue of months, with facts planted at fixed distances from its end."""

import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from memkit.importers import LocomoConversation, read_locomo
from memkit.records import Turn

DISTANCES = (50, 100, 150, 300)  # turns between a fact and the questions
TURNS = 340
QUESTIONS = 12  # of each conversation of a LoCoMo file
TEXTS: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("texts.toml").read_text(encoding="utf-8")
)
_ANSWERABLE = (1, 2, 3, 4)  # LoCoMo's question categories with an answer; 5 is adversarial
_START = datetime(2025, 1, 6, 18, tzinfo=UTC)
_GAP = re.compile(r"\{(\w+)\}")  # "{name}" in a line of small talk


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question asked after the dialogue, and the turns that answer it."""

    text: str
    answers: tuple[str, ...]  # each of them counts as correct
    evidence: tuple[str, ...]  # turn ids
    distance: int  # turns from the nearest evidence to the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """Turns to remember, and questions to ask afterwards."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def synthetic(seed: int, *, turns: int = TURNS) -> Dialogue:
    """Return a dialogue with every fact planted once, spread evenly over `DISTANCES`.

    The facts of one distance are in neighbouring user turns, the nearest exactly that far from
    the end. Equal seeds give equal dialogues.
    """
    rng = random.Random(seed)
    facts = rng.sample(TEXTS["facts"], k=len(TEXTS["facts"]))
    per_distance = len(facts) // len(DISTANCES)
    planted: dict[int, tuple[str, Question]] = {}  # by the number of the user's turn
    for n, fact in enumerate(facts[: per_distance * len(DISTANCES)]):
        distance = DISTANCES[n // per_distance] + 2 * (n % per_distance)
        value = rng.choice(fact["values"])
        number = turns - distance
        planted[number] = (
            fact["statement"].format(value),
            Question(
                text=fact["question"], answers=(value,), evidence=(f"t{number}",), distance=distance
            ),
        )
    small_talk = _small_talk(rng)
    texts = []
    for n in range(turns):
        if n % 2:
            texts.append(rng.choice(TEXTS["replies"]))
        else:
            texts.append(planted[n][0] if n in planted else next(small_talk))
    return Dialogue(
        name=f"synthetic-{seed}",
        turns=tuple(_turn(n, text) for n, text in enumerate(texts)),
        questions=tuple(planted[n][1] for n in sorted(planted)),
    )


def from_locomo(path: Path, seed: int, *, questions: int = QUESTIONS) -> list[Dialogue]:
    """Return a LoCoMo file's conversations, each with a sample of its answerable questions."""
    return [_from_conversation(conversation, seed, questions) for conversation in read_locomo(path)]


def _from_conversation(conversation: LocomoConversation, seed: int, limit: int) -> Dialogue:
    distance = {turn.id: len(conversation.turns) - n for n, turn in enumerate(conversation.turns)}
    answerable = [
        Question(
            text=question.question,
            answers=(question.answer,),
            evidence=question.evidence,
            distance=min(distance[turn_id] for turn_id in question.evidence),
        )
        for question in conversation.questions
        if question.answer is not None and question.evidence and question.category in _ANSWERABLE
    ]
    sample = random.Random(seed).sample(answerable, k=min(limit, len(answerable)))
    return Dialogue(name=conversation.sample_id, turns=conversation.turns, questions=tuple(sample))


def _turn(n: int, text: str) -> Turn:
    time = _START + timedelta(days=n // 4, minutes=n % 4)
    return Turn(id=f"t{n}", role="assistant" if n % 2 else "user", text=text, said_at=time)


def _small_talk(rng: random.Random) -> Iterator[str]:
    """Yield lines of small talk without end; a line comes again only after all the others."""
    while True:
        for line in rng.sample(TEXTS["small_talk"], k=len(TEXTS["small_talk"])):
            yield _GAP.sub(lambda gap: rng.choice(TEXTS["fillings"][gap[1]]), line)
