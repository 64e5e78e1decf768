"""MemoryBank's virtual users (Zhong et al. 2023), whom Think-in-Memory reports on, passed through.

Their dialogues go in, in English and in Chinese, and their probing questions are asked. The files
have no answers, so nothing is scored: it is counted, and nothing may fail. They are given by their
folder and are not part of the repository: https://github.com/zhongwanjun/MemoryBank-SiliconFriend
(MIT). Summaries and personalities in them are a language model's, and are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import mean

from evals import USER
from evals.bench.result import Cell, Result, Table
from evals.data.haystack import member, sha256
from evals.thoughts import Measured, Options
from evals.thoughts.filled import filled, prepare, vectors
from memkit import Turn
from memkit.errors import InvalidInput, MemkitError
from memkit.protocols import Embedder

LANGUAGES: Mapping[str, str] = {"en": "English", "cn": "Chinese"}
_MORNING = timedelta(hours=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A virtual user: what was said, and what they ask later."""

    language: str
    number: int  # in the file; names are data
    turns: Sequence[Turn]
    questions: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What came of one person's dialogues."""

    language: str
    person: int
    turns: int
    thoughts: int
    questions: int
    with_turns: int  # questions that recalled turns
    with_thoughts: int  # questions that recalled thoughts
    faults: int  # that `doctor` found
    errors: int


def run(options: Options, embedder: Embedder) -> Measured:
    """Pass both languages through: remember, think, recall."""
    if len(options.data) != 1:
        raise InvalidInput("give one --data PATH, the folder of memory_bank_en.json")
    folder = options.data[0]
    people = [one for code in LANGUAGES for one in islice(read(folder, code), options.limit)]
    with vectors(options, embedder) as cached:
        questions = [question for one in people for question in one.questions]
        prepare(cached, [one.turns for one in people], questions)
        passed = [through(one, cached) for one in people]
    settings: dict[str, Cell] = {
        f"sha256, {code}": sha256(folder / f"memory_bank_{code}.json") for code in LANGUAGES
    }
    return Measured(
        results=[
            Result(
                name="gvd",
                about="MemoryBank's virtual users, passed through",
                settings={**settings, "embedder": str(embedder.fingerprint)},
                tables=[_table(passed)],
                notes=["the data have no gold answers: nothing here says that a hit is right"],
            )
        ],
        outcomes=[asdict(one) for one in passed],
    )


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


def through(person: Person, embedder: Embedder) -> Passed:
    """Remember, think, and ask all questions; count what fails."""
    errors = 0
    turns: list[int] = []
    thoughts: list[int] = []
    with filled(person.turns, embedder) as memory:
        for question in person.questions:
            try:
                turns.append(len(memory.recall(question, user_id=USER)))
                thoughts.append(len(memory.recall(question, user_id=USER, kind="thought")))
            except MemkitError:
                errors += 1
        return Passed(
            language=person.language,
            person=person.number,
            turns=len(person.turns),
            thoughts=len(memory.thoughts(user_id=USER)),
            questions=len(person.questions),
            with_turns=sum(map(bool, turns)),
            with_thoughts=sum(map(bool, thoughts)),
            faults=len(memory.doctor()),
            errors=errors,
        )


def _table(passed: Sequence[Passed]) -> Table:
    rows: list[list[Cell]] = []
    for language in LANGUAGES.values():
        theirs = [one for one in passed if one.language == language]
        counts = [
            sum(getattr(one, name) for one in theirs)
            for name in (
                "turns", "thoughts", "questions", "with_turns", "with_thoughts", "faults", "errors",
            )
        ]  # fmt: skip
        each = round(mean(one.thoughts for one in theirs), 1) if theirs else None
        rows.append([language, len(theirs), *counts, each])
    return Table(
        title="what came of it",
        columns=(
            "language", "people", "turns", "thoughts", "questions", "found turns",
            "found thoughts", "faults", "errors", "thoughts each",
        ),
        rows=rows,
        note="counted, not sampled",
    )  # fmt: skip
