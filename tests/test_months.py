"""What is believed after months of talk: the figures, by hand, and the marked files."""

from pathlib import Path
from typing import Any

import pytest

from evals.data import talk
from evals.studies import months
from memkit.errors import InvalidInput

TRAINING = Path(__file__).parent.parent / "training"
TALK = """== life en
U+0: {f1 I rent a flat in Hull}. {f2 my cat is called Pim}
A+0: Lovely! {g3 So you live in Hull}.
U+9: {f4>1>3 we bought a house in Ripon}. {q5 "I have nine cats", ha}
U+20: {f6~2 Pim has been gone for a week}
"""


@pytest.fixture
def dialogue(tmp_path: Path) -> talk.Dialogue:
    file = tmp_path / "talk.txt"
    file.write_text(TALK, "utf-8")
    (dialogue,), faults = talk.read(file)
    assert not faults
    return dialogue


def thought(dialogue: talk.Dialogue, number: str, state: str) -> dict[str, Any]:
    """Return a thought about half of a stretch."""
    for n, turn in enumerate(dialogue.turns):
        for stretch in turn.stretches:
            if stretch.number == number:
                middle = (stretch.start + stretch.end) // 2
                return {"state": state, "places": [(n, stretch.start, middle)]}
    raise AssertionError(number)


def test_the_marks_say_what_became_of_each_statement(dialogue: talk.Dialogue) -> None:
    expected = {"1": "gone", "2": "unsure", "3": "gone", "4": "holds", "5": "holds", "6": "holds"}
    assert months.states(dialogue) == expected


@pytest.mark.parametrize(
    ("number", "state", "expected"),
    [
        ("1", "plain", [("stale", True)]),
        ("1", "doubted", [("stale", False)]),
        ("1", "closed", [("stale", False)]),
        ("2", "doubted", [("unsure", True)]),
        ("2", "plain", [("unsure", False)]),
        ("4", "plain", [("facts", True), ("ended", False), ("doubted", False)]),
        ("4", "doubted", [("facts", True), ("ended", False), ("doubted", True)]),
        ("4", "closed", [("facts", False), ("ended", True), ("doubted", False)]),
        ("5", "plain", [("never held", True)]),
        ("5", "doubted", [("never held", False)]),
    ],
)
def test_a_thought_counts_by_what_became_of_its_statement(
    dialogue: talk.Dialogue, number: str, state: str, expected: list[tuple[str, bool]]
) -> None:
    nothing = list(months.outcomes(dialogue, []))
    assert nothing == [("facts", False), ("never held", False), ("facts", False)]
    one_thought = list(months.outcomes(dialogue, [thought(dialogue, number, state)]))
    for outcome in expected:
        assert outcome in one_thought
    changed = {figure for figure, _ in expected} | {"facts", "never held"}
    assert {figure for figure, _ in one_thought} <= changed


def test_the_turns_of_a_day_follow_each_other(dialogue: talk.Dialogue) -> None:
    turns = months.to_json(dialogue, "d")["turns"]
    times = [turn["at"] for turn in turns]
    assert times == sorted(set(times))
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "user"]


def test_a_file_with_a_wrong_mark_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_text("== life en\nU+0: {f1>7 I moved}\n", "utf-8")
    with pytest.raises(InvalidInput, match=r"bad\.txt:2: no earlier stretch 7"):
        months.run([file], 0)


@pytest.mark.slow
@pytest.mark.usefixtures("dialogue")
def test_the_study_prints_what_the_default_thinker_believes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(months, "VARIANTS", ("none", "without comparing"))
    (result,) = months.run([tmp_path / "talk.txt"], 0).results
    shares = {(row[0], row[1]): row[2] for row in result.tables[0].rows}
    assert float(shares["memkit without comparing", "stale"]) == 1
    assert float(shares["memkit without comparing", "doubted"]) == 0


@pytest.mark.parametrize("folder", ["talk", "months"])
def test_the_marked_dialogues_have_no_fault(folder: str) -> None:
    files = sorted((TRAINING / folder).glob("*.txt"))
    assert files
    assert [fault for file in files for fault in talk.read(file)[1]] == []
