"""Odd models, odd requests and a memory that hangs: the answer comes, and what was said is kept."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any

import pytest

pytest.importorskip("httpx2", reason="pip install 'memkit-llm[server]'")
pytest.importorskip("fastapi", reason="pip install 'memkit-llm[server]'")
pytest.importorskip("prometheus_client", reason="pip install 'memkit-llm[server]'")

import httpx2
from starlette.testclient import TestClient

import memkit
from memkit.server.app import create_app
from memkit.server.backend import ModelAnswer, event_line
from memkit.server.settings import ServerSettings
from memkit.server.upstream import Upstream
from memkit.testing import open_memory

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
DONE = b"data: [DONE]\n\n"
Piece = tuple[Mapping[str, Any], str | None]  # a delta, and why the reply ends


class Model:
    """A model that answers with whatever a test gives it."""

    def __init__(self) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self.answer: Callable[[], ModelAnswer] = whole({"content": "Fine."})

    async def chat(self, body: Mapping[str, Any], headers: object) -> ModelAnswer:  # noqa: ARG002
        self.requests.append(body)
        return self.answer()

    async def models(self, headers: object) -> ModelAnswer:  # noqa: ARG002
        return ModelAnswer(body=b"{}")

    async def close(self) -> None: ...


def whole(message: Mapping[str, Any], reason: str = "stop", **fields: Any) -> Any:
    """Return a function that answers with a whole completion."""
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", **message}}
    body = json.dumps({"choices": [choice], **fields}).encode()
    return lambda: ModelAnswer(body=body)


def chunk(delta: Mapping[str, Any], reason: str | None = None, **fields: Any) -> bytes:
    return event_line({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} | fields)


def streamed(*lines: bytes) -> Any:
    """Return a function that answers with a stream."""

    async def read() -> AsyncGenerator[bytes]:
        for line in lines:
            yield line

    return lambda: ModelAnswer(media_type="text/event-stream", lines=read())


@pytest.fixture
def memory() -> memkit.Memory:
    return open_memory()


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def client(memory: memkit.Memory, model: Model) -> Iterator[TestClient]:
    app = create_app(memory, model, settings=ServerSettings(user="ann"))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}


def stored(memory: memkit.Memory) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in memory.turns(user_id="ann")]


# ---- odd answers

CALLS: list[list[dict[str, Any]]] = [
    [{"index": 0, "function": {"name": "a"}}, {"index": "1", "function": {"name": "b"}}],
    [{"index": None, "function": {"name": "a"}}, {"index": 1, "function": {"name": "b"}}],
    [{"index": [], "function": {"name": "a"}}, {"index": {}, "function": {"name": "b"}}],
    [{"id": "1", "function": {"name": "a"}}, {"id": "2", "function": {"name": "b"}}],
    [{"index": 5, "function": {"name": "a"}}, None, 7, {"index": 2, "function": {"name": "b"}}],  # type: ignore[list-item]
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("calls", CALLS)
def test_calls_with_odd_indexes_are_stored_in_their_order(
    calls: list[dict[str, Any]], stream: bool, client: TestClient, model: Model,
    memory: memkit.Memory,
) -> None:  # fmt: skip
    model.answer = whole({"content": None, "tool_calls": calls}, "tool_calls")
    if stream:
        pieces = [chunk({"tool_calls": [call]}) for call in calls]
        model.answer = streamed(*pieces, chunk({}, "tool_calls"), DONE)
    answer = client.post(CHAT, json=said("Call both.", stream=stream))

    assert answer.status_code == 200
    assert stored(memory) == [("user", "Call both."), ("assistant", "a()\nb()")]


def test_a_streamed_call_without_index_continues_the_call_before_it(
    client: TestClient, model: Model, memory: memkit.Memory
) -> None:
    model.answer = streamed(
        chunk({"tool_calls": [{"id": "1", "function": {"name": "a", "arguments": '{"x"'}}]}),
        chunk({"tool_calls": [{"function": {"arguments": ": 1}"}}]}, "tool_calls"), DONE,
    )  # fmt: skip
    client.post(CHAT, json=said("Call it.", stream=True))
    assert stored(memory)[1] == ("assistant", 'a({"x": 1})')


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    "content", [[{"type": "text", "text": "In parts."}], [{"type": "text", "text": "In parts."}, 5]]
)
@pytest.mark.parametrize("usage", [{"prompt_tokens": "many"}, {"prompt_tokens": [1]}, "odd", [1]])
def test_odd_content_and_usage_cost_no_reply(
    *, content: list[Any], usage: Any, path: str, stream: bool, client: TestClient, model: Model,
    memory: memkit.Memory,
) -> None:  # fmt: skip
    readable = len(content) == 1
    text = {"content": "Then text."}
    model.answer = whole({"content": content} if readable else text, usage=usage)
    if stream:
        lines = [chunk({"content": content}), chunk({} if readable else text, "stop", usage=usage)]
        model.answer = streamed(*lines, DONE)
    question = said("Hello?") if path == CHAT else {"input": "Hello?"}
    answer = client.post(path, json={**question, "stream": stream})

    assert answer.status_code == 200
    expected = "In parts." if readable else "Then text."
    assert stored(memory) == [("user", "Hello?"), ("assistant", expected)]


def test_a_warning_fits_into_a_header(client: TestClient, model: Model) -> None:
    odd = [{"role": "weird — ü", "content": "x"}] * 3000
    answer = client.post(CHAT, json={"messages": [*odd, {"role": "user", "content": "Hi"}]})
    assert answer.status_code == 200
    assert 0 < len(answer.headers["x-memkit-warning"]) <= 1000
    assert len(model.requests) == 1


def test_a_response_that_was_cut_is_incomplete(
    client: TestClient, model: Model, memory: memkit.Memory
) -> None:
    model.answer = whole({"content": "Once upon"}, "length")
    answer = client.post(RESPONSES, json={"input": "Tell me.", "max_output_tokens": 2}).json()
    assert answer["status"] == answer["output"][0]["status"] == "incomplete"
    assert answer["incomplete_details"] == {"reason": "max_output_tokens"}

    model.answer = streamed(chunk({"content": "Once upon"}), chunk({}, "length"), DONE)
    text = client.post(RESPONSES, json={"input": "Tell me!", "stream": True}).text
    assert "event: response.incomplete" in text
    assert "event: response.completed" not in text
    assert stored(memory)[1] == stored(memory)[3] == ("assistant", "Once upon")


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_retry_after_of_the_endpoint_reaches_the_client(
    path: str, client: TestClient, model: Model
) -> None:
    body = b'{"error": {"message": "slow down"}}'
    model.answer = lambda: ModelAnswer(status=429, headers={"retry-after": "7"}, body=body)
    answer = client.post(path, json=said("Hi") if path == CHAT else {"input": "Hi"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


# ---- what a response cannot say to a chat completion


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", {"format": {"type": "json_schema", "name": "x", "schema": {}}}),
        ("text", {"format": {"type": "json_object"}}), ("text", {"style": "odd"}),
        ("tools", [{"type": "web_search"}]), ("tool_choice", "required"),
        ("reasoning", {"summary": "auto"}), ("include", ["reasoning.encrypted_content"]),
        ("background", True), ("prompt", {"id": "p"}), ("conversation", "c"),
        ("truncation", "auto"), ("top_logprobs", 3), ("temprature", 0.0),
    ],
)  # fmt: skip
def test_a_field_that_would_change_the_answer_is_refused_and_never_dropped(
    name: str, value: Any, client: TestClient, model: Model, memory: memkit.Memory
) -> None:
    answer = client.post(RESPONSES, json={"input": "Hi", name: value})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert name in error["message"]
    assert CHAT in error["message"]
    assert model.requests == []
    assert stored(memory) == []


def test_the_options_of_a_response_reach_the_model(client: TestClient, model: Model) -> None:
    body = {
        "input": "Hi", "model": "m", "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 5,
        "seed": 7, "reasoning": {"effort": "low", "summary": None},
        "text": {"format": {"type": "text"}, "verbosity": "low"}, "tools": [], "store": False,
        "tool_choice": "auto", "metadata": {"a": "b"}, "truncation": "disabled",
    }  # fmt: skip
    assert client.post(RESPONSES, json=body).status_code == 200
    (request,) = model.requests
    assert {name: value for name, value in request.items() if name != "messages"} == {
        "model": "m", "temperature": 0.5, "top_p": 0.9, "max_tokens": 5, "seed": 7,
        "reasoning_effort": "low", "verbosity": "low",
    }  # fmt: skip


# ---- requests that are no valid JSON or no valid Unicode


def upstream_client(memory: memkit.Memory, sent: list[bytes], **settings: Any) -> TestClient:
    """Return a client of a server in front of an endpoint that notes what it gets."""

    def answer(request: Any) -> Any:
        sent.append(request.content)
        return httpx2.Response(200, content=whole({"content": "Fine."})().body)

    upstream = Upstream("http://model.test/v1")
    upstream._client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    app = create_app(memory, upstream, settings=ServerSettings(user="ann", **settings))
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_the_callers_error(
    number: str, memory: memkit.Memory
) -> None:
    sent: list[bytes] = []
    body = json.dumps(said("Hi"))[:-1] + f', "temperature": {number}}}'
    with upstream_client(memory, sent) as client:
        answer = client.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "no valid JSON" in answer.json()["error"]["message"]
    assert sent == []


def test_half_a_surrogate_pair_reaches_the_endpoint_as_it_came(memory: memkit.Memory) -> None:
    sent: list[bytes] = []
    with upstream_client(memory, sent) as client:
        body = json.dumps(said("Hi \ud800"))
        answer = client.post(CHAT, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "Fine."
    (request,) = sent
    assert json.loads(request)["messages"][-1]["content"].endswith("Hi \ud800")


# ---- clients that leave, memories that hang, deletions


def leave_after(client: TestClient, body: Mapping[str, Any], word: bytes) -> None:
    """Send a request, and disconnect when the answer has a word."""
    content = json.dumps(body).encode()
    scope = {
        "type": "http", "method": "POST", "path": CHAT, "raw_path": CHAT.encode(),
        "query_string": b"", "scheme": "http", "http_version": "1.1", "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
        "asgi": {"version": "3.0", "spec_version": "2.3"}, "client": None, "server": None,
    }  # fmt: skip

    async def run() -> None:
        left = asyncio.Event()
        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if word in message.get("body", b""):
                left.set()

        await client.app(scope, receive, send)  # type: ignore[arg-type]

    assert client.portal is not None
    client.portal.call(run)


@pytest.mark.parametrize("finished", [True, False])
def test_a_reply_is_stored_if_its_client_leaves_before_done_and_after_its_end(
    finished: bool, model: Model, memory: memkit.Memory
) -> None:
    async def read() -> AsyncGenerator[bytes]:
        yield chunk({"content": "The answer is 42."}, "stop" if finished else None)
        await asyncio.sleep(60)  # the client leaves meanwhile
        yield DONE

    closed: list[bool] = []
    close, memory.close = memory.close, lambda: closed.append(True)  # type: ignore[method-assign]
    model.answer = lambda: ModelAnswer(media_type="text/event-stream", lines=read())
    app = create_app(memory, model, settings=ServerSettings(user="ann"))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        leave_after(client, said("What is it?", stream=True), b"42")

    assert closed  # what is still being remembered is waited for before
    reply = [("assistant", "The answer is 42.")] if finished else []
    assert stored(memory) == [("user", "What is it?"), *reply]
    close()


def test_recalls_that_hang_leave_a_bounded_number_of_threads(
    model: Model, memory: memkit.Memory
) -> None:
    go = threading.Event()
    memory._recollect = lambda *_, **__: go.wait(60)  # type: ignore[method-assign,assignment,return-value]
    app = create_app(memory, model, settings=ServerSettings(user="ann", recall_s=0.01))
    app.state.services.limiter.total_tokens = 4
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.get("/readyz")
        before = threading.active_count()
        try:
            for n in range(20):
                answer = client.post(CHAT, json=said(f"Question {n}?"))
                assert answer.status_code == 200
                assert "more than 0.01 s" in answer.headers["x-memkit-warning"]
            assert threading.active_count() - before <= 4
        finally:
            go.set()


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_during_which_something_was_deleted_is_not_stored_and_a_warning_says_so(
    stream: bool, client: TestClient, model: Model, memory: memkit.Memory
) -> None:
    (old,) = memory.remember("I live in Paris.", user_id="ann")
    answer_whole = whole({"content": "In Paris."})

    def delete_and_answer() -> ModelAnswer:
        memory.forget(user_id="ann", turn_ids=[old])
        answer: ModelAnswer = answer_whole()
        return answer

    async def read() -> AsyncGenerator[bytes]:
        yield chunk({"content": "In Paris."})
        await asyncio.to_thread(memory.forget, user_id="ann", turn_ids=[old])
        yield chunk({}, "stop")
        yield DONE

    model.answer = delete_and_answer
    if stream:
        model.answer = lambda: ModelAnswer(media_type="text/event-stream", lines=read())
    answer = client.post(CHAT, json=said("Where do I live?", stream=stream))

    assert answer.status_code == 200
    assert stored(memory) == [("user", "Where do I live?")]
    warning = answer.text if stream else answer.headers["x-memkit-warning"]
    assert "deleted during the reply" in warning


def test_a_late_warning_is_in_the_last_event_of_a_streamed_response(
    client: TestClient, model: Model, memory: memkit.Memory
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise memkit.errors.StoreFull("the disk is full")

    memory.remember = fail  # type: ignore[method-assign,assignment]
    model.answer = streamed(chunk({"content": "Hi."}), chunk({}, "stop"), DONE)
    text = client.post(RESPONSES, json={"input": "Hi", "stream": True}).text
    assert "the disk is full" in text.split("event: response.completed")[1]
