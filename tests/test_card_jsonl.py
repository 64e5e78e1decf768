"""Your own conversations and questions, one conversation a line."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evals.data import registry as data
from evals.data.haystack import PUBLISHED, ExpectedAnswer, Gold, Question
from evals.data.registry import Spec
from memkit.errors import InvalidInput

ANN: dict[str, Any] = {
    "id": "ann",
    "turns": [
        {"id": "a", "text": "I moved to Oslo.", "said_at": "2024-05-01T09:00:00+00:00"},
        {"id": "b", "text": "And now to Bergen.", "said_at": "2024-05-02T09:00:00+00:00"},
        {"role": "assistant", "text": "Noted.", "said_at": "2024-05-02T09:01:00+00:00",
         "session_id": "s1"},
    ],
    "questions": [
        {"id": "home", "question": "Where do I live?", "answers": "Bergen", "evidence": ["b"],
         "kind": "update", "asked_at": "2024-06-01T00:00:00+00:00", "stale": ["Oslo"],
         "stale_evidence": ["a"], "foils": ["Rome"], "steps": ["a", "b"], "after": 3},
        {"question": "Who am I?", "unanswerable": True},
    ],
    "forget": ["a"],
}  # fmt: skip


def lines(folder: Path, *records: Any) -> Path:
    file = folder / "own.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in records) + "\n")
    return file


def test_own_lines_are_read_with_all_that_is_expected(tmp_path: Path) -> None:
    (haystack,) = data.read(Spec(format="jsonl", path=lines(tmp_path, ANN))).haystacks

    assert [(turn.id, turn.role, turn.session_id) for turn in haystack.turns] == [
        ("a", "user", "s0"), ("b", "user", "s0"), ("t2", "assistant", "s1"),
    ]  # fmt: skip
    assert haystack.forgotten == ("a",)
    assert haystack.questions[0] == Question(
        id="home", text="Where do I live?", kind="update",
        asked_at=datetime(2024, 6, 1, tzinfo=UTC),
        golds={PUBLISHED: Gold(turns=("b",), sessions=("s0",))}, answerable=True, after=3,
        expected=ExpectedAnswer(
            answers=("Bergen",), stale=("Oslo",), stale_turns=("a",), steps=("a", "b"),
            foils=("Rome",),
        ),
    )  # fmt: skip
    assert haystack.questions[1].id == "ann/q1"
    assert haystack.questions[1].group == "question, unanswerable"


def test_only_texts_have_to_be_given(tmp_path: Path) -> None:
    bare = {"turns": [{"text": "Hello."}], "questions": [{"question": "What did I say?"}]}

    read = data.read(Spec(format="jsonl", path=lines(tmp_path, bare, bare)))

    assert [haystack.name for haystack in read.haystacks] == ["conversation-1", "conversation-2"]
    assert read.haystacks[0].questions[0].after is None


def test_gzipped_lines_are_the_same_lines(tmp_path: Path) -> None:
    plain = lines(tmp_path, ANN)
    packed = tmp_path / "own.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    read = [data.read(Spec(format="jsonl", path=path)).haystacks for path in (plain, packed)]

    assert read[0] == read[1]


def test_what_cannot_be_asked_is_counted(tmp_path: Path) -> None:
    file = lines(tmp_path, ANN, {"turns": [{"text": "Hi."}]}, {"questions": [{"question": "?"}]})

    spec = Spec(format="jsonl", path=file)
    dropped = data.describe(data.read(spec), spec)["dropped"]["report"]

    assert dropped == {
        "conversations without questions, dropped": 1,
        "questions about conversations without turns, dropped": 1,
    }


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("turnz", [], "turnz: Extra inputs"),
        ("turns", "text", "turns: .* valid list, got 'text'"),
        ("turns", [{"text": " "}], "turn 1: a turn's text is empty"),
        ("turns", [{"text": "x", "role": "elf"}], "turn 1: unknown role 'elf'"),
        ("turns", [{"text": "x", "said_at": "2024-05-01T09:00:00"}], "turn 1: .* no timezone"),
        ("turns", [{"text": "x", "id": "t1"}, {"text": "y"}], "two turns have the id 't1'"),
        ("turns", [[]], r"turns\.0: .* got \[\]"),
        ("split", "train", "split: .*'tuning' or 'report', got 'train'"),
        ("forget", ["z"], "'forget' names 'z', and no turn has that id"),
        ("questions", [{"answers": ["x"]}], r"questions\.0\.question: Field required"),
        ("questions", [{"question": "?", "evidence": ["z"]}], "question ann/q0: .* no turn"),
        ("questions", [{"question": "?", "after": 9}], "1 to 3, got 9"),
        (
            "questions",
            [{"question": "?", "unanswerable": "no"}],
            r"0\.unanswerable: .* got 'no'",
        ),
        (
            "questions",
            [{"question": "?", "answers": [None]}],
            r"0\.answers\.0: .* got None",
        ),
        ("questions", [{"question": "?", "asked_at": "noon"}], "'noon' is neither ISO-8601"),
        ("questions", [{"question": "?", "id": "ann"}], "id 'ann' is taken"),
    ],
)
def test_a_wrong_line_says_which_and_why(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    file = lines(tmp_path, {**ANN, "id": "bob", "questions": []}, {**ANN, key: value})

    with pytest.raises(InvalidInput, match=f"own.jsonl: line 2: .*{message}"):
        data.read(Spec(format="jsonl", path=file))


def test_a_time_of_asking_needs_times_of_saying(tmp_path: Path) -> None:
    file = lines(tmp_path, {**ANN, "turns": [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]})

    with pytest.raises(InvalidInput, match="not every turn has said_at; give both"):
        data.read(Spec(format="jsonl", path=file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "line 1: not JSON"),
        (b"\x1f\x8bnonsense", "damaged gzip"),
        (b"3", "conversation: .* got 3"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "own.jsonl"
    file.write_bytes(content)

    with pytest.raises(InvalidInput, match=message):
        data.read(Spec(format="jsonl", path=file))
