"""Count the files that one `remember`, one `recall` and one thought run through.

An entry is a call from one of our files into another of them. Few files and few entries mean that
a newcomer can follow the path.
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import memkit
from memkit.testing import HashEmbedder

_OURS = (Path(memkit.__file__).parent.name, "memkit_sqlite", "stores")


def _our_file(frame: FrameType | None) -> str | None:
    """Return the path of a frame's file inside our packages, or None."""
    if frame is None:
        return None
    parts = Path(frame.f_code.co_filename).parts
    package = next((part for part in reversed(parts[:-1]) if part in _OURS), None)
    return None if package is None else "/".join(parts[parts.index(package) :])


def trace(call: Callable[[], Any]) -> tuple[Counter[str], int]:
    """Return how often each of our files was called, and the entries from file to file."""
    files: Counter[str] = Counter()
    entries = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal entries
        file = _our_file(frame) if event == "call" else None
        if file is not None:
            files[file] += 1
            entries += _our_file(frame.f_back) != file

    threading.setprofile(profile)  # a thinker runs in a thread of its own
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return files, entries


def main() -> None:
    """Print the counts for each of the three paths, and the files of a thought."""
    settings = memkit.Settings(background=False)
    with memkit.open(":memory:", embedder=HashEmbedder(), settings=settings) as memory:
        memory.remember("I live in Leeds.", user_id="ann")
        memory.think(user_id="ann")
        memory.recall("Where does Ann live?", user_id="ann")  # what is imported at first use
        paths: dict[str, Callable[[], Any]] = {
            "remember": lambda: memory.remember("I moved to Oslo.", user_id="ann"),
            "think": lambda: memory.think(user_id="ann"),
            "recall": lambda: memory.recall("Where does Ann live?", user_id="ann"),
        }
        for name, call in paths.items():
            files, entries = trace(call)
            print(f"{name}: {len(files)} files, {entries} entries from file to file")
            if name == "think":
                print("  " + "\n  ".join(sorted(files)))


if __name__ == "__main__":
    main()
