"""How long a user waits for a thought while thousands of another user's turns are thought about."""

import random
import time
from collections.abc import Iterable
from functools import partial
from itertools import count, islice

import numpy as np

import memkit
from evals.bench import Setup
from evals.bench.measure import seconds, time_claim
from evals.data.synthetic.talk import small_talk
from evals.stats.interval import Samples
from evals.tables import Result, Target
from memkit import Memory

_POLL_S = 0.02
_TARGET = Target(bound="≤", value=2.0, on="ours")
_BUSY = "busy"


def run(setup: Setup) -> Result:
    """Time single turns from `remember` to their thought, alone and behind a busy user."""
    (waiting,) = setup.choose((3000,), (64,))[:1]
    rounds = 2 if setup.quick else 15
    names = (f"quiet {n}" for n in count())
    with memkit.open(setup.folder / "waiting.db") as memory:
        _until_thought(memory, "first")  # loads the network
        alone = _times(memory, islice(names, rounds))
        talk = small_talk(random.Random(setup.seed))
        memory.remember([f"I said: {text}" for text in islice(talk, waiting)], user_id=_BUSY)
        behind = _times(memory, islice(names, rounds))
    claim = time_claim(
        f"a thought about one turn, {waiting:,} turns of another user waiting", behind, alone,
        seed=setup.seed, against="nobody waiting", target=_TARGET, unit="s",
    )  # fmt: skip
    about = "one user's turn behind another user's thousands"
    return Result(name="waiting", about=about, settings={"turns": waiting}, claims=[claim])


def _times(memory: Memory, users: Iterable[str]) -> Samples:
    """Return the seconds until a turn of each user is thought about, shape (n,)."""
    return np.array([seconds(partial(_until_thought, memory, user)) for user in users])


def _until_thought(memory: Memory, user: str) -> None:
    memory.remember("I live in Ghent and work as a nurse.", user_id=user)
    while not memory.thoughts(user_id=user):
        time.sleep(_POLL_S)
