"""Audits: what makes a good score worthless is found, and nobody is accused by a hash."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evals.card.audit import leakage
from evals.card.audit.audits import audits, closed_book, evidence_in_time, violations
from evals.card.records import Audit, Record
from evals.data.haystack import DataSet, ExpectedAnswer, Gold, Haystack, Question
from memkit import Turn
from memkit.errors import InvalidInput

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SAID = "we finally moved to a small house near the harbour of Bergen last week"


def asked(id: str, text: str, *answers: str, **more: object) -> Question:
    given = {"kind": "fact", "asked_at": None, "golds": {}, "answerable": True} | more
    return Question(id=id, text=text, expected=ExpectedAnswer(answers=answers), **given)  # type: ignore[arg-type]


def data_set(
    *questions: Question, turns: tuple[str, ...] = (SAID,), split: str = "report"
) -> DataSet:
    said = [
        Turn(text=text, id=f"t{n}", said_at=NOON + timedelta(days=n))
        for n, text in enumerate(turns)
    ]
    haystack = Haystack(name=f"h-{split}", split=split, turns=said, questions=questions)  # type: ignore[arg-type]
    return DataSet(format="made", file="", sha256="", haystacks=[haystack])


def record(question: str = "q", **more: object) -> Record:
    given: dict[str, object] = {
        "data": "d", "haystack": "h", "kind": "fact", "answerable": True, "regime": "replay",
        "system": "s",
    }  # fmt: skip
    return Record(question=question, **(given | more))  # type: ignore[arg-type]


def named(result: list[Audit], name: str) -> Audit:
    return next(audit for audit in result if name in audit.name)


# ---- what was tuned on


def test_a_text_is_a_line_and_of_json_lines_what_stands_together(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.\n\nTwo.\n")
    (tmp_path / "b.jsonl").write_text('{"question": "Who?", "answers": ["Ann"], "id": "q"}\n')

    result = leakage.texts([tmp_path / "a.txt", tmp_path / "b.jsonl"])
    assert list(result.values()) == ["One.", "Two.", "Who? Ann", "Who?", "Ann", "q"]
    assert leakage.texts([]) == {}


@pytest.mark.parametrize(
    ("content", "named"), [("{", "line 1: not JSON"), ("\n", "holds no text"), ("[1]", "no text")]
)
def test_a_file_of_training_texts_that_says_nothing_is_named(
    tmp_path: Path, content: str, named: str
) -> None:
    (tmp_path / "b.jsonl").write_text(content)

    with pytest.raises(InvalidInput, match=named):
        leakage.texts([tmp_path / "b.jsonl"])


# ---- overlap


def test_a_text_with_another_end_is_the_same_text() -> None:
    right = {"b": f"{SAID}!", "c": "nothing of the kind at all"}

    assert leakage.overlap({"a": SAID}, right) == {"b"}


def test_the_jaccard_that_decides_is_the_exact_one() -> None:
    # 10 words have 6 shingles, 9 of them the first 5: 5 / 6
    ten = "one two three four five six seven eight nine ten"
    nine = ten.removesuffix(" ten")

    assert leakage.overlap({"a": ten}, {"b": nine}) == {"b"}
    eight = nine.removesuffix(" nine")  # 4 / 6
    assert not leakage.overlap({"a": ten}, {"b": eight})
    assert not leakage.overlap({"b": eight}, {"a": ten})


def test_a_text_of_fewer_than_five_words_overlaps_only_with_itself() -> None:
    right = {"b": "thanks a lot", "c": "a lot", "d": "…"}

    assert leakage.overlap({"a": "Thanks a lot!"}, right) == {"b"}


def test_every_copy_of_a_repeated_text_is_found() -> None:
    twice = {"1": SAID, "2": SAID}

    assert leakage.overlap(twice, twice) == twice.keys()


def test_all_near_duplicates_among_many_are_proposed() -> None:
    words = [f"w{n}" for n in range(400)]
    left = {str(n): " ".join(words[n : n + 30]) for n in range(0, 370, 10)}
    right = {name: f"{text} more" for name, text in left.items()}  # Jaccard 26 / 27

    assert leakage.overlap(left, right) == right.keys()


# ---- leakage of a data set


def test_a_question_that_was_said_in_the_dialogue_is_contamination() -> None:
    question = asked("q", "Where did you leave the blue bicycle?")
    clean = data_set(question, turns=("the blue bicycle is in the shed",))
    said = data_set(question, turns=("Ann asked: where did you leave the blue bicycle? No idea.",))

    assert leakage.questions_in_dialogue("d", clean.haystacks).passed
    result = leakage.questions_in_dialogue("d", said.haystacks)
    assert (result.checked, result.violations, result.passed) == (1, 1, False)


def test_a_question_across_two_turns_was_said_in_neither() -> None:
    split = data_set(
        asked("q", "where did you leave the bicycle"), turns=("where did you", "leave the bicycle")
    )

    assert leakage.questions_in_dialogue("d", split.haystacks).violations == 0


def test_a_question_that_holds_its_answer_is_counted_but_a_choice_may() -> None:
    read = data_set(
        asked("told", "Did Ann move to Bergen, the rainy town?", "Bergen"),
        asked("choice", "Did Ann move to Bergen or to Oslo?", "Bergen"),
        asked("part", "Who sells bergenias?", "Bergen"),
        asked("none", "What did Ann say of Bergen?", "Bergen", answerable=False),
    )

    result = leakage.answers_in_questions("d", read.haystacks)
    assert (result.checked, result.violations) == (3, 1)


def test_training_texts_are_checked_against_questions_and_against_what_is_remembered() -> None:
    read = data_set(asked("q", "Where do they live?", "Bergen"), turns=(SAID, "Thanks!"))

    result = leakage.audits("d", read, {"web": SAID, "thanks": "Thanks!"})
    index, test = named(result, "train ∩ index"), named(result, "train ∩ test")
    assert (index.checked, index.violations, index.passed) == (1, 1, False)  # all say "Thanks!"
    assert (test.violations, test.passed) == (0, True)
    assert not any("train" in audit.name for audit in leakage.audits("d", read))


def test_a_question_of_tuning_that_comes_again_in_the_report_is_leakage() -> None:
    audit = asked("a", "Where did the whole family move to in the end?", "to Bergen")
    again = asked("b", audit.text, "to Bergen")
    control = asked("c", audit.text, "to Rome, and then back again to Oslo")  # the same form only
    tuning, report = data_set(audit, split="tuning"), data_set(again, control)
    both = DataSet(
        format="made", file="", sha256="", haystacks=[*tuning.haystacks, *report.haystacks]
    )

    result = named(leakage.audits("d", both), "tuning ∩ report")
    assert (result.checked, result.violations) == (2, 1)
    apart = leakage.apart({"report": report, "tuning": tuning})  # two data sets of one file
    assert [(audit.data, audit.checked, audit.violations) for audit in apart] == [("report", 2, 1)]
    assert leakage.apart({"report": report, "other": replace(tuning, sha256="1")}) == []


# ---- time


@pytest.mark.parametrize(
    ("when", "late"),
    [
        ({"asked_at": NOON + timedelta(days=1)}, 0),
        ({"asked_at": NOON + timedelta(hours=1)}, 1),
        ({"after": 2}, 0),
        ({"after": 1}, 1),
    ],
)
def test_evidence_said_after_its_question_is_found(when: Mapping[str, object], late: int) -> None:
    golds = {"published": Gold(turns=("t1",), sessions=())}
    read = data_set(asked("q", "where?", golds=golds, **when), turns=("first", "second"))

    result = evidence_in_time("d", read)
    assert (result.checked, result.violations, result.passed) == (1, late, not late)


def test_a_question_without_a_time_is_not_counted_as_checked() -> None:
    result = evidence_in_time("d", data_set(asked("q", "where?")))

    assert (result.checked, result.passed) == (0, True)
    assert "no question" in result.note


# ---- broken memories


@pytest.mark.parametrize("kind", ["from the future", "forgotten", "foreign text", "answer leaked"])
def test_a_single_violation_fails_its_system_and_no_other(kind: str) -> None:
    records = [
        record("a", audit={kind: 0}), record("b", audit={kind: 3}),
        record("a", audit={kind: 0}, system="honest"),
    ]  # fmt: skip

    honest, broken = violations(records)
    assert (honest.system, honest.passed) == ("honest", True)
    assert (broken.checked, broken.violations, broken.passed) == (2, 1, False)


def test_nothing_is_said_of_a_system_that_does_not_tell() -> None:
    assert violations([record()]) == []


def test_a_model_that_knows_the_answers_without_a_memory_is_caught() -> None:
    def answers(right: int, **more: object) -> list[Record]:
        scores = [{"contains": float(n < right)} for n in range(20)]
        return [
            record(str(n), scores=row, regime="parametric", **more) for n, row in enumerate(scores)
        ]

    (fine,), (knows,) = closed_book(answers(4)), closed_book(answers(6))
    assert (fine.passed, knows.passed, knows.violations) == (True, False, 6)
    assert fine.note.endswith("8.1% to 41.6%")  # a few guesses of a few questions prove nothing
    assert closed_book(answers(20, answerable=False)) == []


def test_a_card_gets_the_audits_of_its_data_and_of_its_systems() -> None:
    read = data_set(asked("q", "Where do they live?", "Bergen"))

    result = audits([record(audit={"from the future": 1})], {"d": read})
    assert [audit.name for audit in result if not audit.passed] == [
        "temporal: nothing from the future of a question"
    ]
    assert {audit.system for audit in result} == {"", "s"}
