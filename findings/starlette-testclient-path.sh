#!/bin/sh
# starlette 1.10.0 (PyPI), TestClient: the path of the ASGI scope is percent-decoded twice, first as the URL's
# `path` and then by the client. ASGI asks for one decoding, and a server (uvicorn 0.54.0) does one. So a test
# sees "/50%" or "/a/b" where a server gives "/50%25" or "/a%2Fb", and may even reach another route; only
# `raw_path` is the same. Reported as https://github.com/Kludex/starlette/issues/2587, which is closed.
# Prints the path that an application receives from both; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet starlette==1.10.0 uvicorn==0.54.0 httpx2==2.16.2
"$folder/env/bin/python" - <<'PYTHON'
import http.client
import socket
import threading
import time

import starlette
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient


async def application(scope, receive, send):
    await PlainTextResponse(scope["path"])(scope, receive, send)


listener = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_level="error"))
thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
thread.start()
while not server.started:
    time.sleep(0.05)


def served(path):
    connection = http.client.HTTPConnection(*listener.getsockname(), timeout=30)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


client = TestClient(application)
paths = "/a%20b", "/50%2525", "/a%252Fb"
tested = [client.get(path).text for path in paths]
real = [served(path) for path in paths]
server.should_exit = True
thread.join(30)
print(f"requested: {paths}")
print(f"TestClient of starlette {starlette.__version__}: {tested}")
print(f"uvicorn {uvicorn.__version__}: {real}")
assert tested == ["/a b", "/50%", "/a/b"]
assert real == ["/a b", "/50%25", "/a%2Fb"]
PYTHON
