"""The text of a message's content, which is a string, nothing, or a list of parts.

Parts are those of OpenAI, Anthropic, Ollama and LangChain. What is not text has a placeholder, such
as "[image]" or "get_weather({"city": "Oslo"})".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SILENT = frozenset(  # types of parts that are neither said nor shown to anybody
    ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "tool_use", "tool_call",
     "tool_call_chunk", "invalid_tool_call", "function_call", "server_tool_use",
     "server_tool_call", "input_json_delta")
)  # fmt: skip
_CALLS = frozenset(("tool_use", "server_tool_use"))  # Anthropic's calls, which are parts


def part_text(part: Mapping[Any, Any]) -> str | None:
    """Return the text of a part, None if it has none."""
    text = part.get("text")
    return text if isinstance(text, str) and part.get("type") not in SILENT else None


def placeholder(part: Mapping[Any, Any]) -> str:
    """Return what stands for a part that is not text: "[image]" for an "image_url"."""
    return f"[{str(part.get('type', 'part')).removesuffix('_url').removeprefix('input_')}]"


def format_call(name: object, arguments: object) -> str:
    """Return a call of a tool as text; arguments are JSON already, or data."""
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, default=str, skipkeys=True, ensure_ascii=False)
    return f"{name}({arguments})"


def message_text(message: Mapping[str, Any]) -> str:
    """Return the text of a message dict: what it says, shows and calls; "" if nothing.

    Parts are separate lines. Raises TypeError for content that is no string, None or list of parts.
    """
    lines = [*_content_lines(message.get("content")), *_lines_of_calls(message)]
    refusal = message.get("refusal")
    if isinstance(refusal, str):
        lines.append(refusal)
    return lines[0] if len(lines) == 1 else "\n".join(line for line in lines if line.strip())


def _content_lines(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Sequence):
        for part in content:
            yield from [part] if isinstance(part, str) else _part_lines(part)
    elif content is not None:
        raise TypeError(
            f"content must be a string, a list of parts or None, got {type(content).__name__}"
        )


def _part_lines(part: object) -> Iterator[str]:
    if not isinstance(part, Mapping):
        raise TypeError(f"a part of content must be a string or a dict, got {type(part).__name__}")
    kind, text = part.get("type"), part_text(part)
    if text is not None:
        yield text
    elif kind == "refusal" and isinstance(part.get("refusal"), str):
        yield part["refusal"]
    elif kind == "tool_result":
        yield from _content_lines(part.get("content"))
    elif kind in _CALLS:
        yield format_call(part.get("name"), part.get("input", {}))
    elif kind not in SILENT:
        yield placeholder(part)


def _lines_of_calls(message: Mapping[str, Any]) -> Iterator[str]:
    calls = [*(message.get("tool_calls") or ()), message.get("function_call")]
    for call in filter(None, calls):
        if not isinstance(call, Mapping):
            raise TypeError(f"a tool call must be a dict, got {type(call).__name__}")
        function = call.get("function", call)
        if not isinstance(function, Mapping) or "name" not in function:
            raise TypeError(f"a tool call has no name: {call!r}")
        yield format_call(function["name"], function.get("arguments", {}))
