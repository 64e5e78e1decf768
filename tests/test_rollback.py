"""A rollback restores what was derived, keeps every turn, and brings nothing forgotten back."""

import random
from dataclasses import astuple
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thinkers import FISH, Reader, day, lives, opened, says

from memkit import Turn
from memkit.govern.ledger import find_faults
from memkit.memory import Memory
from memkit.protocols import Window, WriteBatch
from memkit.records import Scope

ANN, BOB = Scope(user_id="ann"), Scope(user_id="bob")
QUESTIONS = ("Where do I live?", "Do I eat fish?", "What is my code?", "Which boat is red?")
CITIES = ("Oslo", "Rome", "Lima")


def state(memory: Memory, user_id: str = "ann") -> dict[str, Any]:
    """Return all that is derived of a user, and what is recalled."""
    scope = Scope(user_id=user_id)
    thoughts = memory.thoughts(user_id=user_id)
    return {
        "thoughts": thoughts,
        "histories": [memory.history(thought.id, user_id=user_id) for thought in thoughts],
        "summaries": [list(memory.store.summaries(scope, level)) for level in (1, 2)],
        "hidden": [chunk.id for chunk in memory.store.chunks(scope) if chunk.hidden],
        "queued": queued(memory, user_id),
        "bands": [
            tuple(row)
            for row in memory.store._connection.fetch(  # type: ignore[attr-defined]
                "SELECT * FROM thought_bands WHERE user_id = ?", (user_id,)
            )
        ],
        "recalled": [
            [astuple(hit) for hit in memory.recall(question, user_id=user_id, kind=kind)]
            for question in QUESTIONS
            for kind in ("turn", "thought")
        ],
    }


def queued(memory: Memory, user_id: str = "ann") -> list[str]:
    rows = memory.store._connection.fetch(  # type: ignore[attr-defined]
        "SELECT turns.id FROM thinking q JOIN turns ON turns.seq = q.turn_seq"
        " WHERE q.user_id = ? ORDER BY turns.id",
        (user_id,),
    )
    return [row[0] for row in rows]


# ---- random histories


def changes(rng: random.Random, numbers: "count[int]", user_id: str = "ann") -> list[Turn]:
    """Return one or two turns that state, change or doubt something."""
    n = next(numbers)
    kinds = [
        lives(rng.choice(CITIES), n / 10),
        says("I moved away", n / 10),
        says("I might move", n / 10),
        says(f"My code is {n:04d} in the red boat", n / 10),
        says(f"The boat number {n} is red\nI like tea and boats", n / 10),
        Turn(text=rng.choice(FISH).text, name="Ann", said_at=day(n / 10)),
    ]
    return [
        Turn(text=turn.text, name="Ann", said_at=turn.said_at, id=f"{user_id}{n}.{k}",
             session_id=f"s{n // 5}")
        for k, turn in enumerate(rng.sample(kinds, rng.choice((1, 1, 2))))
    ]  # fmt: skip


def change(memory: Memory, rng: random.Random, numbers: "count[int]", user_id: str) -> None:
    """Do one random thing that is no deletion."""
    thoughts = memory.thoughts(user_id=user_id)
    scope = Scope(user_id=user_id)
    action = rng.choice(
        ("say", "say", "say", "think", "think", "correct", "retract", "prune", "show")
    )
    if action == "say":
        memory.remember(changes(rng, numbers, user_id), user_id=user_id)
    elif action == "think":
        memory.think(user_id=user_id)
    elif action == "correct" and thoughts:
        memory.correct(rng.choice(thoughts).id, f"I live in {rng.choice(CITIES)}", user_id=user_id)
    elif action == "retract" and thoughts:
        memory.retract(rng.choice(thoughts).id, user_id=user_id)
    elif action == "prune":
        visible = [chunk.id for chunk in memory.store.chunks(scope) if not chunk.hidden]
        memory.store.write(scope, WriteBatch(hide=visible[:: rng.choice((2, 3, 5))]))
    elif action == "show":
        memory.restore(user_id=user_id)


def since(memory: Memory, position: int) -> list[Turn]:
    return list(memory.store.turns(ANN, Window(after=position)))


def verify(memory: Memory) -> None:
    assert memory.doctor() == []
    assert list(find_faults(memory.store.events())) == []


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), before=st.integers(0, 25), after=st.integers(1, 40))
def test_after_any_changes_all_is_as_before_except_for_new_turns(
    tmp_path_factory: pytest.TempPathFactory, seed: int, before: int, after: int
) -> None:
    check_rollback(tmp_path_factory.mktemp("rollback"), seed, before, after)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_after_a_thousand_changes_all_is_as_before(tmp_path: Path, seed: int) -> None:
    check_rollback(tmp_path, seed, 300, 1000)


def check_rollback(folder: Path, seed: int, before: int, after: int, key: Any = None) -> None:
    """Compare a memory that was rolled back with a copy from before that got the same turns."""
    rng, numbers = random.Random(seed), count()
    with opened(folder / "ann.db", Reader(), key=key) as memory:
        memory.remember("I live in Ghent", user_id="ann")
        for _ in range(before):
            change(memory, rng, numbers, "ann")
        position = max(turn.position or 0 for turn in memory.turns(user_id="ann"))
        point = memory.checkpoint()
        memory.backup(folder / "copy.db")
        for _ in range(after):
            user_id = rng.choice(("ann", "ann", "ann", "bob"))
            change(memory, rng, numbers, user_id)
            if rng.random() < 0.1:
                turns = list(memory.turns(user_id="bob"))
                ids = [str(turn.id) for turn in turns[: rng.choice((1, 3))]]
                memory.forget(user_id="bob", turn_ids=ids, scan=False)
        changed, of_bob = state(memory), state(memory, "bob")
        last = memory.checkpoint()

        rolled_back = memory.rollback(user_id="ann", to=point)
        with opened(folder / "copy.db", Reader(), key=key) as copy:
            if new := since(memory, position):
                copy.remember(new, user_id="ann")
            assert state(memory) == state(copy)
        assert state(memory, "bob") == of_bob
        verify(memory)
        if rolled_back.event:
            memory.rollback(user_id="ann", to=last)
            assert state(memory) == changed
            verify(memory)
    with opened(folder / "ann.db", Reader(), key=key) as again:
        assert state(again) == changed
