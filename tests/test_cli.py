"""Promises of the command line: what it prints, where, and how it ends."""

# ruff: noqa: F811 - fixtures are imported

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import Result, Run, assert_error, oslo, run  # noqa: F401 - fixtures

import memkit
from memkit.cli import app, main

LOCOMO = Path(__file__).parents[2] / "shared" / "data" / "locomo" / "locomo10.json"
COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]

HOSTILE = "[bold red]Rex[/] \x1b]0;owned\x07\x1b[31m \x9b2J \u202etxt.exe\r"


# ---- the whole


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, run: Run) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert f"{command} [OPTIONS]" in result.out


def test_help_names_every_command(run: Run) -> None:
    printed = run("--help").out
    assert all(command in printed for command in COMMANDS)


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "sentence_transformers", "faiss", "numpy", "sqlite_utils"}
    code = (
        "import sys\nfrom memkit.cli import main\ntry:\n    main(['recall', '--help'])\n"
        f"except SystemExit:\n    assert not {heavy!r} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    "command",
    [
        ["add", "hello"],
        ["recall", "hello"],
        ["context", "hello"],
        ["summary"],
        ["export", "--messages"],
        ["export", "--session", "s"],
        ["import", "turns.jsonl"],
        ["chat"],
    ],
    ids=" ".join,
)
def test_a_command_about_somebody_asks_for_whom(
    command: list[str], run: Run, tmp_path: Path
) -> None:
    (tmp_path / "turns.jsonl").write_text('{"role": "user", "content": "hello"}', encoding="utf-8")
    assert_error(run(*command), "--user")


