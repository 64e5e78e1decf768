"""Turn a pipeline, model id or callable into a `Model`."""

from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput
from memkit.models.function import FunctionModel
from memkit.models.huggingface import HuggingFaceModel
from memkit.protocols import Model


def resolve_model(model: Any, tokenizer: Any = None) -> Model:
    """Turn a pipeline, model id or callable into a `Model`.

    A transformers model needs its tokenizer; nothing else takes one.

    Raises:
        InvalidInput: the object is no model, or its tokenizer is missing.
        ModelError: there is no model with this id or path.
    """
    if hasattr(model, "generation_config") and hasattr(model, "config"):
        if tokenizer is None:
            kind = type(model).__name__
            raise InvalidInput(f"{kind} needs its tokenizer: Chat(model, tokenizer, memory, …)")
        return HuggingFaceModel(model, tokenizer)
    if tokenizer is not None:
        raise InvalidInput(
            f"only a transformers model takes a tokenizer, got {_describe(model)} with one; leave "
            "it out: Chat(model, memory=memory, …)"
        )
    if isinstance(model, str | Path):
        return HuggingFaceModel.from_pretrained(model)
    if isinstance(model, type):
        raise InvalidInput(f"{model.__name__} is a class; pass an instance of it")
    if _has_methods(model, "count", "escape_role_markers", "stream"):
        resolved: Model = model
        return resolved
    if _has_methods(model, "count", "neutralise", "stream"):
        adapted: Model = _ModelOf040(model)
        return adapted
    if hasattr(model, "task") and hasattr(model, "tokenizer"):
        return HuggingFaceModel.from_pipeline(model)
    if callable(model):
        return FunctionModel(model)
    raise InvalidInput(
        f"cannot chat with {_describe(model)}; pass a transformers model and its tokenizer, a "
        '"text-generation" pipeline, a model\'s id or path, a memkit model such as OpenAIModel, or '
        "a function from messages to text"
    )


class _ModelOf040:
    """Adapter for a model written for memkit 0.4.0: `escape_role_markers` was `neutralise`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, "neutralise" if name == "escape_role_markers" else name)


def _has_methods(model: object, *names: str) -> bool:
    return all(callable(getattr(model, name, None)) for name in names)


def _describe(model: object) -> str:
    return repr(model) if isinstance(model, str | Path) else f"a {type(model).__name__}"
