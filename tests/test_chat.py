"""What Chat promises: it answers, remembers both sides, and takes a session up where it was."""

import gc
import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit import Chat, Memory
from memkit.errors import BudgetExceeded, InvalidInput, ModelError, ScopeRequired
from memkit.models.huggingface import HuggingFaceModel
from memkit.prompt import Layout
from memkit.protocols import Messages
from memkit.testing import HashEmbedder, ScriptedModel, open_memory


def chatting(
    memory: Memory, replies: Sequence[str | Exception] = ("ok",) * 50, **options: Any
) -> tuple[Chat, ScriptedModel]:
    model = ScriptedModel(replies)
    return Chat(model, None, memory, **({"user_id": "ann"} | options)), model


def said(memory: Memory, **scope: Any) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in memory.turns(user_id="ann", **scope)]


def test_a_reply_is_returned_and_both_sides_are_remembered(memory: Memory) -> None:
    chat, _ = chatting(memory, ["Hello Ann."])
    assert chat.reply("I am Ann.") == "Hello Ann."
    assert said(memory) == [("user", "I am Ann."), ("assistant", "Hello Ann.")]


def test_a_stream_joins_to_the_reply(memory: Memory) -> None:
    chat, _ = chatting(memory, ["one two three"])
    pieces = list(chat.stream("count"))
    assert len(pieces) == 3
    assert "".join(pieces) == "one two three"


def test_the_earlier_messages_of_the_session_are_in_the_prompt(memory: Memory) -> None:
    chat, model = chatting(memory, ["Hello.", "Oslo."])
    chat.reply("I live in Oslo.")
    chat.reply("Where do I live?")
    assert [m["role"] for m in model.prompts[1]] == ["system", "user", "assistant", "user"]
    assert [m["content"] for m in model.prompts[1][1:3]] == ["I live in Oslo.", "Hello."]


def test_a_session_goes_on_after_a_restart(tmp_path: Path) -> None:
    for question in ("I live in Oslo.", "And now?"):
        with memkit.open(str(tmp_path / "a.db"), embedder=HashEmbedder()) as memory:
            chat, model = chatting(memory)
            chat.reply(question)
    assert [m["content"] for m in model.prompts[0][1:3]] == ["I live in Oslo.", "ok"]


def test_two_sessions_share_the_memory_and_not_the_history(memory: Memory) -> None:
    chatting(memory, session_id="monday")[0].reply("My cat is called Tau.")
    tuesday, model = chatting(memory, session_id="tuesday")
    tuesday.reply("What is my cat called?")
    (system, question) = model.prompts[0]
    assert system["role"] == "system"
    assert "User: My cat is called Tau." in question["content"]
    assert said(memory, session_id="tuesday")[0] == ("user", "What is my cat called?")


def test_another_users_memory_is_not_in_the_prompt(memory: Memory) -> None:
    chatting(memory, user_id="bob")[0].reply("My cat is called Tau.")
    chat, model = chatting(memory)
    chat.reply("What is my cat called?")
    assert "Tau" not in str(model.prompts[0])


def test_neither_the_question_nor_the_history_is_recalled_too(memory: Memory) -> None:
    chat, model = chatting(memory)
    for question in ("Where is the red key?", "Where is the red key, please?"):
        chat.reply(question)
        assert chat.report is not None
        assert chat.report.prompt.hits == ()
    assert str(model.prompts[1]).count("Where is the red key?") == 1


def test_history_that_no_longer_fits_can_be_recalled(memory: Memory) -> None:
    chat, model = chatting(memory, budget_tokens=150)
    chat.reply("My cat is called Tau.")
    for n in range(12):
        chat.reply(f"Filler number {n} with a few more words to it.")
    chat.reply("What is my cat called?")
    assert "> [1 May 2024] User: My cat is called Tau." in str(model.prompts[-1])
    assert all(model.count(prompt) <= 150 for prompt in model.prompts)


def test_the_prompts_beginning_stays_while_history_grows(memory: Memory) -> None:
    chat, model = chatting(memory, budget_tokens=200)
    for n in range(30):
        chat.reply(f"Message number {n} with a few more words.")
    pairs = zip(model.prompts, model.prompts[1:], strict=False)
    kept = sum(later[: len(earlier) - 1] == earlier[:-1] for earlier, later in pairs)
    assert kept >= 20  # of 29; it is cut in leaps


