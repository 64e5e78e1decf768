"""Think-in-Memory: thinkers draw claims from turns, and claims become thoughts."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memkit.thoughts.judge import ModelJudge, NLIJudge
    from memkit.thoughts.learned import LearnedThinker, Thresholds
    from memkit.thoughts.model_thinker import ModelThinker

_MODULES = {
    "LearnedThinker": "learned",
    "Thresholds": "learned",
    "ModelJudge": "judge",
    "ModelThinker": "model_thinker",
    "NLIJudge": "judge",
}
_RENAMED = {"RuleThinker": "LearnedThinker"}  # until 1.0

__all__ = ["LearnedThinker", "ModelJudge", "ModelThinker", "NLIJudge", "Thresholds"]


def __getattr__(name: str) -> object:
    """Load a public name at first use, so that `import memkit.thoughts` is quick."""
    name = _RENAMED.get(name, name)
    if name not in _MODULES:
        raise AttributeError(f"module 'memkit.thoughts' has no attribute {name!r}")
    value: object = getattr(import_module(f"memkit.thoughts.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
