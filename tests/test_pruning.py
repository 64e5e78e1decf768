"""Pruning hides a fixed share by HEMA's weights, loses nothing, and is off by default."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memkit
from memkit import Forgetting, MemkitError, Memory
from memkit.background.pruning import retention_weights, select_prunable
from memkit.protocols import ChunkAge
from memkit.records import Scope
from memkit.testing import open_memory

SIGNS: list[Literal["intended", "printed"]] = ["intended", "printed"]


def age(position: int, retrieved: int | None = None, *, hidden: bool = False) -> ChunkAge:
    return ChunkAge(id=f"c{position}", position=position, retrieved=retrieved, hidden=hidden)


def forgetful(url: Path | str = ":memory:", **policy: Any) -> Memory:
    settings = memkit.Settings(background=False, forgetting=Forgetting(**policy))
    return open_memory(str(url), settings=settings)


def say(memory: Memory, first: int, last: int) -> None:
    memory.remember([f"fact{n} about thing{n}" for n in range(first, last + 1)], user_id="ann")
    memory.think(user_id="ann")


def hidden(memory: Memory) -> list[int]:
    ages = memory.store.chunks(Scope(user_id="ann"))
    return sorted(chunk.position for chunk in ages if chunk.hidden)


# λ·exp(-γ(t - i)) + β·δ with λ = 1, γ = 0.002, β = 0.5, worked out by hand
@pytest.mark.parametrize(
    ("chunk", "intended", "printed"),
    [
        (age(1000), 1.0, 1.5),
        (age(900), 0.818731, 1.318731),
        (age(500), 0.367879, 0.867879),
        (age(500, 950), 0.867879, 0.367879),
        (age(500, 900), 0.867879, 0.367879),
        (age(500, 899), 0.367879, 0.867879),
        (age(1, 1000), 0.635606, 0.135606),
    ],
)
def test_weights_are_the_papers(chunk: ChunkAge, intended: float, printed: float) -> None:
    assert retention_weights([chunk], 1000, Forgetting())[0] == pytest.approx(intended, abs=1e-6)
    assert retention_weights([chunk], 1000, Forgetting(sign="printed"))[0] == pytest.approx(
        printed, abs=1e-6
    )


def test_half_of_the_freshness_is_gone_after_347_turns() -> None:
    assert round(math.log(2) / Forgetting().rate) == 347
    assert retention_weights([age(653)], 1000, Forgetting())[0] == pytest.approx(0.5, abs=1e-3)


@given(st.integers(1, 9_000), st.integers(347, 9_999))
def test_a_just_retrieved_chunk_outranks_unretrieved_ones_older_than_347_turns(
    position: int, other_age: int
) -> None:
    now = 10_000
    recent, other = retention_weights([age(position, now), age(now - other_age)], now, Forgetting())
    assert recent > other


def test_with_the_printed_sign_retrieval_is_held_against_a_chunk() -> None:
    ages = [age(10, 1000), age(1)]
    assert select_prunable(ages, 1000, Forgetting(fraction=0.5)) == ["c1"]
    assert select_prunable(ages, 1000, Forgetting(fraction=0.5, sign="printed")) == ["c10"]


@pytest.mark.parametrize(
    ("fraction", "visible", "count"),
    [(0.005, 99, 0), (0.005, 100, 1), (0.005, 1000, 5), (0.1, 100, 10), (0, 100, 0), (1, 7, 7)],
)
def test_exactly_the_fraction_of_what_is_visible_is_chosen(
    fraction: float, visible: int, count: int
) -> None:
    ages = [age(n) for n in range(1, visible + 1)] + [age(n, hidden=True) for n in (5001, 5002)]
    chosen = select_prunable(ages, 6000, Forgetting(fraction=fraction))
    assert chosen == [f"c{n}" for n in range(1, count + 1)]  # the oldest


@pytest.mark.parametrize(
    "wrong", [{"sign": "reverse"}, {"fraction": 1.5}, {"fraction": -0.1}, {"interval": 0}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        Forgetting(**wrong)
    assert isinstance(caught.value, MemkitError)


def test_nothing_is_pruned_by_default(memory: Memory) -> None:
    assert memkit.Settings().forgetting is None
    say(memory, 1, 400)
    assert memory.stats(user_id="ann")["hidden_chunks"] == 0


@pytest.mark.parametrize("batches", [[350], [1] * 30 + [320], [100, 100, 150]])
def test_each_hundred_turns_prune_once_however_they_came(batches: list[int]) -> None:
    with forgetful(fraction=0.02) as memory:
        said = 0
        for size in batches:
            say(memory, said + 1, said + size)
            said += size
        # 2 % of 100, of 198 and of 294 visible chunks
        assert hidden(memory) == list(range(1, 2 + 4 + 6 + 1))


def test_pruning_goes_on_where_it_stopped_after_reopening(tmp_path: Path) -> None:
    for first, last, expected in [
        (1, 60, 0),
        (61, 99, 0),
        (100, 120, 2),
        (121, 199, 2),
        (200, 201, 6),
    ]:
        with forgetful(tmp_path / "a.db", fraction=0.02) as memory:
            say(memory, first, last)
            memory.think(user_id="ann")
            assert len(hidden(memory)) == expected


def test_another_interval_is_respected() -> None:
    with forgetful(fraction=0.1, interval=30) as memory:
        say(memory, 1, 29)
        assert hidden(memory) == []
        say(memory, 30, 59)
        assert hidden(memory) == [1, 2, 3]


def test_pruning_hides_from_search_and_leaves_every_turn() -> None:
    with forgetful(fraction=0.5) as memory:
        say(memory, 1, 100)
        assert hidden(memory) == list(range(1, 51))
        found = memory.recall("fact7 thing7", user_id="ann", k=100)
        assert "fact7 about thing7" not in [hit.text for hit in found]
        assert len(found) == 50
        assert len(list(memory.turns(user_id="ann"))) == 100
        assert memory.doctor() == []


def test_what_was_pruned_can_be_restored() -> None:
    with forgetful(fraction=0.5) as memory:
        say(memory, 1, 100)
        assert memory.restore(user_id="ann") == 50
        assert memory.recall("fact7 thing7", user_id="ann", k=1)[0].text == "fact7 about thing7"
        assert memory.restore(user_id="ann") == 0


@pytest.mark.parametrize("reopen", [False, True])
def test_a_chunk_retrieved_in_the_last_hundred_turns_is_kept(tmp_path: Path, reopen: bool) -> None:
    memory = forgetful(tmp_path / "a.db", fraction=0.1)
    say(memory, 1, 50)
    if reopen:
        memory.close()
        memory = forgetful(tmp_path / "a.db", fraction=0.1)
    memory.recall("fact3 thing3", user_id="ann", k=1)
    if reopen:
        memory.close()
        memory = forgetful(tmp_path / "a.db", fraction=0.1)
    say(memory, 51, 100)
    assert hidden(memory) == [1, 2, *range(4, 12)]
    memory.close()


def test_a_retrieval_counts_from_the_newest_stored_turn_not_the_newest_said() -> None:
    with forgetful(fraction=0.1) as memory:
        say(memory, 1, 90)
        old = datetime(2001, 1, 1, tzinfo=UTC)
        memory.remember([memkit.Turn(text="old letter", said_at=old)] * 5, user_id="ann")
        memory.recall("fact3 thing3", user_id="ann", k=1)
        (chunk,) = (c for c in memory.store.chunks(Scope(user_id="ann")) if c.position == 3)
        memory.remember("next", user_id="ann")
        (chunk,) = (c for c in memory.store.chunks(Scope(user_id="ann")) if c.position == 3)
        assert chunk.retrieved == 95


def test_one_users_pruning_leaves_anothers_alone() -> None:
    with forgetful(fraction=0.5) as memory:
        memory.remember("the key is red", user_id="bob")
        say(memory, 1, 100)
        assert memory.stats(user_id="bob")["hidden_chunks"] == 0
