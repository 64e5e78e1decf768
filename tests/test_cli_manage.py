"""Promises of the commands with which people look after their memory, and of short ids."""

# ruff: noqa: F811 - fixtures are imported

import shutil
from pathlib import Path

import pytest
from command_line import Run, assert_error, at_terminal, oslo, run  # noqa: F401 - fixtures
from on_disk import memory


def contents(run: Run, *options: str, user: str = "ann") -> list[str]:
    return [line["content"] for line in run("export", "--messages", "--user", user, *options).lines]


# ---- what is there


def test_users_and_sessions_are_listed_with_their_turns_the_latest_first(oslo: Run) -> None:
    oslo("add", "later", "--user", "bob", "--at", "2025-01-01T00:00:00Z", "--session", "work")
    oslo("add", "in a session", "--user", "ann", "--session", "s1", "--at", "2024-05-20T12:00:00Z")
    assert [(row["user_id"], row["turns"]) for row in oslo("users", "--json").lines] == [
        ("bob", 1), ("ann", 3),
    ]  # fmt: skip
    sessions = oslo("sessions", "--user", "ann", "--json").lines
    assert [(row["session_id"], row["turns"]) for row in sessions] == [(None, 2), ("s1", 1)]
    assert "bob" in oslo("users").out
    assert "(no session)" in oslo("sessions", "--user", "ann").out


def test_show_lists_the_newest_turns_and_each_id_shown_leads_to_its_turn(oslo: Run) -> None:
    assert "Rex" in oslo("show", "--user", "ann").out
    assert [line["content"] for line in oslo("show", "--user", "ann", "--json").lines] == [
        "I moved to Oslo in May.",
        "My dog is called Rex.",
    ]
    (newest,) = oslo("show", "--user", "ann", "--last", "1", "--json").lines
    short = newest["id"][:8]
    assert short in oslo("show", "--user", "ann").out
    shown = oslo("show", short, "--user", "ann").out
    assert newest["id"] in shown
    assert "My dog is called Rex." in shown
    assert "2024-06-01" in shown
    assert oslo("show", short, "--user", "ann", "--json").json["kind"] == "turn"


def test_show_links_a_thought_with_the_turns_it_comes_from(oslo: Run) -> None:
    (thought, *_) = oslo("thoughts", "--user", "ann", "--json").lines
    data = oslo("show", thought["id"][:6], "--user", "ann", "--json").json
    assert (data["kind"], data["id"]) == ("thought", thought["id"])
    assert data["turns"][0]["id"] == thought["sources"][0]["turn_id"]
    shown = oslo("show", thought["id"], "--user", "ann").out
    assert data["turns"][0]["id"][:8] in shown
    turn = oslo("show", data["turns"][0]["id"], "--user", "ann", "--json").json
    assert thought["id"] in [thought["id"] for thought in turn["thoughts"]]


OF_ANN = ["--user", "ann"]


