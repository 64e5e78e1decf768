"""A receipt says what was found of the deleted and of the kept turns, before and after."""

# ruff: noqa: F811 - fixtures are imported

import json
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Run, run  # noqa: F401 - fixtures
from on_disk import memory

from memkit import Turn
from memkit.govern import receipts
from memkit.memory import Memory
from memkit.records import ProbeCounts
from memkit.testing import NOON


def say(opened: Memory, n: int) -> None:
    turns = [
        Turn(text=f"word{k} is about topic{k}", id=str(k), said_at=NOON + timedelta(minutes=k))
        for k in range(n)
    ]
    opened.remember(turns, user_id="ann")


def test_deleted_turns_are_found_before_and_not_after_and_kept_ones_both_times(
    memory: Memory,
) -> None:
    say(memory, 30)
    forgotten = [str(n) for n in range(1, 30, 3)]
    receipt = memory.forget(user_id="ann", turn_ids=forgotten, probe=True)
    assert receipt.probes == ProbeCounts(
        forgotten=10, forgotten_before=10, forgotten_after=0, kept=10, kept_before=10,
        kept_after=10,
    )  # fmt: skip


def test_a_deletion_that_leaves_a_turn_findable_is_seen(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(memory, 10)
    receipt = memory.forget(user_id="ann", turn_ids=["3"], dry_run=True)
    monkeypatch.setattr("memkit.govern.forget.forget", lambda *_, **__: receipt)
    probes = memory.forget(user_id="ann", turn_ids=["3"], probe=True).probes
    assert probes is not None
    assert (probes.forgotten_before, probes.forgotten_after) == (1, 1)


def test_questions_come_from_all_of_many_turns_and_are_few(memory: Memory) -> None:
    say(memory, 200)
    receipt = memory.forget(user_id="ann", until=None, everything=True, probe=True)
    assert receipt.probes == ProbeCounts(
        forgotten=10, forgotten_before=10, forgotten_after=0, kept=0, kept_before=0, kept_after=0
    )


def test_nobody_asks_unless_told_to(memory: Memory) -> None:
    say(memory, 3)
    assert memory.forget(user_id="ann", turn_ids=["1"]).probes is None
    assert memory.forget(user_id="ann", turn_ids=["2"], dry_run=True, probe=True).probes is None


def test_asking_does_not_count_as_a_retrieval(memory: Memory) -> None:
    say(memory, 5)
    memory.forget(user_id="ann", turn_ids=["1"], probe=True)
    assert not memory._maintenance.take_retrievals("ann")


def test_a_signed_receipt_has_the_counts_and_none_of_the_words(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    run("add", "xylophone", "jazz", "--user", "ann")
    turns = run("export", "--messages", "--user", "ann").lines
    run("forget", turns[1]["id"], "--user", "ann", "--yes", "--receipt", "receipt.json")
    text = (tmp_path / "receipt.json").read_text(encoding="utf-8")
    assert json.loads(text)["probes"] == {
        "forgotten": 1, "forgotten_before": 1, "forgotten_after": 0, "kept": 1, "kept_before": 1,
        "kept_after": 1,
    }  # fmt: skip
    assert "jazz" not in text
    assert run("verify-receipt", "receipt.json").code == 0
    changed = json.loads(text)
    changed["probes"]["forgotten_after"] = 1
    with memory(tmp_path / "memkit.db") as opened:
        assert receipts.verify(changed, opened.store) == [
            "the signature is wrong: the receipt was changed"
        ]
