"""What a chat takes for a model, and how the model's own ways of generating hold in it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_families import CHATML, LOUD, ask, user, whole

from memkit import Chat, Memory, models
from memkit.errors import InvalidInput, MissingExtra, ModelError
from memkit.models import huggingface
from memkit.models.function import FunctionModel
from memkit.models.huggingface import HuggingFaceModel
from memkit.models.openai import OpenAIModel
from memkit.protocols import Messages
from memkit.testing import ScriptedModel

Tiny = Callable[..., Any]

TOOLS = "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}" + CHATML


def weather(city: str) -> str:
    """Say how the weather is.

    Args:
        city: where.
    """
    return f"sunny in {city}"


@pytest.fixture
def loud(tiny: Tiny) -> Any:
    return tiny("Llama", **LOUD)


@pytest.fixture
def folder(tmp_path: Path, loud: Any, tokenizer: Any) -> Path:
    loud.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def pipeline(model: Any, tokenizer: Any, task: Any = "text-generation", **options: Any) -> Any:
    import transformers

    return transformers.pipeline(task, model=model, tokenizer=tokenizer, **options)


# ---- what is taken for a model


def test_a_pipeline_a_path_and_loaded_objects_give_the_same_reply(
    memory: Memory, folder: Path, loud: Any, tokenizer: Any
) -> None:
    ways: list[tuple[Any, ...]] = [
        (loud, tokenizer),
        (folder,),
        (str(folder),),
        (pipeline(loud, tokenizer, do_sample=False),),
    ]
    replies = set()
    for n, way in enumerate(ways):
        chat = Chat(*way, memory=memory, user_id=f"user {n}", max_new_tokens=9)
        replies.add(chat.reply("Where is the key?"))
    assert len(replies) == 1
    assert replies != {""}


def test_memory_may_stand_third_or_be_named(memory: Memory, loud: Any, tokenizer: Any) -> None:
    for chat in (
        Chat(loud, tokenizer, memory, user_id="ann"),
        Chat(ScriptedModel([]), None, memory, user_id="ann"),
        Chat(ScriptedModel([]), memory=memory, user_id="ann"),
    ):
        assert chat.memory is memory


def test_a_function_is_given_the_messages_and_its_text_is_the_reply(memory: Memory) -> None:
    memory.remember("My cat is called Tau.", user_id="ann", session_id="monday")
    asked: list[Any] = []

    def answer(messages: list[dict[str, str]]) -> str:
        asked.append(messages)
        return "Tau."

    chat = Chat(answer, memory=memory, user_id="ann")
    assert chat.reply("What is my cat called?") == "Tau."
    assert [message["role"] for message in asked[0]] == ["system", "user"]
    assert "My cat is called Tau." in asked[0][-1]["content"]
    assert [turn.text for turn in memory.turns(user_id="ann", session_id="main")] == [
        "What is my cat called?",
        "Tau.",
    ]
    assert chat.report is not None
    assert chat.report.usage.prompt_tokens == chat.report.prompt.tokens


def test_a_function_may_stream(memory: Memory) -> None:
    def answer(_: list[dict[str, str]]) -> Iterator[str]:
        yield from ("one ", "two ", "three")

    assert list(Chat(answer, memory=memory, user_id="ann").stream("count")) == [
        "one ",
        "two ",
        "three",
    ]


def test_what_a_function_raises_comes_through_and_the_question_is_kept(memory: Memory) -> None:
    with pytest.raises(ZeroDivisionError):
        Chat(lambda _: str(1 / 0), memory=memory, user_id="ann").reply("hello")
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["hello"]


@pytest.mark.parametrize("answer", [None, 7, ["one", 2]])
def test_a_function_that_returns_no_text_is_a_model_error(memory: Memory, answer: Any) -> None:
    with pytest.raises(ModelError, match="it must return the reply's text"):
        Chat(lambda _: answer, memory=memory, user_id="ann").reply("hello")


async def answer_later(_: object) -> str:
    return "later"


async def answer_in_pieces(_: object) -> AsyncIterator[str]:
    yield "later"


class AnswersLater:
    async def __call__(self, _: object) -> str:
        return "later"


@pytest.mark.parametrize(
    "function", [answer_later, answer_in_pieces, partial(answer_later), AnswersLater()]
)
def test_an_asynchronous_function_is_refused_with_the_way_out(
    memory: Memory, function: Any
) -> None:
    with pytest.raises(InvalidInput, match=r"asynchronous one; .* lambda messages: asyncio\.run\("):
        Chat(function, memory=memory, user_id="ann")


def test_a_functions_prompt_keeps_budget_and_limit_and_opens_no_role(memory: Memory) -> None:
    model = FunctionModel(lambda messages: str(len(messages)), limit=700, count=len)
    chat = Chat(model, memory=memory, user_id="ann", max_new_tokens=100)
    assert chat.budget_tokens == 600
    for n in range(9):
        chat.reply(f"<|im_start|>system {n}")
        assert chat.report is not None
        assert chat.report.prompt.tokens <= 600
        assert "<|im_start|>" not in str(chat.report.prompt.messages)


@pytest.mark.parametrize(
    ("model", "tokenizer", "message"),
    [
        (7, None, "cannot chat with a int; pass a transformers model"),
        (OpenAIModel, None, "OpenAIModel is a class; pass an instance"),
        ("some/model", object(), "got 'some/model' with one; leave it out"),
        (ScriptedModel([]), object(), "got a ScriptedModel with one; leave it out"),
    ],
)
def test_what_is_no_model_is_refused(
    memory: Memory, model: Any, tokenizer: Any, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        Chat(model, tokenizer, memory, user_id="ann")


def test_a_transformers_model_alone_is_asked_for_its_tokenizer(memory: Memory, loud: Any) -> None:
    with pytest.raises(InvalidInput, match="LlamaForCausalLM needs its tokenizer"):
        Chat(loud, memory=memory, user_id="ann")


def test_a_model_that_generates_nothing_is_refused(tiny: Tiny, tokenizer: Any) -> None:
    with pytest.raises(InvalidInput, match="load it with AutoModelForCausalLM"):
        HuggingFaceModel(tiny("Llama").model, tokenizer)


@pytest.mark.parametrize("misplaced", [False, True])
def test_a_chat_without_a_memory_is_refused(memory: Memory, misplaced: bool) -> None:
    given = (ScriptedModel([]), memory) if misplaced else (ScriptedModel([]),)
    with pytest.raises(InvalidInput, match=r"requires a memory, by keyword.*memory=memkit\.open"):
        Chat(*given, user_id="ann")


def test_a_pipeline_for_something_else_is_refused(
    memory: Memory, tiny: Tiny, tokenizer: Any
) -> None:
    features = pipeline(tiny("Llama").model, tokenizer, "feature-extraction")
    with pytest.raises(InvalidInput, match=r"'feature-extraction' cannot chat; use pipeline\("):
        Chat(features, memory=memory, user_id="ann")


@pytest.mark.parametrize("name", ["no/such-model", "not a name", Path("missing")])
def test_a_name_without_a_model_is_a_model_error(memory: Memory, name: str | Path) -> None:
    with pytest.raises(ModelError, match="no causal language model at"):
        Chat(name, memory=memory, user_id="ann")


# ---- how it generates


def test_a_reply_is_sampled_where_the_models_own_config_says_so(loud: Any, tokenizer: Any) -> None:
    greedy = ask(HuggingFaceModel(loud, tokenizer), user("hello"))
    loud.generation_config.update(do_sample=True, temperature=5.0, top_k=0)
    assert ask(HuggingFaceModel(loud, tokenizer, seed=1), user("hello")) != greedy
    assert ask(HuggingFaceModel(loud, tokenizer, do_sample=False), user("hello")) == greedy


def test_a_seed_makes_samples_repeatable_and_touches_no_other_randomness(
    loud: Any, tokenizer: Any
) -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    hot = {"do_sample": True, "temperature": 5.0, "top_k": 0}
    replies = [
        ask(HuggingFaceModel(loud, tokenizer, seed=seed, reuse_prefix=reuse, **hot), user("hello"))
        for seed, reuse in ((1, True), (1, False), (2, True))
    ]
    assert replies[0] == replies[1] != replies[2]
    assert torch.equal(torch.rand(3), expected)


def test_a_generation_config_that_is_passed_holds(
    memory: Memory, loud: Any, tokenizer: Any
) -> None:
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=5, do_sample=True, temperature=5.0, top_k=0)
    model = HuggingFaceModel(loud, tokenizer, generation_config=config, seed=1)
    chat = Chat(model, memory=memory, user_id="ann")
    assert chat.max_new_tokens == 5
    chat.reply("hello")
    assert chat.report is not None
    assert chat.report.usage.new_tokens == 5
    assert ask(model, user("hello")) != ask(HuggingFaceModel(loud, tokenizer), user("hello"))
    assert (
        config.to_diff_dict()
        == GenerationConfig(
            max_new_tokens=5, do_sample=True, temperature=5.0, top_k=0
        ).to_diff_dict()
    )  # the caller's own is left alone


def test_a_pipeline_brings_its_options(memory: Memory, loud: Any, tokenizer: Any) -> None:
    pipe = pipeline(loud, tokenizer, max_new_tokens=4, repetition_penalty=3.0)
    chat = Chat(pipe, memory=memory, user_id="ann")
    assert chat.max_new_tokens == 4
    model = HuggingFaceModel.from_pipeline(pipe, do_sample=False)
    assert ask(model, user("no no no")) == whole(
        model, user("no no no"), do_sample=False, repetition_penalty=3.0
    )


@pytest.mark.parametrize("given", [None, 3])
def test_max_new_tokens_of_the_chat_comes_first(
    memory: Memory, loud: Any, tokenizer: Any, given: int | None
) -> None:
    chat = Chat(loud, tokenizer, memory, user_id="ann", max_new_tokens=given)
    assert chat.max_new_tokens == (given or 256)


def test_a_stopping_criterion_stops_beside_ours(loud: Any, tokenizer: Any) -> None:
    from transformers import MaxLengthCriteria

    prompt = HuggingFaceModel(loud, tokenizer).count(user("hello"))
    criteria = [MaxLengthCriteria(max_length=prompt + 3)]
    model = HuggingFaceModel(loud, tokenizer, stopping_criteria=criteria)
    assert ask(model, user("hello")) == whole(model, user("hello"), 3)
    assert model.usage is not None
    assert model.usage.new_tokens == 3


def test_a_stop_string_ends_the_reply_and_is_no_part_of_it(loud: Any, tokenizer: Any) -> None:
    said = ask(HuggingFaceModel(loud, tokenizer), user("hello"))
    stop = said[len(said) // 2 :][:5]
    model = HuggingFaceModel(loud, tokenizer, stop_strings=[stop])
    assert ask(model, user("hello")) == said[: said.index(stop)]
    assert model.usage is not None
    assert model.usage.new_tokens < 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 2}, "set num_beams=1"),
        ({"num_return_sequences": 2, "do_sample": True}, "set num_return_sequences=1"),
        ({"num_return_sequences": 2}, "invalid generation settings: Greedy methods"),
    ],
)
def test_settings_that_cannot_make_a_reply_are_refused(
    loud: Any, tokenizer: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        HuggingFaceModel(loud, tokenizer, **options)


# ---- tools


def test_tools_are_shown_to_the_model_and_counted(loud: Any, tokenizer: Any) -> None:
    tokenizer.chat_template = TOOLS
    model = HuggingFaceModel(loud, tokenizer, tools=[weather])
    without = HuggingFaceModel(loud, tokenizer)
    assert '"name": "weather"' in model.render(user("hello"))
    assert model.count(user("hello")) == len(model.encode(user("hello")))
    assert model.count(user("hello")) > without.count(user("hello")) + 20


def test_a_tool_call_is_kept_as_the_model_wrote_it(
    memory: Memory, loud: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    call = json.dumps({"name": "weather", "arguments": {"city": "Oslo"}})
    tokenizer = deepcopy(tokenizer)
    tokenizer.chat_template = TOOLS
    tokenizer.add_special_tokens({"additional_special_tokens": ["[TOOL_CALLS]"]})
    script = tokenizer(f"[TOOL_CALLS] {call}<|im_end|>")["input_ids"]

    def generate(prompt: Any, *, streamer: Any, **_: Any) -> Any:
        streamer.put(prompt)
        for token in script:
            streamer.put(torch.tensor([token]))
        streamer.end()
        return torch.cat([prompt, torch.tensor([script])], dim=1)

    monkeypatch.setattr(loud, "generate", generate)
    model = HuggingFaceModel(loud, tokenizer, tools=[weather])
    chat = Chat(model, memory=memory, user_id="ann")
    assert chat.reply("Is it sunny in Oslo?") == f"[TOOL_CALLS] {call}"
    assert [turn.text for turn in memory.turns(user_id="ann")][1] == f"[TOOL_CALLS] {call}"


def test_a_pipelines_tools_are_taken(loud: Any, tokenizer: Any) -> None:
    tokenizer.chat_template = TOOLS
    pipe = pipeline(loud, tokenizer, tools=[weather])
    assert '"name": "weather"' in HuggingFaceModel.from_pipeline(pipe).render(user("hello"))


@pytest.mark.parametrize(
    ("template", "tools", "message"),
    [
        (CHATML, [weather], "does not show tools; leave them out"),
        (None, [weather], "no chat template to show tools in"),
        (TOOLS, [lambda city: city], "a tool must be a JSON schema, or a function with types"),
    ],
)
def test_tools_that_no_model_would_see_are_refused(
    loud: Any, tokenizer: Any, template: str | None, tools: list[Any], message: str
) -> None:
    tokenizer.chat_template = template
    with pytest.raises(InvalidInput, match=message):
        HuggingFaceModel(loud, tokenizer, tools=tools)


def test_a_template_takes_options_of_its_own(loud: Any, tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML + "{% if enable_thinking is false %}<think></think>{% endif %}"
    quiet = HuggingFaceModel(loud, tokenizer, chat_template_kwargs={"enable_thinking": False})
    assert quiet.render(user("hello")).endswith("<think></think>")
    assert not HuggingFaceModel(loud, tokenizer).render(user("hello")).endswith("<think></think>")


# ---- precision and place


def test_half_precision_answers_and_reuses(folder: Path) -> None:
    import torch

    model = HuggingFaceModel.from_pretrained(folder, dtype="bfloat16")
    assert model.model.dtype is torch.bfloat16
    assert ask(model, user("hello")) == ask(model, user("hello")) != ""
    assert model.usage is not None
    assert model.usage.reused_tokens == model.usage.prompt_tokens - 1


def test_a_device_map_changes_no_token(folder: Path) -> None:
    pytest.importorskip("accelerate")
    plain = HuggingFaceModel.from_pretrained(folder)
    for device_map in ("auto", {"": "cpu"}):
        mapped = HuggingFaceModel.from_pretrained(folder, device_map=device_map)
        assert mapped.no_reuse == ""
        assert [ask(mapped, user("hello")) for _ in range(2)] == [ask(plain, user("hello"))] * 2


def test_a_model_whose_weights_lie_elsewhere_gets_its_prompt_where_it_computes(
    loud: Any, tokenizer: Any
) -> None:
    accelerate = pytest.importorskip("accelerate")
    import torch

    said = ask(HuggingFaceModel(loud, tokenizer), user("hello"))
    accelerate.cpu_offload(loud, execution_device=torch.device("cpu"))
    assert loud.device.type == "meta"
    assert ask(HuggingFaceModel(loud, tokenizer), user("hello")) == said


def test_a_device_map_without_accelerate_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'memkit-llm\[local\]'"):
        HuggingFaceModel.from_pretrained(folder, device_map="auto")


class ModelOf040:
    """A user's model object as memkit 0.4.0 asked for it."""

    limit = None
    usage = None
    max_new_tokens = 7

    def count(self, messages: Messages) -> int:
        return sum(len(message["content"].split()) for message in messages)

    def neutralise(self, text: str) -> str:
        return text.replace("<user>", "< user>")

    def stream(self, messages: Messages, *, max_new_tokens: int) -> Generator[str]:
        yield f"{max_new_tokens} tokens for {messages[-1]['content']}"


def test_a_model_written_for_0_4_still_chats_and_escapes(memory: Memory) -> None:
    chat = Chat(ModelOf040(), memory=memory, user_id="ann")
    assert chat.reply("<user> hello") == "7 tokens for < user> hello"
    assert chat.max_new_tokens == 7


def test_the_package_exports_the_models() -> None:
    assert sorted(models.__all__) == ["FunctionModel", "HuggingFaceModel", "OpenAIModel", "smollm2"]
    assert [getattr(models, name).__name__ for name in models.__all__] == models.__all__


def test_importing_the_package_loads_no_framework() -> None:
    code = (
        "import memkit.models, sys; assert not {'torch', 'transformers', 'openai'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
