"""What leaves a memory as JSON lines comes in again as it was, and nothing is ever replaced."""

# ruff: noqa: F811 - fixtures are imported

import io
import json
import re
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, assert_error, run  # noqa: F401 - fixtures
from hypothesis import given, settings
from hypothesis import strategies as st
from on_disk import memory
from thinkers import Fails, Reader

from memkit import Turn
from memkit.errors import InvalidInput, MissingExtra, NewerExport, StoreReadOnly
from memkit.govern.age import EncryptedWriter, decrypt
from memkit.memory import Memory
from memkit.protocols import WriteBatch
from memkit.records import Scope
from memkit.testing import open_memory

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANN = Scope(user_id="ann")
TEXTS = [
    "My dog is called Rex", "I live in Oslo", "I live in Rome", "I moved away", "I eat fish",
    "I live in Oslo\nI like tea", "I live in Oslo now", "I might move",
    "Ünï ☃ \u2028 \x1b[31m \"{}'",
    "My cat is called Mia",
]  # fmt: skip


def exported(source: Memory, **options: Any) -> bytes:
    file = io.BytesIO()
    source.export(file, **options)
    return file.getvalue()


def imported(data: bytes, target: Memory, **options: Any) -> Any:
    return target.import_(io.BytesIO(data), **options)


def without_header(data: bytes) -> list[bytes]:
    """Return the lines after the first, which names the end of the ledger."""
    return data.split(b"\n")[1:]


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines() if line]


def joined(*records: dict[str, Any]) -> bytes:
    """Return lines as a file, with the right number in the last one."""
    body = [record for record in records if record.get("type") != "end"]
    body.append({"type": "end", "lines": len(body)})
    return b"".join(json.dumps(record).encode() + b"\n" for record in body)


@pytest.fixture
def lived() -> Iterator[Memory]:
    """A memory with all that an export has: doubt, history, corrections, pruning, a queue."""
    with open_memory(thinker=Reader()) as opened:
        ids = []
        for n, text in enumerate(TEXTS):
            turn = Turn(
                text=text, name="Ann", session_id=f"s{n % 2}", said_at=NOON + timedelta(days=n),
                metadata={"z": n, "a": [1, {"b": None}]}, origin="imported" if n % 2 else None,
            )  # fmt: skip
            ids += opened.remember(turn, user_id="ann", agent_id="helper")
            opened.flush()
        opened.remember("I live in Lima", user_id="bob")
        (first, *_) = opened.thoughts(user_id="ann")
        opened.correct(first.id, "My dog is called Max", user_id="ann")
        tea = next(item for item in opened.thoughts(user_id="ann") if "tea" in item.text)
        opened.retract(tea.id, user_id="ann")
        opened.forget(user_id="ann", turn_ids=[ids[4]])
        opened.store.write(ANN, WriteBatch(hide=[f"{ids[6]}/0"], retrieved={f"{ids[0]}/0": 3}))
        opened.flush()
        opened.remember("I have not been thought about", user_id="ann")
        yield opened


def state(opened: Memory, user_id: str) -> dict[str, Any]:
    """Return all that the public face says of a user."""
    thoughts = opened.thoughts(user_id=user_id)
    return {
        "turns": list(opened.turns(user_id=user_id)),
        "thoughts": thoughts,
        "back then": opened.thoughts(user_id=user_id, as_of=NOON + timedelta(days=2)),
        "in a session": opened.thoughts(user_id=user_id, session_id="s1"),
        "history": [opened.history(thought.id, user_id=user_id) for thought in thoughts],
        "summaries": opened.summaries(user_id=user_id),
        "stats": {**opened.stats(user_id=user_id), "bytes": 0},
        "hits": [opened.recall(text, user_id=user_id) for text in TEXTS],
        "thought hits": [opened.recall(text, user_id=user_id, kind="thought") for text in TEXTS],
        "chunks": opened.store.chunks(Scope(user_id=user_id)),
    }


# ---- lossless


def test_an_import_restores_all_that_was_exported(lived: Memory) -> None:
    data = exported(lived)
    with open_memory(thinker=Reader()) as copy:
        report = imported(data, copy)
        assert (report.users, report.problems) == (2, ())
        for user_id in ("ann", "bob"):
            assert state(copy, user_id) == state(lived, user_id)
        assert copy.doctor() == []
        assert without_header(exported(copy)) == without_header(data)
    kinds = {line.get("type") for line in lines(data)}
    assert kinds == {None, "user", "turn", "thought", "summary", "end"}
    text = data.decode()
    for field in ("closed_by", "doubted_by", "retracted_at", "hidden", "retrieved", "thinking"):
        assert f'"{field}"' in text  # the fixture has it, so that its loss would be seen
    assert '"worded": false' in text


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(TEXTS), st.integers(-9, 9)),
        st.tuples(st.sampled_from(["think", "forget", "retract", "correct", "hide", "fail"])),
    ),
    min_size=1,
    max_size=14,
)


