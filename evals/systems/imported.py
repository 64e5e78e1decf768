"""Anybody's memory, by the import path of its class."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from evals.systems.adapter import lift
from evals.systems.protocol import Make
from memkit.errors import InvalidInput
from memkit.protocols import Embedder

_LEAST = ("remember", "ask", "close")  # of an outside memory
_WHOLE = (*_LEAST, "pack", "refusals", "forget", "stored", "footprint")  # of a system


def imported(path: str) -> Make:
    """Return what makes the system at an import path.

    Args:
        path: "package.module:Class"; the class is made with an `Embedder` and has the methods of a
            `System`, or else at least those of an `Outside` memory.

    Raises:
        InvalidInput: there is no such module or class, or it lacks methods.
    """
    made = _found(path)
    missing = [name for name in _LEAST if not callable(getattr(made, name, None))]
    if missing:
        raise InvalidInput(
            f"{path} has no {', '.join(missing)}; a memory needs {', '.join(_LEAST)}, "
            "see evals/outside/lifted.py"
        )
    whole = all(callable(getattr(made, name, None)) for name in _WHOLE)
    return made if whole else lift(made)


def _found(path: str) -> Callable[[Embedder], Any]:
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        raise InvalidInput(f"{path!r} is not package.module:Class, such as mymemory.adapter:Mine")
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{path}: no module {error.name!r}; install it, or start in the folder that holds it"
        ) from error
    if not callable(found):
        raise InvalidInput(f"{module} has no class {name!r}")
    made: Callable[[Embedder], Any] = found
    return made
