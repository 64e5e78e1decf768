"""Callbacks are told what has happened, after it has; a failing one breaks nothing."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from thinkers import lives, opened, says, tell

from memkit import Chat
from memkit.errors import InvalidInput
from memkit.govern.listeners import Notice
from memkit.memory import Memory
from memkit.policy import RetentionRule

ALL = ("remembered", "updated", "recalled", "believed", "doubted", "forgotten")


def listen(memory: Memory) -> list[Notice]:
    notices: list[Notice] = []
    for happening in ALL:
        memory.on(happening, notices.append)
    return notices


def test_everything_that_happens_is_told_with_ids() -> None:
    with opened() as memory:
        notices = listen(memory)
        (turn_id,) = tell(memory, lives("Oslo"))
        (thought,) = memory.thoughts(user_id="ann")
        memory.recall("Oslo", user_id="ann")
        memory.update(turn_id, user_id="ann", tags=["home"])
        memory.forget(user_id="ann", turn_ids=[turn_id])
        assert [
            (notice.happening, notice.user_id, notice.turn_ids, notice.thought_ids)
            for notice in notices
        ] == [
            ("remembered", "ann", (turn_id,), ()),
            ("believed", "ann", (turn_id,), (thought.id,)),
            ("recalled", "ann", (turn_id,), ()),
            ("updated", "ann", (turn_id,), ()),
            ("forgotten", "ann", (turn_id,), (thought.id,)),
        ]


def test_a_doubt_is_told_with_the_turn_that_raises_it() -> None:
    with opened() as memory:
        notices = listen(memory)
        _, second = tell(memory, lives("Oslo"), says("I might move to Rome", 1))
        (doubted,) = [notice for notice in notices if notice.happening == "doubted"]
        (thought,) = [item for item in memory.thoughts(user_id="ann") if item.doubt]
        assert (doubted.thought_ids, doubted.turn_ids) == ((thought.id,), (second,))


def test_a_callback_is_called_after_the_commit_and_may_use_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path) as memory, opened(path) as another:
        seen: list[int] = []
        memory.on("remembered", lambda _: seen.append(len(list(another.turns(user_id="ann")))))
        memory.on("believed", lambda _: memory.think(user_id="ann"))
        memory.on("forgotten", lambda _: seen.append(len(list(another.turns(user_id="ann")))))
        (turn_id,) = tell(memory, lives("Oslo"))
        memory.forget(user_id="ann", turn_ids=[turn_id])
        assert seen == [1, 0]


def test_nothing_is_told_of_what_did_not_happen() -> None:
    with opened() as memory:
        tell(memory, lives("Oslo"))
        notices = listen(memory)
        memory.forget(user_id="ann", turn_ids=["no such turn"])
        memory.forget(user_id="ann", everything=True, dry_run=True)
        memory.recall("Oslo", user_id="bob")
        assert memory.remember("", user_id="ann") == []
        memory.think(user_id="ann")
        assert notices == []


def test_a_callback_that_fails_is_logged_and_counted_and_breaks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(notice: Notice) -> None:
        raise ZeroDivisionError(notice.user_id)

    with opened() as memory:
        memory.on("remembered", fail)
        notices = listen(memory)
        with caplog.at_level(logging.ERROR, "memkit"):
            ids = memory.remember("I live in Oslo now", user_id="ann")
        assert [notice.turn_ids for notice in notices] == [tuple(ids)]
        assert "a callback for 'remembered' failed" in caplog.text
        assert "ZeroDivisionError" in caplog.text
        assert memory.stats()["failed_callbacks"] == 1


def test_a_callback_that_left_is_not_called() -> None:
    with opened() as memory:
        notices: list[Notice] = []
        leave = memory.on("remembered", notices.append)
        stays = memory.on("remembered", notices.append)
        leave()
        leave()
        memory.remember("tea", user_id="ann")
        assert len(notices) == 1
        stays()
        memory.remember("milk", user_id="ann")
        assert len(notices) == 1
        with pytest.raises(InvalidInput, match="nothing is called 'forgot'; there are remembered"):
            memory.on("forgot", notices.append)  # type: ignore[arg-type]


def test_retention_undo_and_context_are_told_too() -> None:
    with opened() as memory:
        notices = listen(memory)
        tell(memory, says("I like tea"))
        memory.context("tea", user_id="ann")
        chat = Chat(lambda _: "Nice.", memory=memory, user_id="ann")
        chat.reply("I like jazz")
        chat.undo()
        memory.set_retention([RetentionRule(ttl=timedelta(days=1))])
        happenings = [notice.happening for notice in notices]
        assert happenings.count("forgotten") == 2
        assert happenings.count("recalled") == 2