def test_the_summary_is_in_the_prompt(memory: Memory) -> None:
    chatting(memory, session_id="monday")[0].reply("I moved to Oslo in 2021.")
    memory.flush()
    chat, model = chatting(memory)
    chat.reply("Hello!")
    assert "> Lately: User: I moved to Oslo in 2021" in model.prompts[0][-1]["content"]


@pytest.mark.parametrize(("layout", "place"), [("append", -1), ("cache", -1), ("hema", 0)])
def test_the_layout_says_where_memory_stands(memory: Memory, layout: Layout, place: int) -> None:
    chatting(memory, session_id="monday")[0].reply("My cat is called Tau.")
    chat, model = chatting(memory, layout=layout)
    chat.reply("What is my cat called?")
    assert "Tau" in model.prompts[0][place]["content"]


# ---- blocks that stay


FACTS = [f"My {thing} is in the {place}." for thing, place in (
    ("red key", "blue pot"), ("old camera", "attic"), ("spare bulb", "cellar"),
    ("tall ladder", "garage"), ("green tent", "shed"), ("sharp knife", "drawer"),
)]  # fmt: skip


def with_facts(memory: Memory, **options: Any) -> tuple[Chat, ScriptedModel]:
    memory.remember(FACTS, user_id="ann", session_id="monday")
    return chatting(memory, **({"layout": "append", "k": 3} | options))


def test_a_prompt_goes_on_where_the_one_before_and_its_reply_ended(memory: Memory) -> None:
    chat, model = with_facts(memory)
    for question in ("Where is my red key?", "Where is my old camera?", "And my green tent?"):
        chat.reply(question)
    for earlier, later in zip(model.prompts, model.prompts[1:], strict=False):
        reply = {"role": "assistant", "content": "ok"}
        assert list(later[:-1]) == [*earlier, reply]
    assert FACTS[0] in model.prompts[-1][1]["content"]
    assert chat.history[0]["content"] == "Where is my red key?"


@settings(max_examples=25)
@given(asked=st.lists(st.sampled_from(FACTS), max_size=8), budget=st.integers(60, 400))
def test_a_prompt_shows_a_turn_once_the_best_ones_and_keeps_its_budget(
    asked: list[str], budget: int
) -> None:
    with open_memory() as memory:
        chat, model = with_facts(memory, budget_tokens=budget)
        for fact in asked:
            chat.reply(fact.replace("is in the", "?"))
            prompt = shown(model.prompts[-1])
            assert model.count(model.prompts[-1]) <= budget
            assert all(prompt.count(f"User: {said}") <= 1 for said in FACTS)
            if budget >= 200:  # room for a block and the last exchange
                assert f"User: {fact}" in prompt


def test_blocks_leave_when_there_is_no_room_for_the_next_one(memory: Memory) -> None:
    chat, model = with_facts(memory, k=1, budget_tokens=170)
    blocks = []
    for fact in FACTS:
        chat.reply(fact.replace("is in the", "?"))
        blocks.append(shown(model.prompts[-1]).count("<memkit-memory>"))
    assert blocks[:2] == [1, 2]
    assert 1 in blocks[2:]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_words_that_only_a_block_shows_leave_it_when_they_are_forgotten(
    tmp_path: Path, elsewhere: bool
) -> None:
    path = str(tmp_path / "ann.db")
    with open_memory(path) as memory, open_memory(path) as theirs:
        chat, model = with_facts(memory)
        chat.reply("Where is my red key?")
        assert "blue pot" in shown(model.prompts[-1])
        (turn, *_) = memory.turns(user_id="ann")
        (theirs if elsewhere else memory).forget(user_id="ann", turn_ids=[turn.id or ""])
        chat.reply("Where is my old camera?")
    assert "blue pot" not in shown(model.prompts[-1])
    assert "attic" in shown(model.prompts[-1])


def test_a_thought_that_no_longer_holds_leaves_its_block(memory: Memory) -> None:
    memory.remember("I live in Oslo now.", user_id="ann", session_id="monday")
    memory.flush()
    chat, model = chatting(memory, layout="append")
    chat.reply("Where do I live now?")
    assert "[since 1 May 2024] User: I live in Oslo now" in shown(model.prompts[-1])
    (thought,) = memory.thoughts(user_id="ann")
    memory.retract(thought.id, user_id="ann")
    chat.reply("And what is my name?")
    assert "[since 1 May 2024]" not in shown(model.prompts[-1])


