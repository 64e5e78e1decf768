"""What a model behind an OpenAI-compatible endpoint promises, against a server on 127.0.0.1."""

# ruff: noqa: F811 - fixtures are imported

import json
import re
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import (  # noqa: F401 - some are fixtures
    HELLO,
    KEY,
    Request,
    Server,
    _no_settings_of_this_machine,
    ask,
    model,
    server,
)

import memkit
from memkit import Chat
from memkit.background.summary import ModelSummariser
from memkit.errors import InvalidInput, MissingExtra, ModelError
from memkit.models.openai import OpenAIModel
from memkit.prompt import Parts, compose
from memkit.records import Claim, Turn
from memkit.testing import open_memory
from memkit.thoughts.judge import ModelJudge
from memkit.thoughts.model_thinker import ModelThinker

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

# ---- replies


def test_pieces_arrive_one_by_one(server: Server, model: OpenAIModel) -> None:
    read = threading.Semaphore(0)

    def answer(request: Request) -> None:
        request.head()
        for piece in ("One", " two", " three"):
            request.piece(piece)
            assert read.acquire(timeout=5)  # sends nothing more before this piece was read
        request.piece(None, "stop")

    server.answer = answer
    said = []
    for piece in model.stream(HELLO, max_new_tokens=16):
        said.append(piece)
        read.release()
    assert said == ["One", " two", " three"]


def test_closing_the_stream_closes_the_connection(server: Server, model: OpenAIModel) -> None:
    def answer(request: Request) -> None:
        request.head()
        try:
            while not server.over.is_set():
                request.piece("more ")
        except OSError:
            server.left.set()

    server.answer = answer
    stream = model.stream(HELLO, max_new_tokens=10_000)
    assert next(stream) == "more "
    stream.close()
    assert server.left.wait(5)
    assert model.usage is not None
    assert model.estimated


def test_the_server_is_asked_for_this_model_and_no_more_than_so_many_tokens(server: Server) -> None:
    model = OpenAIModel("tiny", base_url=server.url, temperature=0, extra_body={"top_k": 1})
    assert ask(model, 7) == "Hi there"
    assert server.asked == [
        {
            "model": "tiny", "messages": HELLO, "max_tokens": 7, "temperature": 0, "top_k": 1,
            "stream": True, "stream_options": {"include_usage": True},
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
        ("https://openai.com.example.org/v1", "max_tokens"),
    ],
)
def test_openai_itself_is_told_the_limit_by_its_newer_name(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str
) -> None:
    def create(**request: Any) -> None:
        assert {"max_tokens", "max_completion_tokens"} & set(request) == {name}
        raise openai.OpenAIError("seen")

    client = openai.OpenAI(base_url=url, api_key=KEY)
    monkeypatch.setattr(client.chat.completions, "create", create)
    with pytest.raises(ModelError, match="seen"):
        ask(OpenAIModel("gpt", client=client))


def test_usage_is_what_the_server_says(server: Server, model: OpenAIModel) -> None:
    cached = {"cached_tokens": 20}
    counts = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
    server.answer = lambda request: request.say(
        "Hi", usage=counts | {"prompt_tokens_details": cached}
    )
    ask(model)
    assert model.usage is not None
    assert (model.usage.prompt_tokens, model.usage.reused_tokens, model.usage.new_tokens) == (
        30, 20, 5,
    )  # fmt: skip
    assert 0 < model.usage.first_token_s <= model.usage.total_s
    assert not model.estimated


def test_usage_is_estimated_if_the_server_says_nothing(model: OpenAIModel) -> None:
    ask(model)
    assert model.usage is not None
    assert model.usage.prompt_tokens == model.count(HELLO)
    assert model.usage.new_tokens > 0 == model.usage.reused_tokens
    assert model.estimated


def test_a_reply_without_text_is_an_empty_reply(server: Server, model: OpenAIModel) -> None:
    server.answer = lambda request: request.say()
    assert ask(model) == ""
    assert model.usage is not None


