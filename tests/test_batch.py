"""What answering many prompts at once promises: the same replies as one by one."""

from collections.abc import Callable
from typing import Any

import pytest
from test_families import FAMILIES, LOUD, ask, user, whole

import memkit
from memkit import chat
from memkit.errors import BudgetExceeded, InvalidInput, ModelError
from memkit.models.huggingface import HuggingFaceModel
from memkit.protocols import Messages
from memkit.testing import open_memory

Tiny = Callable[..., Any]

PROMPTS: list[Messages] = [
    user("Hello there"),
    [{"role": "system", "content": "Be brief."}, *user("Where is 강남, and\nthe key? 🎷")],
    user("word " * 60),
    user("?"),
    [*user("I moved."), {"role": "assistant", "content": "Where to?"}, *user("To Oslo.")],
]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_answered_as_its_prompts_one_by_one(
    tokenizer: Any, tiny: Tiny, family: str, batch_size: int
) -> None:
    kind, options, tokenizer.chat_template = FAMILIES[family]
    model = HuggingFaceModel(tiny(kind, **options), tokenizer)
    one_by_one = [ask(model, messages) for messages in PROMPTS]
    together = model.replies(PROMPTS, max_new_tokens=12, batch_size=batch_size)
    assert together == one_by_one
    assert len(set(together)) == len(PROMPTS)


@pytest.mark.slow
def test_the_bundled_model_answers_a_batch_as_one_by_one(smollm2: Any) -> None:
    model = HuggingFaceModel(*smollm2)
    prompts = [user(text) for text in ("Name a fish.", "What is the capital of France?", "Hi")]
    together = model.replies(prompts, max_new_tokens=12)
    assert together == [ask(model, messages) for messages in prompts]
    assert "Paris" in together[1]


def test_a_reply_that_ends_early_ends_there(tokenizer: Any, tiny: Tiny) -> None:
    loud = tiny("Llama", **LOUD)
    said = [ask(HuggingFaceModel(loud, tokenizer), messages) for messages in PROMPTS]
    model = HuggingFaceModel(loud, tokenizer)
    ids = tokenizer(said[0], add_special_tokens=False)["input_ids"]
    end = HuggingFaceModel(loud, tokenizer, eos_token_id=ids[3])
    assert end.replies(PROMPTS, max_new_tokens=12)[0] == ask(end, PROMPTS[0])
    stop = HuggingFaceModel(loud, tokenizer, stop_strings=[said[0][4:8]])
    shorter = stop.replies(PROMPTS, max_new_tokens=12)
    assert shorter[0] == said[0][: said[0].index(said[0][4:8])]
    assert shorter == [ask(stop, messages) for messages in PROMPTS]
    assert model.replies(PROMPTS, max_new_tokens=12) == said


