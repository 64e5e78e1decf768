"""What a rollback does to single turns and thoughts, to forgotten ones, and where it ends."""

# ruff: noqa: F811 - fixtures are imported

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, assert_error, run  # noqa: F401 - fixtures
from memkit_sqlite import ledger, schema
from sqlite_utils import Database
from test_forgetting_leaves_nothing import traces
from test_rollback import queued, state, verify
from thinkers import known, lives, opened, says, tell, texts

from memkit import Settings
from memkit.errors import AmbiguousId, InvalidInput
from memkit.memory import Memory
from memkit.testing import HashEmbedder, open_memory

SECRET = "My xylophone is hidden in Zanzibar"


def test_a_turn_remembered_since_is_found_and_waits_to_be_thought_about_again() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo", id="1"))
        point = memory.checkpoint()
        tell(memory, lives("Rome", 1, id="2"))
        assert known(memory) == ["I live in Rome now"]

        memory.rollback(user_id="ann", to=point)
        assert known(memory) == ["I live in Oslo now"]
        assert memory.recall("Rome", user_id="ann", k=1)[0].turn_ids == ("2",)
        assert queued(memory) == ["2"]
        memory.think(user_id="ann")
        assert known(memory) == ["I live in Rome now"]


def test_a_wrong_correction_and_a_pruning_are_undone_together() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo", id="1"))
        (thought,) = memory.thoughts(user_id="ann")
        before, point = state(memory), memory.checkpoint()
        memory.retract(thought.id, user_id="ann")
        memory.think(user_id="ann")
        assert known(memory) == []

        done = memory.rollback(user_id="ann", to=point)
        assert state(memory) == before
        assert (done.thoughts, done.queued) == (1, 0)


def test_a_look_before_says_what_would_change_and_changes_nothing() -> None:
    with opened() as memory:
        point = memory.checkpoint()
        tell(memory, lives("Oslo"))
        before, events = state(memory), list(memory.store.events())
        dry = memory.rollback(user_id="ann", to=point, dry_run=True)
        assert (state(memory), list(memory.store.events())) == (before, events)
        wet = memory.rollback(user_id="ann", to=point)
        parts = ("undone", "thoughts", "summaries", "chunks", "queued")
        assert [getattr(dry, part) for part in parts] == [getattr(wet, part) for part in parts]
        assert wet.event == memory.checkpoint()


def test_nothing_to_undo_is_no_event() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo"))
        point = memory.checkpoint()
        memory.remember("tea", user_id="bob")
        last = memory.checkpoint()
        assert memory.rollback(user_id="ann", to=point).event is None
        assert memory.rollback(user_id="nobody", to=1).undone == 0
        assert memory.checkpoint() == last


def test_the_rollback_is_in_the_ledger_with_its_target() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo"))
        number = memory.store.last_event().seq
        tell(memory, lives("Rome", 1))
        memory.rollback(user_id="ann", to=number)
        event = memory.store.last_event()
        assert (event.kind, event.counts["to_event"]) == ("rollback", number)
        assert "Oslo" not in repr(event)


# ---- naming the event


def test_an_event_is_named_by_number_hash_or_time() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo"))
        before, event, now = state(memory), memory.store.last_event(), datetime.now(UTC)
        time.sleep(0.002)  # times of events are in milliseconds
        for to in (event.seq, event.hash, event.hash[:6], event.hash[:20], now):
            tell(memory, lives("Rome", 1))
            memory.rollback(user_id="ann", to=to)
            queue_again = state(memory) | {"queued": [], "recalled": []}
            assert queue_again == before | {"recalled": []}


@pytest.mark.parametrize("to", [99, "0" * 64, "abc", datetime(2020, 1, 1, tzinfo=UTC)], ids=str)
def test_an_event_that_is_not_there_is_an_error(to: Any) -> None:
    with opened() as memory, pytest.raises(InvalidInput, match=r"no event|at least 6"):
        memory.rollback(user_id="ann", to=to)


def test_a_beginning_of_two_hashes_is_ambiguous() -> None:
    from dataclasses import replace

    from memkit.govern.rollback import find_event

    with opened() as memory:
        (event,) = memory.store.events()
    twins = [replace(event, hash="abcdef1"), replace(event, hash="abcdef2")]
    with pytest.raises(AmbiguousId):
        find_event(twins, "abcdef")


# ---- what was forgotten


