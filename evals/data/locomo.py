"""LoCoMo (Maharana et al., ACL 2024) as haystacks, and the audit of its evidence.

The files are given by path and are not part of the repository: https://github.com/snap-research/locomo
and https://github.com/dial481/locomo-audit (both CC BY-NC 4.0).
Category 5 asks for what was never said: unanswerable, though the file names related turns.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals.data.haystack import (
    AUDITED,
    PUBLISHED,
    Asked,
    DataSet,
    Expected,
    Gold,
    Haystack,
    Split,
    member,
    sessions_of,
    sha256,
    unique,
    usable,
)
from evals.data.locomo_texts import TUNING
from memkit.errors import InvalidInput
from memkit.importers import LocomoConversation, LocomoQuestion, read_locomo

KINDS = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_ADVERSARIAL = 5
_ERRATUM = re.compile(r"locomo_(\d+)_qa(\d+)")  # both count from 0, in the order of the file
_REFERENCE = re.compile(r"D(\d+):(\d+)")
_NOTES = (
    f"tuning: {', '.join(TUNING)}; every other conversation is reported",
    "a question without evidence left is not scored",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erratum:
    """What the audit says of one question's evidence, and of its answer."""

    question: str
    evidence: tuple[str, ...]  # may be empty: nothing in the dialogue says it
    answer: str | None = None  # None: the audit has none


Audit = Mapping[tuple[int, int], Erratum]  # by conversation and question, both from 0


def read(path: Path, *, limit: int | None = None, audit: Path | None = None) -> DataSet:
    """Read a LoCoMo file; with `audit`, a second gold beside the published one.

    Expected answers are the audit's where it is given and corrects them, or else the file's: to
    have both keys, read the file twice.

    Args:
        path: such as locomo10.json.
        limit: only so many conversations, the first ones.
        audit: errata as dial481/locomo-audit writes them: `question_id`, `correct_evidence`.

    Raises:
        InvalidInput: a file cannot be read or has another shape.
    """
    digest = sha256(path)
    everything = read_locomo(path)
    conversations = everything[:limit]
    errata = {} if audit is None else read_audit(audit)
    counts: dict[Split, Counter[str]] = {"tuning": Counter(), "report": Counter()}
    haystacks = []
    for n, name in enumerate(unique(one.sample_id for one in conversations)):
        one = conversations[n]
        split: Split = "tuning" if one.sample_id in TUNING else "report"
        haystack = _haystack(one, name, split, counts[split])
        if audit is not None:
            haystack = _audited(haystack, n, errata, counts[split])
        haystacks.append(haystack)
    return DataSet(
        format="locomo",
        file=path.name,
        sha256=digest,
        haystacks=usable(haystacks, counts),
        golds=(PUBLISHED,) if audit is None else (PUBLISHED, AUDITED),
        notes=_NOTES if audit is None else (*_NOTES, _note(audit, errata, len(everything))),
        counts=counts,
    )


def _note(audit: Path, errata: Audit, conversations: int) -> str:
    beyond = sum(n >= conversations for n, _ in errata)
    strange = f"; {beyond} errata name a conversation the file has not" if beyond else ""
    return f"audited gold: {audit.name}, sha256 {sha256(audit)[:12]}…{strange}"


def _haystack(one: LocomoConversation, name: str, split: Split, counts: Counter[str]) -> Haystack:
    session = {turn.id or "": turn.session_id or "" for turn in one.turns}
    if len(session) != len(one.turns):
        raise InvalidInput(f"conversation {name} names two turns alike; dia_id must be unique")
    questions = [
        _asked(question, f"{name}/qa{m}", session, counts)
        for m, question in enumerate(one.questions)
    ]
    return Haystack(name=name, split=split, turns=one.turns, questions=questions)


def _asked(
    question: LocomoQuestion, id: str, session: Mapping[str, str], counts: Counter[str]
) -> Asked:
    counts["references that name no turn, dropped"] += question.dropped
    counts["questions without evidence, not scored"] += not question.evidence
    gold = Gold(turns=question.evidence, sessions=sessions_of(question.evidence, session))
    answerable = question.category != _ADVERSARIAL
    told = answerable and question.answer is not None
    return Asked(
        id=id,
        text=question.question,
        kind=KINDS.get(question.category, f"category {question.category}"),
        asked_at=None,
        golds={PUBLISHED: gold},
        answerable=answerable,
        expected=Expected(answers=(question.answer or "",) if told else ()),
    )


# ---- the audit


def read_audit(path: Path) -> Audit:
    """Read errata; each names its question and the turns that answer it.

    Raises:
        InvalidInput: the file is no list of errata; the message says where.
    """
    sha256(path)  # says so if it cannot be read
    try:
        records = json.loads(path.read_bytes())
        if not isinstance(records, list):
            raise InvalidInput("the file is no list")
        return dict(_erratum(record, f"erratum {n}") for n, record in enumerate(records, start=1))
    except ValueError as error:  # not JSON, or not UTF-8, or one of ours
        raise InvalidInput(
            f"{path} is no audit of LoCoMo: {error}; --audit takes the errors.json of "
            "github.com/dial481/locomo-audit"
        ) from error


def _erratum(record: Any, where: str) -> tuple[tuple[int, int], Erratum]:
    id = member(record, "question_id", str, where)
    found = _ERRATUM.fullmatch(id)
    if found is None:
        raise InvalidInput(f"{where}: question_id {id!r} is not like locomo_0_qa12")
    cited = member(record, "correct_evidence", list, where)
    evidence = (f"D{int(d)}:{int(n)}" for text in cited for d, n in _REFERENCE.findall(str(text)))
    answer = record.get("correct_answer")
    erratum = Erratum(
        question=member(record, "question", str, where),
        evidence=tuple(dict.fromkeys(evidence)),
        answer=None if answer is None else str(answer).strip() or None,
    )
    return (int(found[1]), int(found[2])), erratum


def _audited(haystack: Haystack, n: int, errata: Audit, counts: Counter[str]) -> Haystack:
    """Return the haystack with the audit's gold beside the published one."""
    known = {turn.id or "": turn.session_id or "" for turn in haystack.turns}
    beyond = sum(c == n and m >= len(haystack.questions) for c, m in errata)
    counts["errata that fit no question, not used"] += beyond
    questions = []
    for m, question in enumerate(haystack.questions):
        gold, expected = question.golds[PUBLISHED], question.expected
        erratum = errata.get((n, m))
        if erratum is not None and erratum.question.strip() != question.text.strip():
            counts["errata that fit no question, not used"] += 1
        elif erratum is not None:
            evidence = tuple(turn for turn in erratum.evidence if turn in known)
            counts["references of the audit that name no turn, dropped"] += len(
                erratum.evidence
            ) - len(evidence)
            counts["questions whose evidence the audit changes"] += set(evidence) != set(gold.turns)
            gold = Gold(turns=evidence, sessions=sessions_of(evidence, known))
            expected = _corrected(question, erratum, counts)
        golds = {**question.golds, AUDITED: gold}
        questions.append(replace(question, golds=golds, expected=expected))
    return replace(haystack, questions=questions)


def _corrected(question: Asked, erratum: Erratum, counts: Counter[str]) -> Expected:
    """Return what is expected by the audit, where that is another answer than the file's."""
    expected = question.expected
    if erratum.answer is None or not question.answerable or expected.answers == (erratum.answer,):
        return expected
    counts["questions whose answer the audit changes"] += 1
    return replace(expected, answers=(erratum.answer,))