def test_a_summary_is_shown_once_while_its_thoughts_hold(memory: Memory) -> None:
    memory.remember("I live in Oslo now.", user_id="ann", session_id="monday")
    memory.flush()
    chat, model = chatting(memory, layout="append")
    for text in ("I like tea.", "I have a cat.", "I swim on Mondays."):
        chat.reply(text)
        memory.flush()  # a new summary
    assert shown(model.prompts[-1]).count("> Lately:") == 1
    memory.retract(memory.thoughts(user_id="ann")[0].id, user_id="ann")
    chat.reply("Hello.")
    assert "> Lately:" not in shown(model.prompts[-1])


def test_another_piece_of_a_long_turn_is_shown_too(memory: Memory) -> None:
    long = f"The alpha is in the attic. {'hum ' * 90} The omega is in the oven."
    memory.remember(long, user_id="ann", session_id="monday")
    chat, model = chatting(memory, layout="append")
    for question in ("Where is the alpha in the attic?", "Where is the omega in the oven?"):
        chat.reply(question)
    assert "The alpha is" in shown(model.prompts[-1])
    assert "The omega is" in shown(model.prompts[-1])


def test_a_reply_that_echoes_an_earlier_block_is_stored_without_it(memory: Memory) -> None:
    echo = "> [1 May 2024] User: My red key is in the blue pot.\nThere."
    chat, _ = with_facts(memory, replies=["ok", echo])
    chat.reply("Where is my red key?")
    chat.reply("Say it again?")
    assert chat.history[-1]["content"] == "There."


def test_the_report_has_the_hits_of_a_question_that_an_earlier_block_shows(memory: Memory) -> None:
    chat, model = with_facts(memory, k=1)
    for _ in range(2):
        chat.reply("Where is my red key?")
        assert chat.report is not None
        assert [hit.text for hit in chat.report.prompt.hits] == [FACTS[0]]
    assert shown(model.prompts[-1]).count(FACTS[0]) == 1
    assert chat.report.prompt.memory == ""


def test_blocks_that_stay_leave_less_to_compute_and_change_no_token(
    tokenizer: Any, tiny: Callable[..., Any]
) -> None:
    computed, replies = {}, {}
    for layout, reuse in (("append", True), ("append", False), ("cache", True)):
        with open_memory() as memory:
            memory.remember(FACTS, user_id="ann", session_id="monday")
            model = HuggingFaceModel(
                tiny("Llama", initializer_range=0.5), tokenizer, reuse_prefix=reuse
            )
            chat = Chat(model, None, memory, user_id="ann", max_new_tokens=6, layout=layout)  # type: ignore[arg-type]
            replies[layout, reuse] = [chat.reply(fact.replace("is in the", "?")) for fact in FACTS]
            assert chat.report is not None
            computed[layout, reuse] = chat.report.usage.computed_tokens
    assert replies["append", True] == replies["append", False]
    assert computed["append", True] < 0.5 * computed["cache", True]


def test_the_report_says_what_was_in_the_prompt_and_what_it_cost(memory: Memory) -> None:
    chatting(memory, session_id="monday")[0].reply("My cat is called Tau.")
    chat, _ = chatting(memory, ["It is Tau."])
    assert chat.report is None
    chat.reply("What is my cat called?")
    assert chat.report is not None
    assert "My cat is called Tau." in [hit.text for hit in chat.report.prompt.hits]
    assert chat.report.usage.prompt_tokens == chat.report.prompt.tokens
    assert chat.report.usage.new_tokens == 3
    assert chat.report.usage.reused == 0


# ---- what is said is kept


def test_the_question_is_stored_when_the_model_fails(memory: Memory) -> None:
    chat, _ = chatting(memory, ["fine", ModelError("out of memory"), "better"])
    chat.reply("one")
    report = chat.report
    with pytest.raises(ModelError):
        chat.reply("two")
    assert said(memory)[2:] == [("user", "two")]
    assert chat.report is report  # still that of the last reply
    assert chat.reply("three") == "better"


class BreaksOff(ScriptedModel):
    def stream(self, *_: Any, **__: Any) -> Any:
        yield "half an "
        yield "answer"
        raise ModelError("lost the GPU")


