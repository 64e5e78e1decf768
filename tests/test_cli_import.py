"""Promises of `memkit import` for the files of other programs."""

import json
from pathlib import Path

import pytest
from command_line import Run, assert_error, run  # noqa: F401 - the fixture

CHAT = """3/4/20, 10:00 - Messages are end-to-end encrypted.
3/4/20, 10:01 - Ann: I moved to Oslo.
3/4/20, 10:02 - Bob: <Media omitted>
3/4/20, 10:03 - Bob: Congratulations!
"""
OPTIONS = ("--user", "ann", "--timezone", "Europe/Oslo")


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    (tmp_path / "chat.txt").write_text(CHAT, encoding="utf-8")
    return tmp_path / "chat.txt"


@pytest.mark.usefixtures("chat")
def test_the_report_says_what_was_taken_and_what_was_left(run: Run) -> None:  # noqa: F811
    assert_error(run("import", "chat.txt", *OPTIONS), "--date-order dmy")
    result = run("import", "chat.txt", *OPTIONS, "--date-order", "dmy")
    assert (result.code, result.out) == (0, "read 2 turns, 2 new\n")
    assert "left out 1: system message (chat.txt, line 1)\n" in result.err
    assert "left out 1: media without words (chat.txt, line 3)\n" in result.err
    assert "people: Ann, Bob; pass --me NAME" in result.err
    turns = run("export", "--messages", "--user", "ann").lines
    assert [turn["timestamp"] for turn in turns] == [
        "2020-04-03T10:01:00+02:00", "2020-04-03T10:03:00+02:00"]  # fmt: skip


@pytest.mark.usefixtures("chat")
def test_the_json_report_has_format_counts_and_places(run: Run) -> None:  # noqa: F811
    options = ("--date-order", "mdy", "--me", "Ann", "--json")
    report = run("import", "chat.txt", *OPTIONS, *options).json
    assert (report["format"], report["read"], report["new"]) == ("whatsapp", 2, 2)
    assert {left["reason"]: (left["count"], left["first"]) for left in report["left"]} == {
        "system message": (1, ["chat.txt, line 1"]),
        "media without words": (1, ["chat.txt, line 3"]),
    }
    assert (report["problems"], report["failed"], report["notes"]) == ([], 0, [])


@pytest.mark.usefixtures("chat")
def test_a_dry_run_reports_and_stores_nothing(run: Run, tmp_path: Path) -> None:  # noqa: F811
    arguments = ("import", "chat.txt", *OPTIONS, "--date-order", "dmy")
    assert run(*arguments, "--dry-run").out == "read 2 turns, 2 would be new\n"
    assert not (tmp_path / "memkit.db").exists()
    assert run(*arguments).out == "read 2 turns, 2 new\n"
    (tmp_path / "chat.txt").write_text(f"{CHAT}4/4/20, 9:00 - Ann: Thanks!\n", encoding="utf-8")
    for _ in range(2):
        assert run(*arguments, "--dry-run").out == "read 3 turns, 1 would be new\n"


def test_a_file_in_no_known_format_is_refused_with_the_formats(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "page.html").write_text("<html>", encoding="utf-8")
    assert_error(run("import", "page.html", "--user", "ann"), "whatsapp, telegram")


def test_an_option_that_says_nothing_about_the_file_is_refused(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "t.jsonl").write_text('{"role": "user", "content": "a"}', encoding="utf-8")
    assert_error(run("import", "t.jsonl", "--user", "ann", "--me", "Ann"), "it is for whatsapp")
    assert_error(run("import", "t.jsonl", *OPTIONS[:2], "--timezone", "Mars"), "no timezone 'Mars'")


def test_a_title_cannot_command_the_terminal(run: Run, tmp_path: Path) -> None:  # noqa: F811
    hidden = {"id": "m", "author": {"role": "system"}, "content": {"parts": ["x"]}}
    shown = {"id": "n", "author": {"role": "user"}, "content": {"parts": ["hello"]}}
    nodes = {"a": {"message": hidden, "parent": None}, "b": {"message": shown, "parent": "a"}}
    talk = {"title": "\x1b[31m\nread 9 turns", "mapping": nodes, "current_node": "b"}
    (tmp_path / "c.json").write_text(json.dumps([talk]), encoding="utf-8")
    result = run("import", "c.json", "--user", "ann")
    assert result.out == "read 1 turns, 1 new\n"
    assert "\x1b" not in result.err
    assert result.err.count("\n") == 1
