"""LoCoMo as the benchmarks take it: its indexed texts, and its questions asked along the way.

The file is given by path and is not part of the repository: it is at
https://github.com/snap-research/locomo (CC BY-NC 4.0).
"""

import random
from pathlib import Path

from evals.data.dialogue import Asked, Dialogue
from memkit.importers import LocomoConversation, read_locomo
from memkit.ingest import chunk
from memkit.protocols import Embedder

# Conversations for choosing anything; the others are for reporting.
TUNING = ("conv-26", "conv-30", "conv-41")
_CATEGORIES = (1, 2, 3, 4)  # 5 asks for what was never said


def texts(path: Path, embedder: Embedder) -> tuple[list[str], list[str]]:
    """Return all turns as they are indexed, and all questions."""
    conversations = read_locomo(path)
    turns = [turn for one in conversations for turn in one.turns]
    said = [piece.text for turn in turns for piece in chunk(turn, embedder)]
    asked = [question.question for one in conversations for question in one.questions]
    return said, asked


def dialogues(path: Path, seed: int) -> list[Dialogue]:
    """Return every conversation, each of its questions asked at a drawn time after its evidence."""
    return [_dialogue(one, random.Random(f"{seed}/{one.sample_id}")) for one in read_locomo(path)]


def _dialogue(one: LocomoConversation, rng: random.Random) -> Dialogue:
    places = {turn.id: n for n, turn in enumerate(one.turns, start=1)}
    asked = []
    for question in one.questions:
        if question.category not in _CATEGORIES or not question.evidence:
            continue
        said = max(places[evidence] for evidence in question.evidence)
        after = rng.randint(said, len(one.turns))
        asked.append(
            Asked(
                text=question.question,
                after=after,
                evidence=question.evidence,
                distance=after - said,
            )
        )
    asked.sort(key=lambda question: question.after)
    return Dialogue(name=one.sample_id, turns=one.turns, questions=asked)
