"""What holds after months of talk: facts believed, stale facts shown, doubt without a reason.

The data are long dialogues with marks (`evals/data/talk.py`). A thought belongs to a marked stretch
if it covers most of it, or lies mostly inside it. Each figure counts stretches:

* facts: of the lasting facts that still hold, those with a thought, doubted or not.
* stale: of what was replaced or ended and became a thought, the share shown as plain fact.
* ended, doubted: of what still holds and became a thought, the share that is closed, or in doubt.
* unsure: of what may have changed and became a thought, the share in doubt.
* never held: of jokes, quotations and the like, the share shown as plain fact.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from evals.data import talk
from evals.data.talk import Dialogue, Stretch
from evals.stats.bootstrap import cells
from evals.stats.interval import mean_interval
from evals.studies.holds import believed
from evals.tables import Result, StudyResult, Table
from memkit.errors import InvalidInput

FIGURES = ("facts", "stale", "ended", "doubted", "unsure", "never held")
VARIANTS = (
    "none", "without comparing", "doubt at 0.05", "doubt at 0.2", "doubt at 0.3", "doubt at 0.5",
)  # fmt: skip
_START = datetime(2026, 1, 5, 9, tzinfo=UTC)
_BETWEEN = timedelta(minutes=3)  # turns of one day
_LEAST_SHARE = 0.5  # of the shorter of a thought and a stretch

State = Literal["holds", "gone", "unsure", "again"]
Thoughts = list[dict[str, Any]]


def to_json(dialogue: Dialogue, name: str) -> dict[str, Any]:
    """Return a dialogue in the format that `believed.py` reads."""
    counts: dict[int, int] = {}
    turns = []
    for turn in dialogue.turns:
        before = counts[turn.day] = counts.get(turn.day, -1) + 1
        at = _START + timedelta(days=turn.day) + before * _BETWEEN
        role = "assistant" if turn.speaker == "A" else "user"
        speaker = None if turn.speaker in ("U", "A") else turn.speaker
        turns.append({"role": role, "name": speaker, "text": turn.text, "at": at.isoformat()})
    return {"id": name, "turns": turns}


def states(dialogue: Dialogue) -> dict[str, State]:
    """Return, by the number of a stretch, what became of it by the end."""
    state: dict[str, State] = {}
    for turn in dialogue.turns:
        for stretch in turn.stretches:
            state[stretch.number] = "holds"
            for relation, target in stretch.relations:
                if relation in ">x":
                    state[target] = "gone"
                elif relation == "~" and state[target] == "holds":
                    state[target] = "unsure"
                elif relation == "=" and state[target] != "holds":
                    state[target] = "again"  # counts for nothing
    return state


def outcomes(dialogue: Dialogue, thoughts: Thoughts) -> Iterator[tuple[str, bool]]:
    """Yield (figure, whether it happened) for a dialogue, once for each stretch counted."""
    state = states(dialogue)
    for n, turn in enumerate(dialogue.turns):
        for stretch in turn.stretches:
            shown = {each["state"] for each in thoughts if _covers(each, n, stretch)}
            if stretch.kind == "q":
                yield "never held", "plain" in shown
            elif stretch.kind in "fpt":
                yield from _of_stretch(stretch.kind, state[stretch.number], shown)


def _of_stretch(kind: str, state: State, shown: set[str]) -> Iterator[tuple[str, bool]]:
    in_doubt = "doubted" in shown and "plain" not in shown
    if state == "holds":
        if kind == "f":
            yield "facts", bool(shown & {"plain", "doubted"})
        if shown:
            yield "ended", shown == {"closed"}
            yield "doubted", in_doubt
    elif shown and state == "gone":
        yield "stale", "plain" in shown
    elif shown and state == "unsure":
        yield "unsure", in_doubt


def _covers(thought: dict[str, Any], turn: int, stretch: Stretch) -> bool:
    return any(
        min(end, stretch.end) - max(start, stretch.start)
        >= _LEAST_SHARE * min(end - start, stretch.end - stretch.start)
        for its_turn, start, end in thought["places"]
        if its_turn == turn
    )


def run(paths: Sequence[Path], seed: int) -> StudyResult:
    """Run memkit with other thresholds of doubt over the marked dialogues of files.

    Raises:
        InvalidInput: a file has no dialogue, or a fault in its marks.
    """
    dialogues = _read(paths)
    asked = [to_json(dialogue, str(n)) for n, dialogue in enumerate(dialogues)]
    rows = []
    for variant in VARIANTS:
        thoughts = believed(sys.executable, asked, variant)
        system = "memkit" if variant == "none" else f"memkit {variant}"
        for figure, values in _values(dialogues, thoughts).items():
            interval = mean_interval(values, seed=seed) if values else None
            rows.append([system, figure, *cells(interval), len(values)])
    columns = ("memory", "figure", "share", "95 %", "n")
    table = Table(title=f"{len(dialogues)} months of talk", columns=columns, rows=rows)
    about = "what is believed after months of talk"
    return StudyResult(results=[Result(name="months", about=about, settings={}, tables=[table])])


def _values(
    dialogues: Sequence[Dialogue], thoughts: Sequence[Thoughts]
) -> Mapping[str, list[float]]:
    values: dict[str, list[float]] = {figure: [] for figure in FIGURES}
    for dialogue, its_thoughts in zip(dialogues, thoughts, strict=True):
        for figure, happened in outcomes(dialogue, its_thoughts):
            values[figure].append(float(happened))
    return values


def _read(paths: Sequence[Path]) -> list[Dialogue]:
    dialogues: list[Dialogue] = []
    for path in paths:
        its_dialogues, faults = talk.read(path)
        if faults or not its_dialogues:
            raise InvalidInput(faults[0] if faults else f"{path} has no dialogue")
        dialogues += its_dialogues
    return dialogues
