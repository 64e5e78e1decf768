"""Thinking about turns against embedding them: what the default thinker adds in the background.

The turns are LoCoMo's with `--data`, and small talk otherwise. Thinking includes the vectors of the
thoughts, the search for older ones and the comparison with these.
"""

import random
from itertools import islice

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import time_claim
from evals.data import locomo
from evals.data.synthetic.talk import START, small_talk
from evals.tables import Claim, Result, Target
from memkit import Settings, Turn
from memkit.embedders import MiniLM
from memkit.protocols import Embedder

_BATCH = 32  # turns that are thought about together
_TARGET = Target(bound="≤", value=2.0)


def run(setup: Setup) -> Result:
    """Measure batches of turns, in a memory that grows."""
    turns = _read_turns(setup)
    embedder = MiniLM()
    batches = [turns[first : first + _BATCH] for first in range(0, len(turns) - _BATCH, _BATCH)]
    rounds = 2 if setup.quick else min(24, len(batches) - 1)
    sizes = setup.choose((0, 4096), (0,))
    claims = [_claim(setup, embedder, batches, rounds, size) for size in sizes]
    return Result(
        name="thinking", about="thinking about turns against embedding them",
        settings={"turns of a batch": _BATCH}, claims=claims,
    )  # fmt: skip


def _read_turns(setup: Setup) -> list[Turn]:
    if setup.data is not None:
        return list(locomo.read(setup.data).haystacks[0].turns)
    texts = islice(small_talk(random.Random(setup.seed)), 128 if setup.quick else 1024)
    return [Turn(text=text, id=f"t{n}", said_at=START) for n, text in enumerate(texts)]


def _claim(
    setup: Setup, embedder: Embedder, batches: list[list[Turn]], rounds: int, size: int
) -> Claim:
    """Time batches in a memory that has thought about `size` turns of small talk."""
    with memkit.open(":memory:", embedder=embedder, settings=Settings(background=False)) as memory:
        rng = random.Random(setup.seed + 1)
        memory.remember([f"I said: {text}" for text in islice(small_talk(rng), size)], user_id=USER)
        memory.think(user_id=USER)

        queue = iter(batches)
        waiting: list[str] = []  # ids of the batch that was remembered and not thought about

        def remember_next() -> None:
            if not waiting:
                waiting.extend(memory.remember(next(queue), user_id=USER))

        def think(_: int) -> None:
            memory.think(user_id=USER)
            waiting.clear()

        texts = [[turn.text for turn in batch] for batch in batches]
        times = measure.interleave(
            {"think": think, "embed": lambda n: embedder.embed(texts[n])},
            rounds,
            between=remember_next,
        )
    return time_claim(
        f"thinking about a batch, {size:,} turns before", times["think"], times["embed"],
        seed=setup.seed, against="embedding its turns", target=_TARGET,
    )  # fmt: skip
