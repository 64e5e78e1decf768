"""Indexes that follow every change give the hits of indexes that are built from the rows."""

import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memkit_sqlite import faiss_index

import memkit
from memkit import Turn
from memkit.protocols import WriteBatch
from memkit.records import Scope
from memkit.testing import NOON, HashEmbedder, open_memory

ANN = Scope(user_id="ann")
TOPICS = ("tea", "jazz", "boats", "chess", "tea and jazz")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("remember"), st.integers(1, 4), st.sampled_from(TOPICS)),
        st.tuples(st.just("arrive late"), st.integers(1, 90), st.sampled_from(TOPICS)),
        st.tuples(st.sampled_from(["forget", "hide", "show"]), st.integers(0, 30)),
        st.tuples(st.sampled_from(["recall", "reopen", "write elsewhere"])),
    ),
    min_size=3,
    max_size=16,
)


@pytest.fixture(params=["flat", "inverted lists"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small memories use inverted lists too; all are probed, so that the search stays exact."""
    if request.param == "inverted lists":
        monkeypatch.setattr(faiss_index, "FLAT_UP_TO", 8)
        monkeypatch.setattr(faiss_index, "_PROBED", 10**6)
    return str(request.param)


class Life:
    """A memory in which one user's turns come and go, and a file that others may write."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self.memory = self.open()

    def open(self) -> memkit.Memory:
        return open_memory(str(self.path), embedder=HashEmbedder())

    def turns(self, n: int, topic: str, minutes: int) -> list[Turn]:
        self.count += n
        numbers = range(self.count - n, self.count)
        return [
            Turn(
                id=f"t{number}", text=f"{topic} number{number}", name=("Ann", "Bo")[number % 2],
                session_id=f"s{number % 3}", said_at=NOON + timedelta(minutes=number + minutes),
            )
            for number in numbers
        ]  # fmt: skip

    def step(self, what: str, number: int = 1, topic: str = "tea") -> None:
        if what == "remember":
            self.memory.remember(self.turns(number, topic, 0), user_id="ann")
        elif what == "arrive late":
            self.memory.remember(self.turns(2, topic, -number), user_id="ann")
        elif what == "forget":
            self.memory.forget(user_id="ann", turn_ids=[f"t{number}"])
        elif what in ("hide", "show"):
            chunks = [chunk.id for chunk in self.memory.store.chunks(ANN)][number::7]
            self.memory.store.write(ANN, WriteBatch(**{what: chunks}))
        elif what == "recall":
            answers(self.memory)
        elif what == "reopen":
            self.memory.close()
            self.memory = self.open()
        else:
            with self.open() as other:
                other.remember(self.turns(1, topic, 0), user_id="ann")
                other.forget(user_id="ann", turn_ids=["t1"])


def answers(memory: memkit.Memory) -> tuple[list[Any], list[float]]:
    """Return the hits of a few questions, their relevance in the same order."""
    questions = ("tea", "What did Bo say about jazz?", "boats number3", "What did I say last?")
    hits = [hit for text in questions for hit in memory.recall(text, user_id="ann", k=50)]
    return [(hit.turn_ids, hit.text, hit.session_id) for hit in hits], [
        hit.relevance for hit in hits
    ]


@settings(max_examples=40)
@given(steps=STEPS)
@pytest.mark.usefixtures("kind")
def test_after_any_changes_recall_equals_that_of_a_memory_opened_afresh(
    steps: list[tuple[Any, ...]],
) -> None:
    with TemporaryDirectory() as folder:
        life = Life(Path(folder) / "ann.db")
        life.memory.remember(life.turns(12, "tea", 0), user_id="ann")
        answers(life.memory)
        for step in steps:
            life.step(*step)
        recalled, relevance = answers(life.memory)
        assert life.memory.doctor() == []
        life.memory.close()
        shutil.rmtree(f"{life.path}.index", ignore_errors=True)
        with life.open() as fresh:
            expected, expected_relevance = answers(fresh)
        assert recalled == expected
        assert relevance == pytest.approx(expected_relevance, abs=1e-6)
