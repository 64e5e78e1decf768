"""Conversations made from a seed, with nothing to download: each set probes one thing.

The same seed makes the same set, in any process. All is English chat of a user with an assistant:
sessions a few days apart, small talk, and planted facts whose values occur nowhere else. All of
them are for telling: nothing was tuned on them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

from evals.data.haystack import DataSet, Haystack
from evals.data.synthetic import (
    conflicts,
    deletions,
    distance,
    distractors,
    ordering,
    position,
    preferences,
    unanswerable,
    updates,
)
from evals.data.synthetic.talk import Draft, Scale, asked
from memkit.errors import InvalidInput

SIZES: Mapping[str, Scale] = {
    "default": Scale(
        conversations=8,
        turns=100,
        questions=6,
        distances=(10, 50, 100, 150, 300, 500),
        depths=(0.05, 0.25, 0.5, 0.75, 0.95),
        distractors=(0, 2, 10, 20),
    ),
    "small": Scale(
        conversations=3,
        turns=30,
        questions=3,
        distances=(2, 4, 8),
        depths=(0.05, 0.5, 0.95),
        distractors=(0, 1, 2),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the conversations of a probe are made."""

    draft: Callable[[str, int, Scale], Draft]  # seed, number, size
    together: Callable[[Scale], int] = lambda _: 1  # conversations that differ in one thing only


class Make(Protocol):
    """Makes a data set; what is left out is as the size has it."""

    def __call__(
        self, seed: int = 0, conversations: int | None = None, size: str = "default"
    ) -> DataSet:
        """Return the data set.

        Raises:
            InvalidInput: there is no such size, or fewer than one conversation.
        """


def _make(
    name: str,
    recipe: Recipe,
    seed: int = 0,
    conversations: int | None = None,
    size: str = "default",
) -> DataSet:
    if size not in SIZES:
        raise InvalidInput(f"no size {size!r} of synthetic sets; there are {', '.join(SIZES)}")
    scale = SIZES[size]
    together = recipe.together(scale)
    groups = -(-scale.conversations // together)
    n = groups * together if conversations is None else conversations
    if n < 1:
        raise InvalidInput(f"conversations must be at least 1, got {n}")
    haystacks = [_haystack(name, recipe, seed, number, scale) for number in range(n)]
    told = json.dumps([asdict(one) for one in haystacks], sort_keys=True, default=str)
    return DataSet(
        format="synthetic",
        file=f"{name}, {size}, seed {seed}",
        sha256=hashlib.sha256(told.encode()).hexdigest(),
        haystacks=haystacks,
        notes=(f"made from seed {seed}; the hash is of what was made",),
    )


def _haystack(name: str, recipe: Recipe, seed: int, number: int, scale: Scale) -> Haystack:
    draft = recipe.draft(f"{seed}/{name}", number, scale)
    title = f"{name}-{number}"
    together = recipe.together(scale)
    return Haystack(
        name=title,
        split="report",
        turns=draft.turns,
        questions=[asked(f"{title}/q{n}", one, draft.turns) for n, one in enumerate(draft.probes)],
        forgotten=draft.forgotten,
        cluster=f"{name}-group-{number // together}" if together > 1 else "",
    )


_RECIPES: Mapping[str, Recipe] = {
    "distance": Recipe(draft=distance.draft),
    "position": Recipe(draft=position.draft, together=lambda scale: len(scale.depths)),
    "updates": Recipe(draft=updates.draft),
    "conflicts": Recipe(draft=conflicts.draft),
    "ordering": Recipe(draft=ordering.draft),
    "unanswerable": Recipe(draft=unanswerable.draft),
    "distractors": Recipe(draft=distractors.draft),
    "deletions": Recipe(draft=deletions.draft),
    "preferences": Recipe(draft=preferences.draft),
}
PROBES: Mapping[str, Make] = {
    name: partial(_make, name, recipe) for name, recipe in _RECIPES.items()
}
