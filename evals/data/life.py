"""Months of talk with questions: a person and their assistant, or two people.

The format, and who wrote the dialogues, are in training/README.md. A folder has `tuning/`, on which
memkit's ranking is trained, and `validation/`, which is reported.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evals.data import files
from evals.data.haystack import (
    PUBLISHED,
    DataSet,
    ExpectedAnswer,
    Haystack,
    Question,
    Split,
    make_gold,
    sessions_by_turn,
)
from memkit import Turn
from memkit.errors import InvalidInput

_FOLDERS: dict[str, Split] = {"tuning": "tuning", "validation": "report"}
_START = datetime(2026, 1, 5, 9, tzinfo=UTC)  # the files count days
_ASKED_AFTER = timedelta(days=4)  # the last turn, where a question names no day
_HEADER = re.compile(r"== (\S+) \S+")
_TURN = re.compile(r"(\d+) ([^+]+)\+(\d+): (.+)")
_QUESTION = re.compile(r"\? (\w+)((?: !?\d+)*)(?: \+(\d+))? :: (.+)")


def read(folder: Path) -> DataSet:
    """Read the dialogues of a folder.

    Raises:
        InvalidInput: a line has another shape, or a question names a turn that does not exist.
    """
    haystacks = [
        haystack
        for name, split in _FOLDERS.items()
        for path in sorted((folder / name).glob("*.txt"))
        for haystack in _read_file(path, split)
    ]
    return files.make_data_set(
        folder, haystacks, files.new_counts(), format="life",
        notes=("validation: other people, written by other hands than tuning",),
    )  # fmt: skip


def _read_file(path: Path, split: Split) -> Iterator[Haystack]:
    text = path.read_text(encoding="utf-8")
    with files.at(path):
        for dialogue in re.split(r"^(?=== )", text, flags=re.MULTILINE)[1:]:
            lines = [line.strip() for line in dialogue.splitlines() if line.strip()]
            yield _read_dialogue(lines, path.stem, split)


def _read_dialogue(lines: list[str], stem: str, split: Split) -> Haystack:
    header = _match(_HEADER, lines[0])
    turns = [_read_turn(line, header[1]) for line in lines[1:] if not line.startswith("?")]
    known = {turn.id or "": turn for turn in turns}
    last = turns[-1].said_at or _START
    questions = []
    for n, line in enumerate(line for line in lines[1:] if line.startswith("?")):
        kind, numbers, day, text = _match(_QUESTION, line).groups()
        asked_at = _START + timedelta(days=int(day), hours=9) if day else last + _ASKED_AFTER
        marks = numbers.split()
        if unknown := sorted({mark.lstrip("!") for mark in marks} - set(known)):
            raise InvalidInput(f"no turn {unknown[0]} in {header[1]}: {line!r}")
        evidence = [mark for mark in marks if not mark.startswith("!")]
        stale = tuple(mark[1:] for mark in marks if mark.startswith("!"))
        questions.append(
            Question(
                id=f"{stem}-{header[1]}-{n}", text=text, kind=kind, asked_at=asked_at,
                golds={PUBLISHED: make_gold(evidence, sessions_by_turn(turns))},
                answerable=bool(evidence), expected=ExpectedAnswer(stale_turns=stale),
            )
        )  # fmt: skip
    return Haystack(name=f"{stem}-{header[1]}", split=split, turns=turns, questions=questions)


def _read_turn(line: str, person: str) -> Turn:
    number, speaker, day, text = _match(_TURN, line).groups()
    is_assistant = speaker == "A" or (speaker != "U" and not _is_first(speaker, person))
    said_at = _START + timedelta(days=int(day), minutes=int(number))
    return Turn(
        id=number, session_id=f"day {day}", text=text.replace("⏎", "\n"), said_at=said_at,
        role="assistant" if is_assistant else "user",
        name=person if speaker == "U" else None if speaker == "A" else speaker,
    )  # fmt: skip


def _is_first(speaker: str, people: str) -> bool:
    """Return whether a speaker of "Ann-and-Bob" is Ann."""
    return people.casefold().startswith(speaker.casefold())


def _match(pattern: re.Pattern[str], line: str) -> re.Match[str]:
    if (match := pattern.fullmatch(line)) is None:
        raise InvalidInput(f"not a header, turn or question: {line!r}; see training/README.md")
    return match