@pytest.mark.parametrize(
    "delta",
    [
        {"refusal": "I will not."},
        {"content": None, "refusal": "I will not."},
        {"content": [{"type": "text", "text": "I will"}, {"type": "text", "text": " not."}]},
        {
            "content": [
                {"type": "thinking", "thinking": []},
                {"type": "text", "text": "I will not."},
            ]
        },
    ],
)
def test_a_refusal_and_parts_of_a_text_are_words_too(
    server: Server, model: OpenAIModel, delta: dict[str, Any]
) -> None:
    def answer(request: Request) -> None:
        request.head()
        request.delta(**delta)
        request.piece(None, "stop")

    server.answer = answer
    assert ask(model) == "I will not."


def test_chunks_of_other_kinds_are_passed_over(server: Server, model: OpenAIModel) -> None:
    def answer(request: Request) -> None:
        request.head()
        request.send(": keep-alive\n\n")
        request.send('data: {"type": "ping"}\n\n')
        request.event(choices=[], prompt_filter_results=[])
        request.event(choices=[{"index": 0, "delta": {"reasoning_content": "Hm"}}])
        request.event(choices=[{"index": 0, "delta": None}])
        request.event(choices=[{"index": 0, "delta": {"content": [{"type": "thinking"}]}}])
        request.piece("Hi")
        request.piece(None, "stop")

    server.answer = answer
    assert ask(model) == "Hi"


# ---- keys


def test_no_key_of_the_environment_goes_to_a_server_that_was_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    ask(OpenAIModel("tiny", base_url=server.url))
    assert server.headers[0]["authorization"] == "Bearer not-needed"
    assert not [value for value in server.headers[0].values() if "secret" in value]


def test_a_key_that_is_given_is_sent(server: Server, model: OpenAIModel) -> None:
    ask(model)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_key_that_the_server_repeats_is_shown_nowhere(
    server: Server, model: OpenAIModel, status: int
) -> None:
    server.answer = lambda request: request.refuse(status, f"what is {KEY}?")
    with pytest.raises(ModelError) as caught:
        ask(model)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_model_shows_its_endpoint_and_neither_key_nor_password() -> None:
    model = OpenAIModel("tiny", base_url="https://me:hush@example.org:8443/v1?k=hush", api_key=KEY)
    assert repr(model) == "OpenAIModel('tiny', base_url='https://example.org:8443/v1')"


def test_without_a_key_and_a_server_it_says_what_to_pass() -> None:
    with pytest.raises(ModelError, match="pass api_key=, or base_url= for another server"):
        OpenAIModel("gpt")


def test_the_clients_default_server_takes_the_key_that_is_given() -> None:
    assert OpenAIModel("gpt", api_key=KEY).endpoint == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base_url": "127.0.0.1:8000/v1"}, "base_url must be an address such as"),
        ({"base_url": KEY}, "base_url must be an address such as"),
        ({"base_url": "http://"}, "base_url must be an address such as"),
        ({"base_url": "http://127.0.0.1:1/v1", "api_key": KEY + "\n"}, "a line break"),
        ({"client": object(), "api_key": KEY}, "either client=, or base_url="),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        OpenAIModel("tiny", **given)
    assert KEY not in str(caught.value)


def test_a_missing_client_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"pip install 'memkit-llm\[openai\]'"):
        OpenAIModel("tiny", base_url="http://127.0.0.1:1/v1")


# ---- prompts


@cache
def offline() -> OpenAIModel:
    """A model that is never asked."""
    return OpenAIModel("tiny", base_url="http://127.0.0.1:1/v1")


MARKED = [
    "<|im_start|>system", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>", "<|user|>", "<|\"|>",
    "<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "<bos>", "<eos>",
    "<start_of_turn>user", "<end_of_turn>", "<|turn>model", "<turn|>", "<｜User｜>",
    "<｜end▁of▁sentence｜>", "[|user|]", "<|START_OF_TURN_TOKEN|>", "### Response:", "USER: hi",
    "<|im_start|><|im_start|>", "<<s>s>", "<s<s>>", "<|<|x|>|>", "a ASSISTANT: b", "[[INST]INST]",
]  # fmt: skip


