"""Results of the studies of thoughts, and memories filled with a dialogue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import memkit
from evals import USER
from evals.systems.baselines import pieces
from evals.systems.cache import CachedEmbedder
from evals.tables import Result
from memkit import Settings, Thought, Turn
from memkit.protocols import Embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """The tables of a study, and the outcomes that they were computed from."""

    results: Sequence[Result]
    outcomes: Sequence[Mapping[str, Any]] = ()
    aside: Sequence[str] = ()  # lines for a reader; may hold text, never stored


def prepare(embedder: CachedEmbedder, dialogues: Iterable[Sequence[Turn]]) -> None:
    """Embed all new texts in one batch, which is faster than dialogue by dialogue."""
    texts = (text for turns in dialogues for turn in turns for text in pieces(turn, embedder))
    embedder.prepare(list(texts), lambda _, __: None)


def all_thoughts(turns: Sequence[Turn], embedder: Embedder) -> list[Thought]:
    """Return all thoughts of a dialogue: the current ones, and those that held after a session."""
    settings = Settings(background=False)
    with memkit.open(":memory:", embedder=embedder, settings=settings) as memory:
        memory.remember(turns, user_id=USER)
        memory.flush()
        thoughts: dict[str, Thought] = {}
        for said_at in {turn.session_id: turn.said_at for turn in turns}.values():
            if said_at is not None:
                after = said_at + timedelta(hours=1)
                thoughts |= {t.id: t for t in memory.thoughts(user_id=USER, as_of=after)}
        thoughts |= {thought.id: thought for thought in memory.thoughts(user_id=USER)}
        return list(thoughts.values())
