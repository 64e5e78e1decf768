"""Read marked talk, in the format that `training/README.md` explains.

`python -m evals.data.talk FILE...` checks files.
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

KINDS = frozenset(
    (
        "fact", "update", "correction", "negation", "addition", "restatement", "temporary",
        "plan", "other", "nonfact", "numbers", "life",
    )
)  # fmt: skip
_STRETCH = re.compile(r"\{([fpteqg])(\d+)((?:[>x=+~]\d+)*) ([^{}]*)\}")  # "{f2>1 now in Whitby}"
_TURN = re.compile(r"^(.{1,40}?)\+(\d+): (.*)$")  # "U+290: long time no chat"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Marked words of a turn."""

    kind: str
    number: str
    relations: tuple[tuple[str, str], ...]  # (relation, number of an earlier stretch)
    start: int  # characters into the turn's text
    end: int


@dataclass(frozen=True, slots=True)
class MarkedTurn:
    """One message with its marks."""

    speaker: str
    day: int
    text: str
    stretches: tuple[Stretch, ...]


@dataclass(slots=True)
class Dialogue:
    """A dialogue of one kind in one language."""

    kind: str
    language: str
    turns: list[MarkedTurn] = field(default_factory=list)

    def name(self, turn: MarkedTurn) -> str:
        """Return the speaker of a turn as a memory knows it: a name, or a role."""
        return {"U": "user", "A": "assistant"}.get(turn.speaker, turn.speaker)


def read(path: Path) -> tuple[list[Dialogue], list[str]]:
    """Return the dialogues of a file, and one sentence per fault."""
    dialogues: list[Dialogue] = []
    faults: list[str] = []
    numbers: set[str] = set()
    for n, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("=="):
            kind, _, language = line[2:].strip().partition(" ")
            if kind not in KINDS or not language:
                faults.append(f"{path}:{n}: bad header {line!r}")
            dialogues.append(Dialogue(kind, language.strip()))
            numbers = set()
        elif line.strip():
            match = _TURN.match(line)
            if match is None or not dialogues:
                faults.append(f"{path}:{n}: bad turn {line[:60]!r}")
                continue
            turn = _read_turn(match[1], int(match[2]), match[3])
            faults += [f"{path}:{n}: {fault}" for fault in _find_faults(turn, numbers)]
            dialogues[-1].turns.append(turn)
    return dialogues, faults


def _read_turn(speaker: str, day: int, marked: str) -> MarkedTurn:
    text, done = "", 0
    stretches = []
    for match in _STRETCH.finditer(marked):
        text += marked[done : match.start()]
        relations = tuple(re.findall(r"([>x=+~])(\d+)", match[3]))
        end = len(text) + len(match[4])
        stretches.append(Stretch(match[1], match[2], relations, len(text), end))
        text += match[4]
        done = match.end()
    text = (text + marked[done:]).replace("⏎", "\n")
    return MarkedTurn(speaker, day, text, tuple(stretches))


def _find_faults(turn: MarkedTurn, numbers: set[str]) -> list[str]:
    """Return what is wrong with a turn, and add its stretches to the `numbers` known."""
    faults = ["unparsed brace"] if "{" in turn.text or "}" in turn.text else []
    for stretch in turn.stretches:
        targets = [target for _, target in stretch.relations]
        faults += [f"no earlier stretch {target}" for target in targets if target not in numbers]
        faults += [f"{stretch.number} is used twice"] if stretch.number in numbers else []
        numbers.add(stretch.number)
    return faults


def main(names: list[str]) -> int:
    """Print the faults and counts of files; return 1 if there are faults."""
    files = [read(Path(name)) for name in names]
    faults = [fault for _, its_faults in files for fault in its_faults]
    dialogues = [dialogue for its_dialogues, _ in files for dialogue in its_dialogues]
    stretches = [s for dialogue in dialogues for turn in dialogue.turns for s in turn.stretches]
    for fault in faults:
        print(fault)
    print(len(dialogues), "dialogues", dict(Counter(dialogue.kind for dialogue in dialogues)))
    print(len(stretches), "stretches", dict(Counter(stretch.kind for stretch in stretches)))
    print("relations", dict(Counter(relation for s in stretches for relation, _ in s.relations)))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
