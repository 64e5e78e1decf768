"""MemoryCode's revised instructions and MemoryBank's virtual users as questions of a card."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from evals.data import gvd as users
from evals.data import memorycode as revised
from evals.data.haystack import (
    PUBLISHED,
    Asked,
    DataSet,
    Expected,
    Gold,
    Haystack,
    Split,
    sessions_of,
    sha256,
    usable,
)
from evals.data.memorycode import Dialogue, Pivot, Version
from evals.data.versions import PivotVersions
from memkit.errors import InvalidInput

_NOBODY = Gold(turns=(), sessions=())


def memorycode(path: Path) -> DataSet:
    """Read a MemoryCode file: every instruction that was revised is asked for as it is now.

    Evidence are the turns that say the current value in the session that set it, stale are those
    that say an earlier one; see `evals.data.memorycode` for how the questions are made.

    Raises:
        InvalidInput: the file cannot be read or has another shape.
    """
    digest = sha256(path)
    counts: dict[Split, Counter[str]] = {"tuning": Counter(), "report": Counter()}
    haystacks = []
    for dialogue in revised.read(path):
        count = counts[dialogue.split]
        count["revised fillers whose values no literal tells apart, dropped"] += dialogue.unmarked
        count["dialogues in which nothing is revised, dropped"] += not dialogue.pivots
        questions = [_pivot(pivot, dialogue) for pivot in dialogue.pivots]
        haystacks.append(
            Haystack(
                name=dialogue.id, split=dialogue.split, turns=dialogue.turns, questions=questions
            )
        )
    if len({one.name for one in haystacks}) != len(haystacks):
        raise InvalidInput(f"{path} has two dialogues of one dialogue_id; make them unique")
    return DataSet(
        format="memorycode",
        file=path.name,
        sha256=digest,
        haystacks=usable(haystacks, counts),
        notes=("tuning: dialogues with crc32(dialogue_id) divisible by 3; others are reported",),
        counts=counts,
    )


def _pivot(pivot: Pivot, dialogue: Dialogue) -> Asked:
    session = {turn.id or "": turn.session_id or "" for turn in dialogue.turns}
    versions = PivotVersions(pivot=pivot, session_of=session)

    def turns(version: Version) -> Iterator[str]:
        for turn in dialogue.turns:
            if versions.gives(version, turn.text, [turn.id or ""]):
                yield turn.id or ""

    evidence = tuple(turns(pivot.current))
    return Asked(
        id=f"{dialogue.id}/{pivot.id}",
        text=pivot.query,
        kind=pivot.kind,
        asked_at=None,
        golds={PUBLISHED: Gold(turns=evidence, sessions=sessions_of(evidence, session))},
        answerable=True,
        expected=Expected(
            answers=(pivot.current.value,),
            stale=tuple(version.value for version in pivot.stale),
            stale_turns=tuple(turn for version in pivot.stale for turn in turns(version)),
            version_of=versions.of_statement,
        ),
    )


def gvd(folder: Path, language: str, *, limit: int | None = None) -> DataSet:
    """Read MemoryBank's virtual users of a language, "en" or "cn".

    The files have neither answers nor evidence: only what a question costs and whether it is
    refused can be told.

    Raises:
        InvalidInput: a file is missing or has another shape, or there is no such language.
    """
    if language not in users.LANGUAGES:
        raise InvalidInput(f"no language {language!r}; there are {', '.join(users.LANGUAGES)}")
    people = list(islice(users.read(folder, language), limit))
    bank = folder / f"memory_bank_{language}.json"
    counts: dict[Split, Counter[str]] = {"tuning": Counter(), "report": Counter()}
    counts["report"]["questions without evidence, not scored"] = sum(
        len(person.questions) for person in people
    )
    return DataSet(
        format="gvd",
        file=bank.name,
        sha256=sha256(bank),
        haystacks=usable((_person(one, f"{language}-{one.number}") for one in people), counts),
        notes=(
            "the file has no answers and no evidence: only costs and refusals can be told",
            f"questions: sha256 {sha256(folder / f'probing_questions_{language}.jsonl')[:12]}…",
        ),
        counts=counts,
    )


def _person(person: users.Person, name: str) -> Haystack:
    questions = [
        Asked(
            id=f"{name}/q{n}",
            text=text,
            kind="probing",
            asked_at=None,
            golds={PUBLISHED: _NOBODY},
            answerable=True,
        )
        for n, text in enumerate(person.questions)
    ]
    return Haystack(name=name, split="report", turns=person.turns, questions=questions)
