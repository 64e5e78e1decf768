"""A memory that holds a dialogue and has thought about it, and the vectors for many of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import memkit
from evals import USER
from evals.systems.baselines import pieces
from evals.systems.cache import CachedEmbedder, default_folder
from evals.thoughts import Options
from memkit import Memory, Settings, Thought, Turn
from memkit.protocols import Embedder


@contextmanager
def vectors(options: Options, embedder: Embedder) -> Iterator[CachedEmbedder]:
    """Give the block an embedder that keeps what it embedded on disk."""
    with CachedEmbedder(embedder, options.cache or default_folder()) as cached:
        yield cached


def prepare(
    embedder: CachedEmbedder, dialogues: Iterable[Sequence[Turn]], questions: Iterable[str]
) -> None:
    """Embed all that is new at once, which is quicker than one dialogue after the other."""
    said = [text for turns in dialogues for turn in turns for text in pieces(turn, embedder)]
    embedder.prepare([*said, *questions], lambda _, __: None)


@contextmanager
def filled(turns: Sequence[Turn], embedder: Embedder, *, thoughts: bool = True) -> Iterator[Memory]:
    """Give the block a memory that remembers these turns and has finished thinking of them."""
    settings = Settings(background=False, thoughts=thoughts)
    with memkit.open(":memory:", embedder=embedder, settings=settings) as memory:
        memory.remember(turns, user_id=USER)
        memory.flush()
        yield memory


def conclusions(memory: Memory, turns: Sequence[Turn]) -> dict[str, Thought]:
    """Return all that was ever concluded by id: what holds, and what held after each session."""
    found: dict[str, Thought] = {}
    for said_at in {turn.session_id: turn.said_at for turn in turns}.values():
        if said_at is not None:
            at = said_at + timedelta(hours=1)
            found |= {one.id: one for one in memory.thoughts(user_id=USER, as_of=at)}
    return found | {one.id: one for one in memory.thoughts(user_id=USER)}