@pytest.mark.parametrize(
    "command",
    [["users"], ["sessions", *OF_ANN], ["show", *OF_ANN], ["export", *OF_ANN],
     ["summary", *OF_ANN], ["thoughts", *OF_ANN], ["context", "?", *OF_ANN],
     ["recall", "?", *OF_ANN], ["forget", "--everything", "--yes", *OF_ANN]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_nothing_there_is_exit_code_one_and_an_empty_stdout(run: Run, command: list[str]) -> None:
    run("add", "hi", "--user", "bob", "--id", "1")
    run("forget", "1", "--user", "bob", "--yes")
    for form in ([], ["--json"]):
        result = run(*command, *form)
        assert (result.code, result.out) == (1, "")
        assert result.err.count("\n") == 1


def test_an_agents_part_is_only_that_agents(run: Run) -> None:
    run("add", "I cook pasta.", "--user", "ann", "--agent", "cook")
    run("add", "I run marathons.", "--user", "ann", "--agent", "coach")
    agent = ("--user", "ann", "--agent", "cook")
    assert contents(run, "--agent", "cook") == ["I cook pasta."]
    assert len(run("show", *agent, "--json").lines) == 1
    assert len(run("sessions", *agent, "--json").lines) == 1
    assert "marathons" not in run("recall", "I run pasta", *agent).out
    assert "marathons" not in run("context", "I run pasta", *agent, "--budget", "99").out
    assert "marathons" not in run("thoughts", *agent).out
    run("forget", *agent, "--yes")
    assert contents(run) == ["I run marathons."]


def test_a_turn_with_an_id_is_added_once_however_often_the_command_runs(run: Run) -> None:
    for _ in range(2):
        assert run("add", "I live in Oslo.", "--user", "ann", "--id", "home").code == 0
    assert contents(run) == ["I live in Oslo."]
    assert_error(run("add", "a", "b", "--user", "ann", "--id", "x"), "--id names one turn")


def test_thoughts_are_recalled_with_the_id_that_corrects_them_and_who_said_them(oslo: Run) -> None:
    oslo("add", "Your dog is called Max.", "--user", "ann", "--role", "assistant", "--name", "Eve")
    ask = ("recall", "dog called", "--user", "ann", "--kind", "thought")
    hits = oslo(*ask, "--json").lines
    assert {hit["kind"] for hit in hits} == {"thought"}
    listed = {thought["id"] for thought in oslo("thoughts", "--user", "ann", "--json").lines}
    assert {hit["thought_id"] for hit in hits} <= listed
    (rex,) = [hit["thought_id"] for hit in hits if "Rex" in hit["text"]]
    assert rex[:8] in oslo(*ask).out
    oslo("correct", rex[:8], "My dog is called Tau.", "--user", "ann")
    assert "Tau" in oslo("thoughts", "--user", "ann").out
    assert_error(oslo("recall", "dog", "--user", "ann", "--kind", "turn", "-k", "0"), "k")


# ---- short ids


def test_the_beginning_of_an_id_will_do_while_only_one_begins_so(run: Run) -> None:
    for turn_id in ("abc", "abd", "ab"):
        run("add", f"text of {turn_id}", "--user", "ann", "--id", turn_id)
    assert run("show", "abc", "--user", "ann", "--json").json["content"] == "text of abc"
    assert run("show", "ab", "--user", "ann", "--json").json["content"] == "text of ab"  # exact
    result = run("show", "a", "--user", "ann")
    assert_error(result, "ab, abc, abd; type more characters")
    assert_error(run("forget", "a", "--yes", "--user", "ann"), "is the beginning of several ids")
    assert len(contents(run)) == 3


@pytest.mark.parametrize(
    "command", ["show", "forget", "history", "retract", "correct"], ids=lambda name: name
)
def test_an_id_of_nobody_or_of_somebody_else_is_an_error(run: Run, command: str) -> None:
    run("add", "I live in Oslo.", "--user", "bob", "--id", "home")
    run("add", "I live in Rome.", "--user", "ann")
    more = ["new text"] if command == "correct" else []
    for item in ("home", ""):
        result = run(command, item, *more, "--user", "ann")
        assert_error(result, f"'ann' has no {'turn or ' if command in ('show', 'forget') else ''}")


# ---- forget


def test_forget_deletes_what_is_named_by_its_short_id_and_nothing_else(oslo: Run) -> None:
    turns = oslo("export", "--messages", "--user", "ann").lines
    receipt = oslo("forget", turns[0]["id"][:7], "--user", "ann", "--yes", "--json").json
    assert (receipt["turn_ids"], receipt["dry_run"]) == ([turns[0]["id"]], False)
    assert contents(oslo) == ["My dog is called Rex."]
    assert "Oslo" not in oslo("thoughts", "--user", "ann").out


def test_forgetting_a_thought_deletes_the_turns_it_comes_from(oslo: Run) -> None:
    (oslo_id,) = [
        thought["id"]
        for thought in oslo("thoughts", "--user", "ann", "--json").lines
        if "Oslo" in thought["text"]
    ]
    assert "deleted 1 turn" in oslo("forget", oslo_id[:8], "--user", "ann", "--yes").out
    assert contents(oslo) == ["My dog is called Rex."]


def test_forget_by_session_by_time_and_everything(oslo: Run) -> None:
    oslo("add", "elsewhere", "--user", "ann", "--session", "s", "--at", "2024-07-01T00:00:00Z")
    oslo("add", "of bob", "--user", "bob")
    oslo("forget", "--session", "s", "--user", "ann", "--yes")
    assert contents(oslo) == ["I moved to Oslo in May.", "My dog is called Rex."]
    oslo("forget", "--until", "2024-05-15T00:00:00Z", "--user", "ann", "--yes")
    assert contents(oslo) == ["My dog is called Rex."]
    oslo("forget", "--everything", "--user", "ann", "--yes")
    assert contents(oslo) == []
    assert contents(oslo, user="bob") == ["of bob"]


@pytest.mark.parametrize("ways", [[], ["x", "--everything"], ["--session", "s", "--everything"]])
def test_forget_takes_exactly_one_way_to_say_what(oslo: Run, ways: list[str]) -> None:
    assert_error(oslo("forget", *ways, "--user", "ann", "--yes"), "in one way")
    assert len(contents(oslo)) == 2


def test_a_dry_run_and_a_missing_confirmation_delete_nothing(oslo: Run) -> None:
    dry = oslo("forget", "--everything", "--dry-run", "--user", "ann")
    assert (dry.code, dry.out.startswith("would delete 2 turns, 2 chunks")) == (0, True)
    result = oslo("forget", "--everything", "--user", "ann")
    assert (result.code, result.out) == (2, "")
    assert "pass --yes" in result.err
    assert len(contents(oslo)) == 2


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 2), ("y", 0, 0)])
def test_at_a_terminal_forget_shows_the_turns_and_asks(
    oslo: Run, tmp_path: Path, answer: str, code: int, left: int
) -> None:
    command = ["forget", "--everything", "--user", "ann"]
    ended, printed = at_terminal(command, {"[y/N]": answer}, folder=tmp_path)
    assert (ended, "I moved to Oslo in May." in printed) == (code, True), printed
    assert len(contents(oslo)) == left


def test_backup_copies_the_memory_and_replaces_nothing(oslo: Run) -> None:
    assert oslo("backup", "copy.db", "--json").json["output"] == "copy.db"
    assert contents(oslo, "--store", "copy.db") == contents(oslo)
    assert_error(oslo("backup", "copy.db"), "replaces nothing")


@pytest.mark.filterwarnings("always")
def test_a_copy_without_its_log_is_reported_by_every_command(oslo: Run, tmp_path: Path) -> None:
    with memory(tmp_path / "memkit.db") as opened:
        opened.remember("newest", user_id="ann")
        shutil.copy(tmp_path / "memkit.db", tmp_path / "copy.db")
        shutil.copy(tmp_path / "memkit.db", tmp_path / "copy2.db")
    result = oslo("stats", "--store", "copy.db")
    assert (result.code, result.err.count("\n")) == (0, 1)
    assert result.err.startswith("memkit: copy.db is a copy of a memory that was open")
    faults = oslo("doctor", "--store", "copy2.db", "--json").json["faults"]
    assert ["the newest turns may be missing" in fault for fault in faults] == [True]
    assert oslo("doctor").out == "all is well\n"