@pytest.mark.parametrize(
    "command",
    [["recall", "x", "--user", "a"], ["context", "x", "--user", "a"], ["summary", "--user", "a"],
     ["export", "--user", "a"], ["stats"], ["doctor"], ["reembed"]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_reading_a_memory_that_is_not_there_makes_none(
    command: list[str], run: Run, tmp_path: Path
) -> None:
    assert_error(run(*command), "there is no memory at memkit.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_memory_is_an_error_of_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, not a memory\n" * 50, encoding="utf-8")
    assert_error(run("stats", "--store", "notes.txt"), "not a memkit memory")


def test_an_error_stays_on_one_line_whatever_is_in_it(run: Run) -> None:
    assert_error(run("add", "x", "--user", "ann", "--role", "a\nb\x1b[31m"), "unknown role")


# ---- add, recall, context, summary


def test_what_was_added_is_recalled(oslo: Run) -> None:
    result = oslo("recall", "Who moved to Oslo?", "--user", "ann")
    assert result.code == 0
    assert "I moved to Oslo in May." in result.out


def test_every_argument_of_add_is_a_turn(run: Run) -> None:
    assert len(run("add", "one", "two", "--user", "ann", "--json").json["ids"]) == 2


def test_add_reads_a_turn_from_stdin_verbatim(run: Run) -> None:
    run("add", "-", "--user", "ann", stdin="two\n  lines ☃\n")
    assert run("export", "--messages", "--user", "ann").json["content"] == "two\n  lines ☃"


def test_stdin_that_is_not_text_is_refused(run: Run) -> None:
    assert_error(run("add", "-", "--user", "ann", stdin=b"\xff\xfe"), "stdin is not UTF-8")


def test_add_keeps_who_said_it_when_and_where(run: Run) -> None:
    run("add", "hi", "--user", "ann", "--role", "assistant", "--name", "Eve", "--session", "s1",
        "--at", "2024-05-01T12:00:00+02:00")  # fmt: skip
    turn = run("export", "--messages", "--user", "ann").json
    assert (turn["role"], turn["name"], turn["session_id"]) == ("assistant", "Eve", "s1")
    assert turn["timestamp"] == "2024-05-01T12:00:00+02:00"


@pytest.mark.parametrize(
    ("time", "message"),
    [("2024-05-01T12:00", "write 2024-05-01T12:00:00Z"), ("yesterday", "is not an ISO-8601 time")],
)
def test_a_time_that_could_mean_many_is_refused(time: str, message: str, run: Run) -> None:
    assert_error(run("add", "x", "--user", "ann", "--at", time), message)


def test_recall_as_json_is_a_hit_a_line_best_first(oslo: Run) -> None:
    hits = oslo("recall", "moved to Oslo", "--user", "ann", "--json").lines
    assert [hit["text"] for hit in hits] == ["I moved to Oslo in May.", "My dog is called Rex."]
    assert hits[0]["relevance"] == pytest.approx(sum(hits[0]["explain"].values()))
    assert hits[0]["said_at"] == "2024-05-01T12:00:00+00:00"


def test_recall_keeps_to_k_and_to_the_time_asked_for(oslo: Run) -> None:
    ask = ("recall", "Oslo Rex", "--user", "ann", "--json")
    assert len(oslo(*ask, "-k", "1").lines) == 1
    earlier = oslo(*ask, "--as-of", "2024-05-15T00:00:00Z").lines
    assert [hit["text"] for hit in earlier] == ["I moved to Oslo in May."]


def test_nothing_found_is_exit_code_one_and_an_empty_stdout(oslo: Run) -> None:
    for more in (["--user", "bob"], ["--user", "ann", "--min-relevance", "1"]):
        for form in ([], ["--json"]):
            result = oslo("recall", "Oslo", *more, *form)
            assert (result.code, result.out) == (1, "")


def test_explain_shows_the_share_of_each_arm(oslo: Run) -> None:
    assert "dense" not in oslo("recall", "Oslo", "--user", "ann").out
    explained = oslo("recall", "Oslo", "--user", "ann", "--explain").out
    assert "dense" in explained
    assert "lexical" in explained


def test_context_stays_within_its_budget(oslo: Run) -> None:
    whole = oslo("context", "Where is Oslo?", "--user", "ann", "--json").json
    small = oslo("context", "Where is Oslo?", "--user", "ann", "--budget", "30", "--json").json
    assert "I moved to Oslo in May." in whole["text"]
    assert small["tokens"] <= 30 < whole["tokens"]


def test_context_prints_the_block_as_the_model_would_see_it(oslo: Run) -> None:
    block = oslo("context", "Oslo", "--user", "ann")
    assert block.out == oslo("context", "Oslo", "--user", "ann", "--json").json["text"] + "\n"


def test_summary_takes_in_everything_said(oslo: Run) -> None:
    summary = oslo("summary", "--user", "ann", "--json").json
    assert (summary["level"], summary["through"]) == (1, 2)
    assert "Oslo" in oslo("summary", "--user", "ann").out


@pytest.mark.parametrize("command", ["recall", "context", "summary", "export"])
def test_hostile_text_cannot_command_the_terminal(command: str, run: Run) -> None:
    run("add", HOSTILE, "--user", "ann", "--name", "\x1b[2J[blink]Eve")
    question = ["Rex"] if command in ("recall", "context") else []
    result = run(command, *question, "--user", "ann", *(["-k", "5"] if command == "recall" else []))
    assert result.code == 0
    assert ("owned" if command == "summary" else "Rex") in result.out
    assert not set(result.out) & set("\x1b\x07\x9b\u202e\r")


def test_markup_in_remembered_text_is_shown_not_obeyed(run: Run) -> None:
    run("add", "[bold]Rex[/bold] [/] :smile:", "--user", "ann")
    assert "[bold]Rex[/bold] [/] :smile:" in run("recall", "Rex", "--user", "ann").out


# ---- import, export

OF_ANN = ("--user", "ann")
NASTY = "Ünï ☃ 👩‍👩‍👧\r\n\ttab \x1b[31m \u2028 \x85 \x7f [bold]x[/bold] \\n \x00 \"{}'; --"


def test_an_exported_memory_imports_and_exports_the_same(run: Run, tmp_path: Path) -> None:
    run("add", NASTY, "I live in Oslo.", "--user", "ann", "--name", "Ünï", "--session", "s")
    exported = run("export").out
    assert run("export", "--output", "ann.jsonl", "--json").json["turns"] == 2
    assert (tmp_path / "ann.jsonl").read_bytes() == exported.encode()
    result = run("import", "ann.jsonl", "--store", "two.db", "--json")
    assert (result.json["turns"], result.json["problems"]) == (2, [])
    again = run("export", "--user", "ann", "--store", "two.db").out
    assert again.split("\n")[1:] == exported.split("\n")[1:]  # the first line names the ledger
    assert json.loads(exported.split("\n")[2])["content"] == NASTY
    assert run("thoughts", *OF_ANN, "--store", "two.db").out == run("thoughts", *OF_ANN).out


def test_exported_messages_import_as_messages(run: Run, tmp_path: Path) -> None:
    run("add", NASTY, "plain", "--user", "ann", "--name", "Ünï", "--session", "s")
    exported = run("export", "--messages", "--user", "ann").out
    (tmp_path / "turns.jsonl").write_bytes(exported.encode())
    result = run("import", "turns.jsonl", "--user", "ann", "--store", "two.db", "--json")
    counts = {"read": 2, "new": 2, "empty": 0, "problems": [], "failed": 0, "left": [], "notes": []}
    assert result.json == counts | {"format": "jsonl"}
    assert run("export", "--messages", "--user", "ann", "--store", "two.db").out == exported
    assert json.loads(exported.split("\n")[0])["content"] == NASTY
    assert run("import", "turns.jsonl", "--user", "ann").out == "read 2 turns, 0 new\n"


def test_importing_an_export_again_says_that_nothing_is_new(run: Run) -> None:
    run("add", "hello", "--user", "ann")
    run("export", "--output", "ann.jsonl")
    expected = "0 turns are new; restored 0 users with 0 thoughts\n"
    assert run("import", "ann.jsonl").out == expected


def test_a_bad_line_is_named_and_the_others_are_imported(run: Run, tmp_path: Path) -> None:
    lines = ['{"role": "user"}', '{"role": "user", "content": "hello"}']
    (tmp_path / "turns.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = run("import", "turns.jsonl", "--user", "ann")
    assert (result.code, result.out) == (1, "read 1 turns, 1 new\n")
    assert result.err.startswith("turns.jsonl, line 1: a message dict needs content\n1 turn not")
    assert len(run("import", "turns.jsonl", "--user", "ann", "--json").json["problems"]) == 1


def test_an_edited_turn_is_imported_as_a_version_if_asked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    for text in ("one", "two"):
        path.write_text(f'{{"role": "user", "content": "{text}", "id": "a"}}', encoding="utf-8")
        result = run("import", "turns.jsonl", "--user", "ann")
    assert (result.code, result.out) == (1, "read 1 turns, 0 new\n")
    assert "already has another text" in result.err
    result = run("import", "turns.jsonl", "--user", "ann", "--new-versions")
    assert (result.code, result.out) == (0, "read 1 turns, 1 new\n")


def test_a_file_without_a_good_line_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "turns.jsonl").write_text('{"role": "user"}\n', encoding="utf-8")
    assert_error(run("import", "turns.jsonl", "--user", "ann"), "turns.jsonl, line 1: a message")


def test_export_that_cannot_be_written_is_an_error_of_one_line(oslo: Run) -> None:
    assert_error(oslo("export", "--user", "ann", "--output", "no/such/folder"), "cannot be written")


def export(run: Run, path: Path | str) -> Result:
    return run("export", "--user", "ann", "--output", str(path))


@pytest.mark.parametrize(
    "name", ["memkit.db", "memkit.db-wal", "memkit.db-shm", "memkit.db.index/x", "link", "hard"]
)
def test_an_export_never_takes_the_place_of_its_memory(
    oslo: Run, tmp_path: Path, name: str
) -> None:
    (tmp_path / "link").symlink_to("memkit.db")
    (tmp_path / "hard").hardlink_to(tmp_path / "memkit.db")
    result = export(oslo, name)
    assert (result.code, result.out) == (2, "")
    assert "give another path" in result.err
    assert oslo("stats", "--json").json["turns"] == 2


def test_an_export_never_takes_the_place_of_another_memory(oslo: Run, tmp_path: Path) -> None:
    oslo("add", "hello", "--user", "bob", "--store", "other.db")
    before = (tmp_path / "other.db").read_bytes()
    assert_error(export(oslo, "other.db"), "is a database")
    assert (tmp_path / "other.db").read_bytes() == before


def test_an_export_leaves_a_file_that_is_named_like_an_unfinished_one(
    oslo: Run, tmp_path: Path
) -> None:
    for name in ("turns.jsonl.tmp", ".turns.jsonl.tmp"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    assert export(oslo, "turns.jsonl").code == 0
    assert (tmp_path / "turns.jsonl.tmp").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / ".turns.jsonl.tmp").read_text(encoding="utf-8") == "mine"


def test_an_export_follows_a_link_and_leaves_it(oslo: Run, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "turns.jsonl"
    link.symlink_to(tmp_path / "there" / "real.jsonl")
    for _ in range(2):
        assert export(oslo, link).code == 0
        assert link.is_symlink()
        assert (tmp_path / "there" / "real.jsonl").read_bytes().count(b'"content"') == 2


def test_an_export_writes_into_a_pipe_and_a_device(oslo: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_bytes)
        assert export(oslo, pipe).code == 0
        assert reading.result(timeout=60).count(b'"content"') == 2
    assert pipe.is_fifo()
    assert export(oslo, "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_an_export_that_fails_leaves_the_file_as_it_was(
    oslo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text("before", encoding="utf-8")
    path.chmod(0o640)
    monkeypatch.setattr("memkit.govern.export_format.to_json", None)
    with pytest.raises(TypeError):
        app(["export", "--user", "ann", "--output", str(path)], standalone_mode=False)
    assert path.read_text(encoding="utf-8") == "before"
    assert [file.name for file in tmp_path.iterdir() if "turns" in file.name] == ["turns.jsonl"]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert export(oslo, path).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_export_into_a_folder_is_an_error(oslo: Run, tmp_path: Path) -> None:
    assert_error(export(oslo, tmp_path), "cannot be written: Is a directory")


def test_export_of_a_session_leaves_the_others_out(oslo: Run) -> None:
    oslo("add", "elsewhere", "--user", "ann", "--session", "s2")
    assert oslo("export", "--user", "ann", "--session", "s2").json["content"] == "elsewhere"


@pytest.mark.skipif(not LOCOMO.exists(), reason=f"the LoCoMo data set is not at {LOCOMO}")
def test_a_locomo_conversation_is_imported_by_its_id(run: Run) -> None:
    assert_error(run("import", str(LOCOMO), "--user", "ann"), "choose one with --conversation")
    result = run("import", str(LOCOMO), "--user", "ann", "--conversation", "conv-26", "--json")
    assert (result.json["read"], result.json["new"]) == (419, 419)
    assert run("stats", "--user", "ann", "--json").json["turns"] == 419
    assert run("doctor").out == "all is well\n"


# ---- stats, reembed, doctor


def test_stats_count_one_user_or_all(oslo: Run) -> None:
    oslo("add", "hello", "--user", "bob")
    assert oslo("stats", "--json").json["turns"] == 3
    assert oslo("stats", "--user", "bob", "--json").json["turns"] == 1
    assert "turns" in oslo("stats").out


def test_reembed_moves_a_memory_to_another_embedder(oslo: Run) -> None:
    ask = ("recall", "Oslo", "--user", "ann", "--json")
    before = oslo(*ask).lines
    assert oslo("reembed", "--embedder", "other", "--json").json["chunks"] == 2
    assert_error(oslo(*ask), "memkit reembed --store memkit.db")
    assert [hit["text"] for hit in oslo(*ask, "--embedder", "other").lines] == [
        hit["text"] for hit in before
    ]


def test_what_needs_no_embedder_asks_for_none(oslo: Run) -> None:
    oslo("reembed", "--embedder", "other")
    for command in (["stats"], ["doctor"], ["export", "--user", "ann"]):
        assert oslo(*command).code == 0


def test_doctor_says_that_all_is_well(oslo: Run) -> None:
    assert oslo("doctor").out == "all is well\n"
    assert oslo("doctor", "--json").json == {"ok": True, "faults": []}


def test_doctor_prints_a_line_per_fault_and_exits_with_one(oslo: Run, tmp_path: Path) -> None:
    from sqlite_utils import Database

    db = Database(tmp_path / "memkit.db")
    with db.conn:
        db.execute("UPDATE users SET failure = 'out of\nwords'")
    db.conn.close()
    result = oslo("doctor")
    assert (result.code, result.out.count("\n")) == (1, 1)
    assert "Compact Memory of 'ann'" in result.out
    assert not oslo("doctor", "--json").json["ok"]


def test_demo_passes_its_options_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(
        "memkit.demo.run.run_demo", lambda **options: calls.append(options), raising=False
    )
    run("demo", "--dialogue", "a", "--dialogue", "b", "--store", "d.db", "--seed", "7", "--json",
        "--model", "ollama:tiny")  # fmt: skip
    paths = [Path("a"), Path("b")]
    assert calls == [
        {"dialogue": paths, "store": Path("d.db"), "seed": 7, "as_json": True,
         "model_name": "ollama:tiny"}
    ]  # fmt: skip


# ---- the real thing


@pytest.mark.slow
def test_the_bundled_embedder_finds_what_shares_no_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "ann.db")
    said = ["My golden retriever is called Rex.", "I pay my rent on the first of the month."]
    with memkit.open(store) as memory:
        memory.remember(said, user_id="ann")
    with pytest.raises(SystemExit) as end:
        main(["recall", "Which pets live here?", "--user", "ann", "--store", store, "--json"])
    assert not end.value.code
    assert json.loads(capsys.readouterr().out.splitlines()[0])["text"] == said[0]


def test_tags_and_filters_limit_what_is_recalled(oslo: Run) -> None:
    oslo("add", "green tea", "--user", "ann", "--tag", "shop", "--tag", "home")
    oslo("add", "black tea", "--user", "ann", "--session", "s9")
    (hit,) = [oslo("recall", "tea", "--user", "ann", "--tag", "shop", "--json").json]
    assert (hit["text"], hit["tags"]) == ("green tea", ["shop", "home"])
    where = '{"OR": [{"session_id": "s9"}, {"tag": "nothing"}]}'
    assert oslo("recall", "tea", "--user", "ann", "--where", where, "--json").json["text"] == (
        "black tea"
    )
    assert "[shop, home]" in oslo("recall", "tea", "--user", "ann", "--where", "tag=shop").out
    assert oslo("recall", "tea", "--user", "ann", "--where", "tea").code == 2
    (line,) = oslo("export", "--user", "ann", "--where", "tag=home").lines
    assert (line["content"], line["tags"]) == ("green tea", ["shop", "home"])
