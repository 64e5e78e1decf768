"""MemoryBank's virtual users (Zhong et al. 2023), whom Think-in-Memory reports on, passed through.

Their dialogues go in, in English and in Chinese, and their probing questions are asked. The files
have no answers, so nothing is scored: it is counted, and nothing may fail. They are given by their
folder and are not part of the repository: https://github.com/zhongwanjun/MemoryBank-SiliconFriend
(MIT). Summaries and personalities in them are a language model's, and are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evals.data.haystack import member
from memkit import Turn
from memkit.errors import InvalidInput

LANGUAGES: Mapping[str, str] = {"en": "English", "cn": "Chinese"}
_MORNING = timedelta(hours=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A virtual user: what was said, and what they ask later."""

    language: str
    number: int  # in the file; names are data
    turns: Sequence[Turn]
    questions: Sequence[str]


def read(folder: Path, code: str) -> Iterator[Person]:
    """Yield the people of one language.

    Raises:
        InvalidInput: a file is missing or has another shape.
    """
    bank = folder / f"memory_bank_{code}.json"
    asked = folder / f"probing_questions_{code}.jsonl"
    try:
        people = json.loads(bank.read_text(encoding="utf-8"))
        lines = asked.read_text(encoding="utf-8").splitlines()
        asked_of = [json.loads(line) for line in lines if line.strip()]
        questions = {name.strip(): of for one in asked_of for name, of in one.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{folder} is not MemoryBank's: {error}") from error
    for n, (name, person) in enumerate(people.items(), start=1):
        days = member(person, "history", dict, f"{bank.name}, person {n}")
        turns = [turn for date, said in days.items() for turn in _turns(date, said)]
        yield Person(
            language=LANGUAGES[code],
            number=n,
            turns=turns,
            questions=questions.get(name.strip(), []),
        )


def _turns(date: str, exchanges: Sequence[Mapping[str, str]]) -> Iterator[Turn]:
    began = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC) + _MORNING
    for n, exchange in enumerate(exchanges):
        for m, (key, role) in enumerate((("query", "user"), ("response", "assistant"))):
            if exchange.get(key, "").strip():
                yield Turn(
                    id=f"{date}#{n}{role[0]}", text=exchange[key], session_id=date,
                    role="user" if role == "user" else "assistant",
                    said_at=began + timedelta(seconds=2 * n + m),
                )  # fmt: skip
