"""A dialogue of months, made from a seed, with facts planted at known distances from its end."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from memkit.demo.texts import FACTS, FILLINGS, REPLIES, SMALL_TALK
from memkit.importers import LocomoConversation, read_locomo
from memkit.records import Turn

DISTANCES = (50, 100, 150, 300)  # turns between a fact and the questions
TURNS = 340
QUESTIONS = 12  # of each conversation of a LoCoMo file
_ANSWERABLE = (1, 2, 3, 4)  # LoCoMo's categories; those of 5 have no answer
_START = datetime(2025, 1, 6, 18, tzinfo=UTC)
_GAP = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something asked after the dialogue, and the turns that answer it."""

    text: str
    answers: tuple[str, ...]  # any of them counts
    evidence: tuple[str, ...]  # turn ids
    distance: int  # turns from the nearest evidence to the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """Turns to be remembered, and questions to be asked afterwards."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def synthetic(seed: int, *, turns: int = TURNS) -> Dialogue:
    """Return a dialogue of `turns` turns with every fact planted once.

    The facts are spread evenly over `DISTANCES`; those of one distance stand in neighbouring user
    turns, the nearest exactly so many turns before the end. Same seed, same dialogue.
    """
    rng = random.Random(seed)
    facts = rng.sample(FACTS, k=len(FACTS))
    share = len(facts) // len(DISTANCES)
    planted: dict[int, tuple[str, str, str]] = {}  # user turn -> said, asked, answer
    for n, (said, asked, fillings) in enumerate(facts[: share * len(DISTANCES)]):
        distance = DISTANCES[n // share] + 2 * (n % share)
        answer = rng.choice(fillings)
        planted[turns - distance] = (said.format(answer), asked, answer)
    small_talk = _small_talk(rng)
    said_by_turn = []
    questions = []
    for n in range(turns):
        if n % 2:
            said_by_turn.append(rng.choice(REPLIES))
        elif n in planted:
            said, asked, answer = planted[n]
            said_by_turn.append(said)
            questions.append(
                Question(text=asked, answers=(answer,), evidence=(f"t{n}",), distance=turns - n)
            )
        else:
            said_by_turn.append(next(small_talk))
    return Dialogue(
        name=f"synthetic-{seed}",
        turns=tuple(_turn(n, text) for n, text in enumerate(said_by_turn)),
        questions=tuple(questions),
    )


def from_locomo(path: Path, seed: int, *, questions: int = QUESTIONS) -> list[Dialogue]:
    """Return a LoCoMo file's conversations, each with some of its answerable questions.

    Args:
        path: the file.
        seed: of the choice of questions.
        questions: how many to ask of each conversation, at most.
    """
    return [_from_conversation(one, seed, questions) for one in read_locomo(path)]


def _from_conversation(conversation: LocomoConversation, seed: int, most: int) -> Dialogue:
    last = {turn.id: len(conversation.turns) - n for n, turn in enumerate(conversation.turns)}
    answerable = [
        Question(
            text=question.question,
            answers=(question.answer,),
            evidence=question.evidence,
            distance=min(last[turn_id] for turn_id in question.evidence),
        )
        for question in conversation.questions
        if question.answer is not None and question.evidence and question.category in _ANSWERABLE
    ]
    chosen = random.Random(seed).sample(answerable, k=min(most, len(answerable)))
    return Dialogue(name=conversation.sample_id, turns=conversation.turns, questions=tuple(chosen))


def _turn(n: int, text: str) -> Turn:
    when = _START + timedelta(days=n // 4, minutes=n % 4)
    if n % 2:
        return Turn(id=f"t{n}", role="assistant", text=text, said_at=when)
    return Turn(id=f"t{n}", role="user", text=text, said_at=when)


def _small_talk(rng: random.Random) -> Iterator[str]:
    while True:
        for line in rng.sample(SMALL_TALK, k=len(SMALL_TALK)):
            yield _GAP.sub(lambda gap: rng.choice(FILLINGS[gap[1]]), line)
