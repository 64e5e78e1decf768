"""A server of the OpenAI protocol on 127.0.0.1, and a model that talks to it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

import pytest

from memkit.models.openai import OpenAIModel

KEY = "sk-very-secret-0123456789"
HELLO = [{"role": "user", "content": "Hello"}]


class Server(ThreadingTCPServer):
    """Answers chat completions by `answer`, and records the requests in `asked`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()  # the test has ended
        self.left = threading.Event()  # the client has closed a connection in the middle
        self.answer: Callable[[Request], None] = lambda request: request.say("Hi", " there")

    def handle_error(self, *_: Any) -> None:
        """Print nothing: clients may close a connection at any time."""


class Request(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(self.asked)
        self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        self.server.answer(self)

    def log_message(self, *_: Any) -> None: ...

    def head(self, status: int = 200, kind: str = "text/event-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Retry-After-Ms", "1")  # or the client would wait for half a second
        self.end_headers()

    def send(self, data: str | bytes) -> None:
        self.wfile.write(data if isinstance(data, bytes) else data.encode())
        self.wfile.flush()

    def event(self, **data: Any) -> None:
        self.send(f"data: {json.dumps({'id': '1', 'object': 'chat.completion.chunk'} | data)}\n\n")

    def piece(self, text: str | None, ended: str | None = None) -> None:
        self.delta(ended, **({"content": text} if text is not None else {}))

    def delta(self, ended: str | None = None, **delta: Any) -> None:
        self.event(choices=[{"index": 0, "delta": delta, "finish_reason": ended}])

    def say(self, *pieces: str, ended: str = "stop", usage: dict[str, Any] | None = None) -> None:
        self.head()
        for piece in pieces:
            self.piece(piece)
        self.piece(None, ended)
        if usage is not None:
            self.event(choices=[], usage=usage)
        self.send("data: [DONE]\n\n")

    def refuse(self, status: int, message: str = "because") -> None:
        self.head(status, "application/json")
        self.send(json.dumps({"error": {"message": message}}))


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def model(server: Server) -> OpenAIModel:
    return OpenAIModel("tiny", base_url=server.url, api_key=KEY, timeout_s=5)


def ask(model: OpenAIModel, n: int = 16) -> str:
    return "".join(model.stream(HELLO, max_new_tokens=n))
