"""Chat with a model behind an OpenAI-compatible endpoint; here, a small local server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import memkit
from memkit.models.openai import OpenAIModel


class Mirror(BaseHTTPRequestHandler):
    """Stands in for vLLM, llama.cpp or Ollama: it streams the prompt's last message back."""

    def do_POST(self) -> None:
        """Answer a chat completion in two pieces."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self._send("I was shown:\n", None)
        self._send(request["messages"][-1]["content"], "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, text: str, finish_reason: str | None) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
        chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def main() -> None:
    """Start the server, remember a fact, and chat."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"  # replace it with your server's
        model = OpenAIModel("mirror", base_url=url, limit=4096)
        with memkit.open(":memory:") as memory:
            memory.remember("The wifi password is tulip-42.", user_id="ann", session_id="monday")
            chat = memkit.Chat(model, memory=memory, user_id="ann", session_id="friday")
            for piece in chat.stream("What is the wifi password?"):
                print(piece, end="", flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
