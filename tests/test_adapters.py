"""What PEFT's adapters do to the reuse of a prompt's prefix: it stays exact, or is off."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from memkit.models.huggingface import HuggingFaceModel
from memkit.protocols import Messages

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings(  # PEFT's own
    "ignore:Position ids are not supported", "ignore:.is_gradient_checkpointing. is deprecated",
)  # fmt: skip

LORA = {"r": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
QUESTION = "Tell me all that you know about the long history of jazz."


def adapted(tiny: Callable[..., Any], config: Any) -> Any:
    model = tiny("Llama", initializer_range=0.5)
    return peft.get_peft_model(model, config).eval()


def ask(model: HuggingFaceModel, question: str = QUESTION) -> str:
    messages: Messages = [{"role": "user", "content": question}]
    return "".join(model.stream(messages, max_new_tokens=12))


@pytest.mark.parametrize(
    "kind", ["PromptTuningConfig", "PromptEncoderConfig", "PrefixTuningConfig"]
)
def test_a_model_with_learned_prompts_reuses_nothing_and_says_why(
    tokenizer: Any, tiny: Callable[..., Any], kind: str
) -> None:
    config = getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=5)
    pair = adapted(tiny, config), tokenizer
    model, plain = HuggingFaceModel(*pair), HuggingFaceModel(*pair, reuse_prefix=False)
    assert "prompt-learning" in model.no_reuse
    questions = [QUESTION, f"{QUESTION} And of the blues?"]
    assert [ask(model, text) for text in questions] == [ask(plain, text) for text in questions]


def test_replies_are_those_of_the_active_adapter_with_and_without_reuse(
    tokenizer: Any, tiny: Callable[..., Any]
) -> None:
    lora = peft.LoraConfig(task_type="CAUSAL_LM", **LORA)
    model = adapted(tiny, lora)
    model.add_adapter("other", lora)
    replies = []
    for reuse in (True, False):
        chat = HuggingFaceModel(model.eval(), tokenizer, reuse_prefix=reuse)
        replies.append([])
        for name in ("default", "other", None, "default", "default"):
            if name:
                model.set_adapter(name)
            with nullcontext() if name else model.disable_adapter():
                replies[-1].append(ask(chat))
            if reuse:
                assert chat.no_reuse == ""
        assert chat.usage is not None
        assert (chat.usage.reused > 0.5) == reuse  # the last adapter was asked twice
    assert replies[0] == replies[1]
    assert len(set(replies[0])) == 3