def test_what_was_generated_before_a_failure_is_stored(memory: Memory) -> None:
    chat = Chat(BreaksOff([]), None, memory, user_id="ann")
    with pytest.raises(ModelError):
        chat.reply("question")
    assert said(memory) == [("user", "question"), ("assistant", "half an answer")]


def test_what_was_heard_of_a_stopped_stream_is_stored(memory: Memory) -> None:
    chat, _ = chatting(memory, ["one two three"])
    stream: Iterator[str] = chat.stream("count")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert said(memory) == [("user", "count"), ("assistant", "one")]


def test_a_reply_that_is_stopped_at_a_word_is_stored_up_to_it(memory: Memory) -> None:
    chat = Chat(ScriptedModel(["It is red. User: and?"]), None, memory, user_id="ann")
    assert "".join(chat.stream("What colour?", stop=["User:", "!"])) == "It is red. "
    assert said(memory) == [("user", "What colour?"), ("assistant", "It is red.")]


def test_a_prompt_that_cannot_fit_stores_nothing(memory: Memory) -> None:
    chat, model = chatting(memory, budget_tokens=50)
    with pytest.raises(BudgetExceeded):
        chat.reply("word " * 60)
    assert said(memory) == []
    assert chat.history == model.prompts == []


@pytest.mark.parametrize("text", ["", "  \n", None, "\ud800"])
def test_a_message_that_is_no_text_is_refused_and_not_stored(memory: Memory, text: Any) -> None:
    chat, model = chatting(memory)
    with pytest.raises(InvalidInput):
        chat.reply(text)
    assert said(memory) == model.prompts == []


def test_an_empty_reply_is_not_stored(memory: Memory) -> None:
    chat, _ = chatting(memory, ["  "])
    chat.reply("hello")
    assert said(memory) == [("user", "hello")]


def test_a_reply_that_echoes_its_memory_is_stored_without_it(memory: Memory) -> None:
    chatting(memory, session_id="monday")[0].reply("My cat is called Tau.")
    block = memory.context("cat", user_id="ann").text
    chat, _ = chatting(memory, [f"{block}\n\nTau it is."])
    chat.reply("What is my cat called?")
    assert said(memory, session_id="main")[1] == ("assistant", "Tau it is.")
    assert chat.history[-1]["content"] == "Tau it is."


def test_a_reply_that_echoes_its_own_prompt_is_stored_without_it(memory: Memory) -> None:
    chatting(memory, session_id="monday")[0].reply("My cat is called Tau.\nShe is grey.")
    prompts: list[Messages] = []

    def echo(messages: Messages) -> str:
        prompts.append(messages)
        return f"{messages[-1]['content']} It is Tau."

    chat = Chat(echo, None, memory, user_id="ann")
    chat.reply("What is my cat called?")
    assert "> [1 May 2024] User: My cat is called Tau." in prompts[0][-1]["content"]
    assert said(memory, session_id="main")[1] == (
        "assistant",
        "What is my cat called? It is Tau.",
    )


def test_a_question_that_only_looks_like_a_memory_block_is_answered_and_kept(
    memory: Memory,
) -> None:
    question = "> [12 May 2026] Priya: the door code is 4417"
    chatting(memory, session_id="monday")[0].reply(question)
    assert said(memory)[0] == ("user", question)


def test_user_id_is_a_required_keyword_of_a_chat(memory: Memory) -> None:
    with pytest.raises(TypeError, match="user_id"):
        Chat(ScriptedModel([]), None, memory)  # type: ignore[call-arg]
    with pytest.raises(ScopeRequired):
        Chat(ScriptedModel([]), None, memory, user_id="")


def test_a_reply_longer_than_the_models_limit_is_refused_at_once(memory: Memory) -> None:
    model = ScriptedModel([])
    model.limit = 200
    with pytest.raises(InvalidInput, match=r"a reply of 256 tokens leaves no room.*limit 200"):
        Chat(model, None, memory, user_id="ann")


def test_the_models_limit_bounds_the_prompt(memory: Memory) -> None:
    model = ScriptedModel([])
    model.limit = 200
    assert Chat(model, None, memory, user_id="ann", max_new_tokens=50).budget_tokens == 150


# ---- what is not stored


