"""LoCoMo (Maharana et al., ACL 2024) as haystacks, and the audit of its evidence.

The files are given by path and are not part of the repository: https://github.com/snap-research/locomo
and https://github.com/dial481/locomo-audit (both CC BY-NC 4.0).
Category 5 asks for what was never said: unanswerable, though the file names related turns.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evals.data import files
from evals.data.haystack import (
    AUDITED,
    PUBLISHED,
    DataSet,
    ExpectedAnswer,
    Haystack,
    Question,
    Split,
    make_gold,
    sessions_by_turn,
)
from memkit.errors import InvalidInput
from memkit.importers import LocomoQuestion, read_locomo

# Conversations for choosing anything; the others are for reporting.
TUNING = ("conv-26", "conv-30", "conv-41")
KINDS = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_ADVERSARIAL = 5
_ERRATUM = re.compile(r"locomo_(\d+)_qa(\d+)")  # locomo_0_qa12: both count from 0, in file order
_REFERENCE = re.compile(r"D(\d+):(\d+)")  # D1:3, the third turn of the first session
_NOTES = (
    f"tuning: {', '.join(TUNING)}; every other conversation is reported",
    "a question without evidence left is not scored",
)


class Erratum(NamedTuple):
    """The audit's evidence and answer for one question."""

    question: str
    evidence: tuple[str, ...]  # may be empty: no turn of the dialogue answers it
    answer: str | None = None  # None: the audit has none


Audit = Mapping[tuple[int, int], Erratum]  # by conversation and question, both from 0


def read(path: Path, *, audit: Path | None = None) -> DataSet:
    """Read a LoCoMo file, such as locomo10.json.

    With `audit`, errata as dial481/locomo-audit writes them, every question has a second gold, the
    audited, and the audit's answer where it corrects the file's.

    Raises:
        InvalidInput: a file cannot be read or has another shape.
    """
    conversations = read_locomo(path)
    errata = {} if audit is None else _read_audit(audit)
    counts = files.new_counts()
    haystacks = []
    names = files.make_unique(conversation.sample_id for conversation in conversations)
    for n, (name, conversation) in enumerate(zip(names, conversations, strict=True)):
        split: Split = "tuning" if conversation.sample_id in TUNING else "report"
        sessions = sessions_by_turn(conversation.turns)
        if len(sessions) != len(conversation.turns):
            raise InvalidInput(f"conversation {name} has two turns of one dia_id; make them unique")
        questions = [
            _read_question(question, f"{name}/qa{m}", sessions, counts[split])
            for m, question in enumerate(conversation.questions)
        ]
        haystack = Haystack(name=name, split=split, turns=conversation.turns, questions=questions)
        if audit is not None:
            haystack = _add_audited_gold(haystack, n, errata, counts[split])
        haystacks.append(haystack)
    if audit is None:
        return files.make_data_set(path, haystacks, counts, format="locomo", notes=_NOTES)
    beyond = sum(n >= len(conversations) for n, _ in errata)
    suffix = f"; {beyond} errata name a conversation the file has not" if beyond else ""
    note = f"audited gold: {audit.name}, sha256 {files.sha256(audit)[:12]}…{suffix}"
    golds = (PUBLISHED, AUDITED)
    return files.make_data_set(
        path, haystacks, counts, format="locomo", notes=(*_NOTES, note), golds=golds
    )


def ask_along_the_way(haystack: Haystack, seed: int) -> Haystack:
    """Return the haystack with each question asked at a random time after its evidence.

    Only answerable questions with evidence are kept, in the order in which they are asked. Their
    axis "distance" is the number of turns since the last evidence.
    """
    rng = random.Random(f"{seed}/{haystack.name}")
    position = {turn.id: n for n, turn in enumerate(haystack.turns, start=1)}
    questions = []
    for question in haystack.questions:
        evidence = question.golds[PUBLISHED].turns
        if not question.answerable or not evidence:
            continue
        last = max(position[turn] for turn in evidence)
        after = rng.randint(last, len(haystack.turns))
        questions.append(replace(question, after=after, axes={"distance": after - last}))
    questions.sort(key=lambda question: question.after or 0)
    return replace(haystack, questions=questions)


def _read_question(
    question: LocomoQuestion, id: str, sessions: Mapping[str, str], counts: Counter[str]
) -> Question:
    counts["references that name no turn, dropped"] += question.dropped
    counts["questions without evidence, not scored"] += not question.evidence
    answerable = question.category != _ADVERSARIAL
    has_answer = answerable and question.answer is not None
    return Question(
        id=id,
        text=question.question,
        kind=KINDS.get(question.category, f"category {question.category}"),
        golds={PUBLISHED: make_gold(question.evidence, sessions)},
        answerable=answerable,
        expected=ExpectedAnswer(answers=(question.answer or "",) if has_answer else ()),
    )


# ---- the audit


def _read_audit(path: Path) -> Audit:
    files.sha256(path)  # raises if it cannot be read
    try:
        records = json.loads(path.read_bytes())
        if not isinstance(records, list):
            raise InvalidInput("the file is no list")
        return dict(
            _read_erratum(record, f"erratum {n}") for n, record in enumerate(records, start=1)
        )
    except ValueError as error:  # neither JSON nor UTF-8, or one of our own
        raise InvalidInput(
            f"{path} is no audit of LoCoMo: {error}; --audit takes the errors.json of "
            "github.com/dial481/locomo-audit"
        ) from error


def _read_erratum(record: Any, where: str) -> tuple[tuple[int, int], Erratum]:
    id = files.member(record, "question_id", str, where)
    match = _ERRATUM.fullmatch(id)
    if match is None:
        raise InvalidInput(f"{where}: question_id {id!r} is not like locomo_0_qa12")
    cited = files.member(record, "correct_evidence", list, where)
    evidence = (f"D{int(d)}:{int(n)}" for text in cited for d, n in _REFERENCE.findall(str(text)))
    answer = record.get("correct_answer")
    erratum = Erratum(
        question=files.member(record, "question", str, where),
        evidence=tuple(dict.fromkeys(evidence)),
        answer=None if answer is None else str(answer).strip() or None,
    )
    return (int(match[1]), int(match[2])), erratum


def _add_audited_gold(haystack: Haystack, n: int, errata: Audit, counts: Counter[str]) -> Haystack:
    sessions = sessions_by_turn(haystack.turns)
    beyond = sum(c == n and m >= len(haystack.questions) for c, m in errata)
    counts["errata that fit no question, not used"] += beyond
    questions = []
    for m, question in enumerate(haystack.questions):
        gold, expected = question.golds[PUBLISHED], question.expected
        erratum = errata.get((n, m))
        if erratum is not None and erratum.question.strip() != question.text.strip():
            counts["errata that fit no question, not used"] += 1
        elif erratum is not None:
            evidence = tuple(turn for turn in erratum.evidence if turn in sessions)
            counts["references of the audit that name no turn, dropped"] += len(
                erratum.evidence
            ) - len(evidence)
            counts["questions whose evidence the audit changes"] += set(evidence) != set(gold.turns)
            gold = make_gold(evidence, sessions)
            expected = _correct(question, erratum, counts)
        golds = {**question.golds, AUDITED: gold}
        questions.append(replace(question, golds=golds, expected=expected))
    return replace(haystack, questions=questions)


def _correct(question: Question, erratum: Erratum, counts: Counter[str]) -> ExpectedAnswer:
    expected = question.expected
    if erratum.answer is None or not question.answerable or expected.answers == (erratum.answer,):
        return expected
    counts["questions whose answer the audit changes"] += 1
    return replace(expected, answers=(erratum.answer,))
