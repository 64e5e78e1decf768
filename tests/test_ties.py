"""Of equal texts the newest comes first, however many there are and whatever stands around them."""

import random
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memkit_sqlite import faiss_index
from memkit_sqlite.faiss_index import State, VectorIndex

import memkit
from memkit import Turn
from memkit.testing import NOON, open_memory

PILL = "I took my pill."


def at(day: int, minute: int = 0) -> datetime:
    return NOON + timedelta(days=day, minutes=minute)


def diary(days: int, *, own_session: bool, other: list[str]) -> list[Turn]:
    """Return a pill a day with other turns around it."""
    turns = []
    for day in range(days):
        session = f"day {day}" if own_session else None
        texts = [PILL, *random.Random(day).sample(other, k=min(2, len(other)))]
        turns += [
            Turn(text=text, id=f"{text}{day}", said_at=at(day, n), session_id=session)
            for n, text in enumerate(texts)
        ]
    return turns


def pills(memory: memkit.Memory, query: str, k: int = 10) -> list[int]:
    hits = memory.recall(query, user_id="ann", k=k)
    return [(hit.said_at - NOON).days for hit in hits if hit.text == PILL]


OTHER = ["Work was long.", "Mia took photos of my cat.", "I went to the market.", "Rain again."]


@settings(max_examples=25)
@given(
    days=st.integers(1, 200),
    own_session=st.booleans(),
    other=st.lists(st.sampled_from(OTHER), unique=True),
    order=st.randoms(use_true_random=False),
)
def test_of_equal_texts_the_newest_come_first_in_whatever_order_they_were_stored(
    days: int, own_session: bool, other: list[str], order: random.Random
) -> None:
    turns = diary(days, own_session=own_session, other=other)
    order.shuffle(turns)
    with open_memory() as memory:
        memory.remember(turns, user_id="ann")
        newest = list(range(days))[::-1][:5]
        assert pills(memory, "Did I take my pill?")[:5] == newest
        assert pills(memory, "pill", k=5) == newest


def test_a_time_in_the_question_counts_more_than_the_newest(memory: memkit.Memory) -> None:
    memory.remember(diary(60, own_session=True, other=OTHER), user_id="ann")
    assert pills(memory, "Did I take my pill on 11 May 2024?")[0] == 10


def test_of_many_short_answers_the_one_to_the_question_comes_first(memory: memkit.Memory) -> None:
    turns = []
    for day in range(40):
        asked = "Shall I sell the old boat?" if day == 7 else f"Shall I call {day}?"
        turns += [
            Turn(text=asked, role="assistant", said_at=at(day), session_id=f"s{day}"),
            Turn(text="Yes.", said_at=at(day, 1), session_id=f"s{day}"),
        ]
    memory.remember(turns, user_id="ann")
    hits = memory.recall("Did I want the old boat sold?", user_id="ann")
    assert next((hit.said_at - NOON).days for hit in hits if hit.text == "Yes.") == 7


def test_said_at_the_same_time_the_last_one_stored_comes_first(memory: memkit.Memory) -> None:
    memory.remember([Turn(text=PILL, id=str(n), said_at=NOON) for n in range(80)], user_id="ann")
    hits = memory.recall("pill", user_id="ann", k=3)
    assert [hit.turn_ids for hit in hits] == [("79",), ("78",), ("77",)]


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@pytest.mark.parametrize("limited", [False, True])
def test_a_vector_search_returns_all_that_are_as_near_as_the_last(
    monkeypatch: pytest.MonkeyPatch, kind: str, limited: bool
) -> None:
    monkeypatch.setattr(faiss_index, "FLAT_UP_TO", 1000 if kind == "flat" else 100)
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((400, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[100:160] = vectors[0] + rng.standard_normal((60, 16)).astype(np.float32) * 1e-8
    state = State(store_id="s", embedder="e", user_id="u", layout=1, newest=0)
    index = VectorIndex(16, state)
    index.add(np.arange(400, dtype=np.int64), vectors)
    assert index.kind == kind
    allowed = np.arange(50, 300, dtype=np.int64) if limited else None
    hits = index.search(vectors[0], 10, allowed)
    assert {seq for seq, _ in hits} == {*range(100, 160), *([] if limited else [0])}