def test_what_was_forgotten_does_not_return_and_is_in_no_file(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path) as memory:
        tell(memory, says(SECRET, id="secret"), lives("Oslo", 1, id="1"))
        (hidden,) = (
            thought for thought in memory.thoughts(user_id="ann") if SECRET in thought.text
        )
        point = memory.checkpoint()
        memory.correct(hidden.id, "It is lost for good", user_id="ann")
        memory.think(user_id="ann")
        receipt = memory.forget(user_id="ann", turn_ids=["secret"])
        assert (receipt.purged, receipt.residue) == (True, 0)
        assert traces(path, [SECRET]) == set()

        memory.rollback(user_id="ann", to=point)
        memory.flush()
        assert not any("Zanzibar" in thought.text for thought in memory.thoughts(user_id="ann"))
        assert not memory.recall("Zanzibar", user_id="ann", min_relevance=0.5)
        assert traces(path, [SECRET]) == set()
        verify(memory)
    assert traces(path, [SECRET]) == set()


def test_a_thought_that_a_rollback_removed_leaves_no_words_once_its_turn_is_forgotten(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ann.db"
    with opened(path) as memory:
        tell(memory, lives("Oslo"))
        point = memory.checkpoint()
        tell(memory, says(SECRET, 1, id="secret"))
        last = memory.checkpoint()
        memory.rollback(user_id="ann", to=point)
        assert memory.forget(user_id="ann", turn_ids=["secret"]).purged
        assert traces(path, [SECRET]) == set()

        memory.rollback(user_id="ann", to=last)
        assert known(memory) == ["I live in Oslo now"]
        verify(memory)


def test_words_of_another_user_stay_when_the_same_words_are_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db") as memory:
        point = memory.checkpoint()
        tell(memory, says(SECRET), user_id="bob")
        before = state(memory, "bob")
        memory.rollback(user_id="bob", to=point)
        last = memory.checkpoint()
        ids = tell(memory, says(SECRET))
        assert memory.forget(user_id="ann", turn_ids=ids).purged

        memory.rollback(user_id="bob", to=last)
        memory.think(user_id="bob")
        assert known(memory, "bob") == texts(before["thoughts"])


def test_the_other_turns_of_a_thought_that_cannot_return_are_thought_about_again() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo", 0, id="1"), lives("Oslo", 1, id="2"))
        point = memory.checkpoint()
        tell(memory, lives("Rome", 2, id="3"))
        memory.forget(user_id="ann", turn_ids=["1"])
        memory.think(user_id="ann")

        memory.rollback(user_id="ann", to=point)
        assert queued(memory) == ["2", "3"]
        verify(memory)
        memory.think(user_id="ann")
        assert known(memory) == ["I live in Rome now"]


def test_what_a_forgotten_thought_had_closed_is_closed_by_what_closes_it_now() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo", 0), lives("Rome", 1, id="rome"), lives("Lima", 2))
        point = memory.checkpoint()
        tell(memory, says("I like tea", 3))
        memory.forget(user_id="ann", turn_ids=["rome"])
        memory.think(user_id="ann")
        memory.rollback(user_id="ann", to=point)
        assert known(memory) == ["I live in Lima now"]
        verify(memory)


def test_after_all_is_forgotten_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db") as memory:
        tell(memory, says(SECRET))
        point = memory.checkpoint()
        memory.forget(user_id="ann", everything=True)
        tell(memory, says("I like tea"))
        memory.rollback(user_id="ann", to=point)
        assert (known(memory), len(queued(memory))) == ([], 1)
        assert traces(tmp_path / "ann.db", [SECRET]) == set()
        verify(memory)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_after_any_changes_no_forgotten_word_returns(tmp_path: Path, seed: int) -> None:
    rng, path, points = random.Random(seed), tmp_path / "ann.db", []
    marks = {f"t{n}": f"q{rng.getrandbits(96):024x}" for n in range(60)}
    said = iter(
        [says(f"My mark {id} is {mark}", n, id=id) for n, (id, mark) in enumerate(marks.items())]
    )
    with opened(path) as memory:
        for turn in said:
            memory.remember(
                [turn, *([next(said, turn)] if rng.random() < 0.5 else [])], user_id="ann"
            )
            if rng.random() < 0.7:
                memory.think(user_id="ann")
            thoughts = memory.thoughts(user_id="ann")
            if thoughts and rng.random() < 0.4:
                text = f"{rng.choice(thoughts).text} again"
                memory.correct(rng.choice(thoughts).id, text, user_id="ann")
            points.append(memory.checkpoint())
            if rng.random() < 0.3:
                memory.rollback(user_id="ann", to=rng.choice(points))
            stored = [turn.id or "" for turn in memory.turns(user_id="ann")]
            if rng.random() < 0.5 and len(stored) > 3:
                # a correction repeats a mark in a turn of its own
                mark = marks.get(rng.choice(stored), "none")
                ids = [turn.id or "" for turn in memory.turns(user_id="ann") if mark in turn.text]
                memory.forget(user_id="ann", turn_ids=ids)
        memory.rollback(user_id="ann", to=rng.choice(points))
        verify(memory)
        left = " ".join(turn.text for turn in memory.turns(user_id="ann"))
        forgotten = [mark for mark in marks.values() if mark not in left]
        assert len(forgotten) > 5
        assert traces(path, forgotten) == set()


# ---- where it ends


def test_changes_older_than_undo_days_are_final_and_the_error_says_where_to_go() -> None:
    settings = Settings(background=False, undo_days=0)
    with open_memory(settings=settings) as memory:
        point = memory.store.last_event().seq
        memory.remember("I like tea", user_id="ann")
        memory.think(user_id="ann")
        time.sleep(0.002)
        memory.think(user_id="ann")
        rows = memory.store._connection.fetch("SELECT count(*) FROM undo")  # type: ignore[attr-defined]
        assert rows[0][0] == 0
        with pytest.raises(InvalidInput, match=r"roll back to event 4 or a later one"):
            memory.rollback(user_id="ann", to=point)
        assert memory.rollback(user_id="ann", to=4).undone == 0


@pytest.mark.parametrize("days", [-1, 1e9, float("nan")])
def test_a_time_to_undo_that_no_calendar_has_is_refused(days: float) -> None:
    with pytest.raises(InvalidInput, match="undo_days must be from 0 to 36,500"):
        Settings(undo_days=days)


def test_another_embedder_makes_earlier_changes_final(tmp_path: Path) -> None:
    import memkit

    path = tmp_path / "ann.db"
    with opened(path) as memory:
        tell(memory, lives("Oslo"))
        point = memory.checkpoint()
        tell(memory, lives("Rome", 1))
    memkit.reembed(path, HashEmbedder(256, name="another"))
    with open_memory(str(path), embedder=HashEmbedder(256, name="another")) as memory:
        with pytest.raises(InvalidInput, match="can no longer be undone"):
            memory.rollback(user_id="ann", to=point)
        assert memory.doctor() == []


def test_a_file_of_an_older_version_can_go_back_to_its_upgrade_and_no_further(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ann.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        schema.migrations().apply(Database(raw), stop_before="0012_undo")
        raw.execute("INSERT INTO users (user_id, turns) VALUES ('ann', 0)")
        ledger.append(raw, "remember", user_id="ann", counts={"turns": 1})
    with opened(path) as memory:
        upgrade = memory.store.last_event().seq
        before = state(memory)
        tell(memory, lives("Oslo", id="1"))
        with pytest.raises(InvalidInput, match="can no longer be undone"):
            memory.rollback(user_id="ann", to=upgrade - 1)
        memory.rollback(user_id="ann", to=upgrade)
        assert state(memory)["thoughts"] == before["thoughts"]


def test_an_image_of_a_thought_has_all_of_its_columns() -> None:
    with opened() as memory:
        fetch = memory.store._connection.fetch  # type: ignore[attr-defined]
        tell(memory, lives("Oslo"), lives("Rome", 1))
        columns = {row[1] for row in fetch("PRAGMA table_info(thoughts)")} - {"seq", "user_id"}
        images = fetch("SELECT image FROM undo WHERE item = 'thought' AND image IS NOT NULL")
        memory.rollback(user_id="ann", to=1)
        images += fetch("SELECT image FROM undo WHERE item = 'thought' AND image IS NOT NULL")
        assert {frozenset(json.loads(row[0])) for row in images} == {frozenset(columns)}


def test_the_groups_of_the_hash_are_restored_too(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db") as memory:
        said = [says(f"The boat number {n} has the sign {n * 7919 % 997}", n) for n in range(700)]
        memory.remember(said[:100], user_id="ann")
        memory.think(user_id="ann")
        point, groups = memory.checkpoint(), read_groups(memory)
        memory.remember(said[100:], user_id="ann")
        memory.think(user_id="ann")
        assert read_groups(memory)[: len(groups)] != groups
        memory.rollback(user_id="ann", to=point)
        assert read_groups(memory) == groups


def read_groups(memory: Memory) -> list[tuple[Any, ...]]:
    rows = memory.store._connection.fetch(  # type: ignore[attr-defined]
        "SELECT centre, h.groups, v.groups FROM hashes h, thought_vectors v ORDER BY thought_seq"
    )
    return [tuple(row) for row in rows]


# ---- all or nothing, while others write


def test_a_rollback_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as memory:
        point = memory.checkpoint()
        tell(memory, lives("Oslo"), lives("Rome", 1))
        before = state(memory)
        monkeypatch.setattr(ledger, "append", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            memory.rollback(user_id="ann", to=point)
        monkeypatch.undo()
        assert state(memory) == before
        verify(memory)


ROLL_BACK_AND_FORTH = """
import sys
from thinkers import opened
with opened(sys.argv[1]) as memory:
    print("open", flush=True)
    here, there = int(sys.argv[2]), int(sys.argv[3])
    while True:
        memory.rollback(user_id="ann", to=here)
        memory.rollback(user_id="ann", to=there)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_kill_leaves_all_or_nothing(tmp_path: Path, seed: int) -> None:
    path, tests = tmp_path / "ann.db", str(Path(__file__).parent)
    with opened(path) as memory:
        tell(memory, *(lives(city, n) for n, city in enumerate(("Oslo", "Rome", "Lima"))))
        here, one = memory.store.last_event().seq, state(memory)["thoughts"]
        tell(memory, *(says(f"The boat {n} is red", 3 + n) for n in range(40)))
        there, two = memory.store.last_event().seq, state(memory)["thoughts"]
    code = f"import sys; sys.path.insert(0, {tests!r})\n{ROLL_BACK_AND_FORTH}"
    command = [sys.executable, "-c", code, str(path), str(here), str(there)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
    with opened(path) as memory:
        assert state(memory)["thoughts"] in (one, two)
        verify(memory)


def test_a_rollback_is_right_while_others_write(tmp_path: Path) -> None:
    with opened(tmp_path / "ann.db") as memory:
        tell(memory, lives("Oslo"))
        before, point = state(memory), memory.checkpoint()
        writers = [
            threading.Thread(target=talk, args=(memory, user_id)) for user_id in ("bob", "cy")
        ]
        for writer in writers:
            writer.start()
        for n in range(5):
            tell(memory, *(turn for turn in (lives("Rome", n + 1), says(f"tea {n}", n + 1))))
            memory.rollback(user_id="ann", to=point)
            assert state(memory)["thoughts"] == before["thoughts"]
            assert state(memory)["summaries"] == before["summaries"]
        for writer in writers:
            writer.join()
        assert {len(memory.thoughts(user_id=user_id)) for user_id in ("bob", "cy")} == {20}
        verify(memory)


def talk(memory: Memory, user_id: str) -> None:
    for n in range(20):
        tell(memory, says(f"{user_id} has boat {n}", n), user_id=user_id)


def test_thinking_that_began_before_a_rollback_adds_only_to_what_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opened() as memory:
        tell(memory, lives("Oslo"))
        point = memory.checkpoint()
        tell(memory, lives("Rome", 1))
        memory.remember(lives("Lima", 2), user_id="ann")
        write: Callable[..., int] = memory.store.write

        def roll_back_first(*arguments: Any) -> int:
            monkeypatch.undo()
            memory.rollback(user_id="ann", to=point)
            return write(*arguments)

        monkeypatch.setattr(memory.store, "write", roll_back_first)
        memory.think(user_id="ann")
        memory.think(user_id="ann")
        assert known(memory) == ["I live in Lima now"]
        verify(memory)


# ---- the command line


def test_the_command_line_rolls_back_by_number_hash_and_time(run: Run) -> None:
    run("add", "I like tea", "--user", "ann")
    event = run("audit", "log", "--json").lines[-1]
    run("add", "I like boats", "--user", "ann")
    back = ("rollback", "--user", "ann", "--to")
    assert "would undo" in run(*back, str(event["seq"]), "--dry-run").out
    assert run(*back, event["hash"][:12], "--json").json["to_event"] == event["seq"]
    assert run(*back, "2100-01-01T00:00:00Z").code == 1
    assert_error(run(*back, "9999"), "no event 9999")
    assert_error(run(*back, "2020-01-01"), "no timezone")
