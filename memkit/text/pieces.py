"""Cut long texts into overlapping pieces that a model reads whole."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Span = tuple[int, int]

_OVERLAP = 32  # tokens that two neighbouring pieces of a long text share


class TextSplitter:
    """Counts tokens, and cuts texts at them. Thread-safe.

    Args:
        tokenizer: without truncation; one that nobody changes is safe to share between threads.
        most_tokens: that a piece may have, without special tokens.
    """

    def __init__(self, tokenizer: "Tokenizer", most_tokens: int) -> None:
        self._tokenizer, self._most_tokens = tokenizer, most_tokens

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`, without special tokens."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def beginning(self, text: str) -> list[int]:
        """Return the ids of the tokens of `text` that fit, between the model's special tokens."""
        ids: list[int] = self._tokenizer.encode(text).ids
        most = self._most_tokens + 2
        return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return character spans that cover `text`, each short enough to embed behind `header`."""
        if len(text) + len(header) < self._most_tokens and (text + header).isascii():
            return [(0, len(text))]  # an ASCII character is never more than one token
        room = max(self._most_tokens - self.count(header), self._most_tokens // 4, 1)
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        overlap = min(_OVERLAP, room // 4)
        spans = []
        first = 0
        while len(offsets) - first > room:
            last = first + room
            # a piece cut inside a word may have more tokens than the same characters in the text
            while (
                last > first + 1
                and self.count(text[offsets[first][0] : offsets[last - 1][1]]) > room
            ):
                last -= 1
            spans.append((offsets[first][0], offsets[last - 1][1]))
            first = max(last - overlap, first + 1)
        spans.append((offsets[first][0] if spans else 0, len(text)))
        return [(0, spans[0][1]), *spans[1:]]
