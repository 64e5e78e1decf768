"""Thoughts as an arm of recall: what they say of the turns they come from."""

from collections.abc import Collection, Sequence

import numpy as np

from memkit.protocols import Integers, RecalledThought
from memkit.records import Hit, Thought
from memkit.retrieval.windows import Floats

_AHEAD = 0.001  # by how much what holds scores above what it replaced


def holding(
    thoughts: Sequence[RecalledThought], *, without: Collection[str]
) -> list[RecalledThought]:
    """Return those in whose place something holds, each once and in their order.

    Args:
        thoughts: what was found, closed ones too.
        without: ids of turns whose thoughts are left out.
    """
    once: dict[str, RecalledThought] = {}
    for one in thoughts:
        if one.now is not None and not set(one.now.turn_ids) <= set(without):
            once.setdefault(one.now.text, one)  # one sentence may fill several slots
    return list(once.values())


def places(thoughts: Sequence[RecalledThought]) -> Integers:
    """Return the places of what holds."""
    return np.concatenate([np.empty(0, dtype=np.int64), *(one.now_places for one in thoughts)])


def nearness(thoughts: Sequence[RecalledThought], places: Integers) -> Floats:
    """Return for each place how near the question is to what was concluded from it and holds."""
    nearest = np.zeros(len(places))
    for one in reversed(thoughts):  # the nearest last
        if one.now is one.thought:
            nearest[np.isin(places, one.places)] = one.cosine
    return nearest


def lift(thoughts: Sequence[RecalledThought], places: Integers, scores: Floats) -> Floats:
    """Return what each place's score lacks for what holds to stand before what it replaced."""
    lacking = np.zeros(len(places))
    for one in thoughts:
        if one.now is None or one.now is one.thought:
            continue
        new = np.isin(places, one.now_places)
        replaced = scores[np.isin(places, one.places) & ~new]
        lacking[new] = np.maximum(lacking[new], replaced.max(initial=0) + _AHEAD - scores[new])
    return np.maximum(lacking, 0)


def hit(thought: Thought, cosine: float) -> Hit:
    """Return a thought as a hit, its cosine with the question as its relevance."""
    relevance = min(max(cosine, 0.0), 1.0)
    return Hit(
        text=thought.text,
        relevance=relevance,
        kind="thought",
        said_at=thought.said_at,
        turn_ids=thought.turn_ids,
        role=thought.role,
        name=None if thought.said_by == thought.role else thought.said_by,
        explain={"thought": relevance},
    )