def take(opened: Memory, step: tuple[Any, ...], thinker: Fails) -> None:
    """Do one step; the last turn or thought is meant."""
    kind, *details = step
    turns = list(opened.turns(user_id="ann", last=1))
    thoughts = opened.thoughts(user_id="ann")
    if kind == "say":
        text, n = details
        zone = timezone(timedelta(hours=n))
        said_at = (NOON + timedelta(days=n)).astimezone(zone)
        turn = Turn(text=text, said_at=said_at, session_id=f"s{n % 3}", metadata={"n": n})
        opened.remember(turn, user_id="ann")
    elif kind == "think":
        thinker.at.clear()
        opened._think_quietly("ann")
    elif kind == "fail" and turns:
        thinker.at.add(turns[0].id or "")
        opened._think_quietly("ann")
    elif kind == "forget" and turns:
        opened.forget(user_id="ann", turn_ids=[turns[0].id or ""])
    elif kind == "hide" and turns:
        opened.store.write(ANN, WriteBatch(hide=[f"{turns[0].id}/0"]))
    elif kind == "retract" and thoughts:
        opened.retract(thoughts[-1].id, user_id="ann")
    elif kind == "correct" and thoughts:
        opened.correct(thoughts[-1].id, "I live in Bergen", user_id="ann")


@settings(max_examples=60)
@given(steps=steps)
def test_whatever_was_done_a_second_export_is_equal_to_the_first(
    steps: list[tuple[Any, ...]],
) -> None:
    thinker = Fails()
    with open_memory(thinker=thinker) as opened, open_memory(thinker=Fails()) as copy:
        for step in steps:
            take(opened, step, thinker)
        data = exported(opened)
        assert imported(data, copy).problems == ()
        assert without_header(exported(copy)) == without_header(data)
        assert state(copy, "ann") == state(opened, "ann")
        assert copy.doctor() == opened.doctor()


def test_an_imported_memory_goes_on_as_the_first_would(lived: Memory) -> None:
    with open_memory(thinker=Reader()) as copy:
        imported(exported(lived), copy)
        for opened in (lived, copy):
            said_at = NOON + timedelta(days=90)
            turn = Turn(text="I live in Lima", id="new", name="Ann", said_at=said_at)
            opened.remember(turn, user_id="ann")
            opened.flush()
        texts = [[item.text for item in m.thoughts(user_id="ann")] for m in (lived, copy)]
        assert texts[0] == texts[1]
        assert "I live in Oslo" not in texts[1]
        positions = [[turn.position for turn in m.turns(user_id="ann")] for m in (lived, copy)]
        assert positions[0] == positions[1]


def test_the_export_of_one_user_has_nothing_of_another(lived: Memory) -> None:
    assert b"Lima" not in exported(lived, user_id="ann")
    with open_memory() as copy:
        report = imported(exported(lived), copy, user_id="bob")
        assert (copy.users(), report.user_ids) == (["bob"], ("bob",))


def test_the_ledger_says_which_state_of_which_memory_was_imported(lived: Memory) -> None:
    (*_, last) = lived.store.events()
    with open_memory() as copy:
        imported(exported(lived), copy)
        events = [event for event in copy.store.events() if event.kind == "import"]
        assert {event.source for event in events} == {f"import:{last.hash[:16]}"}
        assert events[0].counts == {"thoughts": lived.stats(user_id="ann")["thoughts"] + 1}


# ---- nothing is replaced


def test_importing_again_changes_nothing(lived: Memory) -> None:
    data = exported(lived)
    with open_memory(thinker=Reader()) as copy:
        imported(data, copy)
        before = exported(copy)
        report = imported(data, copy)
        assert exported(copy) == before
        assert (report.turns, report.skipped, report.problems) == (0, len(TEXTS) + 2, ())


def test_turns_that_are_missing_are_added_after_those_that_are_there(lived: Memory) -> None:
    data = exported(lived, user_id="ann")
    with open_memory(thinker=Reader()) as copy:
        copy.remember(Turn(text="I was here first", id="mine"), user_id="ann")
        report = imported(data, copy)
        texts = [turn.text for turn in copy.turns(user_id="ann")]
        assert report.turns == len(texts) - 1
        assert "I was here first" in texts
        assert copy.stats(user_id="ann")["waiting_turns"] == len(texts)


