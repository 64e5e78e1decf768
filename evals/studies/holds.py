"""What holds after a dialogue: facts believed, changes handled, stale facts, jokes believed.

The data are dialogues with gold: `now`, patterns that a believed thought must match; `gone`,
patterns that no thought shown as plain fact may match. Each figure counts dialogues or patterns:

* facts: of the `now` patterns of plain facts, those that a thought matches, doubted or not.
* handled: of the dialogues with an update, correction, negation, plan or number, those in which
  every `now` pattern is believed, undoubted, and no `gone` pattern is shown as plain fact.
* stale: of what is believed of those dialogues, undoubted, the share of `gone` patterns.
* ended, doubted: of the `now` patterns of additions, restatements, passing states and plain facts
  that became a thought, those whose thoughts are all closed, or none of them undoubted.
* never held: of the dialogues in which nothing holds, those with a `gone` pattern believed.
"""

import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.stats.bootstrap import cells
from evals.stats.interval import Interval, mean_interval
from evals.tables import Result, StudyResult, Table
from memkit.errors import InvalidInput

CHANGES = frozenset(("update", "correction", "negation", "plan", "numbers"))
STAYS = frozenset(("addition", "restatement", "temporary", "fact"))
FIGURES = ("facts", "handled", "stale", "ended", "doubted", "never held")
ABLATIONS = ("without comparing", "without doubt", "without denials", "without the turn before")
CURVE = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
AIMS = {
    "facts": "≥ .80", "handled": "≥ .70", "stale": "≤ .08", "ended": "≤ .05", "doubted": "≤ .20",
    "never held": "≤ .05",
}  # fmt: skip
_PROGRAM = Path(__file__).with_name("believed.py")

Dialogue = dict[str, Any]
Thoughts = list[dict[str, Any]]


def read(paths: Iterable[Path]) -> list[Dialogue]:
    """Return the dialogues of JSON-lines files."""
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def is_validation(dialogue: Dialogue) -> bool:
    """Return whether a dialogue is kept out of training: every third, by a hash of its id."""
    return zlib.crc32(dialogue["id"].encode()) % 3 == 0


def believed(python: str, dialogues: Sequence[Dialogue], ablation: str = "none") -> list[Thoughts]:
    """Return the thoughts of each dialogue, by the memkit that a Python has installed.

    Raises:
        InvalidInput: the program failed; with the last line that it wrote.
    """
    lines = "\n".join(json.dumps(dialogue, ensure_ascii=False) for dialogue in dialogues)
    environment = dict(os.environ)
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)  # it would bring this version's memkit along
    process = subprocess.run(
        [python, str(_PROGRAM), ablation], input=lines, capture_output=True, text=True, check=False,
        env=environment,
    )  # fmt: skip
    if process.returncode:
        last = process.stderr.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise InvalidInput(f"{python} could not run {_PROGRAM.name}: {last[0]}")
    return [json.loads(line)["thoughts"] for line in process.stdout.splitlines()]


def outcomes(dialogue: Dialogue, thoughts: Thoughts) -> Iterable[tuple[str, bool]]:
    """Yield (figure, whether it happened) for a dialogue, once for each thing counted."""
    plain, doubted, closed = (
        [thought["text"] for thought in thoughts if thought["state"] == state]
        for state in ("plain", "doubted", "closed")
    )
    now = [item["must"] for item in dialogue["now"]]
    gone = [item["must_not"] for item in dialogue["gone"]]
    kind = dialogue["kind"]
    if kind == "fact":
        yield from (("facts", _matches(pattern, plain + doubted)) for pattern in now)
    if kind in CHANGES:
        new = [_matches(pattern, plain) for pattern in now]
        stale = [_matches(pattern, plain) for pattern in gone]
        yield "handled", all(new) and not any(stale)
        yield from (("stale", False) for held in new if held)
        yield from (("stale", True) for held in stale if held)
    if kind in STAYS:
        for pattern in now:
            if _matches(pattern, plain + doubted + closed):
                yield "ended", not _matches(pattern, plain + doubted)
                yield "doubted", _matches(pattern, doubted) and not _matches(pattern, plain)
    if kind == "nonfact":
        yield "never held", any(_matches(pattern, plain + doubted) for pattern in gone)


def _matches(pattern: str, texts: Sequence[str]) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for text in texts)


def figures(
    dialogues: Sequence[Dialogue], thoughts: Sequence[Thoughts], seed: int
) -> Mapping[str, Interval | None]:
    """Return every figure with its interval; None if nothing was counted."""
    values: dict[str, list[float]] = {figure: [] for figure in FIGURES}
    for dialogue, its_thoughts in zip(dialogues, thoughts, strict=True):
        for figure, happened in outcomes(dialogue, its_thoughts):
            values[figure].append(float(happened))
    return {
        figure: mean_interval(sample, seed=seed) if sample else None
        for figure, sample in values.items()
    }


def run(
    paths: Sequence[Path], baseline: str | None, *, whole: bool, curve: bool, seed: int
) -> StudyResult:
    """Run memkit, its ablations and the baseline's Python over the dialogues of files.

    A `curve` has other thresholds of doubt in place of the ablations.
    """
    dialogues = [dialogue for dialogue in read(paths) if whole or is_validation(dialogue)]
    variants = [f"doubt at {threshold}" for threshold in CURVE] if curve else ABLATIONS
    systems = [("memkit", sys.executable, "none")]
    systems += [("baseline", baseline, "none")] if baseline else []
    systems += [(f"memkit {name}", sys.executable, name) for name in variants]
    results = [(name, believed(python, dialogues, variant)) for name, python, variant in systems]
    is_english = [dialogue["lang"] == "en" for dialogue in dialogues]
    parts = {"English": is_english, "other languages": [not each for each in is_english]}
    tables = []
    for title, chosen in parts.items():
        if any(chosen):
            selected = [(name, _select(thoughts, chosen)) for name, thoughts in results]
            tables.append(_table(title, _select(dialogues, chosen), selected, seed))
    about = "what is believed after a dialogue"
    return StudyResult(results=[Result(name="holds", about=about, settings={}, tables=tables)])


def _select(items: Sequence[Any], chosen: Sequence[bool]) -> list[Any]:
    return [item for item, is_chosen in zip(items, chosen, strict=True) if is_chosen]


def _table(
    language: str, dialogues: Sequence[Dialogue], results: Sequence[tuple[str, Any]], seed: int
) -> Table:
    rows = []
    for name, thoughts in results:
        for figure, interval in figures(dialogues, thoughts, seed).items():
            n = interval.n if interval else 0
            rows.append([name, figure, *cells(interval), n, AIMS[figure]])
    columns = ("memory", "figure", "share", "95 %", "n", "aim")
    return Table(title=f"{len(dialogues)} dialogues, {language}", columns=columns, rows=rows)
