"""All systems by name, and anybody's by import path.

Another memory joins by having the methods of `seam.System` and a line in a table, or without one
by its import path; a variant of memkit is one line more.
"""

from collections.abc import Callable, Mapping
from functools import partial

import memkit
from evals.systems.adapter import lift
from evals.systems.baselines import Bm25, Dense, Fused, Newest, NoMemory, Ranked, Scorer
from evals.systems.compact import Compact
from evals.systems.imported import imported
from evals.systems.langchain import LangChain
from evals.systems.mem0 import Mem0
from evals.systems.memkit import OURS, TOGETHER, Memkit, Weighed, without
from evals.systems.protocol import Make, NotSupported, Packed, System
from evals.systems.thoughts import Thoughts
from memkit.errors import InvalidInput
from memkit.protocols import Embedder
from memkit.retrieval import fusion as rank

__all__ = [
    "ABLATIONS",
    "CARD_SYSTEMS",
    "OURS",
    "SYSTEMS",
    "Make",
    "NotSupported",
    "Packed",
    "System",
    "load_system",
]


def _ranked(scorer: Callable[[Embedder], Scorer], *, whole: bool = False) -> Make:
    return lambda embedder: Ranked(scorer(embedder), embedder.count, whole=whole)


def _fused(embedder: Embedder) -> Scorer:
    return Fused([Dense(embedder), Bm25()])


SYSTEMS: Mapping[str, Make] = {
    OURS: Memkit,
    "dense": _ranked(Dense),
    "BM25": _ranked(lambda _: Bm25()),
    "RRF": _ranked(_fused),
    "last turns": _ranked(lambda _: Newest()),
}
_NO_THOUGHTS = memkit.Settings(background=False, thoughts=False)
ABLATIONS: Mapping[str, Make] = {
    f"{OURS} without {part}": partial(Weighed, without(part))
    for part in dict.fromkeys([*rank.WEIGHTS, *TOGETHER])
} | {f"{OURS} without thoughts": partial(Memkit, settings=_NO_THOUGHTS)}
CARD_SYSTEMS: Mapping[str, Make] = {
    **SYSTEMS,
    OURS: partial(Memkit, thresholds=("auto",), on_disk=True),
    f"{OURS} without thoughts": partial(
        Memkit, settings=_NO_THOUGHTS, thresholds=("auto",), on_disk=True
    ),
    f"{OURS} thoughts": Thoughts,
    "compact only": Compact,
    "no memory": lambda _: NoMemory(),
    "full history": _ranked(lambda _: Newest(), whole=True),
    "mem0": lift(Mem0),
    "LangChain": lift(LangChain),
    **{name: make for name, make in ABLATIONS.items() if name != f"{OURS} without thoughts"},
}


def load_system(name: str) -> Make:
    """Return what makes a system: one of `CARD_SYSTEMS`, or anybody's by its import path.

    Args:
        name: such as "BM25", or "package.module:Class" of a class that is made with an `Embedder`
            and is a `System` or an `Outside` memory.

    Raises:
        InvalidInput: there is no such system, module or class, or it lacks methods.
    """
    if name in CARD_SYSTEMS:
        return CARD_SYSTEMS[name]
    if ":" not in name:
        raise InvalidInput(
            f"no system {name!r}; there are {', '.join(CARD_SYSTEMS)}, and package.module:Class"
        )
    return imported(name)
