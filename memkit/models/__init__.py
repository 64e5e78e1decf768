"""Language models that implement `memkit.protocols.Model`, one module per kind."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memkit.models.bundled import smollm2
    from memkit.models.function import FunctionModel
    from memkit.models.huggingface import HuggingFaceModel
    from memkit.models.openai import OpenAIModel

_HOME = {
    "FunctionModel": "function",
    "HuggingFaceModel": "huggingface",
    "OpenAIModel": "openai",
    "smollm2": "bundled",
}

__all__ = ["FunctionModel", "HuggingFaceModel", "OpenAIModel", "smollm2"]


def __getattr__(name: str) -> object:
    """Load a public name at first use, so that importing the package stays quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'memkit.models' has no attribute {name!r}")
    value: object = getattr(import_module(f"memkit.models.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