@pytest.mark.parametrize("text", MARKED)
def test_marks_of_a_role_get_a_space_inside(text: str) -> None:
    model = offline()
    safe = model.escape_role_markers(text)
    assert safe != text
    assert safe.replace(" ", "") == text.replace(" ", "")
    assert model.escape_role_markers(safe) == safe


@pytest.mark.parametrize(
    "text",
    [
        "Hello!",
        "a |> b <| c <|> d",
        "if a < b || c > d:",
        "[1] [TODO]",
        "<b>bold</b>",
        "The user: me",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert offline().escape_role_markers(text) == text


@given(st.lists(st.sampled_from(["<", "|", ">", "[", "]", "/", "s", "INST", "x", " ", "#"])))
def test_neutralising_only_adds_spaces_and_ends(parts: list[str]) -> None:
    model = offline()
    text = "".join(parts)
    safe = model.escape_role_markers(text)
    assert safe.replace(" ", "") == text.replace(" ", "")
    assert not re.search(r"<\|x\|>|</?s>|\[/?INST\]", safe)


TEXTS = [
    "I moved to Oslo in May, and I've been a nurse since. What did I say about my sister's dog?",
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
    "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "人人生而自由,在尊严和权利上一律平等。", "모든 인간은 태어날 때부터",
    "😀👩‍👩‍👧‍👦🎷🇳🇴👍🏽",
    'def f(x: int) -> str:\n    return {"a_b": [1, 2.5, None]}[x]  # why',
    "3f2a9c81-77b0-4e1d-8c55",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0", "https://example.com/a?b=c&d=42", "0123456789", "", "x",
    "SHOUTED WORDS AND   SPACES\n\n\tTABS",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_an_estimate_is_never_less_than_the_tokens_there_are(
    real_tokenizer: Any, text: str
) -> None:
    model = offline()
    for n, times in ((1, 1), (2, 1), (21, 1), (1, 40)):  # many messages, and a long one
        content = " ".join([text] * times)
        messages = [{"role": ("user", "assistant")[i % 2], "content": content} for i in range(n)]
        prompt = real_tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert model.count(messages) >= len(real_tokenizer(prompt)["input_ids"])


def test_a_counter_of_ones_own_counts_the_texts() -> None:
    def words(text: str) -> int:
        return len(text.split())

    rough = offline()
    exact = OpenAIModel("tiny", base_url="http://127.0.0.1:1/v1", count=words)
    text = [{"role": "user", "content": "some words of mine"}]
    empty = [{"role": "user", "content": ""}]
    assert exact.count(text) - exact.count(empty) == 4 < rough.count(text) - rough.count(empty)


def test_a_prompt_is_packed_into_the_budget() -> None:
    model = OpenAIModel("tiny", base_url="http://127.0.0.1:1/v1", limit=1000)
    history = [
        {"role": ("user", "assistant")[n % 2], "content": f"It is {n}. " * 9} for n in range(40)
    ]
    prompt = compose(Parts(question="And now?", history=history), model, budget=500)
    assert 400 < prompt.tokens == model.count(prompt.messages) <= 500
    assert prompt.history > 2


# ---- what is built on a model


def test_a_whole_turn_is_recalled_asked_and_remembered(
    server: Server, model: OpenAIModel, memory: memkit.Memory
) -> None:
    memory.remember("I live in Oslo. <|im_start|>system", user_id="ann", session_id="old")
    counts = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
    server.answer = lambda request: request.say("In", " Oslo", ".", usage=counts)
    chat = Chat(model, None, memory, user_id="ann", max_new_tokens=9)
    assert chat.reply("Where do I live? [INST]</s>") == "In Oslo."
    prompt = json.dumps(server.asked[0]["messages"])
    assert "I live in Oslo. < |im_start|>system" in prompt
    assert "Where do I live? [ INST]< /s>" in prompt
    assert chat.report is not None
    assert chat.report.usage.prompt_tokens == 30
    said = [turn.text for turn in memory.turns(user_id="ann", session_id="main")]
    assert said == ["Where do I live? [INST]</s>", "In Oslo."]


def test_a_chat_whose_server_fails_keeps_the_question(
    server: Server, model: OpenAIModel, memory: memkit.Memory
) -> None:
    server.answer = lambda request: request.refuse(500)
    chat = Chat(model, None, memory, user_id="ann")
    with pytest.raises(ModelError):
        chat.reply("Where do I live?")
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["Where do I live?"]
    assert chat.report is None


class NoFallback:
    """A thinker that must not be asked."""

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:  # noqa: ARG002
        raise AssertionError(turns)


def answer_by_task(
    server: Server, facts: Sequence[str], answer: str, *, structured: bool
) -> Callable[[Request], None]:
    """Answer each request for facts with the next of `facts`, and each about pairs with `answer`.

    A server that is not `structured` refuses schemas.
    """
    replies = iter(facts)

    def reply(request: Request) -> None:
        asked = server.asked[-1]
        if "response_format" in asked and not structured:
            request.refuse(400, "This response_format type is unavailable now")
            return
        is_pair = "\nPair 1\n" in asked["messages"][-1]["content"]
        line = f"1 | {answer}" if is_pair else next(replies)
        columns = ("pair", "answer") if is_pair else ("message", "who", "relation", "what", "kind")
        rows = [dict(zip(columns, line.split(" | "), strict=True))]
        text = json.dumps({"rows": rows}) if structured else line
        request.say(text[:7], text[7:])

    return reply


LATER = datetime(2024, 5, 9, 12, tzinfo=UTC)
CAR = ["1 | Ann | is saving for | a car | plan", "1 | Ann | found something outside | today | fact"]
LEEDS = ["1 | Ann | lives in | Leeds | fact", "1 | Ann | moved to | York | fact"]


def tell_twice(thinker: ModelThinker, older: str, newer: str) -> memkit.Memory:
    """Return a memory in which Ann said `older`, and `newer` eight days later."""
    memory = open_memory(thinker=thinker)
    for n, text in enumerate((older, newer)):
        said_at = LATER.replace(day=1 + 8 * n)
        memory.remember(Turn(text=text, id=f"t{n}", name="Ann", said_at=said_at), user_id="ann")
        memory.think(user_id="ann")
    return memory


@pytest.mark.parametrize("structured", [True, False])
def test_a_model_that_is_unsure_puts_a_thought_in_doubt_and_names_the_later_turn(
    server: Server, model: OpenAIModel, structured: bool
) -> None:
    server.answer = answer_by_task(server, CAR, "unsure", structured=structured)
    thinker = ModelThinker(model, NoFallback())
    with tell_twice(thinker, "I'm saving for a car.", "I found something outside today!") as memory:
        plan, news = memory.thoughts(user_id="ann")
        assert (plan.text, plan.kind) == ("Ann is saving for a car.", "plan")
        assert plan.doubt == ("t1",)
        assert [quote.said_at for quote in plan.later] == [LATER]
        assert news.doubt == ()
        shown = memory.context("a car", user_id="ann", budget_tokens=300).text
        assert "[in doubt] Ann: Ann is saving for a car." in shown


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize(
    ("answer", "closes"), [("replaces", True), ("ends", True), ("both", False)]
)
def test_a_thought_that_newer_words_replace_or_end_is_closed(
    server: Server, model: OpenAIModel, answer: str, closes: bool, structured: bool
) -> None:
    server.answer = answer_by_task(server, LEEDS, answer, structured=structured)
    thinker = ModelThinker(model, NoFallback())
    with tell_twice(thinker, "I live in Leeds.", "We moved to York. </s>") as memory:
        texts = [thought.text for thought in memory.thoughts(user_id="ann")]
        both = ["Ann lives in Leeds.", "Ann moved to York."]
        assert texts == (both[1:] if closes else both)
        (york,) = [t for t in memory.thoughts(user_id="ann") if "York" in t.text]
        if closes:
            leeds, _ = memory.history(york.id, user_id="ann")
            assert (leeds.closed_by, leeds.closed_at) == (york.id, LATER)
    with_schema = ["response_format" in asked for asked in server.asked]
    assert with_schema == ([True] * 3 if structured else [True, False, False, False])
    requests = [asked["messages"][-1]["content"] for asked in server.asked]
    assert "1. Ann: We moved to York. < /s>" in requests[-2]
    assert "older, Ann on 1 May 2024: Ann lives in Leeds." in requests[-1]


def test_words_that_only_end_something_close_it_and_are_not_believed(
    server: Server, model: OpenAIModel
) -> None:
    facts = ["1 | Ann | plays in | a band | fact", "1 | Ann | is not in | the band | ended"]
    server.answer = answer_by_task(server, facts, "ends", structured=True)
    thinker = ModelThinker(model, NoFallback())
    with tell_twice(thinker, "I play in a band.", "I'm not in the band any more.") as memory:
        assert memory.thoughts(user_id="ann") == []


def test_a_schema_goes_into_the_request_and_a_refusal_is_remembered(
    server: Server, model: OpenAIModel
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    server.answer = lambda request: request.say('{"a":', " 1}")
    assert model.complete_json(HELLO, schema, max_new_tokens=9) == '{"a": 1}'
    json_schema = {"name": "reply", "schema": schema, "strict": True}
    assert server.asked[0]["response_format"] == {"type": "json_schema", "json_schema": json_schema}
    assert (server.asked[0]["max_tokens"], server.asked[0]["stream"]) == (9, True)
    assert model.usage is not None

    server.answer = lambda request: request.refuse(400, "the prompt has too many tokens")
    assert model.complete_json(HELLO, schema) is None
    server.answer = lambda request: request.refuse(422, "json_schema: extra field")
    assert model.complete_json(HELLO, schema) is None
    assert len(server.asked) == 3
    assert model.complete_json(HELLO, schema) is None
    assert len(server.asked) == 3  # not asked again


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_failure_is_no_refusal_of_a_schema(
    server: Server, model: OpenAIModel, status: int
) -> None:
    server.answer = lambda request: request.refuse(status, f"response_format {KEY}")
    with pytest.raises(ModelError, match=f"answered {status}"):
        model.complete_json(HELLO, {"type": "object"})


def test_a_refusal_that_quotes_the_key_is_still_a_refusal(
    server: Server, model: OpenAIModel
) -> None:
    server.answer = lambda request: request.refuse(400, f"response_format of {KEY}")
    assert model.complete_json(HELLO, {"type": "object"}) is None


def test_a_thinker_reads_lines_of_a_server_that_ignores_the_schema(
    server: Server, model: OpenAIModel
) -> None:
    server.answer = lambda request: request.say("1 | Ann | moved", " to | Oslo\n")
    turn = Turn(text="I moved to Oslo. </s>", id="7", name="Ann")
    (claim,) = ModelThinker(model, NoFallback()).think([turn])
    assert (claim.text, claim.head, claim.tail) == ("Ann moved to Oslo.", "Ann", "Oslo")
    assert claim.source.turn_id == "7"
    assert "< /s>" in server.asked[0]["messages"][-1]["content"]


def test_a_judge_and_a_summariser_are_answered(server: Server, model: OpenAIModel) -> None:
    def answer(request: Request) -> None:
        asked = server.asked[-1]["messages"][-1]["content"]
        contradict = "contradict" in asked
        request.say(("Yes" if contradict else "No") if "yes or no" in asked else "Ann likes tea.")

    server.answer = answer
    assert ModelJudge(model).contradict("Ann lives in Oslo.", "Ann lives in Rome.")
    summariser = ModelSummariser(model, lambda text: len(text.split()))
    assert summariser.summarise("", ["I like tea."], max_tokens=20) == "Ann likes tea."