def test_a_turn_with_another_text_is_reported_and_stays_as_it_is() -> None:
    with open_memory() as first, open_memory() as second:
        first.remember([Turn(text="tea", id="1"), Turn(text="jazz", id="2")], user_id="ann")
        second.remember(Turn(text="coffee", id="1"), user_id="ann")
        report = imported(exported(first), second)
        assert [turn.text for turn in second.turns(user_id="ann")] == ["coffee", "jazz"]
        (problem,) = report.problems
        assert "line 3: turn id '1' already has another text" in problem


def test_an_older_export_of_an_updated_turn_is_no_conflict_and_changes_nothing() -> None:
    with open_memory() as opened:
        opened.remember(Turn(text="I live in Oslo", id="1"), user_id="ann")
        older = [exported(opened)]
        for city in ("Rome", "Lima"):
            opened.update("1", user_id="ann", text=f"I live in {city}")
            older.append(exported(opened))
        for data in older:
            report = imported(data, opened)
            assert (report.turns, report.skipped, report.problems) == (0, 1, ())
        assert [turn.text for turn in opened.turns(user_id="ann")] == ["I live in Lima"]
        assert len(opened.wordings("1", user_id="ann")) == 3


def test_a_user_who_is_restored_keeps_former_wordings_and_one_who_is_merged_does_not() -> None:
    with open_memory() as first, open_memory() as restored, open_memory() as merged:
        first.remember(Turn(text="I live in Oslo", id="1"), user_id="ann")
        first.update("1", user_id="ann", text="I live in Rome")
        merged.remember("I was here first", user_id="ann")
        for target in (restored, merged):
            assert imported(exported(first), target).problems == ()
        wordings = [[turn.text for turn in target.wordings("1", user_id="ann")]
                    for target in (restored, merged)]  # fmt: skip
        assert wordings == [["I live in Oslo", "I live in Rome"], ["I live in Rome"]]


