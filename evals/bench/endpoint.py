"""An OpenAI-compatible endpoint as a process, for tests and benchmarks of the server.

`python -m evals.bench.endpoint` prints its port. The requested model says how it answers: "echo"
repeats the question, "parrots" repeats it without its first line, "tools" calls a tool once,
"status-N" answers N, "breaks" breaks off within a reply, "filtered" is ended by a content filter,
"slow" takes two seconds, and "tokens-N-MS" writes N words, one every MS milliseconds. `GET /asked`
returns the requests so far.
"""

import json
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MODELS = ("echo", "tools", "slow", "breaks", "filtered", "tokens-16-10")
Json = dict[str, Any]


class Endpoint(ThreadingHTTPServer):
    """Listens on a free port of this machine, and keeps what it was asked."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.asked: list[Json] = []


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Endpoint

    def do_GET(self) -> None:
        if self.path == "/asked":
            self._send(200, {"asked": self.server.asked})
        else:
            data = [{"id": name, "object": "model", "extra": True} for name in _MODELS]
            self._send(200, {"object": "list", "data": data})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = str(body.get("model"))
        if not model.startswith("tokens"):
            self.server.asked.append({"body": body, "headers": dict(self.headers.items())})
        if status := re.fullmatch(r"status-(\d+)", model):
            error = {"message": "no", "type": "made_up", "code": "odd"}
            self._send(int(status[1]), {"error": error})
            return
        if model == "slow":
            time.sleep(2)
        message, reason = _answer(model, body)
        if body.get("stream"):
            self._stream(model, message, reason)
            return
        if model == "breaks":
            self.close_connection = True
            return
        wait = re.fullmatch(r"tokens-(\d+)-(\d+)", model)
        if wait:
            time.sleep(int(wait[1]) * int(wait[2]) / 1000)
        choice = {"index": 0, "message": message, "finish_reason": reason, "odd": [1, 2.5]}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        self._send(
            200,
            {"id": "c1", "object": "chat.completion", "created": 1, "model": model,
             "choices": [choice], "usage": usage, "unknown_field": {"kept": True}},
        )  # fmt: skip

    def _stream(self, model: str, message: Json, reason: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._delta(model, {"role": "assistant", "content": ""})
        wait = re.fullmatch(r"tokens-\d+-(\d+)", model)
        pieces = re.findall(r"\S+\s*", message.get("content") or "")
        for n, piece in enumerate(pieces):
            if model == "breaks" and n == 1:
                self.close_connection = True
                self.wfile.flush()
                self.connection.close()
                return
            if wait:
                time.sleep(int(wait[1]) / 1000)
            self._delta(model, {"content": piece})
        for n, call in enumerate(message.get("tool_calls") or ()):
            self._delta(model, {"tool_calls": [{"index": n, **call}]})
        self._delta(model, {}, reason)
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _delta(self, model: str, delta: Json, reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        data = {
            "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": [choice],
        }  # fmt: skip
        self._chunk(f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send(self, status: int, data: Json) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _answer(model: str, body: Json) -> tuple[Json, str]:
    """Return a reply and why it ends."""
    messages = body.get("messages") or []
    if model == "tools" and not any(message.get("role") == "tool" for message in messages):
        function = {"name": "weather", "arguments": '{"city": "Oslo"}'}
        call = {"id": "call_1", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    if words := re.fullmatch(r"tokens-(\d+)-\d+", model):
        text = " ".join(f"word{n}" for n in range(int(words[1])))
    else:
        asked = [m.get("content") for m in messages if m.get("role") == "user"]
        text = f"You said: {asked[-1] if asked else 'nothing'}"
        if model == "parrots":
            text = text.partition("\n")[2]
    reason = "content_filter" if model == "filtered" else "stop"
    return {"role": "assistant", "content": text}, reason


def main() -> None:
    """Serve until the process is ended."""
    endpoint = Endpoint()
    print(endpoint.server_address[1], flush=True)
    endpoint.serve_forever()


if __name__ == "__main__":
    main()
