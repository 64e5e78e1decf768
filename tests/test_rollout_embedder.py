"""Another embedder serves a share of sessions; its vectors are beside those of the memory's own."""

from pathlib import Path
from typing import Any

import pytest
from test_forgetting_leaves_nothing import traces
from test_rollback import QUESTIONS, verify
from test_rollout import kinds, sessions_of, stage
from thinkers import FISH, lives, opened, says, tell

import memkit
from memkit.govern.rollout import Change, Rollout
from memkit.memory import Memory
from memkit.records import Hit
from memkit.testing import HashEmbedder, open_memory

SAID = [  # so few that all thoughts are compared, with a hash and without
    lives("Oslo"), lives("Rome", 1), says("The red boat is in the harbour", 2), *FISH,
    *(says(f"My code number {n} is {n * 7919 % 997}", 3 + n) for n in range(4)),
]  # fmt: skip


def new_embedder() -> HashEmbedder:
    return HashEmbedder(512, name="another")


def try_out(memory: Memory, **rest: Any) -> tuple[Rollout[Memory], Memory, HashEmbedder]:
    """Return a rollout of another embedder, the memory of one of its sessions, and the embedder."""
    embedder = new_embedder()
    rollout = stage(memory, Change(embedder=embedder), **rest)
    session = sessions_of(rollout, memory)[1][0]
    return rollout, rollout.memory_for(user_id="ann", session_id=session), embedder


def answers(memory: Memory) -> list[list[Hit]]:
    return [
        memory.recall(question, user_id="ann", kind=kind)
        for question in QUESTIONS
        for kind in ("turn", "thought")
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ann.db"
    with opened(path) as memory:
        tell(memory, *SAID)
    return path


def test_its_sessions_get_what_a_memory_of_that_embedder_gives(path: Path) -> None:
    with opened(path) as memory:
        before = answers(memory)
        memory.backup(path.with_name("copy.db"))
        _, served, _ = try_out(memory)
        candidate = answers(served)
        assert answers(memory) == before != candidate
        assert memory.doctor() == []
    memkit.reembed(path.with_name("copy.db"), new_embedder())
    with open_memory(str(path.with_name("copy.db")), embedder=new_embedder()) as copy:
        for hits, expected in zip(candidate, answers(copy), strict=True):
            assert [hit.text for hit in hits] == [hit.text for hit in expected]
            assert [hit.relevance for hit in hits] == pytest.approx(
                [hit.relevance for hit in expected], abs=1e-6
            )


def test_a_turn_is_found_by_both_whoever_remembered_it(path: Path) -> None:
    with opened(path) as memory:
        _, served, _ = try_out(memory)
        served.remember(says("My xylophone is blue", 90), user_id="ann")
        memory.remember(says("My zither is green", 91), user_id="ann")
        memory.think(user_id="ann")
        for arm in (memory, served):
            for thing in ("xylophone", "zither"):
                for kind in ("turn", "thought"):
                    hits = arm.recall(f"Where is my {thing}?", user_id="ann", kind=kind)
                    assert thing in hits[0].text
        verify(memory)


def test_what_is_forgotten_is_gone_from_both(path: Path) -> None:
    with opened(path) as memory:
        _, served, _ = try_out(memory)
        (turn_id,) = memory.remember("The xylophone is in Zanzibar", user_id="ann")
        memory.think(user_id="ann")
        assert "Zanzibar" in served.recall("xylophone", user_id="ann")[0].text
        assert memory.forget(user_id="ann", turn_ids=[turn_id]).purged
        assert "Zanzibar" not in repr([*answers(served), served.recall("xylophone", user_id="ann")])
        assert traces(path, ["xylophone is in Zanzibar"]) == set()


def test_a_rollback_restores_what_both_find(path: Path) -> None:
    with opened(path) as memory:
        _, served, _ = try_out(memory)
        before = answers(memory), answers(served)
        point = memory.checkpoint()
        for thought in memory.thoughts(user_id="ann")[::3]:
            memory.retract(thought.id, user_id="ann")
        assert answers(served) != before[1]
        memory.rollback(user_id="ann", to=point)
        assert (answers(memory), answers(served)) == before
        verify(memory)


def test_once_promoted_it_serves_all_and_reembed_only_switches(path: Path) -> None:
    with opened(path) as memory:
        rollout, served, _ = try_out(memory)
        candidate = answers(served)
        rollout.promote()
        assert answers(memory) == candidate
    embedder = new_embedder()
    memkit.reembed(
        path, embedder, settings=memkit.Settings(gate=False)
    )  # whose probes are embedded
    assert embedder.calls == 0
    with open_memory(str(path), embedder=embedder) as memory:
        assert stage(memory, Change(embedder=embedder)).state == "promoted"
        assert [[hit.text for hit in hits] for hits in answers(memory)] == [
            [hit.text for hit in hits] for hits in candidate
        ]
        verify(memory)


def test_after_a_fallback_nothing_is_embedded_with_it(path: Path) -> None:
    with opened(path) as memory:
        before = answers(memory)
        rollout, served, embedder = try_out(memory)
        rollout.fall_back()
        calls = embedder.calls
        assert answers(served) == answers(memory) == before
        assert embedder.calls == calls
    with opened(path) as memory:
        _, served, embedder = try_out(memory)
        assert (answers(served), embedder.calls) == (before, 0)
        assert kinds(memory).count("rollout") == 1
