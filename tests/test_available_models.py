"""Which chat model is taken without being named, where messages go, and who is asked."""

# ruff: noqa: F811 - fixtures are imported

import json
import os
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Request, Server, _no_settings_of_this_machine, server  # noqa: F401

from memkit.errors import InvalidInput
from memkit.models.available import choose_model
from memkit.testing import ScriptedModel

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
HELLO = [{"role": "user", "content": "Hello"}]
LLAMA = {"name": "llama3.2:3b", "details": {"families": ["llama"]}}
EMBEDDER = {"name": "mini", "details": {"families": ["bert"]}}
CLOUD = {"name": "large:cloud", "remote_host": "https://ollama.com"}


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memkit.models.bundled.smollm2", lambda: (ScriptedModel(["hm"]), None))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nobody listens there


def serve_lists(monkeypatch: pytest.MonkeyPatch, lists: dict[str, Any], status: int = 200) -> None:
    """Let the server answer GET requests by their path."""

    def do_GET(request: Request) -> None:
        request.send_response(status)
        request.send_header("Location", "http://192.0.2.1/")  # a redirect is not followed
        request.end_headers()
        answer = lists.get(request.path, "not JSON")
        request.send(answer if isinstance(answer, str) else json.dumps(answer))

    monkeypatch.setattr(Request, "do_GET", do_GET, raising=False)


def host(server: Server) -> str:
    return server.url.removesuffix("/v1")


def test_without_any_server_the_bundled_model_is_taken_and_called_very_small() -> None:
    chosen = choose_model()
    assert (chosen.name, type(chosen.model)) == ("smollm2", ScriptedModel)
    assert "very small" in chosen.description
    assert "--model" in chosen.description


def test_ollama_on_this_machine_is_preferred_and_gets_no_message_before_it_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_lists(monkeypatch, {"/api/tags": {"models": [EMBEDDER, CLOUD, LLAMA]}})
    monkeypatch.setenv("OLLAMA_HOST", host(server))
    chosen = choose_model()
    assert chosen.name == "ollama:llama3.2:3b"
    assert f"llama3.2:3b, from Ollama at {host(server)}, on this machine." in chosen.description
    assert server.asked == []
    assert "".join(chosen.model.stream(HELLO, max_new_tokens=8)) == "Hi there"
    assert server.asked[0]["model"] == "llama3.2:3b"
    assert choose_model(chosen.name).description == chosen.description
    assert choose_model("smollm2").name == "smollm2"


def test_a_server_at_openai_base_url_on_this_machine_is_preferred_to_ollama(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = {"/v1/models": {"data": [{"id": "big"}]}, "/api/tags": {"models": [LLAMA]}}
    serve_lists(monkeypatch, lists)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OLLAMA_HOST", host(server))
    chosen = choose_model()
    assert (chosen.name, server.url in chosen.description) == ("openai:big", True)


def test_messages_for_this_machine_go_through_no_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_lists(monkeypatch, {"/api/tags": {"models": [LLAMA]}})
    monkeypatch.setenv("OLLAMA_HOST", host(server))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    assert "".join(choose_model().model.stream(HELLO, max_new_tokens=8)) == "Hi there"


@pytest.mark.parametrize("remote", ["https://models.example.org/v1", "http://192.0.2.1:8000/v1"])
def test_a_server_elsewhere_is_not_asked_and_is_used_only_if_it_is_named(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacted = refuse(monkeypatch)
    monkeypatch.setenv("OPENAI_BASE_URL", remote)
    monkeypatch.setenv("OLLAMA_HOST", "ollama.example.org")
    chosen = choose_model()
    assert (chosen.name, contacted) == ("smollm2", [])
    assert "used only with openai:NAME" in chosen.description
    assert "NOT on this machine" in choose_model("openai:big").description
    assert "NOT on this machine" in choose_model("ollama:big").description
    assert contacted == []


def test_a_cloud_model_of_ollama_is_never_taken_by_itself_and_says_where_messages_go(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_lists(monkeypatch, {"/api/tags": {"models": [CLOUD]}})
    monkeypatch.setenv("OLLAMA_HOST", host(server))
    assert choose_model().name == "smollm2"
    assert "passes this model's messages on" in choose_model("ollama:large:cloud").description


@pytest.mark.parametrize("status", [200, 302, 404, 500])
@pytest.mark.parametrize("answer", ["not JSON", [], {}, {"models": 7}, {"models": ["x", {}]}])
def test_an_answer_that_lists_no_model_is_taken_for_none(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: Any, status: int
) -> None:
    serve_lists(monkeypatch, {"/api/tags": answer, "/v1/models": answer}, status)
    monkeypatch.setenv("OLLAMA_HOST", host(server))
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert choose_model().name == "smollm2"


@pytest.mark.parametrize("value", ["nonsense", "http://", "http://host:port/", "ftp://127.0.0.1"])
def test_an_address_that_is_none_is_a_typed_error(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", value)
    with pytest.raises(InvalidInput, match="OPENAI_BASE_URL must be an address"):
        choose_model()


def refuse(patch: pytest.MonkeyPatch) -> list[str]:
    """Refuse every connection; return the list of the hosts to which one was tried."""
    contacted: list[str] = []

    def connect(connection: HTTPConnection) -> None:
        contacted.append(connection.host)
        raise ConnectionRefusedError

    patch.setattr(HTTPConnection, "connect", connect)
    return contacted


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=8)


@given(prefix=st.sampled_from(["localhost", "127.0.0.1", "10", "127"]), rest=st.lists(labels))
def test_only_addresses_of_this_machine_are_contacted(prefix: str, rest: list[str]) -> None:
    name = ".".join([prefix, *rest])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_HOST", f"http://{name}:8000")
        contacted = refuse(patch)
        choose_model()
    is_here = name == "localhost" or (
        len(parts := name.split(".")) == 4
        and parts[0] == "127"
        and all(part.isdigit() and str(int(part)) == part and int(part) < 256 for part in parts)
    )
    assert contacted == ([name] if is_here else [])


def test_chat_as_a_process_tells_where_messages_go_and_talks_to_ollama(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_lists(monkeypatch, {"/api/tags": {"models": [LLAMA]}})
    program = (
        "import memkit.embedders; from memkit.testing import HashEmbedder;"
        "memkit.embedders.MiniLM = HashEmbedder; from memkit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "chat", "--user", "ann"],
        input="/help\nHello\n", cwd=tmp_path, env=os.environ | {"OLLAMA_HOST": host(server)},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.endswith("Hi there\n")
    assert done.stderr.startswith("model: llama3.2:3b, from Ollama at http://127.0.0.1:")
    assert [request["messages"][-1]["content"] for request in server.asked] == ["Hello"]
