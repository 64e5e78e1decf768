"""Fakes of memkit's interfaces, for fast tests of code that uses memkit."""

import hashlib
import re
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from memkit.background.maintenance import Settings
from memkit.entry import open
from memkit.memory import Memory
from memkit.prompt import BlockSigner
from memkit.protocols import Embedder, Fingerprint, Messages, Vectors
from memkit.records import Claim, Source, Turn, Usage
from memkit.thoughts.clauses import clauses
from memkit.thoughts.learned import is_person

_WORD = re.compile(r"\S+")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def open_memory(
    url: str = ":memory:",
    *,
    embedder: Embedder | None = None,
    settings: Settings | None = None,
    clock: Callable[[], datetime] = lambda: NOON,
    **options: Any,
) -> Memory:
    """Open a memory that behaves the same in every run: no model, no thread, a clock at noon.

    Summaries and thoughts wait for `think()` or `flush()`. The arguments are those of
    `memkit.open`; the default thinker is a `ClauseThinker`.
    """
    settings = settings or Settings(background=False)
    options.setdefault("thinker", ClauseThinker())
    memory = open(
        url, embedder=embedder or HashEmbedder(), settings=settings, clock=clock, **options
    )
    memory.signer = BlockSigner(b"memkit.testing")  # not the random key of a file
    return memory


class ClauseThinker:
    """Believes every clause of a person that is no question; changes nothing. Needs no model."""

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:  # noqa: ARG002
        """Return a claim for each clause, in its words."""
        return [
            Claim(
                text=turn.text[start:end],
                source=Source(turn_id=turn.id or "", start=start, end=end),
            )
            for turn in turns
            if is_person(turn)
            for start, end in clauses(turn.text)
            if not turn.text[start:end].endswith(("?", "？", "؟"))
        ]


class HashEmbedder:
    """Embeds a text as a bag of hashed words, deterministic and without a model.

    Texts that share words have near vectors. A piece has at most `reads` words; longer texts are
    split. `name` is the model name of the fingerprint.
    """

    def __init__(self, dimension: int = 64, *, reads: int = 64, name: str = "hash") -> None:
        self.fingerprint = Fingerprint(model=name, revision="0", dimension=dimension)
        self.calls = 0  # of `embed`
        self._reads = reads

    def count(self, text: str) -> int:
        """Return the number of words."""
        return len(_WORD.findall(text))

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return spans of at most `reads` words, the header's counted in."""
        room = max(self._reads - self.count(header), 1)
        words = list(_WORD.finditer(text))
        if len(words) <= room:
            return [(0, len(text))]
        firsts = range(0, len(words), room)
        spans = [(words[n].start(), words[min(n + room, len(words)) - 1].end()) for n in firsts]
        return [(0, spans[0][1]), *spans[1:-1], (spans[-1][0], len(text))]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors; a text without words lies on the first axis."""
        self.calls += 1
        vectors = np.zeros((len(texts), self.fingerprint.dimension), dtype=np.float32)
        for n, text in enumerate(texts):
            for word in re.findall(r"\w+", text.casefold()) or [""]:
                digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
                hashed = int.from_bytes(digest, "little")
                vectors[n, hashed % vectors.shape[1]] += 1 if hashed >> 63 else -1
            if not vectors[n].any():
                vectors[n, 0] = 1
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / norms, dtype=np.float32)


class ScriptedModel:
    """A model that returns prepared replies in order and counts words.

    An exception among the replies is raised instead.
    """

    def __init__(self, replies: Sequence[str | Exception]) -> None:
        self.prompts: list[Messages] = []  # one for each call of `stream`
        self.limit: int | None = None
        self.usage: Usage | None = None
        self._replies = iter(replies)

    def count(self, messages: Messages) -> int:
        """Return the number of words, and three more per message."""
        return sum(3 + len(_WORD.findall(message["content"])) for message in messages)

    def escape_role_markers(self, text: str) -> str:
        """Return `text` unchanged: this model has no role markers."""
        return text

    def stream(self, messages: Messages, *, max_new_tokens: int) -> Generator[str]:
        """Yield the next reply word by word."""
        self.prompts.append(messages)
        reply = next(self._replies)
        if isinstance(reply, Exception):
            raise reply
        words = re.findall(r"\S+\s*", reply)[:max_new_tokens]
        prompt = self.count(messages)
        self.usage = Usage(
            prompt_tokens=prompt, reused_tokens=0, new_tokens=len(words), first_token_s=0, total_s=0
        )
        yield from words
