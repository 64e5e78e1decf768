"""All systems by name, and any other by import path.

A memory joins with the methods of `protocol.System` and a line in a table here, or without a line
by its import path; a variant of memkit is one line more.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from evals.systems import baselines, forgetting, memkit
from evals.systems.adapter import adapt
from evals.systems.langchain import LangChain
from evals.systems.mem0 import Mem0
from evals.systems.memkit import OURS
from evals.systems.protocol import MakeSystem
from memkit.errors import InvalidInput
from memkit.protocols import Embedder
from memkit.retrieval.ranker import bundled_ranker

_REQUIRED = ("remember", "ask", "close")  # methods of a third-party memory
_ALL = (*_REQUIRED, "pack", "refuses", "forget", "stored", "footprint")  # methods of a `System`


def _rank_by(scorer: Callable[[Embedder], baselines.Scorer], *, whole: bool = False) -> MakeSystem:
    return lambda embedder: baselines.RankingSystem(scorer(embedder), embedder.count, whole=whole)


SYSTEMS: Mapping[str, MakeSystem] = {
    OURS: memkit.Memkit,
    "dense": _rank_by(baselines.DenseScorer),
    "BM25": _rank_by(lambda _: baselines.Bm25Scorer()),
    "RRF": _rank_by(
        lambda embedder: baselines.FusionScorer(
            [baselines.DenseScorer(embedder), baselines.Bm25Scorer()]
        )
    ),
    "last turns": _rank_by(lambda _: baselines.NewestScorer()),
}
ABLATIONS: Mapping[str, MakeSystem] = {
    f"{OURS} without {part}": partial(memkit.ReweightedMemkit, memkit.without(part))
    for part in dict.fromkeys([*bundled_ranker().signals, *memkit.TOGETHER])
} | {
    f"{OURS} without thoughts": partial(memkit.Memkit, settings=memkit.NO_THOUGHTS),
    f"{OURS} ranked by hand": partial(memkit.ReweightedMemkit, memkit.by_hand()),
}
CARD_SYSTEMS: Mapping[str, MakeSystem] = {
    **SYSTEMS,
    **ABLATIONS,
    OURS: partial(memkit.Memkit, on_disk=True),
    f"{OURS} without thoughts": partial(memkit.Memkit, settings=memkit.NO_THOUGHTS, on_disk=True),
    f"{OURS} thoughts": memkit.ThoughtSystem,
    f"{OURS} that hides": forgetting.HidingMemkit,
    f"{OURS} built anew": forgetting.RebuiltMemkit,
    "compact only": memkit.CompactMemory,
    "no memory": baselines.NoMemory,
    "full history": _rank_by(lambda _: baselines.NewestScorer(), whole=True),
    "mem0": adapt(Mem0),
    "LangChain": adapt(LangChain),
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
