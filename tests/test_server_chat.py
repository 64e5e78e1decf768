"""OpenAI's clients talk to a real server in front of a real endpoint, and it remembers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Running, Upstream, endpoint, events, serving

openai = pytest.importorskip("openai", reason="pip install 'memkit-llm[openai]'")

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

KEY_TURN = "The spare key is under the blue pot."
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with endpoint() as running:
        yield running


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("served"), "--model", upstream.url) as running:
        yield running


def ask(server: Running, *messages: dict[str, Any], user: str, **options: Any) -> Any:
    body = {"model": "echo", "user": user, "messages": list(messages)} | options
    with server.client() as client:
        return client.post("/v1/chat/completions", json=body)


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def replied(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def test_what_was_said_in_one_session_reaches_the_model_in_another(
    server: Running, upstream: Upstream
) -> None:
    client = server.openai()
    client.chat.completions.create(
        model="echo", user="ann", messages=[said(KEY_TURN)],
        extra_body={"memory": {"session_id": "monday"}},
    )  # fmt: skip
    client.chat.completions.create(
        model="echo", user="ann", messages=[said("Where is the spare key?")],
        extra_body={"memory": {"session_id": "friday"}},
    )  # fmt: skip

    sent = upstream.asked()[-1]["body"]["messages"]
    assert len(sent) == 1
    assert KEY_TURN in sent[0]["content"]
    assert sent[0]["content"].startswith("<memkit-memory")
    assert sent[0]["content"].endswith("Where is the spare key?")


def test_a_resent_history_is_stored_once(server: Running) -> None:
    history: list[dict[str, Any]] = []
    for text in ("I live in Oslo.", "I like tea.", "I like tea."):
        history.append(said(text))
        for _ in range(2):  # a client that retries
            answer = ask(server, *history, user="resends", model="tokens-3-0").json()
        history.append(replied(answer["choices"][0]["message"]["content"]))

    roles = [role for role, _ in server.texts("resends")]
    assert roles == ["user", "assistant"] * 3


def test_white_space_that_a_client_changes_makes_no_other_message(server: Running) -> None:
    for text in ("I live in Oslo.", " I live  in Oslo.\n"):
        answer = ask(server, said(text), user="spaces", model="tokens-3-0")
        assert "x-memkit-warning" not in answer.headers
    assert len(server.texts("spaces")) == 2


def test_a_forgotten_message_does_not_come_back_with_the_history(server: Running) -> None:
    first = said("My password hint is marmalade.")
    reply = ask(server, first, user="forgets").json()["choices"][0]["message"]["content"]
    with server.client() as client:
        assert client.delete("/memories", params={"user_id": "forgets"}).status_code == 200

    ask(server, first, replied(reply), said("What is the time?"), user="forgets")

    texts = [text for _, text in server.texts("forgets")]
    assert texts[0] == "What is the time?"
    assert not any("marmalade" in text for text in texts)


def test_earlier_messages_are_remembered_only_on_request(server: Running) -> None:
    messages = [said("My cat is Tom."), replied("A fine name."), said("How old is he?")]
    ask(server, *messages, user="first")
    ask(server, *messages, user="second", memory={"history": True})

    assert server.texts("first")[0] == ("user", "How old is he?")
    assert [text for _, text in server.texts("second")][:3] == [
        "My cat is Tom.", "A fine name.", "How old is he?",
    ]  # fmt: skip


def test_the_memory_block_in_an_echoed_reply_is_not_remembered(server: Running) -> None:
    ask(server, said("Rex is my dog."), user="echoes", memory={"session_id": "1"})
    reply = ask(server, said("Who is Rex?"), user="echoes", memory={"session_id": "2"}).json()

    assert "<memkit-memory" in reply["choices"][0]["message"]["content"]
    assert not any("memkit-memory" in text for _, text in server.texts("echoes"))

    ask(server, said("And Rex?"), user="echoes", model="parrots", memory={"session_id": "3"})
    assert not any("Quotes from earlier" in text for _, text in server.texts("echoes"))


def test_tools_and_unknown_fields_go_through_as_they_are(
    server: Running, upstream: Upstream
) -> None:
    body = {"tools": [WEATHER], "tool_choice": "auto", "logit_bias": {"5": 1}, "made_up": [1, None]}
    answer = ask(server, said("Weather in Oslo?"), user="tools", model="tools", **body).json()

    sent = upstream.asked()[-1]["body"]
    assert {name: sent[name] for name in body} == body
    assert "memory" not in sent
    assert answer["unknown_field"] == {"kept": True}
    assert answer["choices"][0]["odd"] == [1, 2.5]
    assert answer["choices"][0]["message"]["tool_calls"][0]["id"] == "call_1"


def test_a_tool_loop_of_the_official_client_is_remembered(server: Running) -> None:
    client = server.openai()
    messages: list[Any] = [said("Weather in Oslo?")]
    first = client.chat.completions.create(
        model="tools", user="looped", messages=messages, tools=[WEATHER]
    )
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": "Rain, 4 degrees"})
    client.chat.completions.create(model="tools", user="looped", messages=messages, tools=[WEATHER])

    assert [role for role, _ in server.texts("looped")] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert 'weather({"city": "Oslo"})' in server.texts("looped")[1][1]


@pytest.mark.parametrize("model", ["echo", "tools"])
def test_a_stream_reads_as_the_whole_reply(server: Running, model: str) -> None:
    client = server.openai()
    stream = client.chat.completions.create(
        model=model, user=f"streams {model}", messages=[said("Hello — you\u2028there")], stream=True
    )
    chunks = list(stream)

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    stored = server.texts(f"streams {model}")
    if model == "echo":
        assert text.split() == ["You", "said:", "Hello", "—", "you", "there"]
        assert stored[1] == ("assistant", text)
    else:
        assert chunks[-2].choices[0].delta.tool_calls[0].function.name == "weather"
        assert stored[1] == ("assistant", 'weather({"city": "Oslo"})')


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_error_of_the_endpoint_is_passed_on_and_its_reply_not_remembered(
    server: Running, status: int
) -> None:
    answer = ask(server, said("Hi"), user=f"fails {status}", model=f"status-{status}")

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == "odd"
    assert answer.headers["retry-after"] == "7"
    assert server.texts(f"fails {status}") == [("user", "Hi")]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["breaks", "filtered"])
def test_a_reply_that_failed_is_not_remembered_as_said(
    server: Running, model: str, stream: bool
) -> None:
    user = f"{model} {stream}"
    answer = ask(server, said("Tell me a story"), user=user, model=model, stream=stream)

    assert server.texts(user) == [("user", "Tell me a story")]
    if model == "breaks" and stream:
        assert events(answer)[-1]["error"]["message"]
    if model == "breaks" and not stream:
        assert answer.status_code == 502


def test_memory_off_neither_shows_nor_stores(server: Running, upstream: Upstream) -> None:
    ask(server, said("I am Ann."), user="off")
    answer = ask(server, said("Who am I, Ann?"), user="off", memory={"off": True})

    assert upstream.asked()[-1]["body"]["messages"] == [said("Who am I, Ann?")]
    assert len(server.texts("off")) == 2
    assert "x-memkit-session" not in answer.headers


def test_budget_and_k_bound_the_block(server: Running, upstream: Upstream) -> None:
    for n in range(5):
        ask(server, said(f"Garden note {n}: the roses need water."), user="bounds")
    ask(server, said("What do roses need?"), user="bounds", memory={"k": 1})
    block = upstream.asked()[-1]["body"]["messages"][0]["content"]
    quotes = [line for line in block.splitlines() if line.startswith("> [")]
    assert len([line for line in quotes if "[since" not in line]) == 1

    ask(server, said("What do roses need now?"), user="bounds", memory={"budget": 1})
    assert upstream.asked()[-1]["body"]["messages"] == [said("What do roses need now?")]


def test_a_misspelt_memory_option_is_an_error(server: Running) -> None:
    answer = ask(server, said("Hi"), user="ann", memory={"sesion_id": "x"})
    assert answer.status_code == 422
    assert "sesion_id" in answer.json()["error"]["message"]


def test_no_user_is_an_error_that_names_the_fix(server: Running) -> None:
    with server.client() as client:
        answer = client.post("/v1/chat/completions", json={"messages": [said("Hi")]})
    assert answer.status_code == 400
    assert "--user" in answer.json()["error"]["message"]


def test_the_answer_says_the_session_and_the_time_of_memory(server: Running) -> None:
    answer = ask(server, said("Hi"), user="timed")
    assert answer.headers["x-memkit-session"].startswith("chat-")
    assert answer.headers["server-timing"].startswith("memory;dur=")
    assert "model;dur=" in answer.headers["server-timing"]


def test_the_responses_of_the_official_client(server: Running) -> None:
    client = server.openai()
    response = client.responses.create(
        model="echo", user="resp", input="I have a boat.", instructions="Be short.",
        extra_body={"memory": {"session_id": "a"}},
    )  # fmt: skip
    assert response.output_text == "You said: I have a boat."
    assert response.usage.total_tokens == 10

    with client.responses.stream(
        model="echo", user="resp", input=[said("What boat do I have?")]
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "I have a boat." in final.output_text
    assert [role for role, _ in server.texts("resp")] == ["user", "assistant"] * 2


def test_what_the_responses_cannot_do_is_said(server: Running) -> None:
    client = server.openai()
    with pytest.raises(openai.BadRequestError, match="chat/completions"):
        client.responses.create(model="echo", user="resp", input="Hi", tools=[{"type": "x"}])
    *_, last = client.responses.create(model="breaks", user="x", input="Hi", stream=True)
    assert last.type == "response.failed"
    assert "broke off" in last.response.error.message


def test_models_and_embeddings_of_the_official_client(server: Running) -> None:
    client = server.openai()
    assert "echo" in [model.id for model in client.models.list()]
    plain = client.embeddings.create(model="any", input=["tea"], encoding_format="float")
    packed = client.embeddings.create(model="any", input=["tea", "jazz"])  # as base64
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert len(packed.data) == 2
    with pytest.raises(openai.BadRequestError, match="longer than the encoder reads"):
        client.embeddings.create(model="any", input="word " * 500)


def test_the_async_client_streams(server: Running) -> None:
    async def read() -> str:
        transport = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with openai.AsyncOpenAI(
            base_url=server.openai_url, api_key="none", http_client=transport
        ) as client:
            stream = await client.chat.completions.create(
                model="echo", user="async", messages=[said("Hello")], stream=True
            )
            return "".join([c.choices[0].delta.content or "" async for c in stream])

    assert asyncio.run(read()) == "You said: Hello"


def test_langchain_talks_to_it(server: Running) -> None:
    pytest.importorskip("langchain_openai", reason="pip install langchain-openai")
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    model = ChatOpenAI(
        model="echo", base_url=server.openai_url, api_key="none", model_kwargs={"user": "chain"},
        extra_body={"memory": {"session_id": "chain"}}, http_client=server.transport(),
    )  # fmt: skip
    model.invoke("My sister is Mia.")
    assert "".join(chunk.text for chunk in model.stream("Hello again")).startswith("You said")
    assert [role for role, _ in server.texts("chain")] == ["user", "assistant"] * 2
    encoder = OpenAIEmbeddings(
        model="any",
        base_url=server.openai_url,
        api_key="none",
        check_embedding_ctx_length=False,
        http_client=server.transport(),
    )
    assert len(encoder.embed_query("tea")) == 64


def test_a_client_that_goes_away_leaves_no_half_reply(server: Running) -> None:
    body = {"model": "tokens-200-50", "user": "leaves", "messages": [said("Go")], "stream": True}
    with (
        server.client() as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        next(answer.iter_bytes())
    assert server.texts("leaves") == [("user", "Go")]


def test_the_clients_key_reaches_the_endpoint_only_where_memkit_has_none(
    server: Running, upstream: Upstream
) -> None:
    server.openai("sk-mine").chat.completions.create(model="echo", user="k", messages=[said("Hi")])
    assert upstream.asked()[-1]["headers"]["Authorization"] == "Bearer sk-mine"


BROKEN = """
import memkit.memory
def fail(*_, **__): raise {error}
memkit.memory.Memory.{method} = fail
"""


@pytest.mark.parametrize("error", ["memkit.errors.StoreFull('disk full')", "KeyError('bug')"])
@pytest.mark.parametrize("method", ["_recollect", "remember"])
def test_a_failing_memory_costs_no_reply_and_is_visible(
    method: str, error: str, upstream: Upstream, tmp_path: Path
) -> None:
    setup = "import memkit.errors" + BROKEN.format(method=method, error=error)
    with serving(tmp_path, "--model", upstream.url, setup=setup) as server:
        whole = ask(server, said("Hi"), user="ann")
        assert whole.json()["choices"][0]["message"]["content"] == "You said: Hi"
        assert "failed" in whole.headers["x-memkit-warning"]
        streamed = ask(server, said("Hello"), user="ann", stream=True)
        text = "".join(
            e["choices"][0]["delta"].get("content", "") for e in events(streamed) if e["choices"]
        )
        assert text == "You said: Hello"
        if method == "remember":
            assert "remember failed" in events(streamed)[-1]["memkit"]["warnings"][0]
        with server.client() as client:
            assert "memkit_memory_failures_total" in client.get("/metrics").text


def test_a_slow_memory_costs_no_reply(upstream: Upstream, tmp_path: Path) -> None:
    setup = """
import time, memkit.memory, memkit.server.settings
memkit.memory.Memory._recollect = lambda *_, **__: time.sleep(3)
memkit.server.settings.ServerSettings.__init__.__kwdefaults__["recall_s"] = 0.2
"""
    with serving(tmp_path, "--model", upstream.url, setup=setup) as server:
        answer = ask(server, said("Hi"), user="ann")
        assert answer.json()["choices"][0]["message"]["content"] == "You said: Hi"
        assert "more than 0.2 s" in answer.headers["x-memkit-warning"]


def test_an_endpoint_that_does_not_run_is_a_502(tmp_path: Path) -> None:
    with serving(tmp_path, "--model", "http://127.0.0.1:9/v1") as server:
        answer = ask(server, said("Hi"), user="ann")
        assert answer.status_code == 502
        assert "is it running" in answer.json()["error"]["message"]
        assert server.texts("ann") == [("user", "Hi")]