def test_without_a_template_no_reply_goes_on_into_the_next_turn(
    tokenizer: Any, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    tokenizer.chat_template = None
    model = HuggingFaceModel(tiny("GPT2"), tokenizer)
    script = tokenizer(" Fine.\nUser: evil\nAssistant: more")["input_ids"]
    steps: list[int] = []

    def generate(prompt: Any, *, stopping_criteria: Any, **_: Any) -> Any:
        rows = prompt
        for token in script:
            steps.append(token)
            rows = torch.cat([rows, torch.full((len(rows), 1), token)], dim=1)
            if stopping_criteria(rows, None).all():
                break
        return rows

    monkeypatch.setattr(model.model, "generate", generate)
    assert model.replies(PROMPTS[:2]) == [" Fine."] * 2
    assert len(steps) < len(script)


def test_a_batch_leaves_the_kept_prefix_as_it_was(tokenizer: Any, tiny: Tiny) -> None:
    model = HuggingFaceModel(tiny("Llama", **LOUD), tokenizer)
    first = ask(model, user("hello"))
    model.replies(PROMPTS, max_new_tokens=3)
    assert ask(model, user("hello")) == first == whole(model, user("hello"))
    assert model.usage is not None
    assert model.usage.reused_tokens == model.usage.prompt_tokens - 1


def test_no_prompts_have_no_replies_and_no_batch_is_empty(tokenizer: Any, tiny: Tiny) -> None:
    model = HuggingFaceModel(tiny("Llama"), tokenizer)
    assert model.replies([]) == []
    with pytest.raises(InvalidInput, match="batch_size must be at least 1, got 0"):
        model.replies(PROMPTS, batch_size=0)


def test_a_batch_that_fails_is_a_model_error(
    tokenizer: Any, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA out of memory")

    model = HuggingFaceModel(tiny("Llama"), tokenizer)
    monkeypatch.setattr(model.model, "forward", broken)
    with pytest.raises(ModelError, match="CUDA out of memory"):
        model.replies(PROMPTS)


# ---- sessions


def sessions(memory: memkit.Memory, model: Any, **options: Any) -> list[memkit.Chat]:
    """Return two sessions each of three users, who each told the memory something."""
    for name in ("ann", "bob", "eve"):
        memory.remember(f"{name}'s key is blue.", user_id=name, session_id="before")
    return [
        memkit.Chat(model, memory=memory, user_id=name, session_id=session, **options)
        for name in ("ann", "bob", "eve")
        for session in ("s1", "s2")
    ]


def said(memory: memkit.Memory, chats: list[memkit.Chat]) -> list[list[tuple[str, str]]]:
    return [
        [
            (turn.role, turn.text)
            for turn in memory.turns(user_id=one.scope.user_id, session_id=one.scope.session_id)
        ]
        for one in chats
    ]


def test_sessions_are_answered_together_as_one_by_one(
    tokenizer: Any, tiny: Tiny, memory: memkit.Memory
) -> None:
    model = HuggingFaceModel(tiny("Llama", **LOUD), tokenizer)
    chats = sessions(memory, model, max_new_tokens=8)[::2]  # one of each user
    texts = [f"What colour is the key? {n}" for n in range(len(chats))]
    with open_memory() as second_memory:
        single_chats = sessions(second_memory, model, max_new_tokens=8)[::2]
        one_by_one = [single.reply(text) for single, text in zip(single_chats, texts, strict=True)]
        assert chat.replies(chats, texts, batch_size=2) == one_by_one
        assert said(memory, chats) == said(second_memory, single_chats)
    again = chat.replies(chats, texts)
    assert [one[2] for one in said(memory, chats)] == [("user", text) for text in texts]
    assert len(again) == len(chats)


def test_what_is_said_in_a_batch_is_not_seen_by_its_other_sessions(
    tokenizer: Any, tiny: Tiny, memory: memkit.Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = HuggingFaceModel(tiny("Llama", **LOUD), tokenizer)
    asked: list[Messages] = []
    monkeypatch.setattr(
        model, "replies", lambda prompts, **_: asked.extend(prompts) or ["Blue."] * len(prompts)
    )
    chats = sessions(memory, model, max_new_tokens=8)
    chat.replies(chats, [f"secret-{n}, key?" for n in range(len(chats))])
    for n, messages in enumerate(asked):
        shown = str(messages)
        assert [m for m in range(len(chats)) if f"secret-{m}," in shown] == [n]
        assert [name for name in ("ann", "bob", "eve") if f"{name}'s key" in shown] == [
            chats[n].scope.user_id
        ]


def test_sessions_that_cannot_be_answered_together_are_refused_and_nothing_is_stored(
    tokenizer: Any, tiny: Tiny, memory: memkit.Memory
) -> None:
    llama = tiny("Llama")
    model = HuggingFaceModel(llama, tokenizer)
    chats = sessions(memory, model, max_new_tokens=8)
    other = memkit.Chat(
        HuggingFaceModel(llama, tokenizer), memory=memory, user_id="x", max_new_tokens=8
    )
    longer = memkit.Chat(model, memory=memory, user_id="x", max_new_tokens=9)
    spoken = memkit.Chat(lambda _: "Blue.", memory=memory, user_id="x")
    for wrong, message in [
        ([*chats, other], "make one HuggingFaceModel"),
        ([*chats, longer], "several max_new_tokens"),
        ([*chats, chats[0]], "one session"),
        ([spoken, *chats], "answer in batches"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            chat.replies(wrong, ["Key?"] * len(wrong))
    with pytest.raises(InvalidInput, match="1 texts for 6 chats"):
        chat.replies(chats, ["Key?"])
    with pytest.raises(BudgetExceeded):
        chat.replies(chats, [*["Key?"] * 5, "key " * 5000])
    assert said(memory, chats) == [[]] * len(chats)
    assert chat.replies([], []) == []
