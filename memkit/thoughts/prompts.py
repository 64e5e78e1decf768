"""What `ModelThinker` asks a language model, with examples, and how the answer is written."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memkit.protocols import Model, StructuredModel

_LEAST_CHARACTERS = 200  # of a text in a request, however short the model's context is


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question with examples. A model answers it in rows: as lines, or as JSON."""

    question: str
    columns: Mapping[str, Mapping[str, Any]]  # the JSON schema of each cell, by its name
    examples: Sequence[Mapping[str, Any]]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of an answer, in the subset that OpenAI's strict mode takes."""
        rows = {"type": "array", "items": _object_schema(self.columns)}
        return _object_schema({"rows": rows})

    def prompt(self, text: str, *, as_json: bool = False) -> list[dict[str, str]]:
        """Return the messages that ask about `text`, examples first."""
        form = f"One line each: {' | '.join(self.columns)}\nIf there is none, write: none"
        if as_json:
            form = 'Write JSON; if there is none, write: {"rows": []}'
        prompt = []
        for example in self.examples:
            question = f"{self.question}\n{form}\n\n{example['text']}"
            answer = self._to_json(example["rows"]) if as_json else self._to_lines(example["rows"])
            prompt.append({"role": "user", "content": question})
            prompt.append({"role": "assistant", "content": answer})
        return [*prompt, {"role": "user", "content": f"{self.question}\n{form}\n\n{text}"}]

    def fit(self, model: Model, most: int, reply_tokens: int) -> tuple["Task", int]:
        """Return the task with the examples that fit, and the room for text in characters.

        The room is at most `most`. A character may be a token, and JSON takes twice the tokens.
        """
        if model.limit is None:
            return self, most
        as_json = isinstance(model, StructuredModel)
        room = model.limit - reply_tokens * (1 + as_json)
        room -= model.count(self.prompt("", as_json=as_json))
        if room < _LEAST_CHARACTERS and self.examples:
            return replace(self, examples=self.examples[:-1]).fit(model, most, reply_tokens)
        return self, min(max(room, _LEAST_CHARACTERS), most)

    def _to_json(self, rows: Sequence[Sequence[str | int]]) -> str:
        return json.dumps({"rows": [dict(zip(self.columns, row, strict=True)) for row in rows]})

    def _to_lines(self, rows: Sequence[Sequence[str | int]]) -> str:
        return "\n".join(" | ".join(map(str, row)) for row in rows) or "none"


def _object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": dict(properties), "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


_TASKS = tomllib.loads(Path(__file__).with_name("prompts.toml").read_text(encoding="utf-8"))
FACTS, PAIRS = Task(**_TASKS["facts"]), Task(**_TASKS["pairs"])
