"""What goes wrong behind an OpenAI-compatible endpoint is a clear error."""

# ruff: noqa: F811 - fixtures are imported

import socket

import pytest
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

from memkit.errors import ModelError
from memkit.models.openai import OpenAIModel

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

# ---- failures


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, r"answered 400 for model 'tiny' \(.*because.*\); if the prompt is too .* limit="),
        (401, "answered 401 for model 'tiny'; pass the server's key as api_key="),
        (404, r"answered 404 .*because.*\); check the model's name, and base_url: .* /v1"),
        (429, r"answered 429 .*because.*\); wait"),
        (500, r"answered 500 .*because.*\); see the server's log"),
    ],
)
def test_a_refusal_names_the_endpoint_the_reason_and_what_to_do(
    server: Server, model: OpenAIModel, status: int, message: str
) -> None:
    server.answer = lambda request: request.refuse(status)
    with pytest.raises(ModelError, match=message) as caught:
        ask(model)
    assert str(caught.value).startswith(server.url)
    assert isinstance(caught.value.__cause__, openai.APIStatusError)
    assert model.usage is None


def test_a_request_that_failed_at_first_is_tried_again(server: Server, model: OpenAIModel) -> None:
    def answer(request: Request) -> None:
        if len(server.asked) < 3:
            request.refuse(500)
        else:
            request.say("At last")

    server.answer = answer
    assert ask(model) == "At last"


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    client = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
    with pytest.raises(
        ModelError, match=f"connection to {url} failed .*refused.*is the server run"
    ):
        ask(OpenAIModel("tiny", client=client))


def test_a_server_that_never_answers_fails_in_time(server: Server) -> None:
    server.answer = lambda _: assert_over(server)
    client = openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0, timeout=0.1)
    with pytest.raises(ModelError, match="sent nothing before the timeout"):
        ask(OpenAIModel("tiny", client=client))


def test_a_server_that_hangs_within_a_reply_fails_in_time(server: Server) -> None:
    def answer(request: Request) -> None:
        request.head()
        request.piece("Well,")
        assert_over(server)

    server.answer = answer
    model = OpenAIModel("tiny", base_url=server.url, timeout_s=0.1)
    stream = model.stream(HELLO, max_new_tokens=16)
    assert next(stream) == "Well,"
    with pytest.raises(ModelError, match=r"sent nothing before the timeout; .* raise timeout_s"):
        next(stream)
    assert len(server.asked) == 1  # what has begun is not begun anew
    assert model.estimated


def assert_over(server: Server) -> None:
    """Hang until the test has ended."""
    assert server.over.wait(30)


GARBAGE = {
    "a page": b"<html><body>It works!</body></html>",
    "a whole completion": b'{"choices": [{"message": {"content": "Hi"}}]}',
    "nothing": b"",
    "half a chunk": b'data: {"choices": [{"del\n\n',
    "a number": b"data: 42\n\n",
    "a list": b"data: [1, 2]\n\n",
    "choices that are none": b'data: {"choices": "yes"}\n\ndata: {"choices": [1, "x", null]}\n\n',
    "choices by name": b'data: {"choices": {"first": 1}}\n\n',
    "bytes": b"data: \xff\xfe\x00\n\n",
    "another protocol": b"event: message\ndata: {}\n\ndata: [DONE]\n\n",
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_chat_completion_is_an_error(
    server: Server, model: OpenAIModel, body: bytes
) -> None:
    def answer(request: Request) -> None:
        request.head(kind="text/html")
        request.send(body)

    server.answer = answer
    with pytest.raises(ModelError, match=f"^{server.url} sent .*chat completion.* in /v1$"):
        ask(model)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_reply_that_breaks_off_is_no_whole_reply(
    server: Server, model: OpenAIModel, chunked: bool
) -> None:
    def answer(request: Request) -> None:
        if chunked:  # then the transport itself notices
            request.protocol_version = "HTTP/1.1"
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            data = 'data: {"choices": [{"index": 0, "delta": {"content": "Well,"}}]}\n\n'
            request.send(f"{len(data):x}\r\n{data}\r\n")
            request.close_connection = True
        else:
            request.head()
            request.piece("Well,")

    server.answer = answer
    said = []
    with pytest.raises(ModelError, match=r"broke off within a reply|the connection to .* failed"):
        said += model.stream(HELLO, max_new_tokens=16)
    assert model.usage is not None
    assert model.estimated


def test_an_error_within_a_reply_is_told_in_the_servers_words(
    server: Server, model: OpenAIModel
) -> None:
    def answer(request: Request) -> None:
        request.head()
        request.piece("Well,")
        request.event(error={"message": "out of memory", "code": 500})

    server.answer = answer
    with pytest.raises(ModelError, match=r"failed within a reply \(out of memory\)"):
        ask(model)


@pytest.mark.parametrize(
    ("ended", "message"),
    [("length", "within 16 tokens; .*raise max_new_tokens"), ("content_filter", "content_filter")],
)
def test_a_model_that_was_stopped_before_it_spoke_is_an_error(
    server: Server, model: OpenAIModel, ended: str, message: str
) -> None:
    server.answer = lambda request: request.say(ended=ended)
    with pytest.raises(ModelError, match=message):
        ask(model)


def test_a_reply_that_a_filter_cut_is_no_whole_reply(server: Server, model: OpenAIModel) -> None:
    server.answer = lambda request: request.say("Well,", ended="content_filter")
    stream = model.stream(HELLO, max_new_tokens=16)
    assert next(stream) == "Well,"
    with pytest.raises(ModelError, match=r"^the content filter of http.* ended the reply"):
        next(stream)
    assert model.usage is not None


def test_a_reply_that_ends_at_the_limit_is_a_reply(server: Server, model: OpenAIModel) -> None:
    server.answer = lambda request: request.say("Well,", ended="length")
    assert ask(model) == "Well,"


def test_a_server_that_does_not_stream_is_told_so(server: Server, model: OpenAIModel) -> None:
    def answer(request: Request) -> None:
        request.head(kind="application/json; charset=utf-8")
        request.send(GARBAGE["a whole completion"])

    server.answer = answer
    with pytest.raises(ModelError, match=f"^{server.url} does not stream: .* switch streaming on"):
        ask(model)


def test_a_reply_without_any_words_says_what_it_held(server: Server, model: OpenAIModel) -> None:
    def answer(request: Request) -> None:
        request.head()
        request.delta(content=[{"type": "image_url", "image_url": {"url": "data:,"}}])
        request.piece(None, "stop")

    server.answer = answer
    with pytest.raises(ModelError, match=r"'tiny' at .* answered with \[.*image_url.* and no text"):
        ask(model)