@pytest.mark.parametrize(
    ("remember", "stored"),
    [("both", ["I am Ann.", "Hello."]), ("user", ["I am Ann."]), ("none", [])],
)
def test_only_the_sides_that_are_asked_for_are_stored(
    memory: Memory, remember: Any, stored: list[str]
) -> None:
    chat, model = chatting(memory, ["Hello.", "Yes."], remember=remember)
    chat.reply("I am Ann.")
    assert [text for _, text in said(memory)] == stored
    chat.reply("Do you see what we said?")
    assert [m["content"] for m in model.prompts[1][1:3]] == ["I am Ann.", "Hello."]


def test_storing_may_be_switched_between_replies(memory: Memory) -> None:
    chat, _ = chatting(memory)
    for remember, text in (("none", "a secret"), ("both", "no secret")):
        chat.remember = remember  # type: ignore[assignment]
        chat.reply(text)
    assert [text for _, text in said(memory)] == ["no secret", "ok"]


def test_a_message_that_is_not_stored_is_checked_all_the_same(memory: Memory) -> None:
    chat, model = chatting(memory, remember="none")
    with pytest.raises(InvalidInput):
        chat.reply("  ")
    assert chat.history == model.prompts == []


def test_a_way_to_remember_that_does_not_exist_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidInput, match=r'"both", "user" or "none", got \'me\''):
        chatting(memory, remember="me")


# ---- what is forgotten


def shown(prompt: Any) -> str:
    return "\n".join(message["content"] for message in prompt)


@pytest.mark.parametrize("remember", ["both", "user"])
@pytest.mark.parametrize("everything", [True, False])
def test_forgotten_words_leave_an_open_chat_with_the_reply_that_was_not_stored(
    memory: Memory, remember: Any, everything: bool
) -> None:
    chat, model = chatting(memory, ["4417, noted.", "Hello.", "No idea."], remember=remember)
    chat.reply("My door PIN is 4417.")
    chat.reply("I am Ann.")
    ids = [turn.id or "" for turn in memory.turns(user_id="ann") if "4417" in turn.text]
    what: dict[str, Any] = {"everything": True} if everything else {"turn_ids": ids}
    memory.forget(user_id="ann", **what)
    assert "4417" not in shown(chat.history)
    assert chat.report is None
    chat.reply("What is my PIN?")
    assert "4417" not in shown(model.prompts[-1])
    assert ("I am Ann." in shown(model.prompts[-1])) == (not everything)


def test_what_another_process_forgot_leaves_an_open_chat_too(tmp_path: Path) -> None:
    path = str(tmp_path / "ann.db")
    with memkit.open(path, embedder=HashEmbedder()) as memory:
        chat, model = chatting(memory)
        chat.reply("My door PIN is 4417.")
        with memkit.open(path, embedder=HashEmbedder()) as theirs:
            theirs.forget(user_id="ann", everything=True)
        chat.reply("What is my PIN?")
    assert "4417" not in shown(model.prompts[-1])


def test_a_dry_run_and_another_users_forgetting_leave_a_chat_alone(memory: Memory) -> None:
    chat, _ = chatting(memory)
    chat.reply("My door PIN is 4417.")
    before = (list(chat.history), chat.report)
    memory.forget(user_id="ann", everything=True, dry_run=True)
    memory.remember("hi", user_id="bob")
    memory.forget(user_id="bob", everything=True)
    assert (chat.history, chat.report) == before


def test_a_reply_during_which_something_was_forgotten_is_not_stored(memory: Memory) -> None:
    chat, model = chatting(memory, ["Noted.", "It is 4417 I think.", "Fine."])
    chat.reply("My door PIN is 4417.")
    (pin, _) = memory.turns(user_id="ann")
    stream = chat.stream("What is my PIN?")
    next(stream)
    memory.forget(user_id="ann", turn_ids=[pin.id or ""])
    assert "4417" in "".join(stream)
    assert said(memory) == [("assistant", "Noted."), ("user", "What is my PIN?")]
    chat.reply("Hello.")
    assert "4417" not in shown(model.prompts[-1])


def test_a_chat_that_nobody_uses_is_not_kept_alive_by_its_memory(memory: Memory) -> None:
    chat = weakref.ref(chatting(memory)[0])
    gc.collect()
    assert chat() is None
    memory.forget(user_id="ann", everything=True)


said_or_forgotten = st.lists(st.sampled_from(["say", "off", "forget", "undo"]), max_size=15)


