"""Import a file into a memory, as the tests of the importers do."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import memkit
from memkit import importers
from memkit.importers import ImportCounts, ReadOptions
from memkit.records import Turn


def write_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def fill(
    memory: memkit.Memory, path: Path, *, format: str | None = None, **options: Any
) -> ImportCounts:
    """Import a file for ann; its times without a zone are UTC."""
    read_options = ReadOptions(**{"user_id": "ann", "timezone": UTC, **options})
    source = importers.read_file(path, read_options, format=format)
    return importers.import_turns(memory, source, user_id="ann", progress=lambda *_: None)


def turns_of(memory: memkit.Memory) -> list[Turn]:
    return list(memory.turns(user_id="ann"))


def texts_of(memory: memkit.Memory) -> list[str]:
    return [turn.text for turn in turns_of(memory)]


def left_of(counts: ImportCounts) -> dict[str, int]:
    return {left.reason: left.count for left in counts.left}