def test_a_user_is_restored_as_a_whole_or_not_at_all(
    lived: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = exported(lived, user_id="ann")
    with open_memory() as copy:
        monkeypatch.setattr("memkit_sqlite.portability._insert_thoughts", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            imported(data, copy)
        assert copy.users() == []
        monkeypatch.undo()
        imported(data, copy)
        assert without_header(exported(copy)) == without_header(data)


# ---- bad files


def edited(data: bytes, change: Callable[[dict[str, Any]], object], kind: str) -> bytes:
    """Return an export with its first line of this kind changed."""
    records = lines(data)
    change(next(record for record in records if record.get("type") == kind))
    return joined(*records)


BAD: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "no text": ("turn", lambda r: r.pop("content"), "content must be of type str"),
    "a number as text": ("turn", lambda r: r.update(content=1), "content must be of type str"),
    "an empty text": ("turn", lambda r: r.update(content=" "), "text is empty"),
    "a time without zone": ("turn", lambda r: r.update(timestamp="2024-05-01"), "timezone"),
    "an unknown role": ("turn", lambda r: r.update(role="boss"), "unknown role"),
    "position 0": ("turn", lambda r: r.update(position=0), "position must be at least 1"),
    "true as a number": ("turn", lambda r: r.update(position=True), "position must be of type"),
    "half a pair": ("turn", lambda r: r.update(content="\ud800"), "surrogate"),
    "no user": ("turn", lambda r: r.pop("user_id"), "user_id must be of type str"),
    "an empty thought": ("thought", lambda r: r.update(text=" "), "text is empty"),
    "an empty summary": ("summary", lambda r: r.update(text=""), "text is empty"),
    "an unknown kind": ("thought", lambda r: r.update(kind="rumour"), "unknown kind"),
    "a source of nothing": ("thought", lambda r: r.update(sources=[1]), "a source must be"),
    "no source": ("thought", lambda r: r.update(sources=[]), "no turn of thought"),
    "level 3": ("summary", lambda r: r.update(level=3), "level of a summary"),
    "a lost source": ("summary", lambda r: r.update(sources=["gone"]), "not all sources"),
    "an unknown type": ("summary", lambda r: r.update(type="dream"), "unknown type 'dream'"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_line_is_reported_and_costs_nothing_else(lived: Memory, how: str) -> None:
    kind, change, message = BAD[how]
    data = exported(lived)
    with open_memory() as copy:
        report = imported(edited(data, change, kind), copy)
        assert message in report.problems[0]
        assert copy.doctor() == []
        sizes = {"turn": report.turns, "thought": report.thoughts, "summary": report.summaries}
        total = sum(line.get("type") == kind for line in lines(data))
        assert sizes[kind] == total - 1


def test_a_thought_whose_closing_thought_is_lost_holds_again(lived: Memory) -> None:
    records = lines(exported(lived))
    closed = next(record for record in records if "closed_by" in record)
    records = [record for record in records if record.get("id") != closed["closed_by"]]
    with open_memory() as copy:
        imported(joined(*records), copy)
        assert closed["id"] in [thought.id for thought in copy.thoughts(user_id="ann")]
        assert copy.doctor() == []


@pytest.mark.parametrize("lost", [1, 3, 100])
def test_a_file_that_was_cut_off_says_so_and_the_rest_is_stored(lived: Memory, lost: int) -> None:
    with open_memory() as copy:
        report = imported(exported(lived)[:-lost], copy)
        assert (report.problems == ()) is (lost == 1)  # the last newline is no loss
        assert report.turns == len(TEXTS) + 2


def test_lines_that_were_removed_are_noticed(lived: Memory) -> None:
    rows = exported(lived).splitlines(keepends=True)
    with open_memory() as copy:
        report = imported(b"".join(rows[:3] + rows[4:]), copy)
        assert "the export had" in " ".join(report.problems)


def test_a_newer_format_is_refused_by_name(lived: Memory) -> None:
    header, *others = lines(exported(lived))
    with open_memory() as copy:
        with pytest.raises(NewerExport, match=r"version 3 .* reads up to 2; nothing was imported"):
            imported(joined({**header, "version": 3}, *others), copy)
        assert copy.users() == []


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}", b'{"role": "user", "content": "tea"}\n', b"\xff", b"[]"]
)
def test_another_file_is_no_export(data: bytes) -> None:
    with open_memory() as opened, pytest.raises(InvalidInput):
        imported(data, opened)


@settings(max_examples=80)
@given(data=st.data())
def test_no_damage_of_a_file_breaks_a_memory(data: st.DataObject) -> None:
    with open_memory(thinker=Reader()) as opened, open_memory() as copy:
        opened.remember(["I live in Oslo", "I live in Rome"], user_id="ann")
        opened.flush()
        raw = bytearray(exported(opened))
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        try:
            imported(bytes(raw), copy)
        except InvalidInput:
            assert copy.users() == []
        assert copy.doctor() == []


# ---- files


def test_an_export_is_a_whole_file_of_its_owner_and_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    with memory(tmp_path / "ann.db") as opened:
        opened.remember("tea", user_id="ann")
        opened.export(path)
        before = path.read_bytes()
        with pytest.raises(InvalidInput, match="replaces nothing"):
            opened.export(path)
        with pytest.raises(StoreReadOnly, match="No such file"):
            opened.export(tmp_path / "no" / "ann.jsonl")
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir() if "jsonl" in file.name) == [path.name]


def test_an_export_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memkit.govern.export_format.footer", lambda _: 1 / 0)
    with memory(tmp_path / "ann.db") as opened, pytest.raises(ZeroDivisionError):
        opened.export(tmp_path / "ann.jsonl")
    assert not list(tmp_path.glob("*jsonl*"))


def test_an_export_is_one_state_although_others_write_meanwhile(tmp_path: Path) -> None:
    with memory(tmp_path / "ann.db") as opened:
        opened.remember([f"fact {n}" for n in range(700)], user_id="ann")
        with opened.store.dump() as items:
            first = next(items)
            written = threading.Thread(
                target=opened.remember, args=["later"], kwargs={"user_id": "ann"}
            )
            written.start()
            written.join(60)
            assert not written.is_alive()  # a writer does not wait for the export
            count = 1 + sum(1 for _ in items)
        assert (first[0], count) == ("ann", 701)
        assert opened.stats(user_id="ann")["turns"] == 701


# ---- encrypted


# "I live in Oslo.\n" with the passphrase "correct horse", encrypted by rage (pyrage 1.4.0)
OF_RAGE = b64decode(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCB6U0w5a3Zyd2prOGRCNXQ1NU8wUXpnIDE3Clhaalh1dGhL"
    "c3F6ZitKem1PRkVnUzJpL3dpbWZwV2JvNEQ3Q1RxWHFSL2cKLS0tIHA5R1F4QzIwYW4zVUw1czlLeVZQWjlwZFc4"
    "d2xZZkRyWHl5RVEzdFFycW8Ktxy9r+TPZZNai8kj4lNw2eJjPOJ2xhc9WF2OwSvsBEcTM75PWsqjZug8Z/3gDeEE"
)


