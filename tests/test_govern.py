"""The ledger shows every change and every tampering; a receipt can be checked by a third party."""

# ruff: noqa: F811 - fixtures are imported

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, assert_error, run  # noqa: F401 - fixtures
from on_disk import memory

from memkit import Turn
from memkit.errors import InvalidInput
from memkit.govern.ledger import Anchor, find_faults
from memkit.memory import Memory

SECRET = "The xylophone is in Zanzibar"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A memory with some changes in its ledger."""
    path = tmp_path / "ann.db"
    with memory(path) as opened:
        opened.remember(["tea", Turn(text=SECRET, id="1")], user_id="ann")
        opened.remember("I live in Oslo.", user_id="bob")
        opened.flush()
    return path


def faults(path: Path, anchor: Anchor | None = None) -> list[str]:
    with memory(path) as opened:
        return list(find_faults(opened.store.events(), anchor))


def kinds(opened: Memory) -> list[str]:
    return [event.kind for event in opened.store.events()]


# ---- the ledger


def test_every_change_is_one_event_without_content(tmp_path: Path) -> None:
    with memory(tmp_path / "ann.db") as opened:
        opened.remember(["I live in Oslo.", "I live in Oslo."], user_id="ann")
        opened.flush()
        (thought, *_) = opened.thoughts(user_id="ann")
        opened.correct(thought.id, "I live in Rome.", user_id="ann")
        opened.retract(opened.thoughts(user_id="ann")[0].id, user_id="ann")
        opened.forget(user_id="ann", everything=True)
        opened.forget(user_id="ann", everything=True)  # deletes nothing

        assert kinds(opened) == [
            "genesis", "remember", "think", "summary", "correct", "retract", "forget",
        ]  # fmt: skip
        text = repr(list(opened.store.events()))
        assert not any(word in text for word in ("Oslo", "Rome", "'ann'", thought.id))


TAMPERING = {
    "edited": "UPDATE ledger SET source = 'nobody' WHERE seq = 3",
    "removed": "DELETE FROM ledger WHERE seq = 3",
    "moved": "UPDATE ledger SET seq = seq + 100 WHERE seq = 3",
    "backdated": "UPDATE ledger SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 2",
    "counts": "UPDATE ledger SET counts = '{}' WHERE seq = 2",
}


@pytest.mark.parametrize("how", TAMPERING)
def test_an_event_that_was_tampered_with_is_found(path: Path, how: str) -> None:
    assert faults(path) == []
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        with pytest.raises(sqlite3.IntegrityError, match="cannot be"):
            raw.execute(TAMPERING[how])
        for trigger in ("ledger_is_final", "ledger_is_kept"):
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute(TAMPERING[how])
    assert faults(path) != []


def test_only_an_anchor_shows_that_the_end_was_cut_off(path: Path) -> None:
    with memory(path) as opened:
        *_, last = opened.store.events()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DROP TRIGGER ledger_is_kept")
        raw.execute("DELETE FROM ledger WHERE seq = ?", (last.seq,))

    assert faults(path) == []
    (fault,) = faults(path, Anchor(seq=last.seq, hash=last.hash))
    assert "does not go through the anchor" in fault


def test_a_write_that_fails_leaves_no_event(path: Path) -> None:
    with memory(path) as opened:
        before = kinds(opened)
        with pytest.raises(InvalidInput):
            opened.remember(Turn(text="another text", id="1"), user_id="ann")
        opened.remember(Turn(text=SECRET, id="1"), user_id="ann")  # a no-op
        assert kinds(opened) == before


# ---- what is named, and a look before


def test_a_dry_run_names_exactly_what_then_goes(path: Path) -> None:
    with memory(path) as opened:
        before = opened.stats()
        dry = opened.forget(user_id="ann", turn_ids=["1"], dry_run=True)
        assert (opened.stats(), opened.doctor()) == (before, [])
        wet = opened.forget(user_id="ann", turn_ids=["1"])
    names = ("turn_ids", "thought_ids", "chunks", "thoughts", "summaries")
    assert [getattr(dry, name) for name in names] == [getattr(wet, name) for name in names]


@pytest.mark.parametrize(
    ("way", "ids"),
    [
        ({"session_id": "s1"}, ["a", "b"]),
        ({"session_id": "s1", "where": {"tag": 1}}, ["a"]),
        ({"agent_id": "helper"}, ["c"]),
        ({"where": {"tag": 1}}, ["a", "c"]),
        ({"where": {"tag": 1, "more": True}}, ["c"]),
        ({"query": "xylophone", "session_id": "s1"}, ["b"]),
        ({"everything": True}, ["a", "b", "c"]),
    ],
    ids=str,
)
def test_turns_are_named_by_any_condition(way: dict[str, Any], ids: list[str]) -> None:
    with memory(":memory:") as opened:
        turns = [
            Turn(id="a", text="red tea", session_id="s1", metadata={"tag": 1}),
            Turn(id="b", text="my xylophone", session_id="s1", metadata={"tag": 2}),
            Turn(id="c", text="boats", agent_id="helper", metadata={"tag": 1, "more": True}),
        ]
        opened.remember(turns, user_id="ann")
        opened.remember(turns, user_id="bob")

        assert sorted(opened.forget(user_id="ann", **way).turn_ids) == ids
        assert len(list(opened.turns(user_id="bob"))) == 3


@pytest.mark.parametrize(
    "ways", [{}, {"turn_ids": ["1"], "everything": True}, {"thought_id": "x", "session_id": "s"}]
)
def test_turns_are_named_in_exactly_one_way(ways: dict[str, Any]) -> None:
    with memory(":memory:") as opened, pytest.raises(InvalidInput, match="in one way"):
        opened.forget(user_id="ann", **ways)


# ---- receipts

Signed = tuple[Path, Path]


@pytest.fixture
def signed(path: Path) -> Signed:
    """A memory with a deletion, and its receipt."""
    pytest.importorskip("cryptography")
    file = path.with_name("receipt.json")
    shutil.copy(path, path.with_name("older.db"))
    with memory(path) as opened:
        file.write_text(opened.sign(opened.forget(user_id="ann", turn_ids=["1"])))
    return path, file


def verify(path: Path, file: Path) -> list[str]:
    from memkit.govern import receipts

    with memory(path) as opened:
        return receipts.verify(receipts.parse(file.read_text()), opened.store)


def test_a_receipt_holds_and_has_no_words(signed: Signed) -> None:
    path, file = signed
    assert verify(path, file) == []
    assert "xylophone" not in file.read_text()
    with memory(path) as opened:
        opened.remember("more", user_id="ann")
        opened.flush()
    assert verify(path, file) == []


@pytest.mark.parametrize("field", ["turn_ids", "purged", "event", "digests", "at", "user_id"])
def test_a_receipt_that_was_changed_does_not_hold(signed: Signed, field: str) -> None:
    path, file = signed
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {field: "x" if field in ("event", "at") else []}))
    assert verify(path, file)


def test_a_receipt_that_another_key_signed_does_not_hold(signed: Signed) -> None:
    path, file = signed
    path.with_name("older.db.key").write_bytes(b"k" * 32)
    with memory(path.with_name("older.db")) as forger:
        forged = forger.sign(forger.forget(user_id="ann", turn_ids=["1"]))
    file.write_text(forged)
    assert "the receipt was signed with a key that is not of this memory" in verify(path, file)


def test_a_restored_older_copy_is_noticed_and_purged_again(
    signed: Signed, run: Callable[..., Any]
) -> None:
    path, file = signed
    older = path.with_name("older.db")
    shutil.copy(f"{path}.key", f"{older}.key")
    problems = verify(older, file)
    assert any("does not have this deletion" in problem for problem in problems)
    assert any("1 of 1 forgotten turns are stored again" in problem for problem in problems)

    run("verify-receipt", str(file), "--store", str(older), "--purge")
    assert not any("stored again" in problem for problem in verify(older, file))
    assert SECRET.encode() not in older.read_bytes()


# ---- the command line


def test_the_ledger_is_checked_listed_and_anchored_on_the_command_line(
    path: Path, tmp_path: Path, run: Run
) -> None:
    store, anchor = ("--store", str(path)), tmp_path / "anchor.json"
    run("audit", "anchor", "--output", str(anchor), *store)
    assert run("audit", "verify", "--anchor", str(anchor), *store, "--json").json["faults"] == []
    assert "bob" in run("audit", "log", *store).out
    of_ann = run("audit", "log", "--user", "ann", "--kind", "remember", *store, "--json").json
    assert of_ann["counts"] == {"turns": 2}

    anchor.write_text(json.dumps({"seq": 2, "hash": "0"}))
    assert run("audit", "verify", "--anchor", str(anchor), *store).code == 1
    anchor.write_text("{}")
    assert_error(run("audit", "verify", "--anchor", str(anchor), *store), "an anchor is JSON")


def test_another_embedder_is_an_event_and_the_log_can_be_cut_by_time(path: Path, run: Run) -> None:
    store = ("--store", str(path))
    assert run("reembed", "--embedder", "static", "--no-gate", *store).code == 0
    (event,) = run("audit", "log", "--kind", "reembed", *store, "--json").lines
    assert event["counts"]["chunks"] >= 3
    whole = run("audit", "log", *store, "--json").lines
    assert run("audit", "log", "--since", "2020-01-01T00:00Z", *store, "--json").lines == whole
    for cut in (("--since", "2999-01-01T00:00Z"), ("--until", "2020-01-01T00:00Z")):
        assert "nothing found" in run("audit", "log", *cut, *store, "--json").err


def test_forget_writes_a_receipt_that_verify_receipt_accepts(
    path: Path, tmp_path: Path, run: Run
) -> None:
    pytest.importorskip("cryptography")
    file, store = tmp_path / "receipt.json", ("--store", str(path))
    result = run("forget", "1", "--user", "ann", "--yes", "--receipt", str(file), *store)
    assert "nothing of it is left in the files" in result.out
    assert run("verify-receipt", str(file), *store).code == 0
