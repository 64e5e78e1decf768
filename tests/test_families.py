"""Families of models, tiny and random: each streams, reuses its prefix exactly, in its budget."""

from collections.abc import Callable
from typing import Any

import pytest

from memkit import Chat, Memory
from memkit.models.huggingface import HuggingFaceModel
from memkit.protocols import Messages

Tiny = Callable[..., Any]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (  # has no system role, and says so
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else "
    "m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}"
    "{{ eos_token }}{% elif m.role == 'system' %}[SYSTEM_PROMPT] {{ m.content }}[/SYSTEM_PROMPT]"
    "{% else %}[INST] {{ m.content }}[/INST]{% endif %}{% endfor %}"
)
WINDOW = {"sliding_window": 8}
MIXED = WINDOW | {"head_dim": 8, "layer_types": ["sliding_attention", "full_attention"]}
LOUD = {"initializer_range": 0.5}  # weights so large that any wrong key changes the reply
UNTIED = {"tie_word_embeddings": False}  # tied ones make a loud Gemma repeat its last token

FAMILIES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "llama": ("Llama", LOUD, LLAMA),
    "qwen 2": ("Qwen2", LOUD, CHATML),
    "qwen 2, windows": (
        "Qwen2",
        LOUD | WINDOW | {"use_sliding_window": True, "max_window_layers": 1},
        CHATML,
    ),
    "qwen 3": ("Qwen3", LOUD | {"head_dim": 8}, CHATML),
    "gemma": ("Gemma", LOUD | UNTIED | {"head_dim": 8}, GEMMA),
    "gemma 2": ("Gemma2", LOUD | MIXED | UNTIED | {"final_logit_softcapping": None}, GEMMA),
    "gemma 3": ("Gemma3", LOUD | MIXED | UNTIED, GEMMA),
    "mistral, windows": ("Mistral", LOUD | WINDOW, MISTRAL),
    "gpt-2, no template": ("GPT2", LOUD, None),
}


@pytest.fixture(params=FAMILIES)
def pair(request: pytest.FixtureRequest, tokenizer: Any, tiny: Tiny) -> tuple[Any, Any]:
    kind, options, tokenizer.chat_template = FAMILIES[request.param]
    return tiny(kind, **options), tokenizer


def user(text: str) -> Messages:
    return [{"role": "user", "content": text}]


def ask(model: HuggingFaceModel, messages: Messages, n: int = 12) -> str:
    return "".join(model.stream(messages, max_new_tokens=n))


def whole(model: HuggingFaceModel, messages: Messages, n: int = 12, **options: Any) -> str:
    """Generate without memkit, straight from transformers."""
    import torch

    ids = torch.tensor([model.encode(messages)])
    out = model.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, pad_token_id=2, **options
    )
    new = out[0][ids.shape[1] :].tolist()
    return str(model.tokenizer.decode(new, skip_special_tokens=True))


def dialogue(model: HuggingFaceModel, turns: int = 6) -> list[str]:
    """Talk; what is recalled changes every turn, and once the history shrinks."""
    messages = [{"role": "system", "content": "Be brief, and say what you know of the user."}]
    replies = []
    for n in range(turns):
        if n == 4:
            del messages[1:3]
        question = {"role": "user", "content": f"recalled {n * n}\n\nquestion {n}"}
        replies.append(ask(model, [*messages, question]))
        messages += [*user(f"question {n}"), {"role": "assistant", "content": replies[-1]}]
    return replies


# ---- every family


def test_a_streamed_reply_is_the_one_generated_at_once(pair: tuple[Any, Any]) -> None:
    model = HuggingFaceModel(*pair)
    messages = [
        {"role": "system", "content": "Be brief."},
        *user("Where is 강남, and\nthe key? 🎷"),
    ]
    reply = ask(model, messages, 30)
    assert reply == whole(model, messages, 30)
    assert len(set(reply)) > 5  # such a model does not say one token again and again


def test_reusing_the_prefix_changes_no_token(pair: tuple[Any, Any]) -> None:
    reusing, plain = HuggingFaceModel(*pair), HuggingFaceModel(*pair, reuse_prefix=False)
    assert dialogue(reusing) == dialogue(plain)
    assert reusing.usage is not None
    assert plain.usage is not None
    assert reusing.no_reuse == ""
    assert reusing.usage.reused > 0.5 > plain.usage.reused == 0


def test_a_prompt_keeps_its_budget(memory: Memory, pair: tuple[Any, Any]) -> None:
    chat = Chat(*pair, memory, user_id="ann", budget_tokens=240, max_new_tokens=8)
    for n in range(6):
        chat.reply(f"The {n}th key is in the {n}th drawer, behind the {n}th box of old letters.")
        assert chat.report is not None
        assert chat.report.usage.prompt_tokens == chat.report.prompt.tokens <= 240
        assert 1 <= chat.report.usage.new_tokens <= 8


# ---- what cannot be reused


@pytest.mark.parametrize(
    "case",
    [
        ("Lfm2", {"layer_types": ["conv", "full_attention"]}, {}, "LinearAttentionLayer"),
        ("Mamba", {}, {}, "takes no cache of keys and values"),
        (
            "Llama",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            {},
            "positions depend",
        ),
        ("Llama", {}, {"cache_implementation": "static"}, "'static' cannot be cropped"),
        ("Llama", {}, {"use_cache": False}, "use_cache is False"),
        ("Llama", {}, {"prompt_lookup_num_tokens": 2}, "assisted decoding"),
    ],
)
def test_a_model_that_cannot_reuse_a_prefix_says_why_and_still_answers(
    tokenizer: Any, tiny: Tiny, case: tuple[str, dict[str, Any], dict[str, Any], str]
) -> None:
    kind, config, options, why = case
    model = HuggingFaceModel(tiny(kind, **config), tokenizer, **options)
    assert why in model.no_reuse
    plain = HuggingFaceModel(tiny(kind, **config), tokenizer, reuse_prefix=False)
    assert dialogue(model, 3) == dialogue(plain, 3)
    assert model.usage is not None
    assert model.usage.reused_tokens == 0


def test_a_quantised_cache_is_not_cut(tokenizer: Any, tiny: Tiny) -> None:
    model = HuggingFaceModel(tiny("Llama"), tokenizer, cache_implementation="quantized")
    assert model.no_reuse == "cache_implementation='quantized' cannot be cropped"


def test_a_model_that_takes_no_cache_is_asked_without_one(tokenizer: Any) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.OpenAIGPTConfig(
        vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, **LOUD
    )
    model = HuggingFaceModel(transformers.OpenAIGPTLMHeadModel(config).eval(), tokenizer)
    assert [ask(model, user("hello")) for _ in range(2)] == [whole(model, user("hello"))] * 2
    assert model.no_reuse == "OpenAIGPTLMHeadModel takes no cache of keys and values"
