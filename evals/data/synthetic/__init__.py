"""Synthetic conversations, made from a seed: each set probes one ability of a memory.

The same seed makes the same set, in any process. All are English chats of a user with an
assistant: sessions a few days apart, small talk, and planted facts with values that occur nowhere
else. All are for reporting: nothing was tuned on them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Protocol

from evals.data.haystack import DataSet, Haystack
from evals.data.synthetic import probes
from evals.data.synthetic.ordering import ordering
from evals.data.synthetic.talk import Draft, Scale, make_question
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

MakeDraft = Callable[[str, int, Scale], Draft]  # seed, number of the conversation, size
_DRAFTS: Mapping[str, MakeDraft] = {
    "distance": probes.distance,
    "position": probes.position,
    "updates": probes.updates,
    "conflicts": probes.conflicts,
    "ordering": ordering,
    "unanswerable": probes.unanswerable,
    "distractors": probes.distractors,
    "deletions": probes.deletions,
    "preferences": probes.preferences,
}


class MakeDataSet(Protocol):
    """Makes the data set of a probe."""

    def __call__(
        self, seed: int = 0, conversations: int | None = None, size: str = "default"
    ) -> DataSet:
        """Return the data set; without `conversations`, as many as the size has.

        Raises:
            InvalidInput: there is no such size, or fewer than one conversation.
        """


def _make_data_set(
    name: str, seed: int = 0, conversations: int | None = None, size: str = "default"
) -> DataSet:
    if size not in SIZES:
        raise InvalidInput(f"no size {size!r} of synthetic sets; there are {', '.join(SIZES)}")
    scale = SIZES[size]
    # conversations of one group differ only in where the facts are
    group_size = len(scale.depths) if name == "position" else 1
    n = conversations
    if n is None:
        n = -(-scale.conversations // group_size) * group_size  # rounded up to whole groups
    if n < 1:
        raise InvalidInput(f"conversations must be at least 1, got {n}")
    haystacks = []
    for number in range(n):
        draft = _DRAFTS[name](f"{seed}/{name}", number, scale)
        title = f"{name}-{number}"
        haystacks.append(
            Haystack(
                name=title,
                split="report",
                turns=draft.turns,
                questions=[
                    make_question(f"{title}/q{m}", probe, draft.turns)
                    for m, probe in enumerate(draft.probes)
                ],
                forgotten=draft.forgotten,
                cluster=f"{name}-group-{number // group_size}" if group_size > 1 else "",
            )
        )
    content = [asdict(haystack) for haystack in haystacks]
    for haystack in content:
        for question in haystack["questions"]:
            del question["expected"]["version_of"]  # a function, which no synthetic set has
    text = json.dumps(content, sort_keys=True, default=str)
    return DataSet(
        format="synthetic",
        file=f"{name}, {size}, seed {seed}",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        haystacks=haystacks,
        notes=(f"made from seed {seed}; the hash is of what was made",),
    )


PROBES: Mapping[str, MakeDataSet] = {name: partial(_make_data_set, name) for name in _DRAFTS}
