"""MemoryBank's virtual users (Zhong et al. 2023), on which Think-in-Memory reports, as haystacks.

The files are given by their folder and are not part of the repository:
https://github.com/zhongwanjun/MemoryBank-SiliconFriend (MIT). They have dialogues in English and
Chinese and probing questions, but neither answers nor evidence: only what a question costs, and
whether it is refused, can be measured. Their summaries and personalities were written by a
language model and are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evals.data.haystack import (
    PUBLISHED,
    DataSet,
    Gold,
    Haystack,
    Question,
    keep_usable,
    member,
    new_counts,
    sha256,
)
from memkit import Turn
from memkit.errors import InvalidInput

LANGUAGES = ("en", "cn")
_MORNING = timedelta(hours=9)  # the file has days without times; exchanges are seconds apart


def read(folder: Path, language: str, *, limit: int | None = None) -> DataSet:
    """Read the virtual users of a language, "en" or "cn".

    Raises:
        InvalidInput: a file is missing or has another shape, or there is no such language.
    """
    if language not in LANGUAGES:
        raise InvalidInput(f"no language {language!r}; there are {', '.join(LANGUAGES)}")
    bank = folder / f"memory_bank_{language}.json"
    probing = folder / f"probing_questions_{language}.jsonl"
    try:
        people = json.loads(bank.read_text(encoding="utf-8"))
        lines = probing.read_text(encoding="utf-8").splitlines()
        questions = {
            name.strip(): texts
            for line in lines
            if line.strip()
            for name, texts in json.loads(line).items()
        }
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(
            f"{folder} has no MemoryBank files of language {language!r}: {error}"
        ) from error
    haystacks = []
    for n, (name, person) in enumerate(list(people.items())[:limit], start=1):
        days = member(person, "history", dict, f"{bank.name}, person {n}")
        turns = [turn for date, exchanges in days.items() for turn in _read_turns(date, exchanges)]
        haystacks.append(_make_haystack(f"{language}-{n}", turns, questions.get(name.strip(), [])))
    counts = new_counts()
    counts["report"]["questions without evidence, not scored"] = sum(
        len(haystack.questions) for haystack in haystacks
    )
    return DataSet(
        format="gvd",
        file=bank.name,
        sha256=sha256(bank),
        haystacks=keep_usable(haystacks, counts),
        notes=(
            "the file has no answers and no evidence: only costs and refusals can be told",
            f"questions: sha256 {sha256(probing)[:12]}…",
        ),
        counts=counts,
    )


def _read_turns(date: str, exchanges: Sequence[Mapping[str, str]]) -> Iterator[Turn]:
    began = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC) + _MORNING
    for n, exchange in enumerate(exchanges):
        for m, (key, role) in enumerate((("query", "user"), ("response", "assistant"))):
            if exchange.get(key, "").strip():
                yield Turn(
                    id=f"{date}#{n}{role[0]}", text=exchange[key], session_id=date,
                    role="user" if role == "user" else "assistant",
                    said_at=began + timedelta(seconds=2 * n + m),
                )  # fmt: skip


def _make_haystack(name: str, turns: Sequence[Turn], texts: Sequence[str]) -> Haystack:
    questions = [
        Question(
            id=f"{name}/q{n}",
            text=text,
            kind="probing",
            asked_at=None,
            golds={PUBLISHED: Gold(turns=(), sessions=())},
            answerable=True,
        )
        for n, text in enumerate(texts)
    ]
    return Haystack(name=name, split="report", turns=turns, questions=questions)
