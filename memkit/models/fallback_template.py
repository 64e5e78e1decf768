"""Token estimates and role-marker escaping for models without a local tokenizer."""

import re
from collections.abc import Callable
from functools import lru_cache

from memkit.models.generation import LastUsage
from memkit.protocols import Counter, Messages
from memkit.records import Usage
from memkit.text.role_markers import escape_role_markers, known_markers

MESSAGE_TOKENS = 8  # most tokens that a common chat template adds per message
_PROMPT_TOKENS = 64  # most tokens that it adds per prompt: some templates have a preamble
# a word of ASCII letters with the space before it: " hello" in "say hello!", but not in "h3llo"
_WORD = re.compile(r"( ?)(?<![A-Za-z0-9])([A-Za-z]{1,24})(?![A-Za-z0-9])")

ROLE_MARKERS = known_markers()  # the name in 0.4.0; until 1.0


def estimate_tokens(text: str) -> int:
    """Return an upper estimate of a text's tokens.

    Counts half a token per letter of a word and one token per other byte. Six tokenizers (SmolLM2,
    Qwen 3, Llama 2, Mistral 7B, GPT-4, GPT-4o) never needed more in 16 languages, code, JSON and
    base64; words of random letters can need more. English takes about half of the estimate.
    """
    saved = sum(len(space) + len(word) // 2 for space, word in _WORD.findall(text))
    return len(text.encode(errors="replace")) - saved


def estimate_prompt_tokens(messages: Messages, count: Callable[[str], int]) -> int:
    """Return an upper estimate of a prompt's tokens under any common chat template."""
    return _PROMPT_TOKENS + sum(MESSAGE_TOKENS + count(message["content"]) for message in messages)


class EstimatingModel:
    """The part of a model that counts tokens and escapes role markers without its tokenizer."""

    def __init__(self, limit: int | None, count: Counter | None) -> None:
        self.limit = limit
        self._last = LastUsage()
        # packing a prompt counts the same texts again and again
        self._count_text = lru_cache(maxsize=4096)(count or estimate_tokens)

    @property
    def usage(self) -> Usage | None:
        """The cost of the last reply that this thread read."""
        return self._last.usage

    def count(self, messages: Messages) -> int:
        """Return an upper estimate of the prompt's tokens, chat template included.

        Without the argument `count` of the class an English prompt fills about half of a budget.
        """
        return estimate_prompt_tokens(messages, self._count_text)

    def drop_cache(self) -> None:
        """Drop the texts of earlier prompts, which are kept with their numbers of tokens."""
        self._count_text.cache_clear()

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with a space inside each role marker of all known chat templates."""
        return escape_role_markers(text)

    neutralise = escape_role_markers  # the name in 0.4.0; until 1.0
