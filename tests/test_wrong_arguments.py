"""Whatever is passed where, it is a typed error that says what to pass, and nothing is lost."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

import memkit
from memkit import Settings, Turn
from memkit.errors import InvalidInput, MemkitError
from memkit.memory import Memory
from memkit.testing import HashEmbedder, open_memory


def nested(levels: int) -> dict[str, Any]:
    deep: dict[str, Any] = {}
    for _ in range(levels):
        deep = {"a": deep}
    return deep


WRONG: dict[str, Any] = {
    "None": None, "nan": float("nan"), "inf": float("inf"), "a huge integer": 10**400,
    "an integer beyond 64 bits": 2**70, "-1": -1, "True": True, "1.5": 1.5, "bytes": b"x",
    "half a surrogate pair": "\ud800", "NUL": "a\0b", "an object": object(), "a list": [],
    "a dict": {}, "deep": nested(5000), "a deep list": [nested(5000)],
}  # fmt: skip
USES: dict[str, Callable[[Memory, Any], object]] = {
    "a message": lambda memory, value: memory.remember(value, user_id="u"),
    "content": lambda memory, value: memory.remember(
        {"role": "user", "content": value}, user_id="u"
    ),
    **{
        key: lambda memory, value, key=key: memory.remember(  # type: ignore[misc]
            {"role": "user", "content": "x"} | {key: value}, user_id="u"
        )
        for key in ("role", "name", "id", "timestamp", "session_id", "metadata", "origin")
    },
    "a value of metadata": lambda memory, value: memory.remember(
        Turn(text="x", metadata={"a": value}), user_id="u"
    ),
    "user_id": lambda memory, value: memory.remember("x", user_id=value),
    "query": lambda memory, value: memory.recall(value, user_id="ann"),
    "k": lambda memory, value: memory.recall("tea", user_id="ann", k=value),
    "as_of": lambda memory, value: memory.recall("tea", user_id="ann", as_of=value),
    "min_relevance": lambda memory, value: memory.recall("tea", user_id="ann", min_relevance=value),
    "kind": lambda memory, value: memory.recall("tea", user_id="ann", kind=value),
    "without": lambda memory, value: memory.recall("tea", user_id="ann", without=value),
    "budget_tokens": lambda memory, value: memory.context(
        "tea", user_id="ann", budget_tokens=value
    ),
    "since": lambda memory, value: list(memory.turns(user_id="ann", since=value)),
    "thought_id": lambda memory, value: memory.history(value, user_id="ann"),
    "correct": lambda memory, value: memory.correct(value, "x", user_id="ann"),
    "retract": lambda memory, value: memory.retract(value, user_id="ann"),
    "rollback": lambda memory, value: memory.rollback(user_id="ann", to=value),
    "turn_ids": lambda memory, value: memory.forget(user_id="u", turn_ids=value),
    "a turn id": lambda memory, value: memory.forget(user_id="u", turn_ids=[value]),
    "forget a thought": lambda memory, value: memory.forget(user_id="u", thought_id=value),
    "where": lambda memory, value: memory.forget(user_id="u", where=value),
    "backup": lambda memory, value: memory.backup(value),
    "retention": lambda memory, value: memory.set_retention(value),
    "open": lambda _, value: memkit.open(value, embedder=HashEmbedder()),
}


@pytest.mark.parametrize("use", USES)
def test_a_wrong_argument_is_taken_or_refused_by_a_typed_error(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_memory(":memory:") as memory:
        memory.remember("I like tea", user_id="ann")
        for wrong in WRONG.values():
            with suppress(MemkitError):
                USES[use](memory, wrong)
        assert memory.recall("tea", user_id="ann")[0].text == "I like tea"
        assert memory.doctor() == []


def test_metadata_may_be_nested_a_hundred_levels_deep_and_no_deeper() -> None:
    with open_memory(":memory:") as memory:
        memory.remember(Turn(text="x", metadata=nested(100)), user_id="u")
        with pytest.raises(InvalidInput, match="more than 100 levels deep"):
            Turn(text="x", metadata=nested(101))
        assert next(iter(memory.turns(user_id="u"))).metadata == nested(100)


def test_a_clock_without_a_time_is_named() -> None:
    for time in (None, datetime(2027, 5, 1)):  # noqa: DTZ001 - what is refused
        with (
            open_memory(":memory:", clock=lambda time=time: time) as memory,  # type: ignore[misc]
            pytest.raises(InvalidInput, match="memory's clock"),
        ):
            memory.remember("tea", user_id="ann")


def test_a_message_longer_than_the_limit_is_refused_and_the_others_are_stored() -> None:
    settings = Settings(max_turn_characters=20, background=False)
    with memkit.open(":memory:", embedder=HashEmbedder(), settings=settings) as memory:
        with pytest.raises(InvalidInput, match=r"40 characters, 20 are allowed.*1 are stored"):
            memory.remember(["tea", "x" * 40], user_id="ann")
        assert [turn.text for turn in memory.turns(user_id="ann")] == ["tea"]
    with pytest.raises(InvalidInput, match="max_turn_characters"):
        Settings(max_turn_characters=0)
