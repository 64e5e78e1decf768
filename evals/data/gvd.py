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

from evals.data import files
from evals.data.haystack import PUBLISHED, DataSet, Gold, Haystack, Question
from memkit import Turn
from memkit.errors import InvalidInput

LANGUAGES = ("en", "cn")
_MORNING = timedelta(hours=9)  # the file has days without times; exchanges are seconds apart


def read(folder: Path, language: str) -> DataSet:
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
    for n, (name, person) in enumerate(people.items(), start=1):
        days = files.member(person, "history", dict, f"{bank.name}, person {n}")
        haystacks.append(
            Haystack(
                name=f"{language}-{n}",
                split="report",
                turns=[turn for date, said in days.items() for turn in _read_turns(date, said)],
                questions=[
                    Question(
                        id=f"{language}-{n}/q{m}",
                        text=text,
                        kind="probing",
                        golds={PUBLISHED: Gold()},
                    )
                    for m, text in enumerate(questions.get(name.strip(), []))
                ],
            )
        )
    counts = files.new_counts()
    counts["report"]["questions without evidence, not scored"] = sum(
        len(haystack.questions) for haystack in haystacks
    )
    notes = (
        "the file has no answers and no evidence: only costs and refusals can be told",
        f"questions: sha256 {files.sha256(probing)[:12]}…",
    )
    return files.make_data_set(bank, haystacks, counts, format="gvd", notes=notes)


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