def encrypted(data: bytes, passphrase: str = "correct horse") -> bytes:
    file = io.BytesIO()
    writer = EncryptedWriter(file, passphrase)
    for start in range(0, len(data), 50_000):
        writer.write(data[start : start + 50_000])
    writer.finish()
    return file.getvalue()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys with little work."""
    monkeypatch.setattr("memkit.govern.age._LOG_N", 4)


def test_a_file_that_another_tool_has_encrypted_can_be_read() -> None:
    pytest.importorskip("cryptography")
    assert decrypt(OF_RAGE, "correct horse") == b"I live in Oslo.\n"


def test_another_tool_reads_an_encrypted_file() -> None:
    pytest.importorskip("cryptography")
    pyrage = pytest.importorskip("pyrage")
    assert pyrage.passphrase.decrypt(encrypted(b"tea"), "correct horse") == b"tea"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 200_000])
@pytest.mark.usefixtures("quick")
def test_a_file_of_any_size_is_decrypted_as_it_was(size: int) -> None:
    pytest.importorskip("cryptography")
    data = bytes(range(256)) * (size // 256 + 1)
    assert decrypt(encrypted(data[:size]), "correct horse") == data[:size]


@pytest.mark.usefixtures("quick")
def test_a_changed_or_cut_encrypted_file_is_refused() -> None:
    pytest.importorskip("cryptography")
    data = encrypted(bytes(150_000))
    for n in [*range(0, 200, 7), 70_000, len(data) - 1]:
        with pytest.raises(InvalidInput):
            decrypt(data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :], "correct horse")
    chunk = 64 * 1024 + 16
    for end in (10, 150, len(data) - 1, len(data) - len(data) % chunk, 200 + chunk):
        with pytest.raises(InvalidInput):
            decrypt(data[:end], "correct horse")


@pytest.mark.usefixtures("quick")
def test_a_work_factor_beyond_the_memory_of_most_machines_is_refused() -> None:
    pytest.importorskip("cryptography")
    data = re.sub(rb"(scrypt \S+) 4\n", rb"\1 30\n", encrypted(b"tea"))
    with pytest.raises(InvalidInput, match="1024 GiB"):
        decrypt(data, "correct horse")


@pytest.mark.usefixtures("quick")
def test_an_encrypted_export_opens_with_its_passphrase_only(lived: Memory) -> None:
    pytest.importorskip("cryptography")
    data = exported(lived, passphrase="correct horse")
    assert data.startswith(b"age-encryption.org/v1\n")
    assert b"Oslo" not in data
    plain = decrypt(data, "correct horse")
    assert without_header(plain) == without_header(exported(lived))
    with open_memory() as copy:
        for wrong in (None, "wrong"):
            with pytest.raises(InvalidInput, match="passphrase"):
                imported(data, copy, passphrase=wrong)
        assert imported(data, copy, passphrase="correct horse").users == 2


def test_without_cryptography_an_encrypted_export_names_the_extra(
    lived: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(MissingExtra, match=r"memkit-llm\[govern\]"):
        exported(lived, passphrase="x")


# ---- the command line


def test_an_encrypted_export_is_imported_by_the_command_line(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    (tmp_path / "secret").write_text("correct horse\n", encoding="utf-8")
    options = ("--passphrase-file", "secret")
    run("add", "I live in Oslo.", "--user", "ann")
    assert run("export", "--encrypt", "--output", "ann.age", *options).code == 0
    assert b"Oslo" not in (tmp_path / "ann.age").read_bytes()
    assert_error(run("import", "ann.age", "--store", "two.db"), "--passphrase-file")
    result = run("import", "ann.age", "--store", "two.db", *options, "--json")
    assert (result.json["users"], result.json["thoughts"]) == (1, 1)


def test_an_import_of_an_export_names_the_lines_that_it_left_out(run: Run, tmp_path: Path) -> None:
    run("add", "tea", "jazz", "--user", "ann")
    run("export", "--output", "ann.jsonl")
    text = (tmp_path / "ann.jsonl").read_text(encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text(text.replace('"content": "tea"', '"content": 1'))
    result = run("import", "bad.jsonl", "--store", "two.db")
    assert (result.code, result.out.split(";")[0]) == (1, "1 turns are new")
    assert "bad.jsonl, line 3: content must be of type str" in result.err


@pytest.mark.parametrize(
    "option", [["--session", "s"], ["--conversation", "c"], ["--new-versions"]]
)
def test_an_export_is_imported_without_options_of_messages(run: Run, option: list[str]) -> None:
    run("add", "tea", "--user", "ann")
    run("export", "--output", "ann.jsonl")
    assert_error(run("import", "ann.jsonl", *option), "restored as it was")
