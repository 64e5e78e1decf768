"""Load a transformers model and its tokenizer, by name or from a pipeline."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput, MissingExtra, ModelError


def load(
    name: str | Path, *, revision: str = "main", dtype: str = "auto", device_map: Any = None
) -> tuple[Any, Any]:
    """Return (model, tokenizer); see `HuggingFaceModel.from_pretrained`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if device_map is None and torch.cuda.is_available():
        device_map = "auto"
    if device_map is not None and find_spec("accelerate") is None:
        raise MissingExtra(
            f"device_map={device_map!r} needs accelerate: pip install 'memkit-llm[local]', or load "
            "the model yourself and pass it with its tokenizer"
        )
    local = Path(name).is_dir()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, local_files_only=local)
        model = AutoModelForCausalLM.from_pretrained(
            name, revision=revision, dtype=dtype, device_map=device_map, local_files_only=local
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no causal language model at {str(name)!r}: {error}; pass a folder or a Hugging Face "
            "id"
        ) from error
    return model.eval(), tokenizer


def unpack(pipeline: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Return a text-generation pipeline's model, tokenizer and arguments of `model.generate`."""
    if pipeline.task != "text-generation":
        raise InvalidInput(
            f'a pipeline for {pipeline.task!r} cannot chat; use pipeline("text-generation", …)'
        )
    # transformers has no public access to the options of a pipeline
    options = pipeline._prepare_generate_kwargs(dict(pipeline._forward_params))
    options.pop("tokenizer", None)
    if tools := pipeline._preprocess_params.get("tools"):
        options["tools"] = tools
    return pipeline.model, pipeline.tokenizer, options
