"""All systems by name, and any other by import path.

A memory joins with the methods of `protocol.System` and a line in a table here, or without a line
by its import path; a variant of memkit is one line more.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from evals.systems.adapter import adapt
from evals.systems.baselines import (
    Bm25Scorer,
    DenseScorer,
    FusionScorer,
    NewestScorer,
    NoMemory,
    RankingSystem,
    Scorer,
)
from evals.systems.langchain import LangChain
from evals.systems.mem0 import Mem0
from evals.systems.memkit import (
    NO_THOUGHTS,
    OURS,
    TOGETHER,
    CompactMemory,
    Memkit,
    ReweightedMemkit,
    ThoughtSystem,
    without,
)
from evals.systems.protocol import MakeSystem
from memkit.errors import InvalidInput
from memkit.protocols import Embedder
from memkit.retrieval import fusion

_REQUIRED = ("remember", "ask", "close")  # methods of a third-party memory
_ALL = (*_REQUIRED, "pack", "refuses", "forget", "stored", "footprint")  # methods of a `System`


def _rank_by(scorer: Callable[[Embedder], Scorer], *, whole: bool = False) -> MakeSystem:
    return lambda embedder: RankingSystem(scorer(embedder), embedder.count, whole=whole)


SYSTEMS: Mapping[str, MakeSystem] = {
    OURS: Memkit,
    "dense": _rank_by(DenseScorer),
    "BM25": _rank_by(lambda _: Bm25Scorer()),
    "RRF": _rank_by(lambda embedder: FusionScorer([DenseScorer(embedder), Bm25Scorer()])),
    "last turns": _rank_by(lambda _: NewestScorer()),
}
ABLATIONS: Mapping[str, MakeSystem] = {
    f"{OURS} without {part}": partial(ReweightedMemkit, without(part))
    for part in dict.fromkeys([*fusion.WEIGHTS, *TOGETHER])
} | {f"{OURS} without thoughts": partial(Memkit, settings=NO_THOUGHTS)}
CARD_SYSTEMS: Mapping[str, MakeSystem] = {
    **SYSTEMS,
    OURS: partial(Memkit, on_disk=True),
    f"{OURS} without thoughts": partial(Memkit, settings=NO_THOUGHTS, on_disk=True),
    f"{OURS} thoughts": ThoughtSystem,
    "compact only": CompactMemory,
    "no memory": NoMemory,
    "full history": _rank_by(lambda _: NewestScorer(), whole=True),
    "mem0": adapt(Mem0),
    "LangChain": adapt(LangChain),
    **{name: make for name, make in ABLATIONS.items() if name != f"{OURS} without thoughts"},
}


def load_system(name: str) -> MakeSystem:
    """Return the function that makes a system.

    Args:
        name: one of `CARD_SYSTEMS`, such as "BM25", or "package.module:Class" of a class that is
            made with an `Embedder` and is a `System` or a `ThirdPartyMemory`.

    Raises:
        InvalidInput: there is no such system, module or class, or it lacks methods.
    """
    if name in CARD_SYSTEMS:
        return CARD_SYSTEMS[name]
    if ":" not in name:
        raise InvalidInput(
            f"no system {name!r}; there are {', '.join(CARD_SYSTEMS)}, and package.module:Class"
        )
    make = _import_class(name)
    missing = [method for method in _REQUIRED if not callable(getattr(make, method, None))]
    if missing:
        raise InvalidInput(
            f"{name} has no {', '.join(missing)}; a memory needs {', '.join(_REQUIRED)}, "
            "see evals/systems/adapter.py"
        )
    is_system = all(callable(getattr(make, method, None)) for method in _ALL)
    return make if is_system else adapt(make)


def _import_class(path: str) -> Callable[[Embedder], Any]:
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        raise InvalidInput(f"{path!r} is not package.module:Class, such as mymemory.adapter:Mine")
    try:
        value = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{path}: no module {error.name!r}; install it, or start in the folder that holds it"
        ) from error
    if not callable(value):
        raise InvalidInput(f"{module} has no class {name!r}")
    make: Callable[[Embedder], Any] = value
    return make
