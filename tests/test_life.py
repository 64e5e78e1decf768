"""Months of talk with questions, read from a folder."""

from pathlib import Path

import pytest

from evals.data import life
from memkit.errors import InvalidInput

FOLDER = Path(__file__).parent.parent / "training" / "life"
TALK = """== Ada en
1 U+0: I took plot 14b.
2 A+0: Well done!⏎Clear the weeds first.
3 U+9: they moved me to 22a
? now 3 !1 :: which plot is mine
? none +30 :: who is next door
"""


def written(folder: Path, text: str) -> Path:
    (folder / "tuning").mkdir()
    (folder / "validation").mkdir()
    (folder / "validation" / "a.txt").write_text(text, encoding="utf-8")
    return folder


def test_turns_questions_and_outdated_turns_are_read(tmp_path: Path) -> None:
    (haystack,) = life.read(written(tmp_path, TALK)).in_split("report")
    assert [(turn.role, turn.name) for turn in haystack.turns] == [
        ("user", "Ada"), ("assistant", None), ("user", "Ada")]  # fmt: skip
    assert haystack.turns[1].text == "Well done!\nClear the weeds first."
    now, none = haystack.questions
    assert (now.gold.turns, now.expected.stale_turns, now.answerable) == (("3",), ("1",), True)
    assert not none.answerable
    assert none.asked_at
    assert now.asked_at
    assert (none.asked_at - now.asked_at).days > 10


def test_two_people_are_a_user_and_another_speaker_by_name(tmp_path: Path) -> None:
    text = "== Ada-and-Bo en\n1 Ada+0: hi\n2 Bo+0: hello\n? fact 2 :: who said hello\n"
    (haystack,) = life.read(written(tmp_path, text)).in_split("report")
    assert [(turn.role, turn.name) for turn in haystack.turns] == [
        ("user", "Ada"), ("assistant", "Bo")]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [("4 U: no day", "not a header"), ("? now 7 :: what", "no turn 7"), ("? now 3 what", "not a")],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        life.read(written(tmp_path, f"{TALK}{line}\n"))


def test_the_dialogues_of_the_repository_can_be_read() -> None:
    data = life.read(FOLDER)
    assert len(data.in_split("report")) == 21
    assert len(data.in_split("tuning")) == 154
    people = {
        split: {haystack.name for haystack in data.in_split(split)}
        for split in ("tuning", "report")
    }
    assert not people["tuning"] & people["report"]
