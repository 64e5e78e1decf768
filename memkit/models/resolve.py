"""Which model is meant by what a caller has."""

from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput
from memkit.models.function import FunctionModel
from memkit.models.huggingface import HuggingFaceModel
from memkit.protocols import Model

_METHODS = ("count", "escape_role_markers", "stream")


def pick(model: Any, tokenizer: Any = None) -> Model:
    """Return a memkit `Model` for anything that answers.

    Args:
        model: a transformers model, a "text-generation" pipeline, an id or path, a memkit
            `Model`, or a function from messages to text.
        tokenizer: of a transformers model, and of nothing else.

    Raises:
        InvalidInput: it is none of these, or one without what it needs.
        ModelError: there is no model of that name.
    """
    if hasattr(model, "generation_config") and hasattr(model, "config"):
        if tokenizer is None:
            kind = type(model).__name__
            raise InvalidInput(f"{kind} needs its tokenizer: Chat(model, tokenizer, memory, …)")
        return HuggingFaceModel(model, tokenizer)
    if tokenizer is not None:
        raise InvalidInput(
            f"a tokenizer goes with a transformers model, not with {_named(model)}; leave it out: "
            "Chat(model, memory=memory, …)"
        )
    if isinstance(model, str | Path):
        return HuggingFaceModel.from_pretrained(model)
    if isinstance(model, type):
        raise InvalidInput(f"{model.__name__} is a class; make one, and pass that")
    if all(callable(getattr(model, name, None)) for name in _METHODS):
        made: Model = model
        return made
    if hasattr(model, "task") and hasattr(model, "tokenizer"):
        return HuggingFaceModel.from_pipeline(model)
    if callable(model):
        return FunctionModel(model)
    raise InvalidInput(
        f"cannot chat with {_named(model)}; pass a transformers model and its tokenizer, a "
        '"text-generation" pipeline, a model\'s id or path, a memkit model such as OpenAIModel, or '
        "a function from messages to text"
    )


def _named(model: object) -> str:
    return repr(model) if isinstance(model, str | Path) else f"a {type(model).__name__}"
