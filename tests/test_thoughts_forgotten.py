"""What is left of thoughts when turns are forgotten, and when thoughts are taken back."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thinkers import (
    FISH,
    Reader,
    Says,
    everything,
    known,
    lives,
    opened,
    says,
    tell,
    texts_of,
)

from memkit import Turn
from memkit.memory import Memory
from memkit.records import Claim, Scope

users = map("user{}".format, count())


@pytest.fixture
def memory() -> Iterator[Memory]:
    with opened() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Memory]:
    """One memory for many examples, each with a user of its own."""
    with opened() as made:
        yield made


# ---- forgotten


def test_what_was_concluded_from_a_forgotten_turn_is_gone_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with opened(path) as memory:
        secret, *_ = tell(
            memory, says("Ann plays the xylophone.\nI live in Zanzibar"), says("Ann likes tea.")
        )
        memory.recall("xylophone", user_id="ann")
        memory.forget(user_id="ann", turn_ids=[secret])
        memory.flush()

        assert known(memory) == ["Ann likes tea."]
        for file in [path, Path(f"{path}-wal"), *Path(f"{path}.index").glob("*")]:
            held = file.read_bytes().lower() if file.exists() else b""
            assert not any(word in held for word in (b"xylophone", b"zanzibar")), file
    assert b"xylophone" not in path.read_bytes().lower()


def test_a_failure_that_quotes_a_turn_is_forgotten_with_it(tmp_path: Path) -> None:
    def read(turn: Turn) -> list[Claim]:
        raise RuntimeError(f"cannot read {turn.text}")

    path = tmp_path / "ann.db"
    with opened(path, Reader(read)) as memory:
        memory.remember([says("the xylophone", id="1"), says("tea", id="2")], user_id="ann")
        memory._maintenance._reflection.step(
            Scope(user_id="ann"), patient=True, stopped=lambda: False
        )
        assert memory.store.next_batch(Scope(user_id="ann"), 9)[0].attempts == 1
        memory.forget(user_id="ann", turn_ids=["1"])
    assert b"xylophone" not in path.read_bytes()


def test_what_a_forgotten_fact_had_closed_holds_again(memory: Memory) -> None:
    _, rome = tell(memory, lives("Oslo", 0), lives("Rome", 1))
    memory.forget(user_id="ann", turn_ids=[rome])

    (one,) = memory.thoughts(user_id="ann")
    assert (one.text, one.valid_to, one.closed_by) == ("I live in Oslo now", None, None)


def test_what_was_also_said_elsewhere_is_drawn_anew_from_there(memory: Memory) -> None:
    first, other = tell(memory, says("Ann likes tea.", 0), says("Ann likes the tea!", 1))
    receipt = memory.forget(user_id="ann", turn_ids=[first])

    assert (receipt.thoughts, known(memory)) == (1, [])
    memory.flush()
    (one,) = memory.thoughts(user_id="ann")
    assert (one.text, one.turn_ids) == ("Ann likes the tea!", (other,))


def test_what_else_a_turn_says_is_not_drawn_twice_when_it_is_thought_about_again() -> None:
    with opened(judge=Says(True)) as memory:
        first, *_ = tell(
            memory,
            says("Ann likes tea.", 0),
            says(f"Ann likes tea.\n{FISH[0].text}\nI live in Oslo", 1),
            says(f"{FISH[1].text}\nI live in Rome", 2),
        )
        before = {thought.text for thought in everything(memory)}
        memory.forget(user_id="ann", turn_ids=[first])
        memory.flush()

        assert {thought.text for thought in everything(memory)} == before
        assert set(known(memory)) == {"Ann likes tea.", FISH[1].text, "I live in Rome"}


def test_a_dry_run_counts_the_thoughts_and_changes_nothing(memory: Memory) -> None:
    first, _ = tell(memory, says("Ann likes tea.\nI live in Oslo", 0), lives("Rome", 1))
    before = everything(memory), memory.stats(), memory.store.pending()

    dry = memory.forget(user_id="ann", turn_ids=[first], dry_run=True)
    assert (everything(memory), memory.stats(), memory.store.pending()) == before
    assert (dry.thoughts, memory.forget(user_id="ann", turn_ids=[first]).thoughts) == (2, 2)
    assert memory.stats()["thoughts"] == 1


def test_forgetting_everything_leaves_no_row_behind(memory: Memory) -> None:
    tell(memory, *FISH, lives("Oslo"), lives("Rome"), says("Ann likes tea."))
    memory.forget(user_id="ann", everything=True)

    dump = "\n".join(memory.store._connection._raw.iterdump())  # type: ignore[attr-defined]
    for word in ("Ann", "ann", "Rome", "likes"):
        assert f"'{word}" not in dump
    for table in ("thoughts", "thought_", "thinking", "conflicts", "hashes"):
        assert f'INSERT INTO "{table}' not in dump


# ---- any order of remembering, thinking, retracting, correcting and forgetting

WORDS = ("I live in Oslo now", "I live in Rome now", "I moved away", "I might move", FISH[0].text)
STEPS = st.one_of(
    st.tuples(st.just("remember"), st.integers(0, len(WORDS) - 1), st.integers(0, 5)),
    st.tuples(st.sampled_from(["think", "retract", "correct", "forget"]), st.integers(0, 9)),
)


def apply(memory: Memory, user: str, n: int, step: tuple[Any, ...]) -> list[str]:
    """Apply a step; return the marks of turns that were forgotten. Each text has a mark."""
    kind, which, *rest = step
    thoughts = memory.thoughts(user_id=user)
    turns = list(memory.turns(user_id=user))
    if kind == "remember":
        memory.remember(says(f"{WORDS[which]} mark{n}m.", rest[0]), user_id=user)
    elif kind == "think":
        memory.think(user_id=user)
    elif kind == "retract" and thoughts:
        memory.retract(thoughts[which % len(thoughts)].id, user_id=user)
    elif kind == "correct" and thoughts:
        old = thoughts[which % len(thoughts)]
        new = memory.correct(old.id, f"I live in Bonn now mark{n}m.", user_id=user)
        assert new in memory.thoughts(user_id=user)
        assert old.id not in {thought.id for thought in memory.thoughts(user_id=user)} - {new.id}
    elif kind == "forget" and turns:
        turn = turns[which % len(turns)]
        memory.forget(user_id=user, turn_ids=[str(turn.id)])
        return [turn.text.split()[-1]]
    return []


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(STEPS, min_size=4, max_size=14))
def test_no_order_of_steps_shows_what_is_closed_doubted_or_deleted_as_current(
    shared: Memory, steps: list[tuple[Any, ...]]
) -> None:
    user, gone = next(users), list[str]()
    asked = "I live in Oslo Rome Bonn now, or might move away and eat fish"
    for n, step in enumerate(steps):
        gone += apply(shared, user, n, step)
        listed = shared.thoughts(user_id=user)
        context = shared.context(asked, user_id=user)
        hits = shared.recall(asked, user_id=user, kind="thought", k=50)

        assert all(t.closed_by is None and t.kind != "denial" for t in listed)
        assert {t.id for t in context.thoughts} <= {t.id for t in listed}
        assert set(texts_of(hits)) <= {t.text for t in listed}
        for thought in listed:
            history = shared.history(thought.id, user_id=user)
            assert thought in history
            doubting = set(thought.conflicts) & {
                t.id for t in listed if t.said_at > thought.said_at
            }
            assert bool(doubting) <= bool(thought.doubt)
            plain = f"> [since {thought.valid_from:%-d %b %Y}] Ann: {thought.text}"
            if thought.doubt and not any(t.text == thought.text and not t.doubt for t in listed):
                assert plain not in context.text.splitlines()
        everywhere = f"{listed} {context.text} {hits} {everything(shared, user)}"
        assert not [mark for mark in gone if mark in everywhere]
    assert shared.doctor() == []


# ---- taken back


def test_a_retracted_thought_is_not_believed_and_what_it_closed_holds_again(
    memory: Memory,
) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 1), says("Ann likes tea.", 2))
    rome, tea = memory.thoughts(user_id="ann")
    for one in (rome, tea):
        memory.retract(one.id, user_id="ann")

    assert known(memory) == ["I live in Oslo now"]
    assert texts_of(memory.recall("Rome tea", user_id="ann", kind="thought")) == [
        "I live in Oslo now"
    ]
    assert len(memory.recall("Rome tea", user_id="ann")) == 3  # the turns stay
    assert (memory.stats()["thoughts"], memory.doctor()) == (1, [])


@pytest.mark.parametrize("text", ["Ann likes milk.", "I live in Oslo"])
def test_thinking_again_about_the_same_turn_does_not_bring_back_what_was_retracted(
    memory: Memory, text: str
) -> None:
    first, _ = tell(memory, says("Ann likes tea.", 0), says(f"Ann likes tea.\n{text}", 1))
    wrong = memory.thoughts(user_id="ann")[-1]
    memory.retract(wrong.id, user_id="ann")
    memory.forget(user_id="ann", turn_ids=[first])  # the second is thought about again
    memory.flush()
    assert known(memory) == ["Ann likes tea."]

    tell(memory, says(text, 2))
    assert known(memory) == ["Ann likes tea.", wrong.text]


# ---- words that live on in what was drawn from other turns


def test_what_was_said_again_after_a_change_does_not_keep_the_words_of_a_forgotten_turn() -> None:
    with opened() as memory:
        first, *_ = tell(
            memory,
            says("I live in Oslo, near the xylophone shop", 0),
            says("I live in Oslo", 4),
            says("I live in Rome", 2),  # said between the two, and told last
        )
        memory.forget(user_id="ann", turn_ids=[first])
        memory.flush()

        assert all("xylophone" not in thought.text for thought in everything(memory))
        assert known(memory) == ["I live in Oslo"]
