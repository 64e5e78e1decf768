"""Print what a memory believes after dialogues: a program of its own, for any memkit since 0.4.0.

Reads dialogues as JSON lines from standard input, in the format of `evals/studies/holds.py`, and
writes one line for each: the thoughts that hold, are doubted or were closed. It imports memkit
alone, so that `holds` can run it with the Python of another version. Its argument is an ablation:
the default thinker with a part left out.
"""

import json
import sys
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import memkit
from memkit import Turn


def believe(memory: Any, dialogue: dict[str, Any]) -> dict[str, Any]:
    """Remember a dialogue, think about it, and return the thoughts with their states."""
    user = dialogue["id"]
    turns = [
        Turn(
            id=str(n), role=turn["role"], name=turn["name"], text=turn["text"],
            said_at=datetime.fromisoformat(turn["at"]),
        )
        for n, turn in enumerate(dialogue["turns"])
    ]  # fmt: skip
    for turn in turns:
        memory.remember(turn, user_id=user)
    memory.flush()
    valid = memory.thoughts(user_id=user)
    known = {thought.id: thought for thought in valid}
    for thought in valid:
        known |= {old.id: old for old in memory.history(thought.id, user_id=user)}
    return {"id": user, "thoughts": [_row(thought, valid) for thought in known.values()]}


def _row(thought: Any, valid: Any) -> dict[str, Any]:
    is_valid = any(thought.id == other.id for other in valid)
    doubted = bool(getattr(thought, "doubt", ()))
    state = "closed" if not is_valid else "doubted" if doubted else "plain"
    places = [
        (int(source.turn_id), source.start, source.end)
        for source in getattr(thought, "sources", ())
    ]
    return {"text": thought.text, "state": state, "places": places}


def thinker(ablation: str) -> Any:
    """Return the default thinker without a part; None for the whole one."""
    if ablation == "none":
        return None
    from memkit.thoughts import LearnedThinker, Thresholds

    default = Thresholds()
    if ablation.startswith("doubt at "):
        return LearnedThinker(replace(default, doubt=float(ablation.removeprefix("doubt at "))))
    if ablation == "without doubt":
        return LearnedThinker(replace(default, doubt=default.close))
    if ablation == "without denials":
        return LearnedThinker(replace(default, deny=1.1))
    whole = LearnedThinker()
    if ablation == "without comparing":
        return SimpleNamespace(think=whole.think)
    if ablation == "without the turn before":
        return SimpleNamespace(
            think=lambda turns, _=(): [claim for turn in turns for claim in whole.think([turn])],
            compare=whole.compare,
        )
    raise SystemExit(f"no ablation {ablation!r}")


def main() -> None:
    """Read dialogues, write thoughts."""
    settings = memkit.Settings(background=False)
    chosen = thinker(sys.argv[1] if len(sys.argv) > 1 else "none")
    with memkit.open(":memory:", settings=settings, thinker=chosen) as memory:
        for line in sys.stdin:
            print(json.dumps(believe(memory, json.loads(line)), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
