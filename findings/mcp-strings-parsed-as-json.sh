#!/bin/sh
# mcp 2.3.0 (PyPI), MCPServer: before it checks a tool's arguments, it parses every string as JSON if the
# parameter's annotation is not exactly `str`, and keeps what is null, a list or an object. So for `str | None`
# the string "null" becomes None without an error, and "[1]" and '{"a": 1}' are refused because they are no
# longer strings, although the tool's schema allows any string. A parameter `str` gets all of them unchanged.
# (FuncMetadata.pre_parse_json, whose docstring speaks of lists and objects only.)
# Prints what both kinds of parameter receive; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet mcp==2.3.0
"$folder/env/bin/python" - <<'PYTHON'
import asyncio
import logging
from importlib.metadata import version

from mcp import Client
from mcp.server.mcpserver import MCPServer

logging.disable()
server = MCPServer("strings")


@server.tool()
def plain(text: str) -> str:
    return repr(text)


@server.tool()
def optional(text: str | None = None) -> str:
    return repr(text)


async def received():
    async with Client(server) as client:
        found = {}
        for tool in ("plain", "optional"):
            for text in ("null", "[1]", '{"a": 1}', "5", "word"):
                result = await client.call_tool(tool, {"text": text})
                found[tool, text] = "refused" if result.is_error else result.content[0].text
        return found


found = asyncio.run(received())
print(f"mcp {version('mcp')}:")
for (tool, text), value in found.items():
    print(f"{tool}: {text!r} arrives as {value}")
assert all(value == repr(text) for (tool, text), value in found.items() if tool == "plain")
assert [value for (tool, _), value in found.items() if tool == "optional"] == [
    "None",
    "refused",
    "refused",
    "'5'",
    "'word'",
]
PYTHON
