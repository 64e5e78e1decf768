"""What retrieval is measured on is read as it is; what cannot be used is counted or refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import erratum, locomo_file, longmemeval_file, remembered

from evals.data import locomo, longmemeval, registry
from evals.data.haystack import AUDITED, PUBLISHED, Gold
from evals.data.registry import Spec
from memkit.errors import InvalidInput


def test_locomo_is_split_by_conversation_and_category_five_is_unanswerable(tmp_path: Path) -> None:
    data = locomo.read(locomo_file(tmp_path, "conv-26", "conv-99"))

    assert [(one.name, one.split) for one in data.haystacks] == [
        ("conv-26", "tuning"),
        ("conv-99", "report"),
    ]
    asked = data.haystacks[0].questions
    assert [one.group for one in asked] == [
        "single-hop", "multi-hop", "temporal", "adversarial, unanswerable", "single-hop",
    ]  # fmt: skip
    assert asked[1].golds[PUBLISHED] == Gold(
        turns=("D1:3", "D2:3"), sessions=("session_1", "session_2")
    )


def test_malformed_references_are_dropped_and_counted(tmp_path: Path) -> None:
    data = locomo.read(locomo_file(tmp_path, "conv-99"))

    assert data.haystacks[0].questions[2].golds[PUBLISHED].turns == ("D1:2",)
    assert data.counts["report"]["references that name no turn, dropped"] == 3
    assert data.counts["report"]["questions without evidence, not scored"] == 1
    assert not any(data.counts["tuning"].values())


def test_the_audit_counts_conversations_and_questions_from_zero(tmp_path: Path) -> None:
    audit = tmp_path / "errors.json"
    errata = [
        erratum("locomo_1_qa0", "What does Biscuit fear?", "D2:1", "D8:8"),
        erratum("locomo_1_qa1", "Another question?", "D2:1"),
        erratum("locomo_1_qa77", "Beyond?", "D2:1"),
        erratum("locomo_5_qa0", "Beyond?", "D2:1"),
    ]
    audit.write_text(json.dumps(errata))

    data = locomo.read(locomo_file(tmp_path, "conv-26", "conv-99"), audit=audit)

    first, second = (one.questions for one in data.haystacks)
    assert second[0].golds[AUDITED] == Gold(turns=("D2:1",), sessions=("session_2",))
    assert second[0].golds[PUBLISHED].turns == first[0].golds[AUDITED].turns == ("D1:1",)
    assert second[1].golds[AUDITED] == second[1].golds[PUBLISHED]
    assert data.counts["report"]["errata that fit no question, not used"] == 2
    assert data.counts["report"]["references of the audit that name no turn, dropped"] == 1
    assert "1 errata name a conversation the file has not" in data.notes[-1]


def test_longmemeval_sessions_are_sorted_and_both_roles_indexed(tmp_path: Path) -> None:
    (haystack,) = longmemeval.read(longmemeval_file(tmp_path, remembered())).haystacks

    assert [turn.id for turn in haystack.turns] == ["a@2#0", "a@2#1", "a#0", "a#1", "b#0", "b#1"]
    assert [turn.session_id for turn in haystack.turns] == ["a", "a", "a", "a", "b", "b"]
    assert {turn.role for turn in haystack.turns} == {"user", "assistant"}
    times = [turn.said_at for turn in haystack.turns]
    assert times == sorted(times)


def test_what_is_odd_in_longmemeval_is_counted(tmp_path: Path) -> None:
    counts = longmemeval.read(longmemeval_file(tmp_path, remembered())).counts["report"]

    assert counts["empty turns, dropped"] == 3
    assert counts["answer sessions that are not in the haystack, dropped"] == 1
    assert counts["haystacks whose sessions were out of order, sorted"] == 1
    assert counts["sessions whose id occurs before, kept under ids of their own"] == 1


def test_longmemeval_gold_is_marked_turns_and_named_sessions(tmp_path: Path) -> None:
    file = longmemeval_file(tmp_path, remembered("q1"), remembered("q2_abs"))

    (first,), (second,) = (one.questions for one in longmemeval.read(file).haystacks)

    assert first.golds[PUBLISHED] == Gold(turns=("b#0",), sessions=("b",))
    assert (first.answerable, second.answerable) == (True, False)
    assert second.group == "single-session-user, unanswerable"


def test_a_question_sees_all_of_its_day_and_nothing_of_the_next(tmp_path: Path) -> None:
    dates = ["2023/05/21 (Sun) 00:00", "2023/05/20 (Sat) 21:15", "2023/05/01 (Mon) 10:00"]
    data = longmemeval.read(longmemeval_file(tmp_path, remembered(haystack_dates=dates)))

    asked_at = data.haystacks[0].questions[0].asked_at
    assert asked_at is not None
    said = {turn.id: turn.said_at for turn in data.haystacks[0].turns}
    assert said["b#0"] < asked_at < said["a#0"]
    assert (
        data.counts["report"]["turns said after the question's day, hidden from every system"] == 2
    )


def test_a_third_of_the_longmemeval_questions_is_for_tuning(tmp_path: Path) -> None:
    file = longmemeval_file(tmp_path, *(remembered(f"q{n}") for n in range(7)))

    data = longmemeval.read(file, limit=5)

    splits = {haystack.name: haystack.split for haystack in data.haystacks}
    assert splits == {
        "q0": "report", "q1": "report", "q2": "tuning", "q3": "report", "q4": "report",
    }  # fmt: skip


@given(
    ids=st.lists(st.text("abc01-_", min_size=1), min_size=1, max_size=6, unique=True),
    data=st.data(),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_split_of_a_question_depends_on_neither_its_file_nor_its_place(
    tmp_path: Path, ids: list[str], data: st.DataObject
) -> None:
    whole = longmemeval.read(longmemeval_file(tmp_path, *map(remembered, ids))).haystacks
    some = data.draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    part = longmemeval.read(longmemeval_file(tmp_path, *map(remembered, some))).haystacks

    splits = {haystack.name: haystack.split for haystack in whole}
    assert all(haystack.split == splits[haystack.name] for haystack in part)
    assert len(part) == len(some)


def test_longmemeval_is_read_from_a_list_from_lines_and_from_gzip(tmp_path: Path) -> None:
    lines = longmemeval_file(tmp_path, remembered("q1"), remembered("q2"))
    whole, packed = tmp_path / "whole.json", tmp_path / "packed.jsonl.gz"
    whole.write_text(json.dumps([remembered("q1"), remembered("q2")], indent=1))
    packed.write_bytes(gzip.compress(lines.read_bytes()))

    read = [longmemeval.read(file).haystacks for file in (lines, whole, packed)]

    assert read[0] == read[1] == read[2]
    assert len(read[0]) == 2


def test_questions_without_text_and_memories_without_turns_are_counted(tmp_path: Path) -> None:
    bare = remembered("q3", haystack_sessions=[[], [], []])
    data = longmemeval.read(longmemeval_file(tmp_path, remembered("q2", question=" "), bare))

    assert data.haystacks == []
    assert data.counts["tuning"]["questions without text, dropped"] == 1
    assert data.counts["report"]["questions about conversations without turns, dropped"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question_type": None}, r"question 1 \(q1\): 'question_type' is NoneType, not str"),
        ({"haystack_dates": []}, "has 3 sessions, 3 session ids and 0 dates"),
        ({"haystack_dates": ["2023/02/30 (Thu) 10:00"] * 3}, "date '2023/02/30"),
        ({"question_date": "yesterday"}, "date 'yesterday' is not like"),
        ({"haystack_sessions": [[], [{"role": "user"}], []]}, "session b, turn 1: no 'content'"),
        ({"haystack_sessions": [[], [{"role": "elf", "content": "x"}], []]}, "unknown role 'elf'"),
        ({"haystack_sessions": [[], "text", []]}, "session b is str, not list"),
    ],
)
def test_a_longmemeval_file_of_another_shape_says_where(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    file = longmemeval_file(tmp_path, remembered(**changes))

    with pytest.raises(InvalidInput, match=message):
        longmemeval.read(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n{", "line 2: "),
        (b"[1, 2]", "question 1 is no JSON object"),
        (b"[1, ", "Expecting value"),
        (b"\xff\xfe", "line 1: "),
        (b"\x1f\x8bnonsense", "damaged gzip"),
        (gzip.compress(b"{" * 1000, mtime=0)[:-9], "damaged gzip"),
        (json.dumps([remembered("q"), remembered("q")]).encode(), "two conversations of"),
    ],
)
def test_a_damaged_longmemeval_file_is_an_error(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content.replace(b"{}\n", json.dumps(remembered()).encode() + b"\n"))

    with pytest.raises(InvalidInput, match=message):
        longmemeval.read(file)


@pytest.mark.parametrize(
    ("format", "file", "audit", "message"),
    [
        ("locomo", "lines", None, "is not a LoCoMo file"),
        ("longmemeval", "list", None, "is not a LongMemEval file"),
        ("longmemeval", ".", None, "Is a directory"),
        ("locomo", "list", "lines", "is no audit of LoCoMo"),
        ("locomo", "list", "list", "erratum 1: no 'question_id'"),
        ("longmemeval", "lines", "list", "there is no audit of longmemeval"),
    ],
)
def test_a_file_of_another_data_set_is_refused(
    tmp_path: Path, format: str, file: str, audit: str | None, message: str
) -> None:
    paths = {
        "list": locomo_file(tmp_path, "conv-26"),
        "lines": longmemeval_file(tmp_path, remembered()),
        ".": tmp_path,
    }
    spec = Spec(format=format, path=paths[file], audit=None if audit is None else paths[audit])

    with pytest.raises(InvalidInput, match=message):
        registry.read(spec)
