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

from evals.data.haystack import DataSet
from evals.data.synthetic import probes
from evals.data.synthetic.forgetting import forgetting
from evals.data.synthetic.probes import Scale, Script
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
_WRITERS = (
    probes.distance, probes.position, probes.updates, probes.conflicts, probes.ordering,
    probes.unanswerable, probes.distractors, probes.deletions, probes.preferences, forgetting,
)  # fmt: skip


def _make_data_set(
    write: Callable[[Script, Scale], None],
    seed: int = 0,
    conversations: int | None = None,
    size: str = "default",
) -> DataSet:
    """Return the data set of a probe; without `conversations`, as many as the size has."""
    if size not in SIZES:
        raise InvalidInput(f"no size {size!r} of synthetic sets; there are {', '.join(SIZES)}")
    name, scale = write.__name__, SIZES[size]
    # conversations of one group differ only in where the facts are
    group_size = len(scale.depths) if write is probes.position else 1
    n = conversations
    if n is None:
        n = -(-scale.conversations // group_size) * group_size  # rounded up to whole groups
    if n < 1:
        raise InvalidInput(f"conversations must be at least 1, got {n}")
    haystacks = []
    for number in range(n):
        group, rotation = divmod(number, group_size)
        script = Script(f"{seed}/{name}/{group}", rotation, scale.turns)
        write(script, scale)
        cluster = f"{name}-group-{group}" if group_size > 1 else ""
        haystacks.append(script.make_haystack(f"{name}-{number}", cluster))
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


# each takes `seed`, `conversations` and `size`
PROBES: Mapping[str, Callable[..., DataSet]] = {
    write.__name__: partial(_make_data_set, write) for write in _WRITERS
}
