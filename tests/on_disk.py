"""A memory in a file, for tests of what files and processes do to it."""

from pathlib import Path

import memkit
from memkit.background.maintenance import Settings
from memkit.memory import Memory
from memkit.testing import HashEmbedder


def memory(path: Path | str, **rest: object) -> Memory:
    settings = Settings(background=False)
    return memkit.open(str(path), embedder=HashEmbedder(), settings=settings, **rest)  # type: ignore[arg-type]


def remembered(path: Path, user: str = "ann") -> list[str]:
    with memory(path) as opened:
        return [turn.id or "" for turn in opened.turns(user_id=user)]
