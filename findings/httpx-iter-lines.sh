#!/bin/sh
# httpx 0.28.1 and httpx2 2.16.2 (PyPI): `Response.iter_lines` also ends a line at U+0085, U+2028 and U+2029, as
# str.splitlines does. JSON may hold these three unescaped in a string, and a line of server-sent events ends
# at CR and LF only, so a `data:` line with such a character arrives as two, neither of them JSON. HTTPX's
# documentation names "universal line endings", which for Python are CR and LF only. `httpx2.EventSource` keeps
# the event whole, and so does httpx-sse since 0.4.2 (https://github.com/florimondmanca/httpx-sse/issues/34).
# Prints the number of lines of one event for each character; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet httpx==0.28.1 httpx2==2.16.2
"$folder/env/bin/python" - <<'PYTHON'
import json

import httpx
import httpx2

for library in (httpx, httpx2):
    counts = {}
    for character in ("-", "\u0085", "\u2028", "\u2029"):
        event = json.dumps({"text": f"one{character}two"}, ensure_ascii=False)
        body = f"data: {event}\n\n".encode()
        lines = list(library.Response(200, content=body).iter_lines())
        counts[f"U+{ord(character):04X}"] = sum(line != "" for line in lines)
    print(f"{library.__name__} {library.__version__}: lines of one event: {counts}")
    assert counts == {"U+002D": 1, "U+0085": 2, "U+2028": 2, "U+2029": 2}, counts
PYTHON