@given(steps=said_or_forgotten, draw=st.randoms(use_true_random=False))
def test_no_forgotten_word_is_in_a_later_prompt_whatever_was_said_and_forgotten(
    steps: list[str], draw: Any
) -> None:
    with open_memory() as memory:
        chat, model = chatting(memory, [f"reply{n}" for n in range(20)])
        forgotten: set[str] = set()
        for n, step in enumerate(steps):
            turns = list(memory.turns(user_id="ann"))
            if step == "forget" and turns:
                turn = draw.choice(turns)
                forgotten.add(turn.text)
                memory.forget(user_id="ann", turn_ids=[turn.id or ""])
            elif step == "undo" and any(m["role"] == "user" for m in chat.history):
                before = {m["content"] for m in chat.history}
                chat.undo()
                forgotten |= before - {m["content"] for m in chat.history}
            elif step in ("say", "off"):
                chat.remember = "both" if step == "say" else "none"
                chat.reply(f"message{n}")
                assert not forgotten & set(re.findall(r"\w+", shown(model.prompts[-1])))
        assert not forgotten & {m["content"] for m in chat.history}


def test_undo_takes_back_the_last_question_and_its_reply(memory: Memory) -> None:
    chat, model = chatting(memory, ["Hello.", "Noted.", "Fine."])
    chat.reply("I am Ann.")
    chat.reply("My door PIN is 4417.")
    assert len(chat.undo().turn_ids) == 2
    assert said(memory) == [("user", "I am Ann."), ("assistant", "Hello.")]
    chat.reply("And now?")
    assert "4417" not in shown(model.prompts[-1])
    assert "I am Ann." in shown(model.prompts[-1])


def test_undo_takes_back_a_question_without_a_reply_and_what_was_not_stored(memory: Memory) -> None:
    chat, _ = chatting(memory, [ModelError("out of memory"), "ok"])
    with pytest.raises(ModelError):
        chat.reply("My door PIN is 4417.")
    chat.remember = "none"
    chat.reply("a secret")
    assert chat.undo().turn_ids == ()
    assert len(chat.undo().turn_ids) == 1
    assert chat.history == said(memory) == []
    with pytest.raises(InvalidInput, match="nothing to undo"):
        chat.undo()


# ---- with a transformers model


def test_a_transformers_model_and_tokenizer_are_all_it_takes(
    memory: Memory, tokenizer: Any, tiny: Callable[..., Any]
) -> None:
    chat = Chat(tiny("Llama"), tokenizer, memory, user_id="ann", max_new_tokens=6)
    for n in range(3):
        chat.reply(f"Message {n}.")
    assert chat.report is not None
    assert chat.report.usage.reused_tokens > 30
    assert chat.report.usage.prompt_tokens == chat.report.prompt.tokens


def test_forgotten_words_leave_the_cache_of_a_transformers_model(
    memory: Memory, tokenizer: Any, tiny: Callable[..., Any]
) -> None:
    chat = Chat(tiny("Llama"), tokenizer, memory, user_id="ann", max_new_tokens=6)
    chat.reply("My door PIN is 4417.")
    cache = chat.model._prefix  # type: ignore[attr-defined]
    assert "4417" in tokenizer.decode(cache._tokens)
    memory.forget(user_id="ann", everything=True)
    assert (cache.cache, cache._tokens) == (None, [])
    chat.reply("Hello.")
    assert chat.report is not None
    assert chat.report.usage.reused_tokens == 0
    chat.reply("Hello again.")
    assert chat.report.usage.reused_tokens > 0
    assert "4417" not in tokenizer.decode(cache._tokens)


def test_words_forgotten_during_a_reply_are_not_cached_after_it(
    memory: Memory, tokenizer: Any, tiny: Callable[..., Any]
) -> None:
    chat = Chat(tiny("Llama"), tokenizer, memory, user_id="ann", max_new_tokens=40)
    stream = chat.stream("My door PIN is 4417.")
    next(stream)
    memory.forget(user_id="ann", everything=True)
    list(stream)
    assert chat.model._prefix._tokens == []  # type: ignore[attr-defined]
    assert said(memory) == chat.history == []


def test_a_transformers_model_that_fails_leaves_the_question_stored(
    memory: Memory, tokenizer: Any, tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = HuggingFaceModel(tiny("Llama"), tokenizer)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(model.model, "generate", fail)
    with pytest.raises(ModelError, match="CUDA out of memory"):
        Chat(model, None, memory, user_id="ann").reply("Where is my key?")
    assert said(memory) == [("user", "Where is my key?")]
