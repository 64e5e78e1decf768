"""What can be said of a model whose tokenizer and chat template are not at hand."""

import re
from collections.abc import Callable

from memkit import prompt
from memkit.protocols import Messages

_PER_MESSAGE = 8  # tokens that a chat template puts around a message, at most
_PER_PROMPT = 64  # and around them all: some templates have a preamble of their own
_WORD = re.compile(r"( ?)(?<![A-Za-z0-9])([A-Za-z]{1,24})(?![A-Za-z0-9])")

MARKS = re.compile(
    r"<[|｜][^\s<>|｜]{1,64}[|｜]?>|<[^\s<>|｜]{1,64}[|｜]>"  # ChatML, Llama 3, Phi, DeepSeek, …
    r"|\[\|[^\s|]{1,64}\|\]"  # EXAONE
    r"|<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|ARGS|IMG)\]"
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|start_of_image|tool_call|tool_response"
    r"|[BE]OS_TOKEN)>"
    r"|###[ \t]*(?:Instruction|Input|Response|System|Human|User|Assistant):"  # Alpaca
    r"|\b(?:SYSTEM|USER|ASSISTANT):"  # Vicuna
)


def estimate(text: str) -> int:
    """Return how many tokens a text has, and rather more.

    Half a token for a letter of a word, one for any other byte. That was enough for six
    tokenizers (SmolLM2, Qwen 3, Llama 2, Mistral 7B, GPT-4, GPT-4o), 16 languages, code, JSON and
    base64; not for words of random letters. It is about twice what English takes.
    """
    spared = sum(len(space) + len(word) // 2 for space, word in _WORD.findall(text))
    return len(text.encode(errors="replace")) - spared


def count(messages: Messages, length: Callable[[str], int]) -> int:
    """Return how many tokens a prompt has under any of the common templates, and rather more."""
    contents = [length(message["content"]) for message in messages]
    return _PER_PROMPT + sum(contents) + _PER_MESSAGE * len(contents)


def escape_role_markers(text: str) -> str:
    """Return `text` with a space inside the marks by which the common templates open a role."""
    return prompt.escape_role_markers(text, MARKS)
